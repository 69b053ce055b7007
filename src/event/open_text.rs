//! What is being said, as far as tokens have spelt it: it lives in memory, and is closed by the utterance that ends it.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use super::{
    change::{Change, Token, texts_len, voice},
    snapshot::Status,
};

/// An utterance that is being spoken: its text so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct OpenUtterance {
    /// Who speaks.
    pub participant: String,
    /// The persona that speaks.
    pub persona: Option<String>,
    /// Who speaks, as it is shown.
    pub name: String,
    /// Which of the speaker's texts this is.
    pub segment: Option<String>,
    /// What has been said so far.
    pub text: String,
    /// There was no room for more: the text stays what it is, without a hole, until it is whole.
    #[serde(skip)]
    is_cut: bool,
}

impl OpenUtterance {
    /// The utterance that this token begins, before anything is said.
    fn begun_by(token: &Token) -> Self {
        Self {
            participant: token.participant.clone(),
            persona: token.persona.clone(),
            name: token.name.clone(),
            segment: token.segment.clone(),
            text: String::new(),
            is_cut: false,
        }
    }

    fn voice(&self) -> &str {
        voice(&self.participant, self.persona.as_deref())
    }

    fn is_continued_by(&self, token: &Token) -> bool {
        self.voice() == token.voice() && self.segment == token.segment
    }

    /// What a snapshot holds of it: names may be as long as texts.
    fn bytes(&self) -> usize {
        let Self { participant, persona, name, segment, text, is_cut: _ } = self;
        texts_len([Some(participant), persona.as_ref(), Some(name), segment.as_ref(), Some(text)])
    }
}

/// Every utterance that is being spoken, in the order in which they were begun.
#[derive(Debug, Default)]
pub(crate) struct OpenText {
    utterances: Vec<OpenUtterance>,
    bytes: usize,
    /// Voices, as hashes, whose beginning was not kept: what they go on to say is not the beginning of anything.
    unkept: Vec<u64>,
}

impl OpenText {
    /// How much open text a stream keeps, in bytes, with the names of who speaks; past it, no text grows any more.
    pub(crate) const MAX_BYTES: usize = 256 * 1024;
    /// How many utterances may be open at once; past it, the oldest is forgotten.
    pub(crate) const MAX_UTTERANCES: usize = 64;

    /// Adds a token, or closes a voice, as the event says.
    pub(crate) fn apply(&mut self, change: &Change) {
        if let Some(voice) = &change.closes {
            self.retain(|open| open.voice() != voice);
            self.unkept.retain(|unkept| *unkept != hash(voice));
        }
        if change.status == Some(Status::Completed) {
            *self = Self::default();
        }
        if let Some(token) = &change.token {
            self.add(token);
        }
    }

    /// Who speaks: the voice that was opened last.
    pub(crate) fn speaker(&self) -> Option<&str> {
        self.utterances.last().map(|open| open.name.as_str())
    }

    pub(crate) fn utterances(&self) -> &[OpenUtterance] {
        &self.utterances
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.utterances.is_empty()
    }

    fn add(&mut self, token: &Token) {
        let known = self.utterances.iter().position(|open| open.is_continued_by(token));
        let at = known.or_else(|| self.begin(token));
        let Some(open) = at.and_then(|at| self.utterances.get_mut(at)) else { return };
        open.is_cut |= self.bytes + token.text.len() > Self::MAX_BYTES;
        if !open.is_cut {
            open.text.push_str(&token.text);
            self.bytes += token.text.len();
        }
    }

    /// Opens an utterance, in the place of the oldest if there are too many. Where its names have no room, it is not
    /// opened: whoever is live hears it all the same, and others get it when it is whole.
    fn begin(&mut self, token: &Token) -> Option<usize> {
        if self.unkept.contains(&hash(token.voice())) {
            return None;
        }
        let new = OpenUtterance::begun_by(token);
        let is_full = self.utterances.len() == Self::MAX_UTTERANCES;
        let room = self.utterances.first().filter(|_| is_full).map_or(0, OpenUtterance::bytes);
        let bytes = self.bytes - room + new.bytes();
        if bytes > Self::MAX_BYTES {
            self.unkeep(hash(token.voice()));
            return None;
        }
        if is_full {
            let oldest = self.utterances.remove(0);
            self.unkeep(hash(oldest.voice()));
        }
        self.utterances.push(new);
        self.bytes = bytes;
        Some(self.utterances.len() - 1)
    }

    fn unkeep(&mut self, voice: u64) {
        if self.unkept.len() == Self::MAX_UTTERANCES {
            self.unkept.remove(0);
        }
        self.unkept.push(voice);
    }

    fn retain(&mut self, keep: impl FnMut(&OpenUtterance) -> bool) {
        self.utterances.retain(keep);
        self.bytes = self.utterances.iter().map(OpenUtterance::bytes).sum();
    }
}

