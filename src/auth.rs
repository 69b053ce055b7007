//! Who may do what: what a token grants, and what proves it.
//!
//! An [`Authority`] turns a token into an [`Access`]; the HTTP layer asks nothing else. [`Keys`] is the one
//! that comes with the crate. An application that has tokens of its own implements the trait.

mod grants;
#[cfg(feature = "jwt")]
mod keys;
#[cfg(feature = "jwt")]
mod token;

use std::{fmt, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

pub use self::grants::{Grants, InvalidPattern, StreamPattern};
#[cfg(feature = "jwt")]
pub use self::{
    keys::{KeyError, Keys, Secret},
    token::NewToken,
};
use crate::stream_key::{StreamKey, StreamKind};

/// What a request wants with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Follow it, live or in its history, and see how it stands.
    Subscribe,
    /// Publish on it, to all who follow it or to one of them.
    Publish,
    /// Launch, pause, resume and stop what is performed on it.
    Control,
}

/// Whose request it is, what they may do, and until when.
#[derive(Debug, Clone)]
pub struct Access {
    subject: Option<Arc<str>>,
    /// None: everything.
    grants: Option<Arc<Grants>>,
    expires_at: Option<Instant>,
    /// What limits on rates are counted by; none if somebody is named.
    token: Option<Arc<str>>,
}

impl Access {
    /// Everything, for ever: there is nobody who would be refused.
    #[must_use]
    pub const fn everything() -> Self {
        Self { subject: None, grants: None, expires_at: None, token: None }
    }

    /// What these grants allow, and no more.
    #[must_use]
    pub fn granted(grants: Grants) -> Self {
        Self { grants: Some(Arc::new(grants)), ..Self::everything() }
    }

    /// Names whose access it is; limits on rates are counted by this name.
    #[must_use]
    pub fn of(mut self, subject: &str) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Ends the access at this time: streams that it has opened are closed then.
    #[must_use]
    pub const fn until(mut self, expires_at: Instant) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Names the token that it comes from, so that one of nobody in particular is counted, too.
    pub(crate) fn by(mut self, token: &str) -> Self {
        if self.subject.is_none() {
            let digest = Sha256::digest(token);
            self.token = Some(format!("token {digest:x}").into());
        }
        self
    }

    /// What limits on rates are counted by, if there is anything.
    pub(crate) fn counted_by(&self) -> Option<&Arc<str>> {
        self.subject.as_ref().or(self.token.as_ref())
    }

    /// Whose access it is, if that is known.
    #[must_use]
    pub fn subject(&self) -> Option<&Arc<str>> {
        self.subject.as_ref()
    }

    /// What it grants; none if that is everything.
    #[must_use]
    pub fn grants(&self) -> Option<&Grants> {
        self.grants.as_deref()
    }

    /// When it ends.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// Whether it allows this on this stream, whether or not there is such a stream.
    #[must_use]
    pub fn allows(&self, action: Action, stream: &StreamKey) -> bool {
        self.grants.as_ref().is_none_or(|grants| {
            grants.patterns(action).iter().any(|pattern| pattern.matches(stream))
        })
    }

    /// Whether it allows this on any stream of this kind.
    #[must_use]
    pub fn allows_some(&self, action: Action, kind: StreamKind) -> bool {
        self.grants.as_ref().is_none_or(|grants| {
            grants.patterns(action).iter().any(|pattern| pattern.may_match(kind))
        })
    }

    /// Whether it allows to see the numbers of the whole server.
    #[must_use]
    pub fn allows_stats(&self) -> bool {
        self.grants.as_ref().is_none_or(|grants| grants.stats)
    }
}

/// Says what a token, or a ticket, allows.
pub trait Authority: fmt::Debug + Send + Sync {
    /// What this token allows.
    ///
    /// # Errors
    /// When it is not to be trusted, or its time is not now.
    fn access(&self, token: &str) -> Result<Access, Rejected>;

    /// What this ticket allows.
    ///
    /// # Errors
    /// When it is not to be trusted, or its time is over.
    fn ticket_access(&self, ticket: &str) -> Result<Access, Rejected>;

    /// A ticket with which whoever has this access may follow this stream for a while; none if there
    /// are no tickets here.
    fn issue_ticket(&self, stream: &StreamKey, access: &Access) -> Option<Ticket>;
}

/// What may stand in a URL, where a token must not: it opens one stream, for reading, and not for long.
pub struct Ticket {
    /// What goes into the URL.
    pub text: String,
    /// How long it is good for.
    pub lifetime: Duration,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// Why a token is not taken. The words go into the answer: they tell nothing that its bearer cannot know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// It is no token, or its claims are not as they have to be.
    #[error("the token is malformed")]
    Malformed,
    /// No key that is known here has signed it.
    #[error("the token is not signed by a key of this server")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet")]
    NotYet,
    /// It was made for somebody else, or by somebody else.
    #[error("the token is for another audience or from another issuer")]
    Foreign,
}
