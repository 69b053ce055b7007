//! The vocabulary of conversations (CONV-011): payloads go out in an envelope with `type` and `timestamp`.

use std::{borrow::Cow, fmt::Write};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Number, value::RawValue};
use uuid::Uuid;

use super::{
    change::{Change, Token as SpokenToken},
    snapshot::Status,
    vocabulary::{Heartbeat, PayloadError, Vocabulary, payload, require_object},
};
use crate::stream_key::StreamId;

/// `conversation_started`: what will be talked about, and by whom.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ConversationStarted"))]
pub struct SessionStarted {
    /// The topic, as the list of conversations shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub title: Option<String>,
    /// Who takes part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<Participant>>"))]
    pub participants: Vec<Participant>,
}

/// One who takes part in a conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Participant {
    /// Unique within the conversation.
    pub id: String,
    /// As it is shown.
    pub name: String,
    /// The persona that is spoken with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub persona_slug: Option<String>,
    /// Whether this is the host.
    #[serde(default)]
    pub is_host: bool,
}

/// `conversation_utterance`: somebody has spoken. Ends the tokens of that persona.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ConversationUtterance"))]
pub struct Utterance {
    /// The conversation.
    pub session_id: String,
    /// Who spoke, as it is shown.
    pub speaker_name: String,
    /// The persona that spoke.
    pub persona_slug: String,
    /// What was said; Markdown.
    pub content: String,
    /// Whether the host spoke.
    pub is_host: bool,
    /// How many turns there have been, this one counted.
    #[cfg_attr(test, ts(type = "number"))]
    pub turn_count: Number,
    /// Milliseconds since the Unix epoch. The server's own time takes its place on the wire.
    #[cfg_attr(test, ts(type = "number"))]
    pub timestamp: Number,
}

/// `conversation_token`: a piece of what is being said. Transient.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ConversationToken"))]
pub struct Token {
    /// Who speaks.
    pub participant_id: String,
    /// The persona that speaks.
    pub persona_slug: String,
    /// Who speaks, as it is shown.
    pub persona_name: String,
    /// Which of the speaker's texts it belongs to.
    pub segment: String,
    /// The next piece of text, white space included.
    pub token: String,
}

/// `conversation_speaker_changed`: somebody else has the floor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SpeakerChanged {
    /// The conversation.
    pub session_id: String,
    /// Who speaks now.
    pub speaker_id: String,
    /// Who speaks now, as it is shown.
    pub speaker_name: String,
    /// The persona that speaks now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub persona_slug: Option<String>,
}

/// `conversation_context_updated`: the conversation so far, in a few words.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ContextUpdated {
    /// The conversation.
    pub session_id: String,
    /// What has been said so far.
    pub summary: String,
    /// How many turns the summary covers.
    #[cfg_attr(test, ts(type = "number"))]
    pub turn_count: Number,
}

/// The fields that the server writes in each envelope.
const OURS: [&str; 2] = ["type", "timestamp"];

/// What they take at most, beside the event's name.
const ENVELOPE_BYTES: usize = 48;

pub(super) struct Conversation;

