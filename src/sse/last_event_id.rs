//! Where a client wants to go on: `Last-Event-ID`, or `?lastEventId=` for a page that opens anew.

use crate::event::EventId;

/// The cursor before the first event, whatever id that has or will have.
pub(super) const EARLIEST: &str = "earliest";

/// The place in the history that a client has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// None said: follow from now on.
    Now,
    /// `earliest`: everything there is.
    Earliest,
    /// All up to and including this event has been seen.
    After(EventId),
    /// Not an id of this server's making.
    Malformed,
}

impl Cursor {
    /// The header wins over the query: it is the newer of the two when an `EventSource` reconnects.
    ///
    /// An empty value is as good as none. Nothing is ever refused: an `EventSource` that is answered with
    /// an error status never comes back.
    #[must_use]
    pub fn from_request(header: Option<&[u8]>, query: Option<&str>) -> Self {
        let header = header.filter(|value| !value.is_empty());
        let query = query.filter(|value| !value.is_empty());
        match (header, query) {
            (Some(value), _) => std::str::from_utf8(value).map_or(Self::Malformed, Self::parse),
            (None, Some(value)) => Self::parse(value),
            (None, None) => Self::Now,
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            EARLIEST => Self::Earliest,
            text => text.parse().map_or(Self::Malformed, Self::After),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_wins_and_empty_is_absent() {
        let id = |text: &str| Cursor::After(text.parse().unwrap());
        let (one, two) = ("k3v9x2a7-1", "k3v9x2a7-2");
        for (header, query, cursor) in [
            (None, None, Cursor::Now),
            (Some(""), None, Cursor::Now),
            (Some(""), Some(""), Cursor::Now),
            (Some(one), None, id(one)),
            (None, Some(two), id(two)),
            (Some(one), Some(two), id(one)),
            (Some(""), Some(two), id(two)),
            (None, Some("earliest"), Cursor::Earliest),
            (Some(one), Some("earliest"), id(one)),
            (Some("42"), None, Cursor::Malformed),
            (Some("../"), Some(one), Cursor::Malformed),
            (Some("' OR 1=1"), None, Cursor::Malformed),
            (Some("k3v9x2a7-01"), None, Cursor::Malformed),
        ] {
            let header = header.map(str::as_bytes);
            assert_eq!(Cursor::from_request(header, query), cursor, "{header:?} {query:?}");
        }
        assert_eq!(Cursor::from_request(Some(b"\xff\xfe"), None), Cursor::Malformed);
    }
}
