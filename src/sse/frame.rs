//! Writes events as they go over the wire.
//!
//! Names are validated and ids are the server's own; data is split at every line ending that a parser
//! knows, so nothing that a publisher sends can end a field or an event.

use std::{
    fmt::{Display, Write},
    time::Duration,
};

use bytes::{Bytes, BytesMut};

use super::last_event_id::EARLIEST;
use crate::event::EventId;

/// A run of frames under construction, one after the other.
///
/// ```text
/// event: utterance
/// id: k3v9x2a7-42
/// data: {"speaker":"Pro"}
///
/// ```
#[derive(Debug, Default)]
pub(crate) struct Frames(BytesMut);

impl Frames {
    /// Adds an event; one without an id leaves the client's cursor where it is.
    pub(crate) fn event(&mut self, name: &str, id: Option<EventId>, data: &str) {
        self.frame(name, id, data);
    }

    /// Adds an event that puts the client's cursor before the first event, whose id nobody knows yet.
    pub(crate) fn event_before_the_first(&mut self, name: &str, data: &str) {
        self.frame(name, Some(EARLIEST), data);
    }

    fn frame(&mut self, name: &str, id: Option<impl Display>, data: &str) {
        self.0.reserve(name.len() + data.len() + 64);
        self.line("event", name);
        if let Some(id) = id {
            let _ = writeln!(self.0, "id: {id}");
        }
        let mut rest = data;
        while let Some(end) = memchr::memchr2(b'\r', b'\n', rest.as_bytes()) {
            let (line, tail) = rest.split_at(end);
            self.line("data", line);
            rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
        }
        self.line("data", rest);
        self.0.extend_from_slice(b"\n");
    }

    /// Tells the client how long to wait before it reconnects.
    pub(crate) fn retry(&mut self, delay: Duration) {
        let _ = write!(self.0, "retry: {}\n\n", delay.as_millis());
    }

    /// Adds a comment, which clients ignore.
    pub(crate) fn comment(&mut self, text: &str) {
        let _ = write!(self.0, ":{text}\n\n");
    }

    /// Adds frames that were written before.
    pub(crate) fn raw(&mut self, frames: &[u8]) {
        self.0.extend_from_slice(frames);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    fn line(&mut self, field: &str, value: &str) {
        for part in [field, ": ", value, "\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }
}

impl From<Frames> for Bytes {
    fn from(frames: Frames) -> Self {
        frames.0.freeze()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Frames)) -> String {
        let mut frames = Frames::default();
        write(&mut frames);
        String::from_utf8(frames.0.to_vec()).unwrap()
    }

    #[test]
    fn an_event_is_its_name_its_id_and_its_data() {
        let id = "k3v9x2a7-42".parse().ok();
        assert_eq!(
            written(|frames| frames.event("utterance", id, r#"{"a":1}"#)),
            "event: utterance\nid: k3v9x2a7-42\ndata: {\"a\":1}\n\n"
        );
        assert_eq!(written(|frames| frames.event("token", None, "")), "event: token\ndata: \n\n");
    }

    #[test]
    fn data_cannot_leave_its_field() {
        for (data, lines) in [
            ("a\nb", "data: a\ndata: b\n"),
            ("a\r\nb", "data: a\ndata: b\n"),
            ("a\rb", "data: a\ndata: b\n"),
            ("a\n\nid: 9\nevent: x", "data: a\ndata: \ndata: id: 9\ndata: event: x\n"),
            ("\n", "data: \ndata: \n"),
            ("a\r\r\nb", "data: a\ndata: \ndata: b\n"),
            (" a", "data:  a\n"),
            ("\u{feff}\u{2028}\u{85}", "data: \u{feff}\u{2028}\u{85}\n"),
        ] {
            let frame = written(|frames| frames.event("n", None, data));
            assert_eq!(frame, format!("event: n\n{lines}\n"), "{data:?}");
        }
    }

    #[test]
    fn retry_is_in_milliseconds() {
        assert_eq!(written(|frames| frames.retry(Duration::from_millis(2750))), "retry: 2750\n\n");
        assert_eq!(written(|frames| frames.comment("heartbeat")), ":heartbeat\n\n");
    }

    /// What a parser makes of a frame: name, id and data.
    type Decoded = (String, String, String);

    /// A stream of bytes in these pieces.
    fn pieces(
        pieces: &[&[u8]],
    ) -> impl futures_util::Stream<Item = Result<Bytes, std::convert::Infallible>> + use<> {
        let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        futures_util::stream::iter(pieces)
    }

    fn with_eventsource_stream(bytes: &[&[u8]]) -> Vec<Decoded> {
        use eventsource_stream::Eventsource;
        use futures_util::{FutureExt, StreamExt};

        let events = pieces(bytes).eventsource().collect::<Vec<_>>();
        let events = events.now_or_never().unwrap().into_iter().map(Result::unwrap);
        events.map(|event| (event.event, event.id, event.data)).collect()
    }

    fn with_sseer(bytes: &[&[u8]]) -> Vec<Decoded> {
        use futures_util::{FutureExt, StreamExt};

        let events = sseer::event_stream::EventStream::new(pieces(bytes)).collect::<Vec<_>>();
        let events = events.now_or_never().unwrap().into_iter().map(Result::unwrap);
        events
            .map(|event| (event.event.to_string(), event.id.to_string(), event.data.to_string()))
            .collect()
    }

    /// Text with more of what could break a frame than chance would bring.
    fn any_text() -> impl Strategy<Value = String> {
        const TRICKY: &[&str] = &[
            "\r",
            "\n",
            "\r\n",
            "\n\n",
            "\u{feff}",
            "\u{2028}",
            "\u{85}",
            "\0",
            " ",
            ":",
            "data: x",
            "id: 9",
            "event: y",
            "retry: 1",
            "\u{1b}",
            "{\"a\":1}",
        ];
        let part = prop_oneof![
            prop::sample::select(TRICKY).prop_map(str::to_owned),
            any::<char>().prop_map(String::from),
            "\\PC{0,8}",
        ];
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

        /// Whatever is published, foreign parsers get just that back, wherever the network splits it.
        #[test]
        fn foreign_parsers_read_what_was_written(
            name in "[A-Za-z][A-Za-z0-9_.:-]{0,63}",
            seq in prop::option::of(any::<u64>()),
            data in any_text(),
        ) {
            let id = seq.map(|seq| EventId { epoch: "k3v9x2a7".parse().unwrap(), seq });
            let mut frames = Frames::default();
            frames.comment("heartbeat");
            frames.event(&name, id, &data);
            // What comes before and after keeps its own data.
            frames.event("note", None, "1");
            let bytes = Bytes::from(frames);
            let lines = data.replace("\r\n", "\n").replace('\r', "\n");
            let id = id.map_or_else(String::new, |id| id.to_string());
            let expected = [(name, id.clone(), lines), ("note".into(), id, "1".into())];
            for split in 0..=bytes.len() {
                let (first, second) = bytes.split_at(split);
                prop_assert_eq!(&with_eventsource_stream(&[first, second])[..], &expected);
                prop_assert_eq!(&with_sseer(&[first, second])[..], &expected);
            }
            let single: Vec<_> = bytes.chunks(1).collect();
            prop_assert_eq!(&with_eventsource_stream(&single)[..], &expected);
            prop_assert_eq!(&with_sseer(&single)[..], &expected);
        }
    }
}
