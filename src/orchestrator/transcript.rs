//! A debate or a conversation as a script: who speaks, in what order, and how. No I/O, no actix.
//!
//! Whoever performs a transcript that was read here need not check it again: somebody speaks, no
//! text and no name is blank, and every speaker's id is unique.

mod json;
mod markdown;

use std::iter;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

/// A script that can be performed as a live stream.
///
/// Read with [`str::parse`] from either of two forms. One is the Markdown that ClearSide exports a
/// debate as. The other is JSON, for debates and conversations that were never exported:
///
/// ```json
/// {
///   "title": "Why do we sleep?",
///   "speakers": [{"id": "ada", "name": "Ada", "persona": "ada-the-historian", "host": true}],
///   "script": [
///     {"phase": "Opening"},
///     {"speaker": "ada", "text": "Well, to beg—", "manner": "interrupted"},
///     {"summary": "Nobody knows yet."},
///     {"silence_ms": 1500}
///   ]
/// }
/// ```
///
/// In it `title`, `persona`, `host` and `manner` (`ordinary`, `interjection` or `interrupted`) may
/// be left out, and nothing may be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The debate's question or the conversation's topic.
    pub title: Option<String>,
    /// Everybody who may speak, in the order of the file.
    pub speakers: Vec<Arc<Speaker>>,
    /// What happens, in order.
    pub cues: Vec<Cue>,
}

/// Somebody who speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Unique in the transcript, `[A-Za-z0-9_-]{1,64}`: `pro-advocate`.
    pub id: String,
    /// As shown to people: `Pro Advocate`.
    pub name: String,
    /// The slug of the persona that is played, of the same shape as `id`. Exports name none.
    pub persona: Option<String>,
    /// Leads a conversation, or moderates a debate.
    pub is_host: bool,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cue {
    /// A phase of the debate begins.
    Phase(String),
    /// Somebody says something.
    Speech(Speech),
    /// What has been said so far, in short. Nobody speaks it.
    Summary(String),
    /// Nobody says anything for this long, at most ten minutes.
    Silence(Duration),
}

/// What one speaker says in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speech {
    /// One of the transcript's `speakers`. Shared, where an index could point nowhere.
    pub speaker: Arc<Speaker>,
    /// Markdown; never blank. Line ends of an export are `\n`, whatever its file has.
    pub text: String,
    /// How it is said.
    pub manner: Manner,
    /// When it was said, from the start. The JSON form does not tell.
    pub at: Option<Duration>,
}

/// How something is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manner {
    /// In turn, and to the end.
    #[default]
    Ordinary,
    /// Out of turn. The export puts it *before* the speech that it cuts short, at the same time.
    Interjection,
    /// Cut short by somebody else, perhaps in mid-word.
    Interrupted,
}

/// Why a text cannot be performed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TranscriptError {
    /// Nothing, or nothing but white space.
    #[error("this is no transcript: it is empty")]
    Empty,
    /// A web page, most likely saved from a browser.
    #[error(
        "this is no transcript: it is a web page; save the exported Markdown or JSON file itself"
    )]
    Html,
    /// JSON, but not of the JSON form's outermost shape.
    #[error("this is no transcript: it is a JSON array; the JSON form begins with `{{`")]
    JsonArray,
    /// Neither form.
    #[error(
        "this is no transcript: it has no line `## Full Transcript`, as an exported debate has, \
         and does not begin with `{{`, as the JSON form does"
    )]
    NoTranscriptPart,
    /// The right form, but with nothing to perform.
    #[error("this is no transcript: nobody speaks in it; a speech is {expected}")]
    NoSpeech {
        /// What a speech looks like in the form that was read.
        expected: &'static str,
    },
    /// Bad JSON, or a field that is unknown, missing or ill-formed. Names line and column.
    #[error("this is no transcript in the JSON form: {0}")]
    Json(serde_json::Error),
    /// Two speakers in the JSON form have one id.
    #[error("speakers[{index}].id: `{id}` is the id of another speaker already")]
    DuplicateId {
        /// The later of the two, counted from 0.
        index: usize,
        /// The id of both.
        id: String,
    },
    /// Somebody speaks in the JSON form who is not in `speakers`.
    #[error("script[{index}].speaker: no speaker has the id `{id}`")]
    UnknownSpeaker {
        /// The entry of `script`, counted from 0.
        index: usize,
        /// The id that nobody has.
        id: String,
    },
}

/// More than an event of a performance has beside the texts of its transcript: fields, ids and times.
const EVENT_BYTES: usize = 384;

/// The same of each participant in the first event, ids left out.
const PARTICIPANT_BYTES: usize = 64;

impl Transcript {
    /// No event of a performance has more data than this, in bytes.
    ///
    /// A speech is counted with its phase and with the longest of all names: to look at its own, again for each speech,
    /// would take as long as whoever repeats a long name likes.
    #[must_use]
    pub fn longest_event(&self) -> usize {
        let longest_name = self.speakers.iter().map(|speaker| json_len(&speaker.name)).max();
        let longest_name = longest_name.unwrap_or_default();
        let cast: usize = self.speakers.iter().map(|speaker| speaker.participant_len()).sum();
        let first = self.title.as_deref().map_or(0, json_len) + cast;
        let mut phase_len = 0;
        let lengths = self.cues.iter().map(|cue| match cue {
            Cue::Phase(name) => {
                phase_len = json_len(name);
                phase_len
            }
            Cue::Speech(speech) => json_len(&speech.text) + longest_name + phase_len,
            Cue::Summary(text) => json_len(text),
            Cue::Silence(_) => 0,
        });
        first.max(lengths.max().unwrap_or_default()) + EVENT_BYTES
    }
}

