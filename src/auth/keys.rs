//! Keys, each with the one algorithm that it is for, and what they say of a token.

mod key;

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use self::key::{Key, key_set};
use super::{Access, Authority, Grants, NewToken, Rejected, StreamPattern, Ticket, token::Claims};
use crate::{clock::Clock, stream_key::StreamKey};

/// The shortest secret, in bytes: as long as what HMAC-SHA-256 makes of it.
const SECRET_BYTES_MIN: usize = 32;

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// How far the clock of whoever makes tokens may be ahead of ours, in seconds.
const LEEWAY_SECS: u64 = 5;

/// How long a ticket is good for, unless it is said otherwise.
const TICKET_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The audience of tickets, so that nothing else is taken for one.
const TICKET_AUDIENCE: &str = "clearside-ticket";

/// A secret that tokens are signed with and checked by.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl Secret {
    pub(super) fn encoding(&self) -> EncodingKey {
        EncodingKey::from_secret(&self.0)
    }

    fn decoding(&self) -> DecodingKey {
        DecodingKey::from_secret(&self.0)
    }

    fn random() -> Self {
        Self(
            [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()]
                .iter()
                .flat_map(|id| *id.as_bytes())
                .collect(),
        )
    }

    /// Another secret, which tells nothing of this one.
    fn derived(&self, purpose: &str) -> Self {
        Self(
            Sha256::new()
                .chain_update(purpose)
                .chain_update([0])
                .chain_update(&self.0)
                .finalize()
                .to_vec(),
        )
    }
}

impl FromStr for Secret {
    type Err = KeyError;

    /// White space around it, as at the end of a file, is no part of it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() < SECRET_BYTES_MIN {
            return Err(KeyError::ShortSecret);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret that could be guessed.
    #[error("a secret must have at least {SECRET_BYTES_MIN} bytes")]
    ShortSecret,
    /// A text that is no public key.
    #[error("no public key for RS256, ES256 or EdDSA in PEM format")]
    PublicKey,
    /// A key that nobody but its owner should have.
    #[error("that is a private key; give the public one")]
    PrivateKey,
    /// A text that is no set of keys, or has none that can be used.
    #[error("no set of keys (JWKS) with a public key for RS256, ES256 or EdDSA")]
    KeySet,
    /// The cryptographic library does not sign.
    #[error("the token cannot be signed")]
    Sign,
}

/// Keys that tokens are checked by. A token is good if one of them has signed it.
pub struct Keys {
    fixed: Vec<Key>,
    set: RwLock<Arc<[Key]>>,
    audience: Option<String>,
    issuer: Option<String>,
    ticket_secret: Secret,
    ticket_lifetime: Duration,
    clock: Clock,
}

impl Keys {
    /// No keys yet: no token is good.
    #[must_use]
    pub fn new() -> Self {
        Self {
            fixed: Vec::new(),
            set: RwLock::new(Arc::new([])),
            audience: None,
            issuer: None,
            ticket_secret: Secret::random(),
            ticket_lifetime: TICKET_LIFETIME,
            clock: Clock::system(),
        }
    }

    /// Takes tokens that are signed with HS256 and this secret. Tickets then outlive a restart.
    #[must_use]
    pub fn with_secret(mut self, secret: &Secret) -> Self {
        self.ticket_secret = secret.derived(TICKET_AUDIENCE);
        self.fixed.push(Key::from_secret(secret));
        self
    }

    /// Takes tokens that are signed with the private half of this public key, in PEM format: with RS256, ES256 or
    /// EdDSA, as its type demands.
    ///
    /// # Errors
    /// When it is no such key.
    pub fn with_public_key(mut self, pem: &str) -> Result<Self, KeyError> {
        self.fixed.push(Key::from_pem(pem)?);
        Ok(self)
    }

    /// Takes tokens that are signed with a key of this set, in JWKS format.
    ///
    /// # Errors
    /// When no key of it can be used.
    pub fn with_key_set(self, json: &str) -> Result<Self, KeyError> {
        self.set_key_set(json)?;
        Ok(self)
    }

