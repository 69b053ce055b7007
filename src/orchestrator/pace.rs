//! How fast people speak.

use std::time::Duration;

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
    pub(super) const WORD: Duration = Duration::from_millis(45);
    pub(super) const LETTER: Duration = Duration::from_millis(18);
    pub(super) const COMMA: Duration = Duration::from_millis(120);
    pub(super) const SENTENCE: Duration = Duration::from_millis(300);
    pub(super) const SPEECH: Duration = Duration::from_millis(1200);
    pub(super) const PHASE: Duration = Duration::from_millis(1500);

    /// A pace of `speed` times the natural one, from 0.01 to 1000.
    #[must_use]
    pub fn at_speed(speed: f64) -> Option<Self> {
        (0.01..=1000.0).contains(&speed).then_some(Self { speed })
    }

    pub(super) fn scaled(self, natural: Duration) -> Duration {
        natural.div_f64(self.speed)
    }

    /// How long a token takes to say.
    pub(super) fn token(token: &str) -> Duration {
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
