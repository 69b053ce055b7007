//! What subscribers get: a chunk for one of them, a delivery for all who are live, a snapshot.

use bytes::Bytes;
use serde::Serialize;

use crate::{
    event::{Event, OpenUtterance, Snapshot},
    sse::Frames,
};

/// How many bytes of history are asked for at a time.
pub(crate) const CHUNK_BYTES: usize = 16 * 1024;

/// How many bytes a body hands to actix at a time.
///
/// actix-http fills a connection's write buffer until it holds more than a limit
/// ([`h1_write_buffer_size`](actix_web::HttpServer::h1_write_buffer_size)), and keeps what it has grown to. It
/// begins with 8 KiB: so much holds one piece beyond a limit of 7 KiB.
pub(crate) const PIECE_BYTES: usize = 1000;

/// A piece of a stream for one subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) then: Then,
}

/// What follows a [`Chunk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// More of the history: ask for it.
    More,
    /// Whatever happens next.
    Live,
    /// Nothing: the stream has ended.
    End,
}

/// What all live subscribers get.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) bytes: Bytes,
    /// Has events that must not be skipped.
    pub(crate) is_durable: bool,
    /// Has the event that ends the stream.
    pub(crate) is_final: bool,
    /// The tail before this delivery: where a subscriber that does not get it has come to.
    pub(crate) after: u64,
}

impl Chunk {
    /// The same chunk, with the head of the response before it.
    pub(crate) fn after_head(self, mut head: Frames) -> Self {
        head.raw(&self.bytes);
        Self { bytes: head.into(), ..self }
    }
}

impl Delivery {
    /// One transient event.
    pub(crate) fn single(event: &Event) -> Self {
        let mut frames = Frames::default();
        frames.event(event.name(), None, event.data());
        Self::transient(frames)
    }

    /// What nobody misses who does not get it.
    pub(crate) fn transient(frames: Frames) -> Self {
        Self { bytes: frames.into(), is_durable: false, is_final: false, after: 0 }
    }
}

/// A stream's state at this moment, as the `snapshot` event words it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Snapshot"))]
pub struct SnapshotView {
    /// What its events have come to. The speaker is the one who is being heard.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// What is being spoken.
    pub open: Vec<OpenUtterance>,
    /// How many follow the stream.
    pub subscribers: usize,
}

impl SnapshotView {
    /// A stream that is not in memory: nobody speaks.
    pub(crate) fn at_rest(snapshot: Snapshot, subscribers: usize) -> Self {
        Self { snapshot, open: Vec::new(), subscribers }
    }
}
