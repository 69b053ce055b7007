//! Publishing, as an application's actors ask for it: the message, its answer, and what can go wrong.

use std::fmt;

use actix::Message;

use crate::{
    event::{Event, EventError, EventId, IdempotencyKey, KeyedDigest, NewEvent},
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
    /// One of the payloads, or all of them together, are longer than the hub takes.
    #[error("the data is longer than {limit} bytes")]
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
    /// Another process's hub says no, and why.
    #[error("the server refuses: {0}")]
    Refused(String),
    /// Another process's hub does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// Too many publishes wait already, for this stream or in all; or there is no room for another stream.
    #[error("too many publishes are waiting to be stored, or too many streams are in memory")]
    Overloaded,
    /// The events could not be stored, or the hub is gone. Nobody has seen them; yet a commit that failed
    /// may turn out to have reached the disk. Whoever used an idempotency key can simply try again.
    #[error("the event could not be stored")]
    Unavailable,
}

impl PublishError {
    /// Whether the same publish may succeed a little later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable | Self::Unreachable(_))
    }
}
