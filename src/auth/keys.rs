//! Keys, each with the one algorithm that it is for, and what they say of a token.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

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

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
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
        self.fixed.push(Key { id: None, algorithm: Algorithm::HS256, decoding: secret.decoding() });
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
        token.subject = access.subject().map(|subject| subject.to_string());
        token.audience = Some(TICKET_AUDIENCE.to_owned());
        let text = token.sign_exactly(&self.ticket_secret, &self.clock).ok()?;
        Some(Ticket { text, lifetime })
    }
}

impl Key {
    fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(KeyError::PrivateKey);
        }
        let is_on_p256 = is_on_p256(pem);
        let pem = pem.trim().as_bytes();
        // Each of them takes keys of its own type only.
        let (algorithm, decoding) = DecodingKey::from_rsa_pem(pem)
            .map(|key| (Algorithm::RS256, key))
            .or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key)))
            .or_else(|_| DecodingKey::from_ed_pem(pem).map(|key| (Algorithm::EdDSA, key)))
            .map_err(|_| KeyError::PublicKey)?;
        if algorithm == Algorithm::ES256 && !is_on_p256 {
            return Err(KeyError::PublicKey);
        }
        Ok(Self { id: None, algorithm, decoding })
    }

    /// None if it is no key that signatures are checked by, or one for an algorithm that is not taken here:
    /// a set may have others. A secret has no place in one.
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let is_for_signatures =
            matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        let declared = jwk.common.key_algorithm;
        let is_as_declared =
            declared.is_none_or(|declared| declared.to_string() == format!("{algorithm:?}"));
        let decoding = DecodingKey::from_jwk(jwk).ok()?;
        let id = jwk.common.key_id.clone();
        (is_for_signatures && is_as_declared).then_some(Self { id, algorithm, decoding })
    }

    /// Whether this may be the key that has signed a token with this header. Nothing in a header can bring a
    /// key along, or make a key be used otherwise than it is meant to be.
    fn is_for(&self, header: &Header) -> bool {
        let is_named = match (&self.id, &header.kid) {
            (Some(own), Some(named)) => own == named,
            _ => true,
        };
        self.algorithm == header.alg && is_named
    }
}

/// ES256 has no other curve, and on some its points are as long. The curve is named before the point, and with all
/// that comes before that it is the same in each key (RFC 5480): 27 bytes, which are 36 letters.
fn is_on_p256(pem: &str) -> bool {
    const BEGIN: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE";
    let text = pem.split_once("-----BEGIN PUBLIC KEY-----").map_or("", |(_, text)| text);
    text.split_whitespace().collect::<String>().starts_with(BEGIN)
}

fn key_set(json: &str) -> Result<Arc<[Key]>, KeyError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }

    let set: Set = serde_json::from_str(json).map_err(|_| KeyError::KeySet)?;
    let keys: Arc<[Key]> = set
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
        .filter_map(|key| Key::from_jwk(&key))
        .collect();
    if keys.is_empty() { Err(KeyError::KeySet) } else { Ok(keys) }
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
