//! One performance: an actor that publishes a script's events, each when its time has come.
//!
//! One event is under way at a time, so the stream has them in the script's order; whatever is not yet
//! published when a pause comes is held and goes out after the resume.

use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Message,
    Recipient, ResponseActFuture, SpawnHandle, WrapFuture, fut,
};

use super::{
    players::{Command, ControlError, PlayerEnded},
    script::{Script, Step},
    wording::Happening,
};
use crate::{
    clock::Clock,
    event::{IdempotencyKey, NewEvent},
    hub::{Broadcast, PublishError, Published},
    stream_key::StreamKey,
};

/// How often an event that could not be stored is tried again.
const RETRIES: u32 = 10;

/// How long to wait before that.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How far a performance has come, in bytes of speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Progress {
    /// Spoken so far.
    pub spoken: u64,
    /// In all.
    pub length: u64,
}

/// Who hears from a player.
#[derive(Clone)]
pub(super) struct Audience {
    pub(super) publisher: Recipient<Broadcast>,
    pub(super) ended: Recipient<PlayerEnded>,
    pub(super) progress: Option<Recipient<Progress>>,
}

pub(super) struct Player {
    stream: StreamKey,
    script: Script,
    audience: Audience,
    clock: Clock,
    is_paused: bool,
    /// The step whose time has not come.
    waiting: Option<Step>,
    /// What waits for it.
    timer: Option<SpawnHandle>,
    is_publishing: bool,
    retries: u32,
}

/// Publishes the first event; the others follow by themselves.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ControlError>")]
pub(super) struct Begin;

/// A [`Command`] for this player.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ControlError>")]
pub(super) struct Steer(pub(super) Command);

type Publishing = ResponseActFuture<Player, Result<Published, PublishError>>;

impl Player {
    pub(super) fn new(stream: StreamKey, script: Script, audience: Audience, clock: Clock) -> Self {
        Self {
            stream,
            script,
            audience,
            clock,
            is_paused: false,
            waiting: None,
            timer: None,
            is_publishing: false,
            retries: 0,
        }
    }

    /// Waits for the next step's time, unless that is so already or the performance is held.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        if self.is_paused || self.is_publishing || self.timer.is_some() {
            return;
        }
        let next = self.waiting.take().or_else(|| self.script.next(self.clock.now_ms()));
        let Some(step) = next else { return self.end(Ok(()), ctx) };
        self.timer = Some(ctx.run_later(step.wait, |player, ctx| {
            player.timer = None;
            if let Some(step) = player.waiting.take() {
                player.perform(step, ctx);
            }
        }));
        self.waiting = Some(step);
    }

    fn perform(&mut self, step: Step, ctx: &mut Context<Self>) {
        self.is_publishing = true;
        let published = self.publish(step.event.clone(), step.key.clone());
        ctx.spawn(published.map(move |outcome, player: &mut Self, ctx| {
            player.is_publishing = false;
            match outcome {
                Ok(_) => {
                    player.retries = 0;
                    player.report();
                    player.advance(ctx);
                }
                Err(error) if error.is_passing() && player.retries < RETRIES => {
                    player.retries += 1;
                    player.waiting = Some(Step { wait: RETRY_AFTER, ..step });
                    player.advance(ctx);
                }
                Err(error) => player.break_off(error, ctx),
            }
        }));
    }

    /// Ends the performance before its time, and tells those who follow, if they can be told.
    fn break_off(&mut self, error: PublishError, ctx: &mut Context<Self>) {
        self.is_publishing = true;
        let told = self.script.aside(Happening::BrokenOff, self.clock.now_ms());
        ctx.spawn(
            self.tell(told).map(move |_, player: &mut Self, ctx| player.end(Err(error), ctx)),
        );
    }

    /// Publishes what is not in the script.
    fn tell(&self, event: Option<NewEvent>) -> Publishing {
        match event {
            Some(event) => self.publish(event, IdempotencyKey::random()),
            None => Box::pin(fut::ready(Err(PublishError::Unavailable))),
        }
    }

    fn publish(&self, event: NewEvent, key: IdempotencyKey) -> Publishing {
        match Broadcast::one(self.stream.clone(), event) {
            Ok(broadcast) => {
                let sent = self.audience.publisher.send(broadcast.with_idempotency_key(key));
                let published = async move { sent.await.unwrap_or(Err(PublishError::Unavailable)) };
                Box::pin(published.into_actor(self))
            }
            Err(error) => Box::pin(fut::ready(Err(error.into()))),
        }
    }

    fn report(&self) {
        let (spoken, length) = self.script.progress();
        if let Some(progress) = &self.audience.progress {
            // Whoever is too busy to look sees the next one.
            let _ = progress.try_send(Progress { spoken, length });
        }
    }

    fn hold(&mut self, ctx: &mut Context<Self>) {
        self.is_paused = true;
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "once for each performance, and must not be lost"
    )]
    fn end(&self, outcome: Result<(), PublishError>, ctx: &mut Context<Self>) {
        let stream = self.stream.clone();
        self.audience.ended.do_send(PlayerEnded { stream, player: ctx.address(), outcome });
        ctx.stop();
    }
}

impl Actor for Player {
    type Context = Context<Self>;
}

impl Handler<Begin> for Player {
    type Result = ResponseActFuture<Self, Result<(), ControlError>>;

    fn handle(&mut self, _: Begin, _: &mut Self::Context) -> Self::Result {
        let Some(first) = self.script.next(self.clock.now_ms()) else {
            return Box::pin(fut::ready(Ok(())));
        };
        Box::pin(self.publish(first.event, first.key).map(|outcome, player, ctx| match outcome {
            Ok(_) => {
                player.advance(ctx);
                Ok(())
            }
            Err(error) => {
                ctx.stop();
                Err(error.into())
            }
        }))
    }
}

impl Handler<Steer> for Player {
    /// One command at a time: the next one finds this one stored, or not stored.
    type Result = AtomicResponse<Self, Result<(), ControlError>>;

    fn handle(&mut self, Steer(command): Steer, ctx: &mut Self::Context) -> Self::Result {
        let (was_paused, now_ms) = (self.is_paused, self.clock.now_ms());
        let told = match (command, was_paused) {
            (Command::Pause, true) | (Command::Resume, false) => {
                return AtomicResponse::new(Box::pin(fut::ready(Ok(()))));
            }
            (Command::Pause, false) => self.script.aside(Happening::Paused, now_ms),
            (Command::Resume, true) => self.script.aside(Happening::Resumed, now_ms),
            (Command::Stop, _) => self.script.aside(Happening::Stopped, now_ms),
        };
        self.hold(ctx);
        AtomicResponse::new(Box::pin(self.tell(told).map(move |outcome, player, ctx| {
            match (command, &outcome) {
                (Command::Pause, Ok(_)) => {}
                (Command::Resume, Ok(_)) => player.is_paused = false,
                (Command::Stop, Ok(_)) => player.end(Ok(()), ctx),
                // Not told, so not done.
                (_, Err(_)) => player.is_paused = was_paused,
            }
            if command != Command::Stop || outcome.is_err() {
                player.advance(ctx);
            }
            outcome.map(drop).map_err(ControlError::from)
        })))
    }
}

#[cfg(test)]
mod tests;
