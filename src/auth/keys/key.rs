//! One key, and the one algorithm that it is for.

use std::sync::Arc;

use jsonwebtoken::{
    Algorithm, DecodingKey, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;

use super::{KeyError, Secret};

pub(super) struct Key {
    id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

impl Key {
    pub(super) fn from_secret(secret: &Secret) -> Self {
        Self { id: None, algorithm: Algorithm::HS256, decoding: secret.decoding() }
    }

    pub(super) fn from_pem(pem: &str) -> Result<Self, KeyError> {
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
    pub(super) fn is_for(&self, header: &Header) -> bool {
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

/// The keys of a set, in JWKS format, that can be used here.
pub(super) fn key_set(json: &str) -> Result<Arc<[Key]>, KeyError> {
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
