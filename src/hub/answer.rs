//! The way back to a publisher, handed on with what is published: nobody on the way waits for the answer.

use std::{fmt, sync::Arc};

use actix::{
    Context,
    dev::{MessageResponse, OneshotSender},
    prelude::SendError,
};

use super::{
    broadcast::{Broadcast, PublishError, Published},
    messages::PassOn,
    registry::Registry,
    way::Way,
};

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

/// What becomes of a broadcast: its stream's actor answers it, and no task of the registry's waits for that.
pub struct Passed(pub(super) Result<(Arc<Way>, Broadcast), PublishError>);

impl MessageResponse<Registry, Broadcast> for Passed {
    fn handle(self, _: &mut Context<Registry>, asker: Option<OneshotSender<Outcome>>) {
        let answer = Answer::to(asker);
        match self.0 {
            Err(error) => answer.give(Err(error)),
            Ok((way, broadcast)) => match way.try_tell(PassOn { broadcast, answer }) {
                Err(SendError::Full(PassOn { answer, .. })) => {
                    answer.give(Err(PublishError::Overloaded));
                }
                // What an actor that is gone leaves behind answers by itself.
                Ok(()) | Err(SendError::Closed(_)) => {}
            },
        }
    }
}

impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passed").finish_non_exhaustive()
    }
}