fn hash(voice: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    voice.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::vocabulary, stream_key::StreamKind};

    fn open_texts(open: &OpenText) -> Vec<(&str, &str)> {
        open.utterances()
            .iter()
            .map(|open| (open.participant.as_str(), open.text.as_str()))
            .collect()
    }

    #[test]
    fn open_text_is_bounded() {
        let mut open = OpenText::default();
        let token = |voice: usize, text: &str| Change {
            token: Some(Token {
                participant: voice.to_string(),
                persona: None,
                name: voice.to_string(),
                segment: None,
                text: text.into(),
            }),
            ..Change::NONE
        };
        for voice in 0..1000 {
            open.apply(&token(voice, "x"));
        }
        assert_eq!(open.utterances().len(), OpenText::MAX_UTTERANCES);
        let long = "x".repeat(60_000);
        for voice in 0..20 {
            open.apply(&token(voice, &long));
        }
        let bytes: usize = open.utterances().iter().map(|open| open.text.len()).sum();
        assert!(bytes <= OpenText::MAX_BYTES, "{bytes}");
        for _ in 0..20 {
            open.apply(&token(19, &long));
        }
        let bytes: usize = open.utterances().iter().map(|open| open.text.len()).sum();
        assert!(bytes <= OpenText::MAX_BYTES, "{bytes}");
    }

    #[test]
    fn names_are_bounded_with_the_text_and_one_that_has_no_room_forgets_no_other() {
        let spoken = |speaker: &str, segment: &str| {
            let data = serde_json::json!({ "speaker": speaker, "token": "x", "segment": segment });
            vocabulary(StreamKind::Debate).read("token", &data.to_string()).unwrap()
        };
        let kept = |open: &OpenText| serde_json::to_string(open.utterances()).unwrap().len();
        for (speaker, segment) in [(65_000, 1), (1, 65_000), (30_000, 35_000)] {
            let mut open = OpenText::default();
            open.apply(&spoken("Con", "1"));
            for number in 10..90 {
                let speaker = format!("{number}{}", "s".repeat(speaker));
                open.apply(&spoken(&speaker, &"t".repeat(segment)));
            }
            let bytes = kept(&open);
            assert!(bytes < OpenText::MAX_BYTES + 1000, "{bytes} of {speaker} and {segment}");
            assert!(bytes > OpenText::MAX_BYTES / 2, "{bytes} of {speaker} and {segment}");
            assert_eq!(open_texts(&open)[0], ("Con", "x"), "it was there first");
        }
        // As many as may be open, and no room for a long name in the place of the oldest.
        let mut open = OpenText::default();
        let long = "s".repeat(OpenText::MAX_BYTES / 2 - 300);
        open.apply(&spoken("Con", "1"));
        for number in 1..OpenText::MAX_UTTERANCES {
            open.apply(&spoken(&format!("Pro {number}"), "1"));
        }
        for _ in 0..OpenText::MAX_UTTERANCES {
            open.apply(&spoken(&long, "1"));
        }
        assert_eq!(open.utterances().len(), OpenText::MAX_UTTERANCES);
        assert_eq!(open_texts(&open)[0], ("Con", "x"), "it was forgotten for nothing");
        // What has been closed leaves room.
        for number in 1..OpenText::MAX_UTTERANCES {
            let closes = Some(format!("Pro {number}"));
            open.apply(&Change { closes, ..Change::NONE });
        }
        open.apply(&spoken("Pro", "1"));
        assert_eq!(open_texts(&open), [("Con", "x"), ("Pro", "x")]);
        // But not for what has begun without it.
        open.apply(&spoken(&long, "1"));
        assert_eq!(open.utterances().len(), 2);
        open.apply(&Change { closes: Some(long.clone()), ..Change::NONE });
        open.apply(&spoken(&long, "1"));
        assert_eq!(open.utterances().len(), 3, "what it says next has its beginning");
    }

    #[test]
    fn one_that_was_forgotten_for_another_is_not_opened_in_its_middle() {
        let spoken = |speaker: &str| {
            let data = serde_json::json!({ "speaker": speaker, "token": "x" }).to_string();
            vocabulary(StreamKind::Debate).read("token", &data).unwrap()
        };
        let mut open = OpenText::default();
        for number in 0..=OpenText::MAX_UTTERANCES {
            open.apply(&spoken(&number.to_string()));
        }
        open.apply(&Change { closes: Some("7".into()), ..Change::NONE });
        open.apply(&spoken("0"));
        assert!(open_texts(&open).iter().all(|(who, _)| *who != "0"), "there would be room");
        open.apply(&Change { closes: Some("0".into()), ..Change::NONE });
        open.apply(&spoken("0"));
        assert_eq!(open_texts(&open).last(), Some(&("0", "x")));
    }

    #[test]
    fn open_text_that_is_too_long_stays_a_prefix_until_its_utterance_ends_it() {
        let mut open = OpenText::default();
        let token = |voice: &str, text: &str| {
            let data = serde_json::json!({ "speaker": voice, "token": text }).to_string();
            vocabulary(StreamKind::Debate).read("token", &data).unwrap()
        };
        let utterance = |voice: &str| Change { closes: Some(voice.into()), ..Change::NONE };
        let mut spoken = String::new();
        open.apply(&token("Con", "Wait"));
        while spoken.len() <= OpenText::MAX_BYTES + 20_000 {
            let text = format!("{} ", "x".repeat(spoken.len() % 777));
            open.apply(&token("Pro", &text));
            spoken.push_str(&text);
        }
        let said = |open: &OpenText| {
            let texts = open_texts(open).into_iter();
            texts.map(|(who, text)| (who.to_owned(), text.to_owned())).collect::<Vec<_>>()
        };
        let kept = said(&open);
        assert_eq!(kept[0], ("Con".into(), "Wait".into()), "the others keep theirs");
        assert_eq!((kept.len(), kept[1].0.as_str()), (2, "Pro"), "it is not opened anew");
        assert!(spoken.starts_with(&kept[1].1), "it is a prefix");
        assert!(kept[1].1.len() > OpenText::MAX_BYTES - 1000, "it is as long as it may be");
        // A shorter token that would fit would leave a hole before it.
        open.apply(&token("Pro", "y"));
        assert_eq!(said(&open), kept);
        open.apply(&utterance("Con"));
        open.apply(&token("Pro", "y"));
        assert_eq!(said(&open), kept[1..], "nor is there one once there is room");

        open.apply(&utterance("Pro"));
        assert!(open.is_empty());
        open.apply(&token("Pro", "Anew"));
        assert_eq!(open_texts(&open), [("Pro", "Anew")]);
    }
}
