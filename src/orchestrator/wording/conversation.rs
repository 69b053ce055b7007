//! How a conversation is told.

use serde_json::json;

use super::{BROKEN_OFF, Happening, Scene, Wording, Words, participants, persona, with_manner};

pub(super) struct Conversation;

impl Wording for Conversation {
    fn word(&self, scene: &Scene, happening: Happening<'_>) -> Option<Words> {
        let Scene { phase, turns, now_ms, .. } = scene;
        let session = scene.stream.as_str();
        Some(match happening {
            Happening::Begins { title, speakers } => (
                "conversation_started",
                json!({ "title": title, "participants": participants(speakers) }),
            ),
            Happening::Phase => {
                ("phase_transition", json!({ "phase": phase, "timestamp": now_ms }))
            }
            Happening::TakesFloor(speaker) => (
                "conversation_speaker_changed",
                json!({
                    "sessionId": session,
                    "speakerId": speaker.id,
                    "speakerName": speaker.name,
                    "personaSlug": persona(speaker),
                }),
            ),
            Happening::Token(speech, token) => (
                "conversation_token",
                json!({
                    "participantId": speech.speaker.id,
                    "personaSlug": persona(&speech.speaker),
                    "personaName": speech.speaker.name,
                    "segment": format!("turn-{}", turns + 1),
                    "token": token,
                }),
            ),
            Happening::Said(speech) => {
                let utterance = json!({
                    "sessionId": session,
                    "speakerName": speech.speaker.name,
                    "personaSlug": persona(&speech.speaker),
                    "content": speech.text,
                    "isHost": speech.speaker.is_host,
                    "turnCount": turns,
                    "timestamp": now_ms,
                });
                ("conversation_utterance", with_manner(utterance, speech.manner))
            }
            Happening::Summary(summary) => (
                "conversation_context_updated",
                json!({ "sessionId": session, "summary": summary, "turnCount": turns }),
            ),
            Happening::Paused => ("conversation_paused", json!({ "sessionId": session })),
            Happening::Resumed => ("conversation_resumed", json!({ "sessionId": session })),
            Happening::BrokenOff => {
                ("conversation_error", json!({ "sessionId": session, "message": BROKEN_OFF }))
            }
            Happening::Ends => {
                ("conversation_completed", json!({ "sessionId": session, "turnCount": turns }))
            }
            Happening::Stopped => (
                "conversation_completed",
                json!({ "sessionId": session, "turnCount": turns, "reason": "stopped" }),
            ),
        })
    }
}