impl Speaker {
    fn participant_len(&self) -> usize {
        let persona = self.persona.as_ref().unwrap_or(&self.id);
        json_len(&self.name) + self.id.len() + persona.len() + PARTICIPANT_BYTES
    }
}

/// The length of a text as JSON writes it, in bytes.
fn json_len(text: &str) -> usize {
    serde_json::to_string(text).map_or(0, |json| json.len())
}

impl FromStr for Transcript {
    type Err = TranscriptError;

    /// Reads JSON if the first visible character is `{`, else Markdown. Skips a byte order mark.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        match text.trim_start().chars().next() {
            None => Err(TranscriptError::Empty),
            Some('{') => json::parse(text),
            // Markdown may itself begin with `<!--` or `[`, so the guess comes after the attempt.
            Some(first) => markdown::parse(text).map_err(|error| match (error, first) {
                (TranscriptError::NoTranscriptPart, '<') => TranscriptError::Html,
                (TranscriptError::NoTranscriptPart, '[') => TranscriptError::JsonArray,
                (error, _) => error,
            }),
        }
    }
}

/// The most characters of one word, or of one stretch of white space, that a token takes.
const TOKEN_RUN_MAX: usize = 24;

/// Splits a text as a language model streams it: into words, each with the white space before it.
///
/// Joined, the tokens are the text again, byte for byte; none is empty. A word of more than 24
/// characters is split between characters, so that no text makes a token of more than 48.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    iter::from_fn(move || {
        let (token, tail) = rest.split_at_checked(token_len(rest))?;
        rest = tail;
        (!token.is_empty()).then_some(token)
    })
}

/// The length in bytes of the token that `text` begins with; 0 only for an empty text.
fn token_len(text: &str) -> usize {
    let mut in_word = false;
    let mut run = 0;
    for (at, character) in text.char_indices() {
        let is_space = character.is_whitespace();
        if in_word && is_space {
            return at;
        }
        if !in_word && !is_space {
            in_word = true;
            run = 0;
        }
        if run == TOKEN_RUN_MAX {
            return at;
        }
        run += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_with_the_space_before_them() {
        #[track_caller]
        fn check(text: &str, expected: &[&str]) {
            assert_eq!(tokens(text).collect::<Vec<_>>(), expected, "{text:?}");
        }

        check("", &[]);
        check("No.", &["No."]);
        check("We agree, mostly.", &["We", " agree,", " mostly."]);
        check("  indented", &["  indented"]);
        check("end \n", &["end", " \n"]);
        check("\n\n## Why\n\n- **one**", &["\n\n##", " Why", "\n\n-", " **one**"]);
        check("naïve — 你好 👩‍👩‍👧", &["naïve", " —", " 你好", " 👩‍👩‍👧"]);
        check(" incomprehensibilities...", &[" incomprehensibilities..."]);
        check("incomprehensibilities....", &["incomprehensibilities...", "."]);
        check("two\u{a0}words\r\nthree", &["two", "\u{a0}words", "\r\nthree"]);
    }

    #[test]
    fn tokens_joined_are_the_text_and_none_is_empty_or_long() {
        let texts = [
            "x".repeat(60_000),
            "é".repeat(60_000),
            "👩‍👩‍👧".repeat(9_000),
            " ".repeat(60_000),
            format!("{}{}", "\n".repeat(49), "ß".repeat(49)),
            "\0\u{200b}\u{2028}\u{feff}a".repeat(500),
            "a \u{3000}b\t\r\r\n".repeat(500),
        ];

        for text in texts {
            assert_eq!(tokens(&text).collect::<String>(), text);
            assert!(tokens(&text).all(|token| (1..=48).contains(&token.chars().count())));
        }
    }

    #[test]
    fn what_is_no_transcript_is_refused_with_the_likely_reason() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            let error = text.parse::<Transcript>().unwrap_err().to_string();
            assert!(
                error.starts_with("this is no transcript") && error.contains(expected),
                "{text:?}: {error}"
            );
        }

        check("", "it is empty");
        check("\u{feff}", "it is empty");
        check(" \r\n\t\n", "it is empty");
        check("<!DOCTYPE html><title>Debate</title>", "a web page");
        check("\n  <html>", "a web page");
        check(r#"[{"speaker": "ada"}]"#, "a JSON array");
        check("[not json", "a JSON array");
        check("Dear diary, today", "no line `## Full Transcript`");
        check("\"text\"", "no line `## Full Transcript`");
        check("# Debate Analysis\n\n### Full Transcript\n", "no line `## Full Transcript`");
        check("\0\u{1}\u{fffd}PNG", "no line `## Full Transcript`");
        check("<!-- a note -->\n## Full Transcript\n", "nobody speaks");
        check("{", "JSON form: EOF while parsing an object at line 1 column 1");
        check("\u{feff}{}", "JSON form: missing field `speakers` at line 1 column 2");
    }

    #[test]
    fn the_form_is_told_by_the_first_visible_character() {
        #[track_caller]
        fn check(text: &str) {
            let transcript: Transcript = text.parse().unwrap();
            assert_eq!(transcript.speakers[0].name, "Ada", "{text:?}");
        }

        let json = r#"{
            "speakers": [{"id": "ada", "name": "Ada"}],
            "script": [{"speaker": "ada", "text": "Yes."}]
        }"#;
        let markdown = "## Full Transcript\n\n**[00:01] Ada:**\n\nYes.\n";
        check(json);
        check(&format!("\u{feff} \r\n{json}\n"));
        check(markdown);
        check(&format!("\u{feff}{markdown}"));
        check(&format!("[contents](#x)\n\n{markdown}"));
        check(&format!("<!-- {{}} -->\n\n{markdown}"));
    }
}
