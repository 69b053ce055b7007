//! The claims of a token: read here, and made here.

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header};
use serde::{Deserialize, Serialize, de::IgnoredAny};

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
    /// Whatever it is.
    pub(super) aud: Option<IgnoredAny>,
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
    exp: End,
    clearside: &'a Grants,
}

/// Seconds since the Unix epoch.
#[derive(Serialize)]
#[serde(untagged)]
enum End {
    Whole(i64),
    /// Only we read it: others may take whole seconds only.
    Exact(f64),
}

impl NewToken {
    /// A token of nobody in particular.
    #[must_use]
    pub const fn new(grants: Grants, lifetime: Duration) -> Self {
        Self { grants, lifetime, subject: None, audience: None, issuer: None }
    }

    /// The token, signed with HS256. It ends with a whole second, and not before its lifetime is over.
    ///
    /// # Errors
    /// When the cryptographic library does not sign.
    pub fn sign(&self, secret: &Secret, clock: &Clock) -> Result<String, KeyError> {
        let end = self.end_ms(clock).saturating_add(999) / 1000;
        self.sign_until(End::Whole(end), secret, clock)
    }

    /// The same, but it ends when its lifetime is over.
    pub(super) fn sign_exactly(&self, secret: &Secret, clock: &Clock) -> Result<String, KeyError> {
        #[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
        let end = self.end_ms(clock) as f64 / 1000.0;
        self.sign_until(End::Exact(end), secret, clock)
    }

    fn end_ms(&self, clock: &Clock) -> i64 {
        let lifetime = i64::try_from(self.lifetime.min(LIFETIME_MAX).as_millis());
        clock.now_ms().saturating_add(lifetime.unwrap_or(i64::MAX))
    }

    fn sign_until(&self, exp: End, secret: &Secret, clock: &Clock) -> Result<String, KeyError> {
        let claims = ClaimsToWrite {
            iss: self.issuer.as_deref(),
            sub: self.subject.as_deref(),
            aud: self.audience.as_deref(),
            iat: clock.now_ms() / 1000,
            exp,
            clearside: &self.grants,
        };
        let header = Header::new(Algorithm::HS256);
        jsonwebtoken::encode(&header, &claims, &secret.encoding()).map_err(|_| KeyError::Sign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Authority, Keys};

    #[tokio::test(start_paused = true)]
    async fn a_token_lives_as_long_as_it_was_made_for_wherever_in_a_second_it_is_made() {
        let secret: Secret = "thirty-two bytes or more of noise".parse().unwrap();
        for now_ms in [4_102_444_800_000, 4_102_444_800_001, 4_102_444_800_999] {
            let clock = Clock::stopped_at(now_ms);
            let lifetime = Duration::from_secs(1);
            let token = NewToken::new(Grants::default(), lifetime).sign(&secret, &clock).unwrap();
            let keys = Keys::new().with_secret(&secret).with_clock(clock);
            let access = keys.access(&token).expect("it is not dead");
            let left = access.expires_at().unwrap() - tokio::time::Instant::now();
            assert!(left >= lifetime && left < 2 * lifetime, "{now_ms}: {left:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_ends_with_its_token_and_not_before() {
        let secret: Secret = "thirty-two bytes or more of noise".parse().unwrap();
        let clock = Clock::stopped_at(4_102_444_800_700);
        let keys = Keys::new().with_secret(&secret).with_clock(clock);
        let stream = "debate/d1".parse().unwrap();
        let left = Duration::from_millis(200);
        let access = Access::everything().until(tokio::time::Instant::now() + left);
        let ticket = keys.issue_ticket(&stream, &access).unwrap();
        let opened = keys.ticket_access(&ticket.text).expect("it is not dead");
        let kept = opened.expires_at().unwrap() - tokio::time::Instant::now();
        assert!(kept <= left + Duration::from_millis(1) && !kept.is_zero(), "{kept:?}");
    }
}
