//! Two parsers that have to agree: one of our own, written from the WHATWG text, and a foreign one.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use serde_json::Value;

/// One event, as a listener sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SseEvent {
    pub(crate) name: String,
    /// The id line of this very event; none if it has none.
    pub(crate) id: Option<String>,
    /// The client's cursor once it has this event.
    pub(crate) last_event_id: String,
    pub(crate) data: String,
}

impl SseEvent {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// The number in the event's id.
    pub(crate) fn seq(&self) -> Option<u64> {
        let (_, seq) = self.id.as_ref()?.split_once('-')?;
        Some(seq.parse().unwrap())
    }

    /// Whether this is a stored event, and not the hub's own word about the stream.
    pub(crate) fn is_durable(&self) -> bool {
        self.id.is_some() && self.name != "snapshot" && self.name != "gap"
    }

    pub(crate) fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no {field} in {self:?}")).to_owned()
    }
}

/// Feeds both parsers and compares what they make of it.
pub(crate) struct Parsers {
    ours: Parser,
    /// No channel of tokio's: it says now and then that it is empty when it is not, to let others have a turn.
    bytes: Arc<Mutex<VecDeque<Bytes>>>,
    foreign: Foreign,
}

type Foreign = Pin<
    Box<dyn Stream<Item = Result<eventsource_stream::Event, EventStreamError<Infallible>>> + Send>,
>;

impl Parsers {
    pub(crate) fn new(last_event_id: &str) -> Self {
        let bytes = Arc::new(Mutex::new(VecDeque::new()));
        let queue = Arc::clone(&bytes);
        let stream = stream::poll_fn(move |_| match queue.lock().unwrap().pop_front() {
            Some(bytes) => Poll::Ready(Some(Ok(bytes))),
            None => Poll::Pending,
        });
        Self {
            ours: Parser { last_event_id: last_event_id.to_owned(), ..Parser::default() },
            bytes,
            foreign: Box::pin(stream.eventsource()),
        }
    }

    /// The retry time that was said last.
    pub(crate) fn retry(&self) -> Option<u64> {
        self.ours.retry
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let events = self.ours.push(bytes);
        self.bytes.lock().unwrap().push_back(Bytes::copy_from_slice(bytes));
        for event in &events {
            let foreign = self
                .foreign
                .next()
                .now_or_never()
                .unwrap_or_else(|| panic!("only our parser sees {event:?}"))
                .expect("the stream has not ended")
                .expect("the foreign parser understands it");
            assert_eq!(
                (foreign.event.as_str(), foreign.data.as_str()),
                (event.name.as_str(), event.data.as_str()),
                "the parsers do not agree"
            );
            // The foreign parser knows nothing of the cursor that a connection began with.
            if !foreign.id.is_empty() {
                assert_eq!(foreign.id, event.last_event_id, "the parsers do not agree");
            }
        }
        let more = self.foreign.next().now_or_never();
        assert!(more.is_none(), "only the foreign parser sees {more:?}");
        events
    }
}

/// The WHATWG algorithm, line for line.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    skips_line_feed: bool,
    name: String,
    data: String,
    id_buffer: Option<String>,
    last_event_id: String,
    retry: Option<u64>,
}

impl Parser {
    fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for byte in bytes {
            let after_return = std::mem::take(&mut self.skips_line_feed);
            match byte {
                b'\n' if after_return => {}
                b'\n' => events.extend(self.end_line()),
                b'\r' => {
                    self.skips_line_feed = true;
                    events.extend(self.end_line());
                }
                other => self.line.push(*other),
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let line = String::from_utf8(std::mem::take(&mut self.line)).expect("UTF-8 on the wire");
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id_buffer = Some(value.to_owned()),
            "retry" => self.retry = value.parse().ok().or(self.retry),
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let id = self.id_buffer.take();
        if let Some(id) = &id {
            id.clone_into(&mut self.last_event_id);
        }
        let name = std::mem::take(&mut self.name);
        let mut data = std::mem::take(&mut self.data);
        data.pop()?;
        Some(SseEvent {
            name: if name.is_empty() { "message".into() } else { name },
            id,
            last_event_id: self.last_event_id.clone(),
            data,
        })
    }
}
