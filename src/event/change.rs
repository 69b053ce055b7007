//! What one event changes, whatever its kind of stream calls that.

use super::snapshot::Status;

/// What one event changes; the vocabularies translate their events into this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) status: Option<Status>,
    pub(crate) title: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) speaker: Option<String>,
    pub(crate) summary: Option<String>,
    /// The number of turns, where the event says it.
    pub(crate) turn_count: Option<u64>,
    /// One turn more, where it does not.
    pub(crate) another_turn: bool,
    pub(crate) token: Option<Token>,
    /// The [voice](Token::voice) whose open text ends here.
    pub(crate) closes: Option<String>,
}

impl Change {
    pub(crate) const NONE: Self = Self {
        status: None,
        title: None,
        phase: None,
        speaker: None,
        summary: None,
        turn_count: None,
        another_turn: false,
        token: None,
        closes: None,
    };

    pub(super) fn to(status: Status) -> Self {
        Self { status: Some(status), ..Self::NONE }
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let Self { title, phase, speaker, summary, closes, token, .. } = self;
        let texts = texts_len([title, phase, speaker, summary, closes].map(Option::as_ref));
        size_of::<Self>() + texts + token.as_ref().map_or(0, Token::bytes)
    }
}

/// A piece of what is being said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) participant: String,
    pub(crate) persona: Option<String>,
    /// The speaker, as it is shown.
    pub(crate) name: String,
    pub(crate) segment: Option<String>,
    pub(crate) text: String,
}

impl Token {
    /// What an utterance and its tokens have in common.
    pub(super) fn voice(&self) -> &str {
        voice(&self.participant, self.persona.as_deref())
    }

    fn bytes(&self) -> usize {
        let Self { participant, persona, name, segment, text } = self;
        texts_len([Some(participant), persona.as_ref(), Some(name), segment.as_ref(), Some(text)])
    }
}

/// How many bytes those of these texts have that are there.
pub(super) fn texts_len<const N: usize>(texts: [Option<&String>; N]) -> usize {
    texts.into_iter().flatten().map(String::len).sum()
}

/// Who is heard: a persona, where participants have them.
pub(super) fn voice<'a>(participant: &'a str, persona: Option<&'a str>) -> &'a str {
    persona.unwrap_or(participant)
}
