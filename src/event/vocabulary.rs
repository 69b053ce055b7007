//! What one kind of stream must say about its events; everything above is written against this.

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{change::Change, conversation, debate, json};
use crate::stream_key::{StreamId, StreamKind};

/// The words of one kind of stream.
pub(crate) trait Vocabulary: Sync {
    /// The event that ends a stream.
    fn final_name(&self) -> &'static str;

    /// Whether events of this name are transient without being asked.
    fn is_transient(&self, name: &str) -> bool;

    /// What an event changes in the snapshot, if its payload is as its name demands. Names that are not known may
    /// carry anything that their envelope can hold, and change nothing but that the stream is live.
    fn read(&self, name: &str, data: &str) -> Result<Change, PayloadError>;

    /// What goes out instead of the payload, if not the payload itself.
    fn envelope(&self, name: &str, data: &str, now_ms: i64) -> Option<String>;

    /// Name and payload of the first event on every connection.
    fn greeting(&self, id: &StreamId, subscriber: Uuid, now_ms: i64) -> (&'static str, String);

    /// What is sent when nothing else is.
    fn heartbeat(&self, id: &StreamId, now_ms: i64) -> Heartbeat;
}

/// What keeps an idle connection open.
pub(crate) enum Heartbeat {
    Comment(&'static str),
    Event(&'static str, String),
}

/// The vocabulary of this kind of stream.
pub(crate) fn vocabulary(kind: StreamKind) -> &'static dyn Vocabulary {
    match kind {
        StreamKind::Debate => &debate::Debate,
        StreamKind::Conversation => &conversation::Conversation,
    }
}

/// A payload that is not as its event's name demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct PayloadError {
    /// Where, as a JSON path from the event: `$.data.phase`.
    pub path: String,
    /// What is wrong there.
    pub reason: String,
}

/// Refuses compact JSON that is no object.
pub(super) fn require_object(data: &str) -> Result<(), PayloadError> {
    match data.starts_with('{') {
        true => Ok(()),
        false => Err(PayloadError { path: "$.data".into(), reason: "must be an object".into() }),
    }
}

/// Reads the fields of `T`; more fields may be there.
pub(super) fn payload<T: DeserializeOwned>(data: &str) -> Result<T, PayloadError> {
    // serde would take the values alone, too, in the order of the fields.
    require_object(data)?;
    json::read(data).map_err(|error| payload_error(&error))
}

fn payload_error(error: &serde_path_to_error::Error<serde_json::Error>) -> PayloadError {
    let mut path = String::from("$.data");
    for segment in error.path() {
        path.push_str(&match segment {
            serde_path_to_error::Segment::Seq { index } => format!("[{index}]"),
            other => format!(".{other}"),
        });
    }
    let reason = json::reason(error.inner());
    // serde says of a missing field where its parent is.
    let missing = reason.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match missing {
        Some(field) => {
            PayloadError { path: format!("{path}.{field}"), reason: "is missing".into() }
        }
        None => PayloadError { path, reason },
    }
}
