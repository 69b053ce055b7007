//! A transcript as events, each after a natural wait. No clock: the time is told when an event is asked for.

use std::{collections::VecDeque, time::Duration};

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    pace::Pace,
    transcript::{Cue, Manner, Speaker, Speech, Transcript, tokens},
};
use crate::{
    event::{IdempotencyKey, NewEvent},
    stream_key::{StreamKey, StreamKind},
};

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

    /// The event that ends a performance, and its stream, before its time.
    pub(super) fn stopped(&self, now_ms: i64) -> Option<NewEvent> {
        let (name, mut data) = self.end(now_ms);
        add(&mut data, "reason", json!("stopped"));
        NewEvent::new(name, &data).ok()
    }

    /// The event that says that nothing more will come, though this is not the end.
    pub(super) fn broken_off(&self, now_ms: i64) -> Option<NewEvent> {
        let (name, mut data) = self.told("error", "conversation_error", now_ms);
        add(&mut data, "message", json!("the performance was broken off"));
        NewEvent::new(name, &data).ok()
    }

    pub(super) fn paused(&self, now_ms: i64) -> Option<NewEvent> {
        let (name, data) = self.told("pause", "conversation_paused", now_ms);
        NewEvent::new(name, &data).ok()
    }

    pub(super) fn resumed(&self, now_ms: i64) -> Option<NewEvent> {
        let (name, data) = self.told("resume", "conversation_resumed", now_ms);
        NewEvent::new(name, &data).ok()
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
                    "id": Uuid::new_v4().to_string(),
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

    /// An event that is named otherwise in a conversation.
    fn told(
        &self,
        debate: &'static str,
        conversation: &'static str,
        now_ms: i64,
    ) -> (&'static str, Value) {
        match self.stream.kind() {
            StreamKind::Debate => (debate, json!({ "timestamp": now_ms })),
            StreamKind::Conversation => {
                (conversation, json!({ "sessionId": self.stream.id().as_str() }))
            }
        }
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
mod tests;
