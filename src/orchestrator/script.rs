//! A transcript as events, each after a natural wait. No clock: the time is told when an event is asked for.

use std::{collections::VecDeque, time::Duration};

use serde_json::{Value, json};

use super::transcript::{Cue, Manner, Speaker, Speech, Transcript, tokens};
use crate::{
    event::{IdempotencyKey, NewEvent},
    stream_key::{StreamKey, StreamKind},
};

/// How fast a transcript is performed: a reader's pace, times a factor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    speed: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { speed: 1.0 }
    }
}

impl Pace {
    const WORD: Duration = Duration::from_millis(45);
    const LETTER: Duration = Duration::from_millis(18);
    const COMMA: Duration = Duration::from_millis(120);
    const SENTENCE: Duration = Duration::from_millis(300);
    const SPEECH: Duration = Duration::from_millis(1200);
    const PHASE: Duration = Duration::from_millis(1500);

    /// A pace of `speed` times the natural one, from 0.01 to 1000.
    #[must_use]
    pub fn at_speed(speed: f64) -> Option<Self> {
        (0.01..=1000.0).contains(&speed).then_some(Self { speed })
    }

    fn scaled(self, natural: Duration) -> Duration {
        natural.div_f64(self.speed)
    }

    /// How long a token takes to say.
    fn token(token: &str) -> Duration {
        let letters = u32::try_from(token.chars().count()).unwrap_or(u32::MAX);
        let stop = match token.trim_end_matches(['"', '\'', '”', '’', ')', '*', '_']).chars().last()
        {
            Some('.' | '?' | '!' | '…' | '—') => Self::SENTENCE,
            Some(',' | ';' | ':') => Self::COMMA,
            _ => Duration::ZERO,
        };
        Self::WORD + Self::LETTER.saturating_mul(letters) + stop
    }
}

/// One event of a performance.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// How long to wait before it.
    pub(super) wait: Duration,
    pub(super) event: NewEvent,
    /// The same however often the event is tried.
    pub(super) key: IdempotencyKey,
}

/// What is left of a performance.
#[derive(Debug)]
pub(super) struct Script {
    stream: StreamKey,
    pace: Pace,
    cues: VecDeque<Cue>,
    /// The speech that is being spoken, and its tokens that are left.
    speaking: Option<(Speech, VecDeque<String>)>,
    opening: Option<(Option<String>, Vec<Value>)>,
    closing: bool,
    phase: String,
    floor: Option<String>,
    turns: u64,
    wait: Duration,
    /// Bytes of speech, spoken and in all.
    spoken: u64,
    length: u64,
}

impl Script {
    pub(super) fn new(stream: StreamKey, transcript: Transcript, pace: Pace) -> Self {
        let length = transcript.cues.iter().map(|cue| match cue {
            Cue::Speech(speech) => speech.text.len() as u64,
            Cue::Phase(_) | Cue::Summary(_) | Cue::Silence(_) => 0,
        });
        let participants = transcript.speakers.iter().map(|speaker| participant(speaker)).collect();
        Self {
            stream,
            pace,
            length: length.sum(),
            opening: Some((transcript.title, participants)),
            cues: transcript.cues.into(),
            speaking: None,
            closing: true,
            phase: String::new(),
            floor: None,
            turns: 0,
            wait: Duration::ZERO,
            spoken: 0,
        }
    }

    /// Bytes of speech that have been spoken, and that there are in all.
    pub(super) const fn progress(&self) -> (u64, u64) {
        (self.spoken, self.length)
    }

    /// The next event; none at the end.
    pub(super) fn next(&mut self, now_ms: i64) -> Option<Step> {
        let (name, data) = self.next_event(now_ms)?;
        // Our own values are maps of strings and numbers: they can be written as JSON.
        let event = NewEvent::new(name, &data).ok()?;
        let wait = self.pace.scaled(std::mem::take(&mut self.wait));
        Some(Step { wait, event, key: IdempotencyKey::random() })
    }

    /// The event that ends a performance before its time.
    pub(super) fn stopped(&self, now_ms: i64) -> Option<NewEvent> {
        let (name, mut data) = self.end(now_ms);
        add(&mut data, "reason", json!("stopped"));
        NewEvent::new(name, &data).ok()
    }

    pub(super) fn paused(&self, now_ms: i64) -> Option<NewEvent> {
        self.told("pause", "conversation_paused", now_ms)
    }

    pub(super) fn resumed(&self, now_ms: i64) -> Option<NewEvent> {
        self.told("resume", "conversation_resumed", now_ms)
    }

