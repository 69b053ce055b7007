//! A transcript as events, each after a natural wait. No clock: the time is told when an event is asked for.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    pace::Pace,
    transcript::{Cue, Manner, Speaker, Speech, Transcript, tokens},
    wording::{Happening, Scene, Wording, Words, wording},
};
use crate::{
    event::{IdempotencyKey, NewEvent},
    stream_key::StreamKey,
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
pub(super) struct Script {
    wording: &'static dyn Wording,
    pace: Pace,
    scene: Scene,
    opening: Option<(String, Vec<Arc<Speaker>>)>,
    cues: VecDeque<Cue>,
    /// The speech that is being spoken, and its tokens that are left.
    speaking: Option<(Speech, VecDeque<String>)>,
    /// Who has spoken last.
    floor: Option<Arc<Speaker>>,
    is_over: bool,
    /// What has been waited for since the last event.
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
        let title = transcript.title.unwrap_or_else(|| stream.id().to_string());
        Self {
            wording: wording(stream.kind()),
            pace,
            scene: Scene { stream: stream.id().clone(), phase: String::new(), turns: 0, now_ms: 0 },
            length: length.sum(),
            opening: Some((title, transcript.speakers)),
            cues: transcript.cues.into(),
            speaking: None,
            floor: None,
            is_over: false,
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
        self.scene.now_ms = now_ms;
        while !self.is_over {
            if let Some((name, data)) = self.go_on() {
                // Our own values are maps of strings and numbers: they can be written as JSON.
                let event = NewEvent::new(name, &data).ok()?;
                let wait = self.pace.scaled(std::mem::take(&mut self.wait));
                return Some(Step { wait, event, key: IdempotencyKey::random() });
            }
        }
        None
    }

    /// An event that is not in the script.
    pub(super) fn aside(&mut self, happening: Happening<'_>, now_ms: i64) -> Option<NewEvent> {
        self.scene.now_ms = now_ms;
        let (name, data) = self.wording.word(&self.scene, happening)?;
        NewEvent::new(name, &data).ok()
    }

    /// Does what is next; not all of it is told.
    fn go_on(&mut self) -> Option<Words> {
        if let Some((title, speakers)) = self.opening.take() {
            return self.word(Happening::Begins { title: &title, speakers: &speakers });
        }
        if let Some((speech, tokens)) = self.speaking.take() {
            return self.speak(speech, tokens);
        }
        match self.cues.pop_front() {
            Some(Cue::Silence(duration)) => {
                self.wait += duration;
                None
            }
            Some(Cue::Phase(phase)) => {
                self.wait += Pace::PHASE;
                self.scene.phase = phase;
                self.word(Happening::Phase)
            }
            Some(Cue::Summary(summary)) => self.word(Happening::Summary(&summary)),
            Some(Cue::Speech(speech)) => self.take_floor(speech),
            None => {
                self.is_over = true;
                self.wait += Pace::SPEECH;
                self.word(Happening::Ends)
            }
        }
    }

    fn take_floor(&mut self, speech: Speech) -> Option<Words> {
        if speech.manner != Manner::Interjection {
            self.wait += Pace::SPEECH;
        }
        let speaker = Arc::clone(&speech.speaker);
        let tokens = tokens(&speech.text).map(str::to_owned).collect();
        self.speaking = Some((speech, tokens));
        let is_new =
            self.floor.replace(Arc::clone(&speaker)).is_none_or(|last| last.id != speaker.id);
        if is_new { self.word(Happening::TakesFloor(&speaker)) } else { None }
    }

    fn speak(&mut self, speech: Speech, mut tokens: VecDeque<String>) -> Option<Words> {
        let Some(token) = tokens.pop_front() else {
            self.scene.turns += 1;
            return self.word(Happening::Said(&speech));
        };
        self.wait += Pace::token(&token);
        self.spoken += token.len() as u64;
        let words = self.word(Happening::Token(&speech, &token));
        self.speaking = Some((speech, tokens));
        words
    }

    fn word(&self, happening: Happening<'_>) -> Option<Words> {
        self.wording.word(&self.scene, happening)
    }
}

#[cfg(test)]
mod tests;
