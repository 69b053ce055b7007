//! The rules of replay: from where a cursor goes on, and what is said about what cannot be replayed.

use serde::Serialize;

use crate::{event::EventId, sse::Cursor};

/// What a stream's history holds: everything after `before_first`, up to and including `tail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) before_first: u64,
    pub(crate) tail: EventId,
    /// The event at the tail has ended the stream.
    pub(crate) is_completed: bool,
}

/// Where a client starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// Everything after this sequence number, once the gap has been told.
    After(u64, Option<Gap>),
    /// The client has seen the end: it should stay away.
    Over,
}

/// Events that a cursor asked for and that cannot be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) struct Gap {
    /// The cursor; none if it was not an id: what makes no sense is not repeated.
    #[cfg_attr(test, ts(type = "string | null"))]
    pub(crate) requested: Option<EventId>,
    /// Why.
    pub(crate) reason: GapReason,
    /// How many events are missing, where that can be known.
    pub(crate) missed: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub(crate) enum GapReason {
    /// The history no longer reaches back that far.
    Expired,
    /// The id is another stream's, or an earlier life's of this one.
    Unknown,
    /// The id has not been given yet.
    Ahead,
    /// Not an id at all.
    Malformed,
}

/// Decides where a client with this cursor starts in a history of this extent, if there is one.
pub(crate) fn start(cursor: Cursor, extent: Option<Extent>) -> Start {
    let gap = |reason| Gap {
        requested: match cursor {
            Cursor::After(id) => Some(id),
            Cursor::Now | Cursor::Earliest | Cursor::Malformed => None,
        },
        reason,
        missed: None,
    };
    let before_first = extent.map_or(0, |extent| extent.before_first);
    match (cursor, extent) {
        (Cursor::Now | Cursor::Earliest, None) => Start::After(0, None),
        (Cursor::After(_), None) => Start::After(0, Some(gap(GapReason::Unknown))),
        (Cursor::Malformed, _) => Start::After(before_first, Some(gap(GapReason::Malformed))),
        // Whoever comes when all is over still gets the event that says so.
        (Cursor::Now, Some(extent)) => {
            Start::After(extent.tail.seq - u64::from(extent.is_completed), None)
        }
        (Cursor::Earliest, Some(_)) => Start::After(before_first, None),
        (Cursor::After(id), Some(extent)) if id.epoch != extent.tail.epoch => {
            Start::After(before_first, Some(gap(GapReason::Unknown)))
        }
        (Cursor::After(id), Some(extent)) if id.seq > extent.tail.seq => {
            Start::After(before_first, Some(gap(GapReason::Ahead)))
        }
        (Cursor::After(id), Some(extent)) if id.seq == extent.tail.seq && extent.is_completed => {
            Start::Over
        }
        (Cursor::After(id), Some(_)) if id.seq < before_first => {
            let missed = Some(before_first - id.seq);
            Start::After(before_first, Some(Gap { missed, ..gap(GapReason::Expired) }))
        }
        (Cursor::After(id), Some(_)) => Start::After(id.seq, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(before_first: u64, tail: u64, is_completed: bool) -> Option<Extent> {
        let tail = EventId { epoch: "k3v9x2a7".parse().unwrap(), seq: tail };
        Some(Extent { before_first, tail, is_completed })
    }

    fn after(text: &str) -> Cursor {
        Cursor::After(text.parse().unwrap())
    }

    #[test]
    fn every_cursor_has_a_start_in_every_history() {
        let (live, trimmed, over) = (extent(0, 9, false), extent(4, 9, false), extent(0, 9, true));
        let plain = |seq| (seq, None);
        let gap = |seq, reason| (seq, Some((reason, None)));
        for (cursor, extent, expected) in [
            (Cursor::Now, None, plain(0)),
            (Cursor::Now, live, plain(9)),
            (Cursor::Now, over, plain(8)),
            (Cursor::Earliest, None, plain(0)),
            (Cursor::Earliest, live, plain(0)),
            (Cursor::Earliest, trimmed, plain(4)),
            (Cursor::Earliest, over, plain(0)),
            (Cursor::Malformed, None, gap(0, GapReason::Malformed)),
            (Cursor::Malformed, trimmed, gap(4, GapReason::Malformed)),
            (after("k3v9x2a7-3"), None, gap(0, GapReason::Unknown)),
            (after("k3v9x2a7-0"), live, plain(0)),
            (after("k3v9x2a7-3"), live, plain(3)),
            (after("k3v9x2a7-9"), live, plain(9)),
            (after("k3v9x2a7-10"), live, gap(0, GapReason::Ahead)),
            (after("k3v9x2a7-18446744073709551615"), live, gap(0, GapReason::Ahead)),
            (after("zzzzzzzz-3"), live, gap(0, GapReason::Unknown)),
            (after("zzzzzzzz-9"), over, gap(0, GapReason::Unknown)),
            (after("k3v9x2a7-4"), trimmed, plain(4)),
            (after("k3v9x2a7-3"), trimmed, (4, Some((GapReason::Expired, Some(1))))),
            (after("k3v9x2a7-0"), trimmed, (4, Some((GapReason::Expired, Some(4))))),
            (after("k3v9x2a7-8"), over, plain(8)),
            (after("k3v9x2a7-10"), over, gap(0, GapReason::Ahead)),
        ] {
            let Start::After(seq, gap) = start(cursor, extent) else {
                panic!("{cursor:?} is not over")
            };
            assert_eq!((seq, gap.map(|gap| (gap.reason, gap.missed))), expected, "{cursor:?}");
        }
        assert_eq!(start(after("k3v9x2a7-9"), over), Start::Over);
    }

    #[test]
    fn a_gap_repeats_an_id_but_nothing_else() {
        let gap_of = |cursor| match start(cursor, extent(0, 9, false)) {
            Start::After(_, Some(gap)) => serde_json::to_string(&gap).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            gap_of(after("zzzzzzzz-3")),
            r#"{"requested":"zzzzzzzz-3","reason":"unknown","missed":null}"#
        );
        assert_eq!(
            gap_of(Cursor::Malformed),
            r#"{"requested":null,"reason":"malformed","missed":null}"#
        );
    }
}
