//! Reads the JSON form of a transcript, which [`Transcript`] shows.
//!
//! People write it by hand, so it is strict: were an unknown field let pass, a typing error would
//! go unseen until the performance. Each rule is part of some type's `Deserialize`, so that what
//! breaks it is reported with line and column; only whether entries fit together is checked after.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Cue, Manner, Speaker, Speech, Transcript, TranscriptError};
use crate::stream_key::is_slug;

/// Longer than any pause for effect, so that a few zeros too many do not hold up a stream for days.
const SILENCE_MAX: Duration = Duration::from_mins(10);

pub(super) fn parse(text: &str) -> Result<Transcript, TranscriptError> {
    let document: Document = serde_json::from_str(text).map_err(TranscriptError::Json)?;
    let cast = Cast::new(document.speakers)?;

    let cues: Vec<Cue> = document
        .script
        .into_iter()
        .enumerate()
        .map(|(index, entry)| cast.cue(index, entry))
        .collect::<Result<_, _>>()?;
    if !cues.iter().any(|cue| matches!(cue, Cue::Speech(_))) {
        return Err(TranscriptError::NoSpeech {
            expected: "an entry of `script` with `speaker` and `text`",
        });
    }
    Ok(Transcript { title: document.title.map(|title| title.0), speakers: cast.speakers, cues })
}

/// Who may speak.
struct Cast {
    speakers: Vec<Arc<Speaker>>,
    by_id: HashMap<String, Arc<Speaker>>,
}

impl Cast {
    fn new(entries: Vec<SpeakerEntry>) -> Result<Self, TranscriptError> {
        let mut cast = Self { speakers: Vec::new(), by_id: HashMap::new() };
        for (index, entry) in entries.into_iter().enumerate() {
            let speaker = Arc::new(Speaker::from(entry));
            let id = speaker.id.clone();
            cast.speakers.push(Arc::clone(&speaker));
            if cast.by_id.insert(id.clone(), speaker).is_some() {
                return Err(TranscriptError::DuplicateId { index, id });
            }
        }
        Ok(cast)
    }

    fn cue(&self, index: usize, entry: ScriptEntry) -> Result<Cue, TranscriptError> {
        let (id, text, manner) = match entry {
            ScriptEntry::Unspoken(cue) => return Ok(cue),
            ScriptEntry::Spoken(id, text, manner) => (id, text, manner),
        };
        let Some(speaker) = self.by_id.get(&id).cloned() else {
            return Err(TranscriptError::UnknownSpeaker { index, id });
        };
        Ok(Cue::Speech(Speech { speaker, text, manner, at: None }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    title: Option<Visible>,
    speakers: Vec<SpeakerEntry>,
    script: Vec<ScriptEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpeakerEntry {
    id: Slug,
    name: Visible,
    persona: Option<Slug>,
    #[serde(default)]
    host: bool,
}

impl From<SpeakerEntry> for Speaker {
    fn from(entry: SpeakerEntry) -> Self {
        Self {
            id: entry.id.0,
            name: entry.name.0,
            persona: entry.persona.map(|persona| persona.0),
            is_host: entry.host,
        }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "ScriptFields")]
enum ScriptEntry {
    Unspoken(Cue),
    /// The speaker's id, the text, the manner.
    Spoken(String, String, Manner),
}

/// All fields of all cues: an untagged enum would refuse a bad one without saying what is wrong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScriptFields {
    phase: Option<Visible>,
    speaker: Option<Slug>,
    text: Option<Visible>,
    manner: Option<Manner>,
    summary: Option<Visible>,
    silence_ms: Option<SilenceMs>,
}

impl TryFrom<ScriptFields> for ScriptEntry {
    type Error = &'static str;

    fn try_from(fields: ScriptFields) -> Result<Self, Self::Error> {
        let ScriptFields { phase, speaker, text, manner, summary, silence_ms } = fields;
        let cue = match (phase, speaker, text, manner, summary, silence_ms) {
            (None, Some(id), Some(text), manner, None, None) => {
                return Ok(Self::Spoken(id.0, text.0, manner.unwrap_or_default()));
            }
            (Some(phase), None, None, None, None, None) => Cue::Phase(phase.0),
            (None, None, None, None, Some(summary), None) => Cue::Summary(summary.0),
            (None, None, None, None, None, Some(silence)) => Cue::Silence(silence.0),
            _ => {
                return Err("an entry of `script` must have either `phase`, or `speaker` and \
                            `text` (and perhaps `manner`), or `summary`, or `silence_ms`");
            }
        };
        Ok(Self::Unspoken(cue))
    }
}

/// Anything but white space.
struct Visible(String);

impl<'de> Deserialize<'de> for Visible {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let is_met = |text: &str| !text.trim().is_empty();
        deserializer.deserialize_str(Rule { is_met, text: "a string that is not blank" }).map(Self)
    }
}

/// An id, as streams have them, too.
struct Slug(String);

impl<'de> Deserialize<'de> for Slug {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = "1 to 64 ASCII letters, digits, `_` or `-`";
        deserializer.deserialize_str(Rule { is_met: is_slug, text }).map(Self)
    }
}

/// What a string must be. A visitor, because an error of `try_from` is placed a token too late. It
/// does not repeat the string, which may be long and may be logged.
struct Rule<F> {
    is_met: F,
    text: &'static str,
}

impl<F: Fn(&str) -> bool> Visitor<'_> for Rule<F> {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        if !(self.is_met)(text) {
            return Err(E::custom(format_args!("expected {}", self.text)));
        }
        Ok(text.to_owned())
    }
}

#[derive(Deserialize)]
#[serde(try_from = "u64")]
struct SilenceMs(Duration);

impl TryFrom<u64> for SilenceMs {
    type Error = &'static str;

    fn try_from(millis: u64) -> Result<Self, Self::Error> {
        let silence = Duration::from_millis(millis);
        if silence > SILENCE_MAX {
            return Err("a silence must be at most 600000 ms, ten minutes");
        }
        Ok(Self(silence))
    }
}

#[cfg(test)]
mod tests;
