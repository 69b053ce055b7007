//! What the hub's actors say to each other, and what an application's actors may say to the hub.

use std::{fmt, sync::Arc, time::Duration};

use actix::{Addr, Message};
use serde::Serialize;
use uuid::Uuid;

use super::{
    registry::Registry,
    stream_actor::StreamActor,
    stream_state::{Chunk, Delivery, SnapshotView},
    subscriber::SubscriberHandle,
};
use crate::{
    event::{Event, EventError, EventId, IdempotencyKey, KeyedDigest, NewEvent},
    sse::Cursor,
    stream_key::StreamKey,
};

/// How many events one publish may hold.
pub const BATCH_MAX: usize = 100;

/// Publishes events on a stream: all of them, next to each other, or none.
///
/// Send it to [`Hub::registry`](crate::Hub::registry). The answer comes when the durable events among
/// them are stored and everything is on its way to the subscribers.
///
/// ```
/// use clearside_sse::{Broadcast, NewEvent};
///
/// let event = NewEvent::new("phase_transition", &serde_json::json!({"phase": "Rebuttals"}))?;
/// let refused = Broadcast::one("debate/d1".parse()?, event).unwrap_err();
/// assert_eq!(refused.to_string(), "$.data.timestamp: is missing");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Published, PublishError>")]
pub struct Broadcast {
    pub(crate) stream: StreamKey,
    pub(crate) events: Vec<Event>,
    pub(crate) key: Option<KeyedDigest>,
}

impl Broadcast {
    /// Checks the events against the vocabulary of the stream's kind.
    ///
    /// # Errors
    /// When there are none or more than [`BATCH_MAX`], when one is not as its name demands, or when
    /// something follows the event that ends the stream.
    pub fn new(stream: StreamKey, events: &[NewEvent]) -> Result<Self, BroadcastError> {
        if !(1..=BATCH_MAX).contains(&events.len()) {
            return Err(BroadcastError::Count(events.len()));
        }
        let accept = |(index, event): (usize, &NewEvent)| {
            Event::accept(stream.kind(), event).map_err(|reason| BroadcastError::Event {
                index: (events.len() > 1).then_some(index),
                reason,
            })
        };
        let events = events.iter().enumerate().map(accept).collect::<Result<Vec<_>, _>>()?;
        match events.iter().position(Event::is_final) {
            Some(end) if end + 1 < events.len() => Err(BroadcastError::AfterTheEnd),
            _ => Ok(Self { stream, events, key: None }),
        }
    }

    /// A broadcast of one event.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn one(stream: StreamKey, event: NewEvent) -> Result<Self, BroadcastError> {
        Self::new(stream, &[event])
    }

    /// Names this publish, so that it can be repeated when its answer was lost: the durable events are
    /// stored once, and whoever repeats them gets the first answer's ids.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.key = Some(KeyedDigest::new(key, &self.events));
        self
    }

    /// The name that this publish was given.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref().map(|keyed| &keyed.key)
    }

    /// The stream that is published on.
    #[must_use]
    pub const fn stream(&self) -> &StreamKey {
        &self.stream
    }

    /// The events, as they were accepted.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The ids, in the order of the events; none for transient ones.
    pub ids: Vec<Option<EventId>>,
    /// It had been published before, under the same key.
    pub is_repeat: bool,
}

impl Published {
    /// The id of the last durable event, if there was one.
    #[must_use]
    pub fn last_id(&self) -> Option<EventId> {
        self.ids.iter().rev().find_map(|id| *id)
    }
}

/// Why a broadcast makes no sense, whatever the state of its stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// Too few events, or too many.
    #[error("a publish holds 1 to {BATCH_MAX} events, not {0}")]
    Count(usize),
    /// One of the events was not accepted.
    #[error("{}{reason}", Position(*index))]
    Event {
        /// Its position, where there are several.
        index: Option<usize>,
        /// What is wrong with it.
        reason: EventError,
    },
    /// Nothing can follow the event that ends a stream.
    #[error("nothing can follow the event that ends the stream")]
    AfterTheEnd,
}

struct Position(Option<usize>);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |index| write!(f, "event {index}: "))
    }
}

/// Why nothing was published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The broadcast itself.
    #[error(transparent)]
    Broadcast(#[from] BroadcastError),
    /// One of the payloads is longer than the hub takes.
    #[error("the event's data is longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The stream has ended.
    #[error("the stream is completed")]
    Completed,
    /// The idempotency key was used for something else.
    #[error("the idempotency key was used for another publish")]
    KeyReused,
    /// Too many publishes wait for this stream already.
    #[error("too many publishes are waiting for this stream")]
    Overloaded,
    /// The events could not be stored, or the hub is gone. Nobody has seen them.
    #[error("the event could not be stored")]
    Unavailable,
}