    /// Takes tokens for this audience only.
    #[must_use]
    pub fn with_audience(mut self, audience: Option<String>) -> Self {
        self.audience = audience;
        self
    }

    /// Takes tokens of this issuer only.
    #[must_use]
    pub fn with_issuer(mut self, issuer: Option<String>) -> Self {
        self.issuer = issuer;
        self
    }

    /// Makes tickets that are good for this long. Default 5 min.
    #[must_use]
    pub const fn with_ticket_lifetime(mut self, lifetime: Duration) -> Self {
        self.ticket_lifetime = lifetime;
        self
    }

    #[cfg(test)]
    pub(super) fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Puts another set of keys in the place of the last.
    ///
    /// # Errors
    /// When no key of it can be used; the last set stays.
    pub fn set_key_set(&self, json: &str) -> Result<(), KeyError> {
        let keys = key_set(json)?;
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    fn verify(&self, token: &str) -> Result<Access, Rejected> {
        let header = read_header(token)?;
        let set = Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner));
        for key in self.fixed.iter().chain(set.iter()).filter(|key| key.is_for(&header)) {
            let validation =
                validation(key.algorithm, self.audience.as_deref(), self.issuer.as_deref());
            match jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation) {
                // It is for somebody, and nobody has said that this is us.
                Ok(token) if self.audience.is_none() && token.claims.aud.is_some() => {
                    return Err(Rejected::Foreign);
                }
                Ok(token) => return token.claims.into_access(&self.clock),
                Err(error) => match rejection(error.kind()) {
                    // Another key may have signed it.
                    Rejected::Signature => {}
                    rejected => return Err(rejected),
                },
            }
        }
        Err(Rejected::Signature)
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("fixed", &self.fixed.len()).finish_non_exhaustive()
    }
}

impl Authority for Keys {
    fn access(&self, token: &str) -> Result<Access, Rejected> {
        self.verify(token)
    }

    fn ticket_access(&self, ticket: &str) -> Result<Access, Rejected> {
        read_header(ticket)?;
        let validation = validation(Algorithm::HS256, Some(TICKET_AUDIENCE), None);
        jsonwebtoken::decode::<Claims>(ticket, &self.ticket_secret.decoding(), &validation)
            .map_err(|error| rejection(error.kind()))?
            .claims
            .into_access(&self.clock)
    }

    fn issue_ticket(&self, stream: &StreamKey, access: &Access) -> Option<Ticket> {
        let left = access
            .expires_at()
            .map_or(Duration::MAX, |end| end.saturating_duration_since(Instant::now()));
        let lifetime = self.ticket_lifetime.min(left);
        let subscribe = vec![StreamPattern::only(stream)];
        let mut token = NewToken::new(Grants { subscribe, ..Grants::default() }, lifetime);
        // Whoever has no name is no other with each ticket.
        token.subject = access.counted_by().map(|name| name.to_string());
        token.audience = Some(TICKET_AUDIENCE.to_owned());
        let text = token.sign_exactly(&self.ticket_secret, &self.clock).ok()?;
        Some(Ticket { text, lifetime })
    }
}

fn read_header(token: &str) -> Result<Header, Rejected> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Rejected::Malformed);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Rejected::Malformed)?;
    // Whatever it is that has to be understood: it is not.
    if header.crit.is_some() { Err(Rejected::Malformed) } else { Ok(header) }
}

fn validation(algorithm: Algorithm, audience: Option<&str>, issuer: Option<&str>) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY_SECS;
    validation.validate_nbf = true;
    let mut required = vec!["exp"];
    if let Some(audience) = audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    if let Some(issuer) = issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}

fn rejection(error: &ErrorKind) -> Rejected {
    match error {
        ErrorKind::InvalidSignature => Rejected::Signature,
        ErrorKind::ExpiredSignature => Rejected::Expired,
        ErrorKind::ImmatureSignature => Rejected::NotYet,
        ErrorKind::InvalidAudience | ErrorKind::InvalidIssuer => Rejected::Foreign,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" || claim == "iss" => {
            Rejected::Foreign
        }
        _ => Rejected::Malformed,
    }
}
