//! Who is performing on which stream: at most one player on each.

use std::collections::HashMap;

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, Message, Recipient,
    ResponseActFuture, ResponseFuture, WrapFuture, fut,
};
use tokio::sync::oneshot;

use super::{
    pace::Pace,
    player::{Audience, Begin, Player, Progress, Steer},
    script::Script,
    transcript::Transcript,
};
use crate::{
    clock::Clock,
    hub::{Broadcast, PublishError},
    stream_key::StreamKey,
};

/// How many performances may be under way. Each keeps its transcript, of 1 MiB at most over HTTP, for as long as it
/// takes, and a pause has no end.
const PLAYERS_MAX: usize = 1024;

/// Starts players and passes commands on to them.
pub struct Players {
    publisher: Recipient<Broadcast>,
    progress: Option<Recipient<Progress>>,
    clock: Clock,
    players: HashMap<StreamKey, Entry>,
}

struct Entry {
    player: Addr<Player>,
    waiting: Vec<oneshot::Sender<Result<(), PublishError>>>,
}

/// Performs a transcript on a stream. Answers when its first event is published.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ControlError>")]
pub struct Launch {
    /// Where to perform.
    pub stream: StreamKey,
    /// What to perform.
    pub transcript: Transcript,
    /// How fast.
    pub pace: Pace,
}

/// Steers the player of a stream. Answers when the stream says so.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ControlError>")]
pub struct Control {
    /// Whose player.
    pub stream: StreamKey,
    /// What to do.
    pub command: Command,
}

/// What a player can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Hold the performance.
    Pause,
    /// Go on where it was held.
    Resume,
    /// End it, and the stream.
    Stop,
}

/// Answers when the player of a stream has ended, and how; at once if there is none.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), PublishError>")]
pub struct WaitForEnd(
    /// Whose player.
    pub StreamKey,
);

/// A player has come to its end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct PlayerEnded {
    pub(super) stream: StreamKey,
    pub(super) player: Addr<Player>,
    pub(super) outcome: Result<(), PublishError>,
}

/// Why a performance was not started or steered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// One is under way on this stream.
    #[error("something is being performed on this stream already")]
    Running,
    /// None is under way on this stream, on this server.
    #[error("nothing is being performed on this stream by this server")]
    NotRunning,
    /// As many are under way on other streams as may be.
    #[error("{PLAYERS_MAX} performances are under way already")]
    TooMany,
    /// The stream did not take the event that says so.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Players {
    /// Players that publish here.
    #[must_use]
    pub fn new(publisher: Recipient<Broadcast>) -> Self {
        Self { publisher, progress: None, clock: Clock::system(), players: HashMap::new() }
    }

    /// Reports how far each performance has come.
    #[must_use]
    pub fn with_progress(mut self, progress: Recipient<Progress>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Forgets this player, but not one that has taken its place.
    fn remove(&mut self, ended: &PlayerEnded) {
        if self.players.get(&ended.stream).is_some_and(|entry| entry.player == ended.player) {
            let entry = self.players.remove(&ended.stream);
            for waiting in entry.into_iter().flat_map(|entry| entry.waiting) {
                let _ = waiting.send(ended.outcome.clone());
            }
        }
    }
}

impl std::fmt::Debug for Players {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Players").field("players", &self.players.len()).finish_non_exhaustive()
    }
}

impl Actor for Players {
    type Context = Context<Self>;
}

impl Handler<Launch> for Players {
    type Result = ResponseActFuture<Self, Result<(), ControlError>>;

    fn handle(&mut self, launch: Launch, ctx: &mut Self::Context) -> Self::Result {
        let Launch { stream, transcript, pace } = launch;
        if self.players.get(&stream).is_some_and(|entry| entry.player.connected()) {
            return Box::pin(fut::ready(Err(ControlError::Running)));
        }
        if self.players.values().filter(|entry| entry.player.connected()).count() >= PLAYERS_MAX {
            return Box::pin(fut::ready(Err(ControlError::TooMany)));
        }
        let audience = Audience {
            publisher: self.publisher.clone(),
            ended: ctx.address().recipient(),
            progress: self.progress.clone(),
        };
        let script = Script::new(stream.clone(), transcript, pace);
        let player = Player::new(stream.clone(), script, audience, self.clock.clone()).start();
        let begun = player.send(Begin);
        self.players.insert(stream.clone(), Entry { player: player.clone(), waiting: Vec::new() });
        Box::pin(begun.into_actor(self).map(move |begun, players, _| {
            let begun = begun.unwrap_or(Err(ControlError::NotRunning));
            match &begun {
                Ok(()) => log::info!(stream:% = stream; "performance launched"),
                Err(_) => players.remove(&PlayerEnded { stream, player, outcome: Ok(()) }),
            }
            begun
        }))
    }
}

impl Handler<Control> for Players {
    type Result = ResponseFuture<Result<(), ControlError>>;

    fn handle(
        &mut self,
        Control { stream, command }: Control,
        _: &mut Self::Context,
    ) -> Self::Result {
        let steered = self.players.get(&stream).map(|entry| entry.player.send(Steer(command)));
        Box::pin(async move {
            let steered = steered.ok_or(ControlError::NotRunning)?;
            steered.await.unwrap_or(Err(ControlError::NotRunning))
        })
    }
}

impl Handler<WaitForEnd> for Players {
    type Result = ResponseFuture<Result<(), PublishError>>;

    fn handle(&mut self, WaitForEnd(stream): WaitForEnd, _: &mut Self::Context) -> Self::Result {
        let (end, ended) = oneshot::channel();
        if let Some(entry) = self.players.get_mut(&stream) {
            entry.waiting.push(end);
        }
        // Nobody holds the other end if there is no player.
        Box::pin(async move { ended.await.unwrap_or(Ok(())) })
    }
}

impl Handler<PlayerEnded> for Players {
    type Result = ();

    fn handle(&mut self, ended: PlayerEnded, _: &mut Self::Context) {
        let stream = &ended.stream;
        match &ended.outcome {
            Ok(()) => log::info!(stream:% = stream; "performance ended"),
            Err(error) => log::error!(stream:% = stream, error:% = error; "performance broken off"),
        }
        self.remove(&ended);
    }
}
