//! One stream's state machine: its place in the history, its snapshot and its subscribers. No I/O, no
//! actix, no clock.
//!
//! A subscriber is either *live* and gets every delivery, or *behind* and asks for one chunk of history
//! after the other. It becomes live in the very step that hands it the last chunk, so that there is no
//! moment at which an event could pass it by. Whoever cannot keep up goes behind again.

use std::time::Duration;

use bytes::Bytes;
use indexmap::IndexMap;
use serde::Serialize;
use uuid::Uuid;

use super::{
    delivery::{CHUNK_BYTES, Chunk, Delivery, SnapshotView, Then},
    history::{Frame, History},
    replay::{self, Extent, Start},
};
use crate::{
    event::{Event, EventId, Heartbeat, OpenText, Snapshot, Status, Vocabulary, vocabulary},
    sse::{Cursor, Frames},
    store::{StoredEvent, StoredStream},
    stream_key::StreamKey,
};

/// One stream. `H` is whatever reaches a subscriber.
#[derive(Debug)]
pub(crate) struct StreamState<H> {
    key: StreamKey,
    /// The last id stored; none before the first durable event.
    tail: Option<EventId>,
    snapshot: Snapshot,
    open: OpenText,
    history: History,
    /// Gaps that were told since [`take_gaps`](Self::take_gaps).
    gaps: u64,
    /// In the order in which they came, which is that of their connections in memory, ours and the kernel's: thousands
    /// of them are walked through for each delivery, and a random order misses every cache.
    subscribers: IndexMap<Uuid, Subscriber<H>>,
}

#[derive(Debug)]
struct Subscriber<H> {
    handle: H,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Has everything, and gets what comes.
    Live,
    /// Has everything up to this sequence number, and asks for more when it can take it.
    Behind(u64),
}

/// What a subscriber that is behind gets next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Chunk(Chunk),
    /// The ring does not reach back that far: read on from here.
    Read(EventId),
}

impl<H> StreamState<H> {
    pub(crate) fn new(key: StreamKey, history: History) -> Self {
        Self {
            key,
            tail: None,
            snapshot: Snapshot::default(),
            open: OpenText::default(),
            history,
            gaps: 0,
            subscribers: IndexMap::new(),
        }
    }

    /// Takes up where the store left off.
    pub(crate) fn restore(&mut self, stored: StoredStream) {
        self.tail = Some(stored.tail);
        self.snapshot = stored.snapshot;
    }

    pub(crate) fn is_completed(&self) -> bool {
        self.snapshot.status == Status::Completed
    }

    pub(crate) fn tail(&self) -> Option<EventId> {
        self.tail
    }

    /// Whether the stream has anything that a restart would bring back.
    pub(crate) fn is_stored(&self) -> bool {
        self.tail.is_some()
    }

    /// Whether anything has been published, as far as anyone remembers.
    pub(crate) fn has_begun(&self) -> bool {
        self.snapshot.status != Status::Waiting
    }

    /// Whether somebody is being heard, as far as anyone has said.
    pub(crate) fn is_being_spoken(&self) -> bool {
        !self.open.is_empty()
    }

    pub(crate) fn subscriber_count(&self) -> usize {
        self.subscribers.len()
    }

    pub(crate) fn view(&self) -> SnapshotView {
        let mut snapshot = self.snapshot.clone();
        if let Some(speaker) = self.open.speaker() {
            snapshot.speaker = Some(speaker.to_owned());
        }
        let open = self.open.utterances().to_vec();
        SnapshotView { snapshot, open, subscribers: self.subscribers.len() }
    }

    /// How many gaps were told since this was last asked.
    pub(crate) fn take_gaps(&mut self) -> u64 {
        std::mem::take(&mut self.gaps)
    }

    /// Takes a subscriber in and words its greeting; `None` if it has seen the end already.
    ///
    /// It is behind until a chunk says otherwise.
    pub(crate) fn join(
        &mut self,
        subscriber: Uuid,
        handle: H,
        cursor: Cursor,
        retry: Duration,
        now_ms: i64,
    ) -> Option<Frames> {
        let Start::After(after, gap) = replay::start(cursor, self.extent()) else {
            return None;
        };
        let mut frames = Frames::default();
        frames.retry(retry);
        let (name, data) = self.vocabulary().greeting(self.key.id(), subscriber, now_ms);
        frames.event(name, None, &data);
        if let Some(gap) = gap {
            self.gaps += 1;
            frames.event("gap", self.id(after), &json(&gap));
        }
        self.subscribers.insert(subscriber, Subscriber { handle, place: Place::Behind(after) });
        Some(frames)
    }

