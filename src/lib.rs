//! Live streams of AI debates and conversations over Server-Sent Events, with history that lasts.
//!
//! An application starts a [`Hub`] on a [`Store`], mounts its routes with [`Api`], and publishes with
//! [`Hub::publish`] or, from an actor, with a [`Broadcast`] to [`Hub::registry`]. Browsers follow with a
//! plain `EventSource`, and resume by themselves.
//!
//! # Layers
//!
//! A module uses only what stands below it:
//!
//! | layer | what |
//! |---|---|
//! | `cli`, `app`, `logging`, `config` | the program: commands, composition, settings |
//! | `http` | routes, mounted once for each kind of stream |
//! | `orchestrator` | players, which perform a transcript as a live stream |
//! | `hub` | registry, streams, subscribers: the rules of following |
//! | `store` | history that lasts, in SQLite |
//! | `sse` | bytes and cursors |
//! | `auth` | tokens, and what they grant |
//! | `event` | the two vocabularies, and what an event changes |
//! | `stream_key`, `clock` | names of streams, the time of day |
//!
//! # The two flows
//!
//! Publish: a [`Broadcast`] goes by way of the registry to its stream's actor, waits for the store to commit
//! it together with whatever else is waiting, and goes out to all live subscribers as one shared buffer.
//!
//! Resume: a subscriber comes with a cursor, asks its stream's actor for one chunk of history after the
//! other, and is live from the very step that gives it the last one.

#[cfg(feature = "server")]
mod app;
mod auth;
#[cfg(feature = "server")]
#[doc(hidden)]
pub mod cli;
mod clock;
#[cfg(feature = "server")]
mod config;
mod event;
mod http;
mod hub;
#[cfg(feature = "server")]
mod logging;
mod orchestrator;
mod sse;
mod store;
mod stream_key;

#[cfg(feature = "jwt")]
pub use crate::auth::{KeyError, Keys, NewToken, Secret};
pub use crate::{
    auth::{Access, Action, Authority, Grants, InvalidPattern, Rejected, StreamPattern, Ticket},
    clock::Clock,
    event::{
        Epoch, Event, EventError, EventId, IdempotencyKey, InvalidEventId, InvalidIdempotencyKey,
        JsonError, NewEvent, OpenUtterance, PayloadError, Snapshot, Status, conversation, debate,
    },
    http::{Api, Connection, RateLimit, RateLimits, cors},
    hub::{
        BATCH_MAX, Broadcast, BroadcastError, ClientCounts, ConnectError, Hub, HubConfig, HubStats,
        HubTotals, KindStats, Peer, PublishError, Published, Registry, RegistryAddr, SendToClient,
        SendToClientError, Shutdown, SnapshotView, Stats, SubscriberBody,
    },
    orchestrator::{
        Command, Control, ControlError, Cue, Launch, Manner, Pace, Players, Progress, Speaker,
        Speech, Transcript, TranscriptError, WaitForEnd, tokens,
    },
    sse::Cursor,
    store::{DatabaseUrl, Store, StoreError},
    stream_key::{InvalidStreamKey, StreamId, StreamKey, StreamKind},
};

/// What `benches/` measure and an application has no use for.
#[doc(hidden)]
pub mod bench_support {
    use bytes::Bytes;

    use crate::{Event, EventId, sse::Frames};

    /// Encodes events as they go over the wire.
    #[must_use]
    pub fn encode(events: &[(&Event, Option<EventId>)]) -> Bytes {
        let mut frames = Frames::default();
        for (event, id) in events {
            frames.event(event.name(), *id, event.data());
        }
        frames.into()
    }
}

/// The Rust code in the documents, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(doctest, feature = "jwt"))]
#[doc = include_str!("../docs/security.md")]
struct Security;