impl Vocabulary for Conversation {
    fn final_name(&self) -> &'static str {
        "conversation_completed"
    }

    fn is_transient(&self, name: &str) -> bool {
        name == "conversation_token"
    }

    fn read(&self, name: &str, data: &str) -> Result<Change, PayloadError> {
        require_object(data)?;
        Ok(match name {
            "conversation_started" => {
                let SessionStarted { title, .. } = payload(data)?;
                Change { title, ..Change::to(Status::Live) }
            }
            // Not of the specification, but conversations have phases, too; without one it is any other event.
            "phase_transition" => {
                let phase = payload(data).ok().map(|Phase { phase }| phase);
                Change { phase, ..Change::NONE }
            }
            "conversation_speaker_changed" => {
                let SpeakerChanged { speaker_name, .. } = payload(data)?;
                Change { speaker: Some(speaker_name), ..Change::NONE }
            }
            "conversation_utterance" => {
                let said: Utterance = payload(data)?;
                Change {
                    speaker: Some(said.speaker_name),
                    closes: Some(said.persona_slug),
                    turn_count: said.turn_count.as_u64(),
                    ..Change::NONE
                }
            }
            "conversation_context_updated" => {
                let context: ContextUpdated = payload(data)?;
                Change {
                    summary: Some(context.summary),
                    turn_count: context.turn_count.as_u64(),
                    ..Change::NONE
                }
            }
            "conversation_token" => {
                let spoken: Token = payload(data)?;
                let token = SpokenToken {
                    participant: spoken.participant_id,
                    persona: Some(spoken.persona_slug),
                    name: spoken.persona_name,
                    segment: Some(spoken.segment),
                    text: spoken.token,
                };
                Change { token: Some(token), ..Change::NONE }
            }
            "conversation_paused" => Change::to(Status::Paused),
            "conversation_resumed" => Change::to(Status::Live),
            "conversation_completed" => Change::to(Status::Completed),
            _ => Change::NONE,
        })
    }

    /// `{"type": <name>, …payload, "timestamp": <server ms>}`: the server's two fields take the place of
    /// the publisher's.
    fn envelope(&self, name: &str, data: &str, now_ms: i64) -> Option<String> {
        let Fields(fields) = serde_json::from_str(data).ok()?;
        let mut wire = String::with_capacity(data.len() + name.len() + ENVELOPE_BYTES);
        write!(wire, r#"{{"type":"{name}""#).ok()?;
        for (Name(key), value) in fields.iter().filter(|(Name(key), _)| !OURS.contains(&&**key)) {
            match key {
                // It was written without an escape, and goes out so.
                Cow::Borrowed(key) => write!(wire, r#","{key}":{value}"#).ok()?,
                Cow::Owned(key) => {
                    write!(wire, ",{}:{value}", serde_json::to_string(key).ok()?).ok()?;
                }
            }
        }
        write!(wire, r#","timestamp":{now_ms}}}"#).ok()?;
        Some(wire)
    }

    fn greeting(&self, id: &StreamId, subscriber: Uuid, now_ms: i64) -> (&'static str, String) {
        let data = format!(
            r#"{{"type":"connection_established","sessionId":"{id}","clientId":"{subscriber}","timestamp":{now_ms}}}"#
        );
        ("connection_established", data)
    }

    fn heartbeat(&self, id: &StreamId, now_ms: i64) -> Heartbeat {
        let data = format!(r#"{{"type":"heartbeat","sessionId":"{id}","timestamp":{now_ms}}}"#);
        Heartbeat::Event("connection_established", data)
    }
}

/// All that is looked at of a `phase_transition`. A debate's has a time, too; here that is the envelope's.
#[derive(Deserialize)]
struct Phase {
    phase: String,
}

/// An object's fields as they were written: in their order, duplicates and digits kept.
struct Fields<'a>(Vec<(Name<'a>, &'a RawValue)>);

/// A field's name; borrowed if it has no escape.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: de::MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or_default());
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_need_their_fields_and_the_error_says_which() {
        let utterance = |field: &str| {
            let mut whole = serde_json::json!({
                "sessionId": "s", "speakerName": "Ada", "personaSlug": "ada", "content": "c",
                "isHost": false, "turnCount": 1, "timestamp": 1,
            });
            whole.as_object_mut().unwrap().remove(field);
            whole.to_string()
        };
        for field in [
            "sessionId",
            "speakerName",
            "personaSlug",
            "content",
            "isHost",
            "turnCount",
            "timestamp",
        ] {
            let error = Conversation.read("conversation_utterance", &utterance(field)).unwrap_err();
            assert_eq!(error.to_string(), format!("$.data.{field}: is missing"));
        }
        for (name, data, path) in [
            ("conversation_utterance", utterance("none").as_str(), None),
            ("conversation_started", "{}", None),
            ("conversation_started", r#"{"title":1}"#, Some("$.data.title")),
            (
                "conversation_started",
                r#"{"participants":[{"id":"a"}]}"#,
                Some("$.data.participants[0].name"),
            ),
            (
                "conversation_token",
                r#"{"participantId":"a","personaSlug":"a","personaName":"A","segment":"s","token":"t"}"#,
                None,
            ),
            ("conversation_token", r#"{"participantId":"a"}"#, Some("$.data.personaSlug")),
            (
                "conversation_speaker_changed",
                r#"{"sessionId":"s","speakerId":"a","speakerName":"A"}"#,
                None,
            ),
            (
                "conversation_speaker_changed",
                r#"{"sessionId":"s","speakerId":"a"}"#,
                Some("$.data.speakerName"),
            ),
            (
                "conversation_context_updated",
                r#"{"sessionId":"s","summary":"x","turnCount":"2"}"#,
                Some("$.data.turnCount"),
            ),
            ("conversation_paused", "{}", None),
            ("conversation_error", r#"{"message":"m"}"#, None),
            ("phase_transition", r#"{"phase":1}"#, None),
            ("something_new", "{}", None),
            ("something_new", "[1]", Some("$.data")),
        ] {
            let outcome = Conversation.read(name, data).err().map(|error| error.path);
            assert_eq!(outcome.as_deref(), path, "{name} {data}");
        }
    }

    #[test]
    fn the_envelope_keeps_the_payload_as_it_was_written() {
        let data = r#"{"b":1.0,"type":"mine","a":{"x":[1e400]},"b":12345678901234567890,"timestamp":5,"q\"":"\u0000"}"#;
        assert_eq!(
            Conversation.envelope("note", data, 99).unwrap(),
            r#"{"type":"note","b":1.0,"a":{"x":[1e400]},"b":12345678901234567890,"q\"":"\u0000","timestamp":99}"#
        );
        assert_eq!(
            Conversation.envelope("conversation_paused", "{}", 7).unwrap(),
            r#"{"type":"conversation_paused","timestamp":7}"#
        );
    }
}
