//! Live streams of AI debates and conversations over Server-Sent Events, with history that lasts.

#[cfg(feature = "server")]
mod app;
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

pub use crate::{
    clock::Clock,
    event::{
        Epoch, Event, EventError, EventId, IdempotencyKey, InvalidEventId, InvalidIdempotencyKey,
        JsonError, NewEvent, PayloadError, conversation, debate,
    },
    http::{Api, cors},
    hub::{
        BATCH_MAX, Broadcast, BroadcastError, ClientCounts, Hub, HubConfig, HubStats, KindStats,
        PublishError, Published, Registry, RegistryAddr, SendToClient, SendToClientError, Shutdown,
        Stats,
    },
    orchestrator::{
        Command, Control, ControlError, Cue, Launch, Manner, Pace, Players, Progress, Speaker,
        Speech, Transcript, TranscriptError, WaitForEnd, tokens,
    },
    store::{DatabaseUrl, Store, StoreError},
    stream_key::{InvalidStreamKey, StreamId, StreamKey, StreamKind},
};
