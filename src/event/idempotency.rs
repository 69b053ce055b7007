//! Keys by which a publish can be repeated without being stored twice.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Event;

/// What a publisher calls one publish, so that it can try again when an answer was lost.
///
/// 1 to 255 visible ASCII characters; meant for one stream, and kept for a day.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// The longest key, in characters.
    pub const MAX_LEN: usize = 255;

    /// A key that nobody else has.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4().to_string().into())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_visible = text.bytes().all(|b| b.is_ascii_graphic());
        if is_visible && (1..=Self::MAX_LEN).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidIdempotencyKey)
        }
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to 255 visible ASCII characters")]
pub struct InvalidIdempotencyKey;

/// A key together with what was published under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyedDigest {
    pub(crate) key: IdempotencyKey,
    pub(crate) digest: [u8; 32],
}

impl KeyedDigest {
    pub(crate) fn new(key: IdempotencyKey, events: &[Event]) -> Self {
        let mut hasher = Sha256::new();
        for event in events {
            // No name and no JSON text holds a NUL, so no two lists of events look alike.
            for part in [event.name(), event.data(), if event.is_transient() { "t" } else { "d" }] {
                hasher.update(part);
                hasher.update([0]);
            }
        }
        Self { key, digest: hasher.finalize().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_ascii() {
        let longest = "k".repeat(255);
        let too_long = "k".repeat(256);
        for (text, is_valid) in [
            ("a", true),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", true),
            ("~!@#", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("a b", false),
            ("a\t", false),
            ("é", false),
        ] {
            assert_eq!(text.parse::<IdempotencyKey>().is_ok(), is_valid, "{text:?}");
        }
    }
}
