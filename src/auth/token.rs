//! The claims of a token: read here, and made here.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header};
use serde::{Deserialize, Serialize};

use super::{
    Access, Grants, Rejected,
    keys::{KeyError, Secret},
};
use crate::clock::Clock;

/// No deadline is further away than this: what can be added to a moment has an end.
const LIFETIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// What is read of a token. Audience, issuer and `nbf` have been checked before.
#[derive(Deserialize)]
pub(super) struct Claims {
    sub: Option<String>,
    /// Seconds since the Unix epoch.
    exp: f64,
    #[serde(default)]
    clearside: Grants,
}

impl Claims {
    /// What they allow. A token that ends a stream now must not open it again in the same second, so there is
    /// no leeway for its end.
    pub(super) fn into_access(self, clock: &Clock) -> Result<Access, Rejected> {
        #[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
        let left = self.exp - clock.now_ms() as f64 / 1000.0;
        if !left.is_finite() || left <= 0.0 {
            return Err(Rejected::Expired);
        }
        let left = Duration::from_secs_f64(left.min(LIFETIME_MAX.as_secs_f64()));
        let access = Access::granted(self.clearside).until(tokio::time::Instant::now() + left);
        Ok(match self.sub {
            Some(subject) => access.of(&subject),
            None => access,
        })
    }
}

/// A token that is to be made.
///
/// ```
/// use std::time::Duration;
/// use clearside_sse::{Authority, Clock, Grants, Keys, NewToken, Secret};
///
/// let secret: Secret = "thirty-two bytes or more of noise".parse()?;
/// let grants = Grants { publish: vec!["debates/*".parse()?], ..Grants::default() };
/// let token = NewToken::new(grants, Duration::from_secs(60)).sign(&secret, &Clock::system())?;
///
/// let access = Keys::new().with_secret(&secret).access(&token)?;
/// assert!(access.allows(clearside_sse::Action::Publish, &"debate/d1".parse()?));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it grants.
    pub grants: Grants,
    /// How long it is good for.
    pub lifetime: Duration,
    /// Whose it is.
    pub subject: Option<String>,
    /// Whom it is for.
    pub audience: Option<String>,
    /// Who says so.
    pub issuer: Option<String>,
}

#[derive(Serialize)]
struct ClaimsToWrite<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    iat: i64,
    exp: i64,
    clearside: &'a Grants,
}

impl NewToken {
    /// A token of nobody in particular.
    #[must_use]
    pub const fn new(grants: Grants, lifetime: Duration) -> Self {
        Self { grants, lifetime, subject: None, audience: None, issuer: None }
    }

    /// The token, signed with HS256.
    ///
    /// # Errors
    /// When the cryptographic library does not sign.
    pub fn sign(&self, secret: &Secret, clock: &Clock) -> Result<String, KeyError> {
        let now = clock.now_ms() / 1000;
        let claims = ClaimsToWrite {
            iss: self.issuer.as_deref(),
            sub: self.subject.as_deref(),
            aud: self.audience.as_deref(),
            iat: now,
            exp: now.saturating_add_unsigned(self.lifetime.as_secs()),
            clearside: &self.grants,
        };
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, &claims, &secret.encoding()).map_err(|_| KeyError::Sign)
    }
}
