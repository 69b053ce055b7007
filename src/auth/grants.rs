//! What a token grants: streams by pattern, for each action.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Action;
use crate::stream_key::{StreamId, StreamKey, StreamKind};

/// The claim `clearside` of a token.
///
/// ```
/// use clearside_sse::Grants;
///
/// let grants: Grants = serde_json::from_str(r#"{"subscribe": ["debates/*", "conversations/3f2a"]}"#)?;
/// assert!(grants.publish.is_empty());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// Streams that may be published on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<StreamPattern>,
    /// Streams that may be followed and read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<StreamPattern>,
    /// Streams that may be launched, paused, resumed and stopped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<StreamPattern>,
    /// Whether the server's statistics may be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stats: bool,
}

impl Grants {
    pub(super) fn patterns(&self, action: Action) -> &[StreamPattern] {
        match action {
            Action::Subscribe => &self.subscribe,
            Action::Publish => &self.publish,
            Action::Control => &self.control,
        }
    }

    /// The streams of this kind that may be followed, if each of them is named.
    pub(crate) fn subscribe_only(&self, kind: StreamKind) -> Option<BTreeSet<StreamKey>> {
        let patterns = self.subscribe.iter().filter(|pattern| pattern.may_match(kind));
        patterns
            .map(|pattern| match &pattern.ids {
                Ids::One(id) => Some(StreamKey::new(kind, id.clone())),
                Ids::With(_) => None,
            })
            .collect()
    }
}

/// Streams by name: `debates/ID`, `debates/PREFIX*`, `debates/*`, or `*` for all there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPattern {
    kind: Option<StreamKind>,
    ids: Ids,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Ids {
    One(StreamId),
    /// Those that begin so; all of them if it is empty.
    With(String),
}

impl StreamPattern {
    /// The pattern for this stream alone.
    #[must_use]
    pub fn only(stream: &StreamKey) -> Self {
        Self { kind: Some(stream.kind()), ids: Ids::One(stream.id().clone()) }
    }

    /// Whether a stream is one of those.
    #[must_use]
    pub fn matches(&self, stream: &StreamKey) -> bool {
        let is_one = match &self.ids {
            Ids::One(id) => id == stream.id(),
            Ids::With(prefix) => stream.id().as_str().starts_with(prefix.as_str()),
        };
        self.may_match(stream.kind()) && is_one
    }

    pub(super) fn may_match(&self, kind: StreamKind) -> bool {
        self.kind.is_none_or(|own| own == kind)
    }
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a grant names streams as debates/ID, debates/PREFIX*, debates/* or *")]
pub struct InvalidPattern;

impl FromStr for StreamPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "*" {
            return Ok(Self { kind: None, ids: Ids::With(String::new()) });
        }
        let (kinds, ids) = text.split_once('/').ok_or(InvalidPattern)?;
        // Streams are named in the singular elsewhere, and a grant that is silently void helps nobody.
        let is_kind = |kind: &StreamKind| kinds.strip_suffix('s').unwrap_or(kinds) == kind.as_str();
        let kind = StreamKind::ALL.into_iter().find(is_kind).ok_or(InvalidPattern)?;
        let ids = match ids.strip_suffix('*') {
            Some("") => Ids::With(String::new()),
            // Whatever begins an id would be one itself.
            Some(prefix) => Ids::With(parse(prefix)?.as_str().to_owned()),
            None => Ids::One(parse(ids)?),
        };
        Ok(Self { kind: Some(kind), ids })
    }
}

fn parse(id: &str) -> Result<StreamId, InvalidPattern> {
    id.parse().map_err(|_| InvalidPattern)
}

impl fmt::Display for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{kind}s/")?;
        }
        match &self.ids {
            Ids::One(id) => write!(f, "{id}"),
            Ids::With(prefix) => write!(f, "{prefix}*"),
        }
    }
}

impl Serialize for StreamPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StreamPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_exactly_what_they_say() {
        for (pattern, stream, is_match) in [
            ("debates/d1", "debate/d1", true),
            ("debate/d1", "debate/d1", true),
            ("debates/d1", "debate/d10", false),
            ("debates/d1", "debate/D1", false),
            ("debates/d1", "conversation/d1", false),
            ("debates/*", "debate/d1", true),
            ("debates/*", "conversation/d1", false),
            ("conversations/3f*", "conversation/3f2a", true),
            ("conversations/3f*", "conversation/3f", true),
            ("conversations/3f*", "conversation/3", false),
            ("*", "conversation/c", true),
        ] {
            let pattern: StreamPattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&stream.parse().unwrap()), is_match, "{pattern} {stream}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_an_error() {
        for text in [
            "",
            "/",
            "debates",
            "debates/",
            "x/d1",
            "**",
            "debates/a*b",
            "debates/..",
            "*/d1",
            "debatess/d1",
        ] {
            assert_eq!(text.parse::<StreamPattern>(), Err(InvalidPattern), "{text}");
        }
    }

    #[test]
    fn grants_are_written_as_they_are_read() {
        let json = r#"{"publish":["debates/*"],"subscribe":["conversations/3f","debates/a*"],"stats":true}"#;
        let grants: Grants = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&grants).unwrap(), json);
        assert!(serde_json::from_str::<Grants>(r#"{"publish":["all"]}"#).is_err());
        assert!(serde_json::from_str::<Grants>(r#"{"stats":"yes"}"#).is_err());
    }
}
