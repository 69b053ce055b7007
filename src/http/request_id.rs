//! What a request is called: in its answer, in the errors that it is answered with, and in what is logged meanwhile.

use std::fmt;

use actix_web::http::header::HeaderValue;
#[cfg(feature = "server")]
use actix_web::http::header::{HeaderMap, HeaderName};
#[cfg(feature = "server")]
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// The longest name that is taken over.
#[cfg(feature = "server")]
const LENGTH_MAX: usize = 64;

/// The name of a request. It says nothing that a header or a line of the log could be forged with.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The one that is answered at this moment, where requests have names.
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Self::clone).ok()
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(feature = "server")]
impl RequestId {
    const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    /// The one that a proxy has given the request; a new one if that is none.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(Self::HEADER);
        match (given.next(), given.next()) {
            (Some(id), None) if is_well_formed(id.as_bytes()) => Self(id.clone()),
            _ => Self::random(),
        }
    }

    /// It has to be another one each time, and nothing depends on its being guessed by nobody.
    fn random() -> Self {
        let id = format!("{:016x}", fastrand::u64(..));
        Self(HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("none")))
    }

    /// Asks for an answer, which is made under this name from its beginning to its end.
    pub(super) fn scope<F: Future>(self, ask: impl FnOnce() -> F) -> TaskLocalFuture<Self, F> {
        let answer = self.sync_scope(ask);
        CURRENT.scope(self, answer)
    }

    /// Does something under this name.
    pub(super) fn sync_scope<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }

    /// Gives an answer this name.
    pub(super) fn name(self, headers: &mut HeaderMap) {
        headers.insert(Self::HEADER, self.0);
    }
}

#[cfg(feature = "server")]
fn is_well_formed(id: &[u8]) -> bool {
    let is_taken = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
    (1..=LENGTH_MAX).contains(&id.len()) && id.iter().all(is_taken)
}

#[cfg(test)]
#[cfg(feature = "server")]
mod tests {
    use super::*;

    fn of(given: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for id in given {
            headers.append(RequestId::HEADER, HeaderValue::from_bytes(id).unwrap());
        }
        RequestId::of(&headers).to_string()
    }

    #[test]
    fn a_name_that_was_given_is_taken_over_only_if_it_is_one() {
        let longest = "x".repeat(LENGTH_MAX);
        for given in ["a", "7", "1f4e.A_z-9", "550e8400-e29b-41d4-a716-446655440000", &longest] {
            assert_eq!(of(&[given.as_bytes()]), given);
        }
        let too_long = "x".repeat(LENGTH_MAX + 1);
        for none in [
            &[][..],
            &[&b""[..]],
            &[too_long.as_bytes()],
            &[b"a b"],
            &[b"a,b"],
            &[b"a/b"],
            &[b"a\"b"],
            &["ä".as_bytes()],
            &[b"\xff"],
            &[b"a", b"b"],
            &[b"a", b"a"],
        ] {
            let id = of(none);
            assert_eq!(id.len(), 16, "{none:?}: {id}");
            assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{none:?}: {id}");
            assert_ne!(id, of(none), "another one each time");
        }
    }
}
