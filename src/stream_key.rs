//! What names a stream: its kind and its id.
//!
//! A [`StreamKey`] can only be built from a valid id, so nothing behind the HTTP layer checks ids again.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// What is being streamed. The kinds share one mechanism and differ in their vocabulary only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamKind {
    /// A formal debate (INFRA-003).
    Debate,
    /// A podcast-style conversation (CONV-011).
    Conversation,
}

impl StreamKind {
    /// Every kind, in the order in which they are listed.
    pub const ALL: [Self; 2] = [Self::Debate, Self::Conversation];

    /// The kind's name in the singular, as in `debate/ID`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debate => "debate",
            Self::Conversation => "conversation",
        }
    }

    /// The path under which the streams of this kind are served.
    #[must_use]
    pub const fn base_path(self) -> &'static str {
        match self {
            Self::Debate => "/api/debates",
            Self::Conversation => "/api/conversations/sessions",
        }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StreamKind {
    type Err = InvalidStreamKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(InvalidStreamKey::Kind)
    }
}

/// A stream's id: 1 to 64 characters of `[A-Za-z0-9_-]`, so that UUIDs fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// The longest id, in characters.
    pub const MAX_LEN: usize = 64;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StreamId {
    type Err = InvalidStreamKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_slug(text) { Ok(Self(text.into())) } else { Err(InvalidStreamKey::Id) }
    }
}

/// Whether a text could be an id: of a stream, or of anybody on it.
pub(crate) fn is_slug(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=StreamId::MAX_LEN).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The full name of a stream; written `debate/ID` or `conversation/ID`.
///
/// ```
/// use clearside_sse::StreamKey;
///
/// let key: StreamKey = "debate/550e8400-e29b-41d4-a716-446655440000".parse()?;
/// assert_eq!(key.path(), "/api/debates/550e8400-e29b-41d4-a716-446655440000");
/// # Ok::<_, clearside_sse::InvalidStreamKey>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    kind: StreamKind,
    id: StreamId,
}

impl StreamKey {
    /// Names the stream of this kind and id.
    #[must_use]
    pub const fn new(kind: StreamKind, id: StreamId) -> Self {
        Self { kind, id }
    }

    /// The stream's kind.
    #[must_use]
    pub const fn kind(&self) -> StreamKind {
        self.kind
    }

    /// The stream's id, unique within its kind.
    #[must_use]
    pub const fn id(&self) -> &StreamId {
        &self.id
    }

    /// The path under which this stream is served, without a trailing slash.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.kind.base_path(), self.id)
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.id)
    }
}

impl FromStr for StreamKey {
    type Err = InvalidStreamKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, id) = text.split_once('/').ok_or(InvalidStreamKey::Kind)?;
        Ok(Self::new(kind.parse()?, id.parse()?))
    }
}

/// Why a text names no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidStreamKey {
    /// The part before the slash is no kind.
    #[error("a stream is named debate/ID or conversation/ID")]
    Kind,
    /// The id is empty, too long, or has a character outside the allowed ones.
    #[error("an id is 1 to 64 characters of A-Z a-z 0-9 _ -")]
    Id,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_to_sixty_four_url_safe_characters() {
        let longest = "x".repeat(64);
        let too_long = "x".repeat(65);
        for (text, valid) in [
            ("550e8400-e29b-41d4-a716-446655440000", true),
            ("a", true),
            ("A_z-09", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("..", false),
            ("a/b", false),
            ("a b", false),
            ("a\n", false),
            ("a\0", false),
            ("é", false),
            ("\u{202e}abc", false),
        ] {
            assert_eq!(text.parse::<StreamId>().is_ok(), valid, "{text:?}");
        }
    }

    #[test]
    fn keys_are_written_as_they_are_read() {
        for text in ["debate/d1", "conversation/s-1"] {
            assert_eq!(text.parse::<StreamKey>().unwrap().to_string(), text);
        }
        assert_eq!("d1".parse::<StreamKey>(), Err(InvalidStreamKey::Kind));
        assert_eq!("debates/d1".parse::<StreamKey>(), Err(InvalidStreamKey::Kind));
        assert_eq!("debate/".parse::<StreamKey>(), Err(InvalidStreamKey::Id));
    }
}
