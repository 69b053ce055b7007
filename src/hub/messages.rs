//! What the hub's actors say to each other, and what an application's actors may say to the hub.

use std::{net::IpAddr, sync::Arc, time::Duration};

use actix::{Addr, Message};
use serde::Serialize;
use uuid::Uuid;

use super::{
    answer::Answer,
    broadcast::Broadcast,
    delivery::{Chunk, Delivery, SnapshotView},
    registry::Registry,
    stream_actor::StreamActor,
    subscriber::SubscriberHandle,
    totals::HubTotals,
};
use crate::{
    event::{Event, EventError, EventId, NewEvent},
    sse::Cursor,
    stream_key::StreamKey,
};

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
    /// The payload is longer than the hub takes.
    #[error("the data is longer than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
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

/// How many streams are followed, and by how many, and what has happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HubStats {
    /// Of debates.
    pub debates: KindStats,
    /// Of conversations.
    pub conversations: KindStats,
    /// Counts since the hub started.
    pub totals: HubTotals,
}

/// How many streams of a kind are followed, and by how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct KindStats {
    /// Streams that somebody follows.
    pub count: usize,
    /// Connections to them.
    pub clients: usize,
    /// Connections that have not come to the live edge, or could not keep up with it, and read history.
    pub behind: usize,
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
    pub(crate) peer: Peer,
}

/// Who connects, as far as that is known: limits on connections are counted by it.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    /// Where the connection comes from.
    pub address: Option<IpAddr>,
    /// In whose name it is made.
    pub subject: Option<Arc<str>>,
}

/// Why a subscriber was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The hub, or the stream, has as many as it takes; or there is no room for another stream.
    #[error("there are too many connections")]
    Full,
    /// The hub is shutting down.
    #[error("the hub is shutting down")]
    ShuttingDown,
    /// The stream's history cannot be read now.
    #[error("the stream is unavailable")]
    Unavailable,
}

impl ConnectError {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ShuttingDown => "shutting_down",
            Self::Unavailable => "unavailable",
        }
    }
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
    /// The token that it was opened with has expired.
    AuthExpired,
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
            Self::AuthExpired => "auth_expired",
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

/// A broadcast on its way to its stream's actor, which answers whoever has sent it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct PassOn {
    pub(crate) broadcast: Broadcast,
    pub(crate) answer: Answer,
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
    pub(crate) reason: EndReason,
}

/// A stream as its actor knows it.
#[derive(Debug)]
pub(crate) struct Inspection {
    pub(crate) view: SnapshotView,
    pub(crate) tail: Option<EventId>,
}

/// Asks for a stream's snapshot, if the stream is in memory.
#[derive(Debug, Message)]
#[rtype(result = "Option<Inspection>")]
pub(crate) struct Inspect(pub(crate) StreamKey);

/// A stream's actor has nothing left to do, and had handled this many messages when it said so.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StreamIdle {
    pub(crate) stream: StreamKey,
    pub(crate) address: Addr<StreamActor>,
    pub(crate) handled: u64,
}

/// A stream's actor is gone, whatever became of it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct StreamGone(pub(crate) StreamKey);

/// Tells an idle stream's actor to stop: the registry has forgotten it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Retire;

/// An address that an application's actors send [`Broadcast`](super::Broadcast), [`SendToClient`] and [`Stats`] to.
pub type RegistryAddr = Addr<Registry>;