    /// Forgets a subscriber; `None` if it was not there.
    pub(crate) fn leave(&mut self, subscriber: Uuid) -> Option<H> {
        self.subscribers.swap_remove(&subscriber).map(|subscriber| subscriber.handle)
    }

    pub(crate) fn handle(&self, subscriber: Uuid) -> Option<&H> {
        self.subscribers.get(&subscriber).map(|subscriber| &subscriber.handle)
    }

    pub(crate) fn is_live(&self, subscriber: Uuid) -> bool {
        self.subscribers.get(&subscriber).is_some_and(|subscriber| subscriber.place == Place::Live)
    }

    /// How to reach every subscriber, live or behind.
    pub(crate) fn handles(&self) -> impl Iterator<Item = &H> {
        self.subscribers.values().map(|subscriber| &subscriber.handle)
    }

    pub(crate) fn handles_mut(&mut self) -> impl Iterator<Item = &mut H> {
        self.subscribers.values_mut().map(|subscriber| &mut subscriber.handle)
    }

    /// What keeps an idle connection open.
    pub(crate) fn heartbeat(&self, now_ms: i64) -> Delivery {
        let mut frames = Frames::default();
        match self.vocabulary().heartbeat(self.key.id(), now_ms) {
            Heartbeat::Comment(text) => frames.comment(text),
            Heartbeat::Event(name, data) => frames.event(name, None, &data),
        }
        Delivery::transient(frames)
    }

    /// The subscribers that get the next delivery.
    pub(crate) fn live(&self) -> impl Iterator<Item = (Uuid, &H)> {
        self.subscribers
            .iter()
            .filter(|(_, subscriber)| subscriber.place == Place::Live)
            .map(|(id, subscriber)| (*id, &subscriber.handle))
    }

    /// A live subscriber did not get a delivery: it has everything up to `after`.
    pub(crate) fn fall_behind(&mut self, subscriber: Uuid, after: u64) -> Option<&H> {
        let subscriber = self.subscribers.get_mut(&subscriber)?;
        subscriber.place = Place::Behind(after);
        Some(&subscriber.handle)
    }

    /// What a subscriber gets next, from the ring if that reaches back far enough.
    pub(crate) fn next(&mut self, subscriber: Uuid) -> Option<Next> {
        let Place::Behind(after) = self.subscribers.get(&subscriber)?.place else {
            return None;
        };
        let tail = match self.tail {
            Some(tail) if after < tail.seq => tail,
            _ => return Some(Next::Chunk(self.chunk(subscriber, after, Vec::new()))),
        };
        let Some(frames) = self.history.after(after) else {
            return Some(Next::Read(EventId { seq: after, ..tail }));
        };
        let mut bytes = 0;
        let frames = frames
            .take_while(|frame| {
                let is_first = bytes == 0;
                bytes += frame.bytes.len();
                is_first || bytes <= CHUNK_BYTES
            })
            .cloned()
            .collect();
        Some(Next::Chunk(self.chunk(subscriber, after, frames)))
    }

    /// What a subscriber gets of a page that was read for it.
    pub(crate) fn page(&mut self, subscriber: Uuid, page: &[StoredEvent]) -> Option<Chunk> {
        let Place::Behind(after) = self.subscribers.get(&subscriber)?.place else { return None };
        // The store may be ahead of us: what it has committed and not yet answered is still to be
        // published, and comes to this subscriber by mail.
        let tail = self.tail.map_or(0, |tail| tail.seq);
        let encode = |event: &StoredEvent| {
            let mut frames = Frames::default();
            frames.event(&event.name, self.id(event.seq), &event.data);
            Frame { seq: event.seq, bytes: frames.into() }
        };
        let frames = page.iter().take_while(|event| event.seq <= tail).map(encode).collect();
        Some(self.chunk(subscriber, after, frames))
    }

    /// The store has come to `next` without us: whoever is live has to read what came before it.
    ///
    /// Names those who were live; without a hole, nobody.
    pub(crate) fn overtaken_by(&mut self, next: EventId) -> Vec<Uuid> {
        let reached = self.tail.map_or(0, |tail| tail.seq);
        if reached + 1 == next.seq {
            return Vec::new();
        }
        self.history.clear();
        // What has been said meanwhile is not known here.
        self.open = OpenText::default();
        self.tail = Some(EventId { seq: next.seq - 1, ..next });
        let live: Vec<_> = self.live().map(|(subscriber, _)| subscriber).collect();
        for subscriber in &live {
            self.fall_behind(*subscriber, reached);
        }
        live
    }