    fn next_event(&mut self, now_ms: i64) -> Option<(&'static str, Value)> {
        if let Some((title, participants)) = self.opening.take() {
            return Some(self.begin(title, participants, now_ms));
        }
        if let Some((speech, mut left)) = self.speaking.take() {
            return Some(match left.pop_front() {
                Some(token) => {
                    self.wait += Pace::token(&token);
                    self.spoken += token.len() as u64;
                    let event = self.token(&speech, &token);
                    self.speaking = Some((speech, left));
                    event
                }
                None => self.utterance(&speech, now_ms),
            });
        }
        while let Some(cue) = self.cues.pop_front() {
            match cue {
                Cue::Silence(duration) => self.wait += duration,
                Cue::Phase(phase) => {
                    self.wait += Pace::PHASE;
                    self.phase.clone_from(&phase);
                    return Some((
                        "phase_transition",
                        json!({ "phase": phase, "timestamp": now_ms }),
                    ));
                }
                Cue::Summary(summary) => return Some(self.summary(&summary)),
                Cue::Speech(speech) => return Some(self.take_floor(speech, now_ms)),
            }
        }
        std::mem::take(&mut self.closing).then(|| {
            self.wait += Pace::SPEECH;
            self.end(now_ms)
        })
    }

    fn begin(
        &self,
        title: Option<String>,
        participants: Vec<Value>,
        now_ms: i64,
    ) -> (&'static str, Value) {
        let title = title.unwrap_or_else(|| self.stream.id().to_string());
        let data = json!({ "title": title, "participants": participants, "timestamp": now_ms });
        match self.stream.kind() {
            StreamKind::Debate => ("debate_started", data),
            StreamKind::Conversation => ("conversation_started", data),
        }
    }

    /// A speech begins; in a conversation, somebody new is announced first.
    fn take_floor(&mut self, speech: Speech, now_ms: i64) -> (&'static str, Value) {
        if speech.manner != Manner::Interjection {
            self.wait += Pace::SPEECH;
        }
        let left = tokens(&speech.text).map(str::to_owned).collect();
        let speaker = std::sync::Arc::clone(&speech.speaker);
        self.speaking = Some((speech, left));
        let is_new = self.floor.replace(speaker.id.clone()).as_ref() != Some(&speaker.id);
        if self.stream.kind() == StreamKind::Conversation && is_new {
            let data = json!({
                "sessionId": self.stream.id().as_str(),
                "speakerId": speaker.id,
                "speakerName": speaker.name,
                "personaSlug": persona(&speaker),
            });
            return ("conversation_speaker_changed", data);
        }
        self.next_event(now_ms).unwrap_or_else(|| self.end(now_ms))
    }

    fn token(&self, speech: &Speech, token: &str) -> (&'static str, Value) {
        let speaker = &speech.speaker;
        match self.stream.kind() {
            StreamKind::Debate => ("token", json!({ "speaker": speaker.name, "token": token })),
            StreamKind::Conversation => (
                "conversation_token",
                json!({
                    "participantId": speaker.id,
                    "personaSlug": persona(speaker),
                    "personaName": speaker.name,
                    "segment": format!("turn-{}", self.turns + 1),
                    "token": token,
                }),
            ),
        }
    }

    fn utterance(&mut self, speech: &Speech, now_ms: i64) -> (&'static str, Value) {
        self.turns += 1;
        let speaker = &speech.speaker;
        let (name, mut data) = match self.stream.kind() {
            StreamKind::Debate => (
                "utterance",
                json!({
                    "id": format!("utterance-{}", self.turns),
                    "timestamp": now_ms,
                    "phase": self.phase,
                    "speaker": speaker.name,
                    "content": speech.text,
                }),
            ),
            StreamKind::Conversation => (
                "conversation_utterance",
                json!({
                    "sessionId": self.stream.id().as_str(),
                    "speakerName": speaker.name,
                    "personaSlug": persona(speaker),
                    "content": speech.text,
                    "isHost": speaker.is_host,
                    "turnCount": self.turns,
                    "timestamp": now_ms,
                }),
            ),
        };
        match speech.manner {
            Manner::Ordinary => {}
            Manner::Interjection => add(&mut data, "interjection", json!(true)),
            Manner::Interrupted => add(&mut data, "interrupted", json!(true)),
        }
        (name, data)
    }

    fn summary(&self, summary: &str) -> (&'static str, Value) {
        match self.stream.kind() {
            StreamKind::Debate => ("summary", json!({ "summary": summary })),
            StreamKind::Conversation => (
                "conversation_context_updated",
                json!({
                    "sessionId": self.stream.id().as_str(),
                    "summary": summary,
                    "turnCount": self.turns,
                }),
            ),
        }
    }

    fn end(&self, now_ms: i64) -> (&'static str, Value) {
        match self.stream.kind() {
            StreamKind::Debate => ("complete", json!({ "timestamp": now_ms })),
            StreamKind::Conversation => {
                let id = self.stream.id().as_str();
                ("conversation_completed", json!({ "sessionId": id, "turnCount": self.turns }))
            }
        }
    }

    fn told(
        &self,
        debate: &'static str,
        conversation: &'static str,
        now_ms: i64,
    ) -> Option<NewEvent> {
        let (name, data) = match self.stream.kind() {
            StreamKind::Debate => (debate, json!({ "timestamp": now_ms })),
            StreamKind::Conversation => {
                (conversation, json!({ "sessionId": self.stream.id().as_str() }))
            }
        };
        NewEvent::new(name, &data).ok()
    }
}

