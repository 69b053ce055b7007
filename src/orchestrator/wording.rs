//! What a player says, in the words of each kind of stream.

mod conversation;
mod debate;

use std::sync::Arc;

use serde_json::{Value, json};

use super::transcript::{Manner, Speaker, Speech};
use crate::stream_key::{StreamId, StreamKind};

/// An event's name and its payload.
pub(super) type Words = (&'static str, Value);

/// The words of one kind of stream.
pub(super) trait Wording: Sync {
    /// The event that tells of this; none where this kind of stream does not speak of it.
    fn word(&self, scene: &Scene, happening: Happening<'_>) -> Option<Words>;
}

/// What a player knows whenever it says something.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) stream: StreamId,
    pub(super) phase: String,
    /// Utterances so far.
    pub(super) turns: u64,
    /// Milliseconds since the Unix epoch.
    pub(super) now_ms: i64,
}

/// Something that happens in a performance.
#[derive(Debug)]
pub(super) enum Happening<'a> {
    Begins {
        title: &'a str,
        speakers: &'a [Arc<Speaker>],
    },
    /// The scene's phase begins.
    Phase,
    /// Somebody else than before begins to speak.
    TakesFloor(&'a Speaker),
    Token(&'a Speech, &'a str),
    /// The speech is over, and counted among the scene's turns.
    Said(&'a Speech),
    Summary(&'a str),
    Paused,
    Resumed,
    /// Nothing more will come, though this is not the end.
    BrokenOff,
    Ends,
    /// The end, before its time.
    Stopped,
}

/// The words of this kind of stream.
pub(super) fn wording(kind: StreamKind) -> &'static dyn Wording {
    match kind {
        StreamKind::Debate => &debate::Debate,
        StreamKind::Conversation => &conversation::Conversation,
    }
}

const BROKEN_OFF: &str = "the performance was broken off";

fn participants(speakers: &[Arc<Speaker>]) -> Value {
    let participant = |speaker: &Arc<Speaker>| {
        json!({
            "id": speaker.id,
            "name": speaker.name,
            "personaSlug": persona(speaker),
            "isHost": speaker.is_host,
        })
    };
    speakers.iter().map(participant).collect()
}

/// Voices are told apart by persona; one who plays none speaks as himself.
fn persona(speaker: &Speaker) -> &str {
    speaker.persona.as_deref().unwrap_or(&speaker.id)
}

/// An utterance, and whether it was out of turn or cut short.
fn with_manner(mut utterance: Value, manner: Manner) -> Value {
    let flag = match manner {
        Manner::Ordinary => None,
        Manner::Interjection => Some("interjection"),
        Manner::Interrupted => Some("interrupted"),
    };
    if let (Some(flag), Some(fields)) = (flag, utterance.as_object_mut()) {
        fields.insert(flag.to_owned(), json!(true));
    }
    utterance
}
