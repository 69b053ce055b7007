//! Reads the Markdown that ClearSide exports a debate as.
//!
//! Speeches hold Markdown too: headings, rules and bold lines that look just like the export's own.
//! Only the line `**[mm:ss] Name:**` is certain, so each such marker begins one speech and ends
//! the one before, and every other line belongs to the speech it stands in. The one exception is
//! the `### ` heading of a phase: a marker follows it, and the two blank lines above it tell it
//! from a heading below which a speech was cut short.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Cue, Manner, Speaker, Speech, Transcript, TranscriptError};

const TRANSCRIPT_HEADING: &str = "## Full Transcript";
const QUESTION: &str = "**Question:**";
const PHASE: &str = "### ";
const INTERRUPTED: &str = "[INTERRUPTED]";
const INTERJECTION: &str = "*[Interjection]*";

/// What the exporter puts at the end of a speech that was cut short.
const CUT: &str = "—";

/// Leaves room for what makes an id unique in the 64 characters of an id.
const SLUG_LEN_MAX: usize = 48;

/// Leaves out a blank speech, unless it was cut short: that one says [`CUT`], as newer exports
/// write it. Also left out is what stands above the first marker and is no phase: nobody says it.
pub(super) fn parse(text: &str) -> Result<Transcript, TranscriptError> {
    let mut lines = text.lines();
    if !lines.by_ref().any(is_transcript_heading) {
        return Err(TranscriptError::NoTranscriptPart);
    }
    let title = text.lines().take_while(|line| !is_transcript_heading(line)).find_map(question);

    let mut script = Script::default();
    for line in lines {
        script.read(line);
    }
    script.end_speech();

    if script.cast.speakers.is_empty() {
        return Err(TranscriptError::NoSpeech {
            expected: "a line `**[mm:ss] Name:**` with the words below it",
        });
    }
    Ok(Transcript { title, speakers: script.cast.speakers, cues: script.cues })
}

fn is_transcript_heading(line: &str) -> bool {
    line.trim_end() == TRANSCRIPT_HEADING
}

fn question(line: &str) -> Option<String> {
    let question = line.strip_prefix(QUESTION)?.trim();
    (!question.is_empty()).then(|| question.to_owned())
}

/// The transcript part as far as it has been read.
#[derive(Default)]
struct Script<'a> {
    cast: Cast<'a>,
    cues: Vec<Cue>,
    /// Whose speech `body` is. `None` before the first marker.
    marker: Option<Marker<'a>>,
    body: Vec<&'a str>,
}

impl<'a> Script<'a> {
    fn read(&mut self, line: &'a str) {
        let Some(marker) = Marker::parse(line) else {
            self.body.push(line);
            return;
        };
        let phase = self.take_phase();
        self.end_speech();
        self.cues.extend(phase.map(|name| Cue::Phase(name.to_owned())));
        self.body.extend(marker.words);
        self.marker = Some(marker);
    }

    /// Takes the heading of the next phase off the end of `body`, if there is one.
    fn take_phase(&mut self) -> Option<&'a str> {
        let (heading, above) = trim_end(&self.body).split_last()?;
        let name = heading.strip_prefix(PHASE)?.trim();
        let speech_len = trim_end(above).len();
        let blank_lines = above.len() - speech_len;
        if name.is_empty() || (self.marker.is_some() && blank_lines < 2) {
            return None;
        }
        self.body.truncate(speech_len);
        Some(name)
    }

    fn end_speech(&mut self) {
        let mut text = trim_start(trim_end(&self.body)).join("\n");
        self.body.clear();
        let Some(marker) = self.marker.take() else {
            return;
        };
        if text.is_empty() && marker.manner == Manner::Interrupted {
            text.push_str(CUT);
        }
        if !text.is_empty() {
            let speaker = self.cast.speaker(marker.name);
            self.cues.push(Cue::Speech(Speech {
                speaker,
                text,
                manner: marker.manner,
                at: Some(marker.at),
            }));
        }
    }
}

