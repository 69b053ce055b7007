//! Events to publish, as a debate or a conversation would.

use serde_json::{Value, json};

pub(crate) fn event(name: &str, data: Value) -> Value {
    json!({ "type": name, "data": data })
}

pub(crate) fn phase(phase: &str) -> Value {
    event("phase_transition", json!({ "phase": phase, "timestamp": 1 }))
}

pub(crate) fn utterance(speaker: &str, content: &str) -> Value {
    event(
        "utterance",
        json!({ "id": "u", "timestamp": 1, "phase": "Opening", "speaker": speaker, "content": content }),
    )
}

pub(crate) fn token(speaker: &str, token: &str) -> Value {
    event("token", json!({ "speaker": speaker, "token": token }))
}

pub(crate) fn complete() -> Value {
    event("complete", json!({}))
}

/// A durable event of no known type.
pub(crate) fn note(number: usize) -> Value {
    event("note", json!({ "n": number }))
}

pub(crate) fn conversation_utterance(persona: &str, content: &str, turn: u64) -> Value {
    event(
        "conversation_utterance",
        json!({ "sessionId": "s1", "speakerName": persona, "personaSlug": persona, "content": content,
            "isHost": false, "turnCount": turn, "timestamp": 1 }),
    )
}

pub(crate) fn conversation_token(persona: &str, token: &str) -> Value {
    event(
        "conversation_token",
        json!({ "participantId": persona, "personaSlug": persona, "personaName": persona,
            "segment": "s", "token": token }),
    )
}
