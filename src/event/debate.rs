//! The vocabulary of debates (INFRA-003): payloads go out as they were published.

use serde::{Deserialize, Serialize};
use serde_json::Number;
use uuid::Uuid;

use super::{
    change::{Change, Token as SpokenToken},
    snapshot::Status,
    vocabulary::{Heartbeat, PayloadError, Vocabulary, payload},
};
use crate::stream_key::StreamId;

/// `debate_started`: what will be debated. Ours; the specification has no such event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DebateStarted {
    /// The question, as the list of debates shows it.
    pub title: String,
}

/// `utterance`: somebody has spoken. Ends that speaker's tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Utterance {
    /// The utterance's own id, the publisher's choice.
    pub id: String,
    /// When it was spoken, in milliseconds since the Unix epoch.
    #[cfg_attr(test, ts(type = "number"))]
    pub timestamp: Number,
    /// The phase in which it was spoken.
    pub phase: String,
    /// Who spoke.
    pub speaker: String,
    /// What was said; Markdown.
    pub content: String,
}

/// `phase_transition`: the debate enters its next phase.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PhaseTransition {
    /// The phase that begins.
    pub phase: String,
    /// When, in milliseconds since the Unix epoch.
    #[cfg_attr(test, ts(type = "number"))]
    pub timestamp: Number,
}

/// `token`: a piece of what is being said. Transient.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "DebateToken"))]
pub struct Token {
    /// Who speaks.
    pub speaker: String,
    /// The next piece of text, white space included.
    pub token: String,
    /// Which of the speaker's texts it belongs to, where there are several at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub segment: Option<String>,
}

pub(super) struct Debate;

impl Vocabulary for Debate {
    fn final_name(&self) -> &'static str {
        "complete"
    }

    fn is_transient(&self, name: &str) -> bool {
        name == "token"
    }

    fn read(&self, name: &str, data: &str) -> Result<Change, PayloadError> {
        Ok(match name {
            "debate_started" => {
                let DebateStarted { title } = payload(data)?;
                Change { title: Some(title), ..Change::to(Status::Live) }
            }
            "phase_transition" => {
                let PhaseTransition { phase, .. } = payload(data)?;
                Change { phase: Some(phase), ..Change::NONE }
            }
            "utterance" => {
                let Utterance { phase, speaker, .. } = payload(data)?;
                Change {
                    phase: Some(phase),
                    speaker: Some(speaker.clone()),
                    closes: Some(speaker),
                    another_turn: true,
                    ..Change::NONE
                }
            }
            "token" => {
                let Token { speaker, token, segment } = payload(data)?;
                let token = SpokenToken {
                    participant: speaker.clone(),
                    persona: None,
                    name: speaker,
                    segment,
                    text: token,
                };
                Change { token: Some(token), ..Change::NONE }
            }
            "pause" => Change::to(Status::Paused),
            "resume" => Change::to(Status::Live),
            "complete" => Change::to(Status::Completed),
            _ => Change::NONE,
        })
    }

    fn envelope(&self, _name: &str, _data: &str, _now_ms: i64) -> Option<String> {
        None
    }

    fn greeting(&self, id: &StreamId, subscriber: Uuid, _now_ms: i64) -> (&'static str, String) {
        ("connected", format!(r#"{{"clientId":"{subscriber}","debateId":"{id}"}}"#))
    }

    fn heartbeat(&self, _id: &StreamId, _now_ms: i64) -> Heartbeat {
        Heartbeat::Comment("heartbeat")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_need_their_fields_and_the_error_says_which() {
        for (name, data, path) in [
            (
                "utterance",
                r#"{"id":"1","timestamp":1,"phase":"p","speaker":"s","content":"c","more":[1]}"#,
                None,
            ),
            (
                "utterance",
                r#"{"id":"1","timestamp":1.5e3,"phase":"p","speaker":"s","content":""}"#,
                None,
            ),
            (
                "utterance",
                r#"{"id":"1","timestamp":1,"speaker":"s","content":"c"}"#,
                Some("$.data.phase"),
            ),
            (
                "utterance",
                r#"{"id":7,"timestamp":1,"phase":"p","speaker":"s","content":"c"}"#,
                Some("$.data.id"),
            ),
            (
                "utterance",
                r#"{"id":"1","timestamp":"1","phase":"p","speaker":"s","content":"c"}"#,
                Some("$.data.timestamp"),
            ),
            ("utterance", "[]", Some("$.data")),
            ("utterance", "null", Some("$.data")),
            ("phase_transition", r#"{"phase":"p","timestamp":1}"#, None),
            ("phase_transition", r#"{"phase":null,"timestamp":1}"#, Some("$.data.phase")),
            ("phase_transition", r#"{"phase":"p"}"#, Some("$.data.timestamp")),
            ("token", r#"{"speaker":"s","token":" t"}"#, None),
            ("token", r#"{"speaker":"s","token":"t","segment":3}"#, Some("$.data.segment")),
            ("token", r#"{"speaker":"s"}"#, Some("$.data.token")),
            ("debate_started", r#"{"title":"t","proposition":"q"}"#, None),
            ("intervention_response", r#"{"content":"c"}"#, None),
            ("pause", "{}", None),
            ("resume", "{}", None),
            ("complete", r#""any JSON""#, None),
            ("error", "null", None),
            ("something_new", "[1,2]", None),
        ] {
            let outcome = Debate.read(name, data).err().map(|error| error.path);
            assert_eq!(outcome.as_deref(), path, "{name} {data}");
        }
    }

    #[test]
    fn every_field_of_an_utterance_is_required() {
        let whole = serde_json::json!({"id": "1", "timestamp": 1, "phase": "p", "speaker": "s", "content": "c"});
        for field in ["id", "timestamp", "phase", "speaker", "content"] {
            let mut partial = whole.clone();
            partial.as_object_mut().unwrap().remove(field);
            let error = Debate.read("utterance", &partial.to_string()).unwrap_err();
            assert_eq!(error.to_string(), format!("$.data.{field}: is missing"));
        }
    }
}