/// Sends one transient event to one subscriber.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), SendToClientError>")]
pub struct SendToClient {
    pub(crate) stream: StreamKey,
    pub(crate) client: Uuid,
    pub(crate) event: Event,
}

impl SendToClient {
    /// Checks the event against the vocabulary of the stream's kind; it goes out without an id.
    ///
    /// # Errors
    /// When the event is not as its name demands, or is the one that ends a stream.
    pub fn new(stream: StreamKey, client: Uuid, event: NewEvent) -> Result<Self, EventError> {
        let event = Event::accept(stream.kind(), &event.transient())?;
        Ok(Self { stream, client, event })
    }
}

/// Why one subscriber was not sent an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendToClientError {
    /// Nobody of that id follows the stream.
    #[error("no such client follows this stream")]
    Unknown,
    /// The subscriber cannot take any more now.
    #[error("the client is too slow to take more now")]
    Busy,
    /// The hub is gone.
    #[error("the hub is gone")]
    Unavailable,
}

/// Asks how many streams are followed, and by how many.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "HubStats")]
pub struct Stats;

/// How many streams are followed, and by how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HubStats {
    /// Of debates.
    pub debates: KindStats,
    /// Of conversations.
    pub conversations: KindStats,
}

/// How many streams of a kind are followed, and by how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KindStats {
    /// Streams that somebody follows.
    pub count: usize,
    /// Connections to them.
    pub clients: usize,
    /// Streams in memory, followed or not.
    pub active: usize,
}

/// Asks how many follow each of these streams.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Vec<usize>")]
pub struct ClientCounts(
    /// The streams; the answer is in their order.
    pub Vec<StreamKey>,
);

/// Ends every connection within `spread`, each with a retry time of its own, and takes no new ones.
///
/// The answer comes when the last one has ended.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Shutdown {
    /// How long the ends may be spread over.
    pub spread: Duration,
}

/// Takes a subscriber in. The answer is the head of the response; what follows it comes by mail, or is
/// asked for. `None`: the subscriber has seen the end of the stream.
#[derive(Debug, Message)]
#[rtype(result = "Result<Option<Chunk>, ConnectError>")]
pub(crate) struct Connect {
    pub(crate) stream: StreamKey,
    pub(crate) subscriber: Uuid,
    pub(crate) handle: SubscriberHandle,
    pub(crate) cursor: Cursor,
}

/// Why a subscriber was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The hub, or the stream, has as many as it takes.
    #[error("there are too many connections")]
    Full,
    /// The hub is shutting down.
    #[error("the hub is shutting down")]
    ShuttingDown,
    /// The stream's history cannot be read now.
    #[error("the stream is unavailable")]
    Unavailable,
}

/// A connection has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Disconnect {
    pub(crate) stream: StreamKey,
    pub(crate) subscriber: Uuid,
    pub(crate) reason: EndReason,
    pub(crate) lasted: Duration,
}

/// Why a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The client closed it, or is gone.
    ClosedByClient,
    /// The stream has ended.
    Completed,
    /// It was old enough.
    AgeLimit,
    /// The hub is shutting down.
    ShuttingDown,
    /// The stream's actor is gone, or its history could not be read.
    Unavailable,
    /// actix polled the body over and over for nothing.
    PollStorm,
}

impl EndReason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ClosedByClient => "closed_by_client",
            Self::Completed => "completed",
            Self::AgeLimit => "age_limit",
            Self::ShuttingDown => "shutting_down",
            Self::Unavailable => "unavailable",
            Self::PollStorm => "poll_storm",
        }
    }
}

/// Asks for the next chunk of history, for a subscriber that is behind.
#[derive(Debug, Message)]
#[rtype(result = "Option<Chunk>")]
pub(crate) struct NextChunk {
    pub(crate) stream: StreamKey,
    pub(crate) subscriber: Uuid,
}

/// What a stream's subscribers get next.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(crate) struct Deliver(pub(crate) Arc<Delivery>);

/// Tells a subscriber that it has missed a delivery, and has to ask for what it missed.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct FallBehind;

/// Ends a connection after a while.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct End {
    pub(crate) after: Duration,
}

/// Asks for a stream's snapshot, if the stream is in memory.
#[derive(Debug, Message)]
#[rtype(result = "Option<SnapshotView>")]
pub(crate) struct Inspect(pub(crate) StreamKey);

/// A stream's actor has nothing left to do, and had handled this many messages when it said so.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StreamIdle {
    pub(crate) stream: StreamKey,
    pub(crate) address: Addr<StreamActor>,
    pub(crate) handled: u64,
}

/// Tells an idle stream's actor to stop: the registry has forgotten it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Retire;

/// An address that an application's actors send [`Broadcast`], [`SendToClient`] and [`Stats`] to.
pub type RegistryAddr = Addr<Registry>;