fn add(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

fn participant(speaker: &Speaker) -> Value {
    json!({
        "id": speaker.id,
        "name": speaker.name,
        "personaSlug": persona(speaker),
        "isHost": speaker.is_host,
    })
}

/// Conversations tell voices apart by persona; one who plays none speaks as himself.
fn persona(speaker: &Speaker) -> &str {
    speaker.persona.as_deref().unwrap_or(&speaker.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn perform(kind: StreamKind, transcript: Transcript) -> Vec<Step> {
        let stream = StreamKey::new(kind, "s1".parse().unwrap());
        let mut script = Script::new(stream, transcript, Pace::default());
        let steps = std::iter::from_fn(|| script.next(7)).collect();
        assert_eq!(script.progress().0, script.progress().1, "all has been spoken");
        steps
    }

    fn data(step: &Step) -> Value {
        serde_json::from_str(step.event.data.get()).unwrap()
    }

    /// The names of the events, a run of tokens written once.
    fn names(steps: &[Step]) -> Vec<&str> {
        let mut names: Vec<_> = steps.iter().map(|step| step.event.name.as_str()).collect();
        names.dedup_by(|a, b| a == b && a.ends_with("token"));
        names
    }

    const TALK: &str = r#"{"title": "T", "speakers": [
            {"id": "a", "name": "Ada", "host": true}, {"id": "b", "name": "Ben", "persona": "ben-p"}],
        "script": [{"phase": "One"}, {"speaker": "a", "text": "Hi, *you*.", "manner": "interrupted"},
            {"silence_ms": 5000}, {"speaker": "b", "text": "Oh", "manner": "interjection"},
            {"summary": "So far."}, {"speaker": "b", "text": "and so on"}]}"#;

    #[test]
    fn a_debate_is_performed_in_the_words_of_debates() {
        let steps = perform(StreamKind::Debate, TALK.parse().unwrap());
        assert_eq!(
            names(&steps),
            [
                "debate_started",
                "phase_transition",
                "token",
                "utterance",
                "token",
                "utterance",
                "summary",
                "token",
                "utterance",
                "complete"
            ]
        );
        let said: Vec<_> =
            steps.iter().filter(|step| step.event.name == "utterance").map(data).collect();
        assert_eq!(
            said[0],
            json!({"id": "utterance-1", "timestamp": 7, "phase": "One", "speaker": "Ada",
                "content": "Hi, *you*.", "interrupted": true})
        );
        assert_eq!(said[1]["interjection"], json!(true));
        assert_eq!(said[2].get("interjection"), None);
    }

    #[test]
    fn a_conversation_is_performed_in_the_words_of_conversations() {
        let steps = perform(StreamKind::Conversation, TALK.parse().unwrap());
        assert_eq!(
            names(&steps),
            [
                "conversation_started",
                "phase_transition",
                "conversation_speaker_changed",
                "conversation_token",
                "conversation_utterance",
                "conversation_speaker_changed",
                "conversation_token",
                "conversation_utterance",
                "conversation_context_updated",
                "conversation_token",
                "conversation_utterance",
                "conversation_completed"
            ]
        );
        let said = steps.iter().find(|step| step.event.name == "conversation_utterance").map(data);
        assert_eq!(
            said.unwrap(),
            json!({"sessionId": "s1", "speakerName": "Ada", "personaSlug": "a", "content": "Hi, *you*.",
                "isHost": true, "turnCount": 1, "timestamp": 7, "interrupted": true})
        );
    }

    #[test]
    fn every_event_is_accepted_and_the_tokens_are_the_text() {
        for kind in StreamKind::ALL {
            let mut text = String::new();
            let mut utterances = 0;
            for step in perform(kind, Transcript::sample(kind).unwrap()) {
                let event = Event::accept(kind, &step.event).unwrap();
                if event.is_transient() {
                    text.push_str(data(&step)["token"].as_str().unwrap());
                } else if event.name().ends_with("utterance") {
                    assert_eq!(data(&step)["content"], json!(std::mem::take(&mut text)));
                    utterances += 1;
                }
            }
            assert!(utterances > 0);
        }
    }

    #[test]
    fn the_pace_is_a_readers_and_scales() {
        let natural: Duration =
            perform(StreamKind::Debate, Transcript::sample(StreamKind::Debate).unwrap())
                .iter()
                .map(|step| step.wait)
                .sum();
        assert!((120..600).contains(&natural.as_secs()), "{natural:?}");
        for (speed, is_valid) in [
            (1.0, true),
            (0.01, true),
            (1000.0, true),
            (0.0, false),
            (-1.0, false),
            (f64::NAN, false),
            (1e9, false),
        ] {
            assert_eq!(Pace::at_speed(speed).is_some(), is_valid, "{speed}");
        }
        let fast = Pace::at_speed(10.0).unwrap();
        assert_eq!(fast.scaled(Duration::from_secs(1)), Duration::from_millis(100));
    }
}
