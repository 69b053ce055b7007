//! What can happen on a stream, and how each kind of stream names and words it.
//!
//! An [`Event`] exists only after its kind's vocabulary has accepted it, so whatever holds one need not
//! look at it again. Debates and conversations differ in a [`Vocabulary`] and in nothing else.

mod change;
pub mod conversation;
pub mod debate;
mod id;
mod idempotency;
mod json;
mod open_text;
mod snapshot;
mod vocabulary;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

pub(crate) use self::{
    change::Change,
    idempotency::KeyedDigest,
    json::{compact, object, read, reason},
    open_text::OpenText,
    vocabulary::{Heartbeat, Vocabulary, vocabulary},
};
pub use self::{
    id::{Epoch, EventId, InvalidEventId},
    idempotency::{IdempotencyKey, InvalidIdempotencyKey},
    json::JsonError,
    open_text::OpenUtterance,
    snapshot::{Snapshot, Status},
    vocabulary::PayloadError,
};

use crate::stream_key::StreamKind;

/// Names that only the hub itself sends.
pub(crate) const RESERVED_NAMES: [&str; 6] =
    ["connected", "connection_established", "snapshot", "gap", "busy", "auth_expired"];

/// The longest event name, in characters.
pub(crate) const MAX_NAME_LEN: usize = 64;

/// An event as a publisher words it, not yet checked.
///
/// ```
/// use clearside_sse::NewEvent;
///
/// let event = NewEvent::new("phase_transition", &serde_json::json!({"phase": "Rebuttals", "timestamp": 0}))?;
/// assert_eq!(serde_json::to_string(&event)?, r#"{"type":"phase_transition","data":{"phase":"Rebuttals","timestamp":0}}"#);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize)]
pub struct NewEvent {
    /// The event's name, as `EventSource` listeners know it.
    #[serde(rename = "type")]
    pub name: String,
    /// The payload, any JSON; kept digit for digit and in its order.
    pub data: Box<RawValue>,
    /// Neither stored nor replayed. Tokens are transient without being asked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
}

impl NewEvent {
    /// A durable event (transient, if the vocabulary says so for its name).
    ///
    /// # Errors
    /// When the payload cannot be written as JSON.
    pub fn new(name: impl Into<String>, data: &impl Serialize) -> serde_json::Result<Self> {
        let data = serde_json::value::to_raw_value(data)?;
        Ok(Self { name: name.into(), data, transient: false })
    }

    /// The same event, neither stored nor replayed.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.transient = true;
        self
    }
}

impl<'de> Deserialize<'de> for NewEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            r#type: String,
            #[serde(default = "empty_object")]
            data: Box<RawValue>,
            #[serde(default)]
            transient: bool,
        }

        let expected = r#"an event, as in {"type": "note", "data": {}}"#;
        let Fields { r#type: name, data, transient } = json::object(deserializer, expected)?;
        Ok(Self { name, data, transient })
    }
}

fn empty_object() -> Box<RawValue> {
    serde_json::value::to_raw_value(&serde_json::Map::new())
        .unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// An event that its vocabulary has accepted; its payload is compact JSON on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    name: Box<str>,
    data: Box<str>,
    transient: bool,
    is_final: bool,
    /// None: nothing.
    change: Option<Box<Change>>,
}

impl Event {
    /// Checks what a publisher said against the vocabulary of this kind of stream.
    ///
    /// # Errors
    /// When the name cannot be published, the payload is not as the name demands, or the JSON is nested
    /// too deeply.
    pub fn accept(kind: StreamKind, new: &NewEvent) -> Result<Self, EventError> {
        check_name(&new.name)?;
        let vocabulary = vocabulary(kind);
        let data = compact(new.data.get())?;
        let change = vocabulary.read(&new.name, &data)?;
        let transient = new.transient || vocabulary.is_transient(&new.name);
        let is_final = new.name == vocabulary.final_name();
        if transient && is_final {
            return Err(EventError::TransientFinal);
        }
        Ok(Self {
            name: new.name.as_str().into(),
            data: data.into(),
            transient,
            is_final,
            change: (change != Change::NONE).then(|| Box::new(change)),
        })
    }

    /// The event's name, as `EventSource` listeners know it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The payload: JSON without white space between its tokens.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Neither stored nor replayed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.transient
    }

    /// Ends its stream.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.is_final
    }

    /// What it changes in its stream's snapshot.
    pub(crate) fn change(&self) -> &Change {
        static NONE: Change = Change::NONE;
        self.change.as_deref().unwrap_or(&NONE)
    }

    /// What its payload, and what is known of it, take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.data.len() + self.change.as_ref().map_or(0, |change| change.bytes())
    }

    /// Replaces the payload by what goes out on the wire.
    pub(crate) fn into_wire(mut self, kind: StreamKind, now_ms: i64) -> Self {
        if let Some(data) = vocabulary(kind).envelope(&self.name, &self.data, now_ms) {
            self.data = data.into();
        }
        self
    }
}