    /// Events were accepted, and those with ids stored: what all live subscribers get.
    pub(crate) fn publish(
        &mut self,
        events: &[(&Event, Option<EventId>)],
        snapshot: Option<Snapshot>,
    ) -> Delivery {
        let after = self.tail.map_or(0, |tail| tail.seq);
        let mut delivery = Frames::default();
        let mut stored = Vec::new();
        let mut is_final = false;
        for (event, id) in events {
            self.open.apply(event.change());
            is_final |= event.is_final();
            let start = delivery.len();
            delivery.event(event.name(), *id, event.data());
            stored.extend(id.map(|id| (id, start..delivery.len())));
        }
        let bytes = Bytes::from(delivery);
        let is_durable = !stored.is_empty();
        let stored_bytes: usize = stored.iter().map(|(_, range)| range.len()).sum();
        // A slice keeps the whole delivery in memory, of which the ring counts no more than the slice.
        let may_share = bytes.len() - stored_bytes <= bytes.len() / 8;
        for (id, range) in stored {
            let frame = bytes.slice(range);
            let frame = if may_share { frame } else { Bytes::copy_from_slice(&frame) };
            self.history.push(Frame { seq: id.seq, bytes: frame });
            self.tail = Some(id);
        }
        match snapshot {
            Some(snapshot) => self.snapshot = snapshot,
            None if self.snapshot.status == Status::Waiting => self.snapshot.status = Status::Live,
            None => {}
        }
        Delivery { bytes, is_durable, is_final, after }
    }

    /// Words the frames that follow `after`, and the snapshot where they reach the tail.
    fn chunk(&mut self, subscriber: Uuid, after: u64, frames: Vec<Frame>) -> Chunk {
        let mut chunk = Frames::default();
        let mut reached = after;
        let tail = self.tail.map_or(0, |tail| tail.seq);
        // The history may end before the tail: whatever is left of it cannot be replayed.
        let missing_up_to = if frames.is_empty() { tail } else { 0 };
        self.write_gap(&mut chunk, &mut reached, missing_up_to);
        for frame in &frames {
            self.write_gap(&mut chunk, &mut reached, frame.seq - 1);
            if self.is_completed() && frame.seq == tail {
                self.write_snapshot(&mut chunk, reached);
            }
            chunk.raw(&frame.bytes);
            reached = frame.seq;
        }
        let then = match (reached < tail, self.is_completed()) {
            (true, _) => Then::More,
            (false, true) => Then::End,
            (false, false) => {
                self.write_snapshot(&mut chunk, reached);
                Then::Live
            }
        };
        if let Some(subscriber) = self.subscribers.get_mut(&subscriber) {
            subscriber.place =
                if then == Then::Live { Place::Live } else { Place::Behind(reached) };
        }
        Chunk { bytes: chunk.into(), then }
    }

    /// Says that what comes before and with `up_to` is missing, if anything is.
    fn write_gap(&mut self, chunk: &mut Frames, reached: &mut u64, up_to: u64) {
        let missed = up_to.saturating_sub(*reached);
        if missed > 0 {
            let gap = replay::Gap {
                requested: self.id(*reached),
                reason: replay::GapReason::Expired,
                missed: Some(missed),
            };
            *reached = up_to;
            self.gaps += 1;
            chunk.event("gap", self.id(up_to), &json(&gap));
        }
    }

    fn write_snapshot(&self, chunk: &mut Frames, seq: u64) {
        let view = json(&self.view());
        match self.id(seq) {
            Some(id) => chunk.event("snapshot", Some(id), &view),
            // Whoever is cut off before the first event must not miss it.
            None => chunk.event_before_the_first("snapshot", &view),
        }
    }

    fn extent(&self) -> Option<Extent> {
        self.tail.map(|tail| Extent { before_first: 0, tail, is_completed: self.is_completed() })
    }

    fn id(&self, seq: u64) -> Option<EventId> {
        self.tail.map(|tail| EventId { seq, ..tail })
    }

    fn vocabulary(&self) -> &'static dyn Vocabulary {
        vocabulary(self.key.kind())
    }
}

/// Our own data has string keys and no floats: writing it as JSON cannot fail.
fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap_or_default()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
