//! One performance: an actor that publishes a script's events, each when its time has come.
//!
//! One event is under way at a time, so the stream has them in the script's order; whatever is not yet
//! published when a pause comes is held and goes out after the resume.

use std::time::Duration;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient,
    ResponseActFuture, SpawnHandle, WrapFuture, fut,
};

use super::{
    players::{Command, ControlError, PlayerEnded},
    script::{Script, Step},
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
    /// The step whose time has not come, and the timer that waits for it.
    waiting: Option<(Step, Option<SpawnHandle>)>,
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
            is_publishing: false,
            retries: 0,
        }
    }

    /// Waits for the next step's time, unless something is under way or the performance is held.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        if self.is_paused || self.is_publishing {
            return;
        }
        let step = match self.waiting.take() {
            Some((step, _)) => step,
            None => match self.script.next(self.clock.now_ms()) {
                Some(step) => step,
                None => return self.end(Ok(()), ctx),
            },
        };
        let timer = ctx.run_later(step.wait, |player, ctx| {
            if let Some((step, _)) = player.waiting.take() {
                player.perform(step, ctx);
            }
        });
        self.waiting = Some((step, Some(timer)));
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
                Err(PublishError::Unavailable | PublishError::Overloaded)
                    if player.retries < RETRIES =>
                {
                    player.retries += 1;
                    player.waiting = Some((Step { wait: RETRY_AFTER, ..step }, None));
                    player.advance(ctx);
                }
                Err(error) => player.end(Err(error), ctx),
            }
        }));
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
        if let Some((_, timer)) = &mut self.waiting {
            timer.take().map(|timer| ctx.cancel_future(timer));
        }
    }

    fn end(&self, outcome: Result<(), PublishError>, ctx: &mut Context<Self>) {
        let _ = self.audience.ended.try_send(PlayerEnded { stream: self.stream.clone(), outcome });
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
    type Result = ResponseActFuture<Self, Result<(), ControlError>>;

    fn handle(&mut self, Steer(command): Steer, ctx: &mut Self::Context) -> Self::Result {
        let now_ms = self.clock.now_ms();
        let told = match (command, self.is_paused) {
            (Command::Pause, true) | (Command::Resume, false) => None,
            (Command::Pause, false) => {
                self.hold(ctx);
                self.script.paused(now_ms)
            }
            (Command::Resume, true) => self.script.resumed(now_ms),
            (Command::Stop, _) => {
                self.hold(ctx);
                self.script.stopped(now_ms)
            }
        };
        let Some(told) = told else {
            return Box::pin(fut::ready(Ok(())));
        };
        Box::pin(self.publish(told, IdempotencyKey::random()).map(move |outcome, player, ctx| {
            match (command, &outcome) {
                (Command::Resume, Ok(_)) => {
                    player.is_paused = false;
                    player.advance(ctx);
                }
                (Command::Stop, Ok(_)) => player.end(Ok(()), ctx),
                // Not told, so not held.
                (Command::Pause | Command::Stop, Err(_)) => {
                    player.is_paused = false;
                    player.advance(ctx);
                }
                (Command::Pause, Ok(_)) | (Command::Resume, Err(_)) => {}
            }
            outcome.map(drop).map_err(ControlError::from)
        }))
    }
}