fn check_name(name: &str) -> Result<(), EventError> {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
    let goes_on_well =
        bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
    if !starts_well || !goes_on_well || name.len() > MAX_NAME_LEN {
        return Err(EventError::Name);
    }
    match RESERVED_NAMES.into_iter().find(|reserved| *reserved == name) {
        Some(reserved) => Err(EventError::Reserved(reserved)),
        None => Ok(()),
    }
}

/// Why an event was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The name is no event name.
    #[error("an event type is 1 to 64 characters of A-Z a-z 0-9 _ . : - and starts with a letter")]
    Name,
    /// The name belongs to the hub.
    #[error("events of type {0:?} are sent by the hub itself and cannot be published")]
    Reserved(&'static str),
    /// The payload is not as its name demands.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The payload is JSON that this server does not take.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The event that ends a stream has to be stored.
    #[error("the event that ends a stream cannot be transient")]
    TransientFinal,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new_event(name: &str, data: &str) -> NewEvent {
        NewEvent {
            name: name.into(),
            data: RawValue::from_string(data.into()).unwrap(),
            transient: false,
        }
    }

    #[test]
    fn names_are_checked_before_payloads() {
        let longest = "x".repeat(64);
        let too_long = "x".repeat(65);
        for (name, error) in [
            ("note", None),
            ("agent.step:1-b", None),
            (longest.as_str(), None),
            (too_long.as_str(), Some(EventError::Name)),
            ("", Some(EventError::Name)),
            ("1st", Some(EventError::Name)),
            ("a\nb", Some(EventError::Name)),
            ("a b", Some(EventError::Name)),
            ("🎤", Some(EventError::Name)),
            ("gap", Some(EventError::Reserved("gap"))),
            ("snapshot", Some(EventError::Reserved("snapshot"))),
            ("connection_established", Some(EventError::Reserved("connection_established"))),
        ] {
            for kind in StreamKind::ALL {
                let accepted = Event::accept(kind, &new_event(name, "{}"));
                assert_eq!(accepted.err(), error, "{kind} {name:?}");
            }
        }
    }

    #[test]
    fn payloads_keep_their_digits_their_order_and_their_duplicates() {
        let data = r#"{ "n" : 12345678901234567890123, "n":1.0,  "z": 1e400, "s": "\u0000 a  b" }"#;
        let event = Event::accept(StreamKind::Debate, &new_event("note", data)).unwrap();
        assert_eq!(
            event.data(),
            r#"{"n":12345678901234567890123,"n":1.0,"z":1e400,"s":"\u0000 a  b"}"#
        );
    }

    #[test]
    fn tokens_are_transient_without_being_asked_and_the_end_never_is() {
        let token = new_event("token", r#"{"speaker":"Pro","token":"a"}"#);
        assert!(Event::accept(StreamKind::Debate, &token).unwrap().is_transient());
        let end = new_event("complete", "{}").transient();
        assert_eq!(Event::accept(StreamKind::Debate, &end), Err(EventError::TransientFinal));
        let end = new_event("complete", "{}");
        assert!(Event::accept(StreamKind::Debate, &end).unwrap().is_final());
        let no_end = Event::accept(StreamKind::Conversation, &end).unwrap();
        assert!(!no_end.is_final(), "conversations end with conversation_completed");
    }

    #[test]
    fn what_is_known_of_an_event_counts_beside_its_payload() {
        let bytes = |name: &str, data: &str| {
            let event = Event::accept(StreamKind::Debate, &new_event(name, data)).unwrap();
            event.bytes() - event.data().len()
        };
        assert_eq!(bytes("note", r#"{"speaker":"Pro"}"#), 0);
        let token = serde_json::json!({ "speaker": "p".repeat(1000), "token": "t".repeat(5000) });
        let known = bytes("token", &token.to_string());
        assert!((7000..7500).contains(&known), "{known}");
        let said = serde_json::json!({
            "id": "1", "timestamp": 1, "phase": "h".repeat(500), "speaker": "p".repeat(1000), "content": "c".repeat(5000),
        });
        let known = bytes("utterance", &said.to_string());
        assert!((2500..3000).contains(&known), "{known}");
    }
}
