//! How a debate is told.

use serde_json::json;
use uuid::Uuid;

use super::{BROKEN_OFF, Happening, Scene, Wording, Words, participants, with_manner};

pub(super) struct Debate;

impl Wording for Debate {
    fn word(&self, scene: &Scene, happening: Happening<'_>) -> Option<Words> {
        let Scene { phase, now_ms, .. } = scene;
        Some(match happening {
            Happening::Begins { title, speakers } => (
                "debate_started",
                json!({ "title": title, "participants": participants(speakers), "timestamp": now_ms }),
            ),
            Happening::Phase => {
                ("phase_transition", json!({ "phase": phase, "timestamp": now_ms }))
            }
            // The tokens say who speaks.
            Happening::TakesFloor(_) => return None,
            Happening::Token(speech, token) => {
                ("token", json!({ "speaker": speech.speaker.name, "token": token }))
            }
            Happening::Said(speech) => {
                let utterance = json!({
                    "id": Uuid::new_v4().to_string(),
                    "timestamp": now_ms,
                    "phase": phase,
                    "speaker": speech.speaker.name,
                    "content": speech.text,
                });
                ("utterance", with_manner(utterance, speech.manner))
            }
            Happening::Summary(summary) => ("summary", json!({ "summary": summary })),
            Happening::Paused => ("pause", json!({ "timestamp": now_ms })),
            Happening::Resumed => ("resume", json!({ "timestamp": now_ms })),
            Happening::BrokenOff => {
                ("error", json!({ "message": BROKEN_OFF, "timestamp": now_ms }))
            }
            Happening::Ends => ("complete", json!({ "timestamp": now_ms })),
            Happening::Stopped => ("complete", json!({ "timestamp": now_ms, "reason": "stopped" })),
        })
    }
}
