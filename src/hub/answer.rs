//! The way back to a publisher, handed on with what is published: nobody on the way waits for the answer.

use actix::dev::OneshotSender;

use super::broadcast::{PublishError, Published};

type Outcome = Result<Published, PublishError>;

/// Whom to tell what came of a publish. If it is dropped, because whoever had it is gone, nothing did.
#[derive(Debug)]
pub(crate) struct Answer(Option<OneshotSender<Outcome>>);

impl Answer {
    /// None: nobody has asked.
    pub(crate) fn to(asker: Option<OneshotSender<Outcome>>) -> Self {
        Self(asker)
    }

    pub(crate) fn give(mut self, outcome: Outcome) {
        self.send(outcome);
    }

    fn send(&mut self, outcome: Outcome) {
        // Whoever asked may have gone; what was published stays.
        let _ = self.0.take().map(|asker| asker.send(outcome));
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.send(Err(PublishError::Unavailable));
    }
}