/// The line that begins a speech: `**[00:33] Pro Advocate:** *[Interjection]*`.
struct Marker<'a> {
    name: &'a str,
    at: Duration,
    manner: Manner,
    /// First words of the speech on the marker's own line: people write so, the exporter does not.
    words: Option<&'a str>,
}

impl<'a> Marker<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (stamp, rest) = line.strip_prefix("**[")?.split_once("] ")?;
        let (name, rest) = rest.split_once(":**")?;
        let at = timestamp(stamp)?;
        let name = name.trim();
        if name.is_empty() || name.contains("**") {
            return None;
        }
        let (interrupted, rest) = take_tag(rest.trim(), INTERRUPTED);
        let (interjection, words) = take_tag(rest, INTERJECTION);
        let manner = match (interjection, interrupted) {
            // An interjection may itself be cut short, but that its text shows.
            (true, _) => Manner::Interjection,
            (false, true) => Manner::Interrupted,
            (false, false) => Manner::Ordinary,
        };
        let words = (!words.is_empty()).then_some(words);
        Some(Self { name, at, manner, words })
    }
}

fn take_tag<'a>(text: &'a str, tag: &str) -> (bool, &'a str) {
    match text.strip_prefix(tag) {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    }
}

/// Reads `mm:ss`, in which the minutes may pass 60, or `h:mm:ss`.
fn timestamp(stamp: &str) -> Option<Duration> {
    let groups: Vec<u64> = stamp.split(':').map(few_digits).collect::<Option<_>>()?;
    let seconds = match *groups.as_slice() {
        [minutes, seconds] => minutes * 60 + seconds,
        [hours, minutes, seconds] => (hours * 60 + minutes) * 60 + seconds,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// Four digits at most, so that no sum of them overflows.
fn few_digits(text: &str) -> Option<u64> {
    if text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Who has spoken so far.
#[derive(Default)]
struct Cast<'a> {
    speakers: Vec<Arc<Speaker>>,
    by_name: HashMap<&'a str, Arc<Speaker>>,
    slugs: HashSet<String>,
}

impl<'a> Cast<'a> {
    fn speaker(&mut self, name: &'a str) -> Arc<Speaker> {
        if let Some(speaker) = self.by_name.get(name) {
            return Arc::clone(speaker);
        }
        let speaker = Arc::new(Speaker {
            id: self.unique_id(name),
            name: name.to_owned(),
            persona: None,
            // The model that spoke may be named behind it: `Moderator (claude-sonnet-4)`.
            is_host: name == "Moderator" || name.starts_with("Moderator ("),
        });
        self.by_name.insert(name, Arc::clone(&speaker));
        self.speakers.push(Arc::clone(&speaker));
        speaker
    }

    fn unique_id(&mut self, name: &str) -> String {
        let slug = slug(name);
        if self.slugs.insert(slug.clone()) {
            return slug;
        }
        // No slug holds two hyphens in a row, so no other name can ever make this id.
        format!("{slug}--{}", self.speakers.len() + 1)
    }
}

fn slug(name: &str) -> String {
    let words: Vec<&str> = name
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let mut slug = words.join("-").to_ascii_lowercase();
    slug.truncate(SLUG_LEN_MAX);
    match slug.trim_end_matches('-') {
        "" => "speaker".to_owned(),
        slug => slug.to_owned(),
    }
}

fn trim_end<'s, 'a>(lines: &'s [&'a str]) -> &'s [&'a str] {
    let mut lines = lines;
    while let [above @ .., last] = lines
        && is_blank(last)
    {
        lines = above;
    }
    lines
}

fn trim_start<'s, 'a>(lines: &'s [&'a str]) -> &'s [&'a str] {
    let mut lines = lines;
    while let [first, below @ ..] = lines
        && is_blank(first)
    {
        lines = below;
    }
    lines
}

fn is_blank(line: &str) -> bool {
    line.trim().is_empty()
}

#[cfg(test)]
mod tests;
