//! Appending: ids are given, events stored and the snapshot folded in one transaction.
//!
//! Each statement is prepared once and then only run: to parse it costs several times as much. Two things that
//! are usual with diesel would undo that, and a test looks for both. An `update` is never kept (see
//! [`statements`](super::statements)); and SQLite parses a statement with `LIMIT ?`, which `first` adds, whenever a
//! value is bound, so that what is unique is asked for with `get_result`.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
    time::Duration,
};

use diesel::prelude::*;

use super::{
    models::{KeyRow, NewStreamRow, StreamRow},
    read,
    schema::{idempotency_keys, streams},
    statements::{AddEvent, SaveStream},
};
use crate::{
    event::{Epoch, Event, EventId, KeyedDigest, Snapshot, Status},
    stream_key::StreamKey,
};

/// How many streams the thread that writes knows by heart. Past it, it forgets all of them and reads them again.
pub(super) const KNOWN_MAX: usize = 8192;

/// How many bytes of text a stream's snapshot may have to be known by heart.
pub(super) const KNOWN_TEXT_MAX: usize = 4096;

/// How long a key is remembered.
pub(crate) const KEY_LIFETIME: Duration = Duration::from_hours(24);

/// Publishes for one stream, in their order.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) stream: StreamKey,
    pub(crate) publishes: Vec<AppendPublish>,
    /// Milliseconds since the Unix epoch.
    pub(crate) now_ms: i64,
    /// Keys that are no younger than this are forgotten.
    pub(crate) keys_expired_at_ms: i64,
}

/// Events of which the durable ones are stored together or not at all.
#[derive(Debug)]
pub(crate) struct AppendPublish {
    /// Their data as it goes over the wire.
    pub(crate) events: Arc<[Event]>,
    pub(crate) key: Option<KeyedDigest>,
}

/// What the store made of an [`Append`].
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    /// One for each publish.
    pub(crate) outcomes: Vec<Outcome>,
    /// The id of the last event stored, whoever has stored it.
    pub(crate) tail: EventId,
    /// The stream's snapshot after that event.
    pub(crate) snapshot: Snapshot,
}

/// What the store made of one publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Stored. The id is the first event's; the others follow without a hole.
    Stored(EventId),
    /// Stored before, under the same key.
    Repeated(EventId),
    /// The key was used for something else.
    KeyReused,
    /// The stream has ended.
    Completed,
}

/// Appends within the transaction that `conn` is in. Should that fail, at its end or before, `known` must be dropped.
pub(super) fn append(
    conn: &mut SqliteConnection,
    known: &mut KnownStreams,
    append: &Append,
) -> QueryResult<Appended> {
    let stream = known.find_or_create(conn, append)?;
    let store = |publish| stream.store(conn, publish, append);
    let outcomes = append.publishes.iter().map(store).collect::<QueryResult<Vec<_>>>()?;
    if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stored(_))) {
        stream.save(conn, append.now_ms)?;
    }
    let (tail, snapshot) = (stream.id(stream.last_seq), stream.snapshot.clone());
    if snapshot.text_len() > KNOWN_TEXT_MAX {
        known.forget(&append.stream);
    }
    Ok(Appended { outcomes, tail, snapshot })
}

/// The streams that were last appended to, as they are in the database, which nobody else writes: a look-up there costs
/// as much as the event's own row.
#[derive(Default)]
pub(super) struct KnownStreams(HashMap<StreamKey, KnownStream>);

impl KnownStreams {
    fn find_or_create(
        &mut self,
        conn: &mut SqliteConnection,
        append: &Append,
    ) -> QueryResult<&mut KnownStream> {
        if self.0.len() >= KNOWN_MAX && !self.0.contains_key(&append.stream) {
            self.0.clear();
        }
        Ok(match self.0.entry(append.stream.clone()) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(entry) => {
                entry.insert(KnownStream::find_or_create(conn, append)?)
            }
        })
    }

    fn forget(&mut self, stream: &StreamKey) {
        self.0.remove(stream);
    }
}

