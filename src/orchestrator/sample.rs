//! The samples that ship with the program.

use super::transcript::{Transcript, TranscriptError};
use crate::stream_key::StreamKind;

impl Transcript {
    /// The sample of this kind.
    ///
    /// # Errors
    /// Never, as long as the tests pass.
    pub fn sample(kind: StreamKind) -> Result<Self, TranscriptError> {
        match kind {
            StreamKind::Debate => include_str!("../../examples/sample-debate.md"),
            StreamKind::Conversation => include_str!("../../examples/sample-conversation.json"),
        }
        .parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::transcript::Cue;

    #[test]
    fn the_samples_can_be_performed() {
        for kind in StreamKind::ALL {
            let sample = Transcript::sample(kind).unwrap();
            assert!(sample.title.is_some(), "{kind}");
            let speeches = sample.cues.iter().filter(|cue| matches!(cue, Cue::Speech(_))).count();
            assert!(speeches >= 18, "{kind}: {speeches}");
        }
    }
}
