//! A stream's state, folded from its events.
//!
//! Two layers: the [`Snapshot`] is folded from durable events and stored beside them; the [`OpenText`](super::OpenText)
//! is what tokens have spelt so far.

use serde::Serialize;

use super::change::{Change, texts_len};

/// How far a stream has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Status {
    /// Nothing has been published yet.
    #[default]
    Waiting,
    /// Under way.
    Live,
    /// Under way, and held by its orchestrator.
    Paused,
    /// Over for good.
    Completed,
}

impl Status {
    /// The status as the wire and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::Completed => "completed",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub(crate) fn from_stored(text: &str) -> Self {
        [Self::Live, Self::Paused, Self::Completed]
            .into_iter()
            .find(|status| status.as_str() == text)
            .unwrap_or_default()
    }
}

/// What a client that joins late needs to know of the events it has not seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Snapshot {
    /// How far the stream has come.
    pub status: Status,
    /// What it is about.
    pub title: Option<String>,
    /// The current phase.
    pub phase: Option<String>,
    /// Who speaks, or spoke last.
    pub speaker: Option<String>,
    /// How many utterances there have been.
    pub turn_count: u64,
    /// What has been said so far, in a few words.
    pub summary: Option<String>,
}

impl Snapshot {
    /// How many bytes of text it has.
    pub(crate) fn text_len(&self) -> usize {
        let Self { title, phase, speaker, summary, .. } = self;
        texts_len([title, phase, speaker, summary].map(Option::as_ref))
    }

    /// Folds one durable event in.
    pub(crate) fn apply(&mut self, change: &Change) {
        self.status = match (change.status, self.status) {
            (Some(status), _) => status,
            (None, Status::Waiting) => Status::Live,
            (None, status) => status,
        };
        let kept = |new: &Option<String>, old: &mut Option<String>| {
            if new.is_some() {
                old.clone_from(new);
            }
        };
        kept(&change.title, &mut self.title);
        kept(&change.phase, &mut self.phase);
        kept(&change.speaker, &mut self.speaker);
        kept(&change.summary, &mut self.summary);
        self.turn_count =
            change.turn_count.unwrap_or(self.turn_count + u64::from(change.another_turn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{OpenText, vocabulary},
        stream_key::StreamKind,
    };

    fn fold(kind: StreamKind, events: &[(&str, &str)]) -> (Snapshot, OpenText) {
        let mut folded = (Snapshot::default(), OpenText::default());
        for (name, data) in events {
            let change = vocabulary(kind).read(name, data).unwrap();
            folded.0.apply(&change);
            folded.1.apply(&change);
        }
        folded
    }

    #[test]
    fn a_debate_folds_to_its_phase_speaker_and_turns() {
        let (snapshot, open) = fold(
            StreamKind::Debate,
            &[
                ("debate_started", r#"{"title":"Why?"}"#),
                ("phase_transition", r#"{"phase":"Opening","timestamp":1}"#),
                ("token", r#"{"speaker":"Pro","token":"Be"}"#),
                ("token", r#"{"speaker":"Con","token":"No"}"#),
                ("token", r#"{"speaker":"Pro","token":"cause"}"#),
                (
                    "utterance",
                    r#"{"id":"1","timestamp":1,"phase":"Opening","speaker":"Con","content":"No"}"#,
                ),
                ("pause", "{}"),
                ("note", "[]"),
            ],
        );
        assert_eq!(
            snapshot,
            Snapshot {
                status: Status::Paused,
                title: Some("Why?".into()),
                phase: Some("Opening".into()),
                speaker: Some("Con".into()),
                turn_count: 1,
                summary: None,
            }
        );
        let spoken = open.utterances().iter().map(|open| (open.name.as_str(), open.text.as_str()));
        assert!(spoken.eq([("Pro", "Because")]), "{open:?}");
        assert_eq!(open.speaker(), Some("Pro"));
    }

    #[test]
    fn a_conversation_counts_the_turns_it_is_told() {
        let (snapshot, open) = fold(
            StreamKind::Conversation,
            &[
                ("conversation_started", r#"{"title":"Tides"}"#),
                (
                    "conversation_speaker_changed",
                    r#"{"sessionId":"s","speakerId":"a","speakerName":"Ada"}"#,
                ),
                (
                    "conversation_token",
                    r#"{"participantId":"a","personaSlug":"ada","personaName":"Ada","segment":"1","token":"Hi"}"#,
                ),
                (
                    "conversation_utterance",
                    r#"{"sessionId":"s","speakerName":"Ada","personaSlug":"ada","content":"Hi","isHost":true,"turnCount":7,"timestamp":1}"#,
                ),
                (
                    "conversation_context_updated",
                    r#"{"sessionId":"s","summary":"Hello.","turnCount":7}"#,
                ),
                ("conversation_completed", "{}"),
            ],
        );
        assert_eq!(snapshot.turn_count, 7);
        assert_eq!(snapshot.speaker.as_deref(), Some("Ada"));
        assert_eq!(snapshot.summary.as_deref(), Some("Hello."));
        assert_eq!(snapshot.status, Status::Completed);
        assert!(open.is_empty());
    }

    #[test]
    fn a_conversation_has_phases_whatever_else_their_publisher_says() {
        for data in [
            r#"{"phase":"Opening"}"#,
            r#"{"phase":"Opening","timestamp":"mine"}"#,
            r#"{"phase":"Opening","timestamp":1,"timestamp":2}"#,
        ] {
            let (snapshot, _) = fold(StreamKind::Conversation, &[("phase_transition", data)]);
            assert_eq!(snapshot.phase.as_deref(), Some("Opening"), "{data}");
        }
        let (snapshot, _) = fold(StreamKind::Conversation, &[("phase_transition", "{}")]);
        assert_eq!(snapshot, Snapshot { status: Status::Live, ..Snapshot::default() });
    }
}