/// What of a stream's row changes when events are added to it, and what they are added by.
struct KnownStream {
    row: i64,
    epoch: Epoch,
    last_seq: i64,
    snapshot: Snapshot,
}

impl KnownStream {
    fn find_or_create(conn: &mut SqliteConnection, append: &Append) -> QueryResult<Self> {
        let row = match read::row(conn, &append.stream)? {
            Some(row) => row,
            None => diesel::insert_into(streams::table)
                .values(NewStreamRow {
                    kind: append.stream.kind().as_str(),
                    name: append.stream.id().as_str(),
                    epoch: Epoch::random().as_str(),
                    last_seq: 0,
                    status: Status::default().as_str(),
                    turn_count: 0,
                    created_at: append.now_ms,
                    last_activity_at: append.now_ms,
                })
                .returning(StreamRow::as_returning())
                .get_result(conn)?,
        };
        let (epoch, last_seq) = (row.epoch()?, row.last_seq);
        Ok(Self { row: row.id, epoch, last_seq, snapshot: row.into_snapshot() })
    }

    fn store(
        &mut self,
        conn: &mut SqliteConnection,
        publish: &AppendPublish,
        &Append { now_ms, keys_expired_at_ms, .. }: &Append,
    ) -> QueryResult<Outcome> {
        if let Some(outcome) = self.find_key(conn, publish, keys_expired_at_ms)? {
            return Ok(outcome);
        }
        // Before the completed check: who repeats the publish that ended the stream gets its ids.
        if self.snapshot.status == Status::Completed {
            return Ok(Outcome::Completed);
        }
        let first_seq = self.last_seq + 1;
        for event in publish.events.iter().filter(|event| !event.is_transient()) {
            self.last_seq += 1;
            let event_row = AddEvent {
                stream_id: self.row,
                seq: self.last_seq,
                name: event.name(),
                data: event.data(),
                published_at: now_ms,
            };
            event_row.execute(conn)?;
            self.snapshot.apply(event.change());
        }
        if let Some(keyed) = &publish.key {
            diesel::replace_into(idempotency_keys::table)
                .values(KeyRow {
                    stream_id: self.row,
                    name: keyed.key.as_str().to_owned(),
                    digest: keyed.digest.to_vec(),
                    first_seq,
                    created_at: now_ms,
                })
                .execute(conn)?;
        }
        Ok(Outcome::Stored(self.id(first_seq)))
    }

    /// What was done under the publish's key before, if anything.
    fn find_key(
        &self,
        conn: &mut SqliteConnection,
        publish: &AppendPublish,
        expired_at: i64,
    ) -> QueryResult<Option<Outcome>> {
        let Some(keyed) = &publish.key else { return Ok(None) };
        diesel::delete(idempotency_keys::table.filter(idempotency_keys::created_at.le(expired_at)))
            .execute(conn)?;
        let found: Option<KeyRow> = idempotency_keys::table
            .find((self.row, keyed.key.as_str()))
            .select(KeyRow::as_select())
            .get_result(conn)
            .optional()?;
        Ok(found.map(|found| match found.digest == keyed.digest {
            true => Outcome::Repeated(self.id(found.first_seq)),
            false => Outcome::KeyReused,
        }))
    }

    fn save(&self, conn: &mut SqliteConnection, now_ms: i64) -> QueryResult<()> {
        let Self { row, epoch, last_seq, snapshot } = self;
        match SaveStream::new(*row, epoch, *last_seq, snapshot, now_ms).execute(conn)? {
            1 => Ok(()),
            // Somebody has been at the database, and the row is another stream's by now.
            _ => Err(diesel::result::Error::NotFound),
        }
    }

    fn id(&self, seq: i64) -> EventId {
        EventId { epoch: self.epoch, seq: seq.unsigned_abs() }
    }
}
