//! Rows, and what they mean outside the store.

use diesel::prelude::*;

use super::schema::{events, idempotency_keys, streams};
use crate::{
    event::{Epoch, EventId, Snapshot, Status},
    stream_key::{StreamKey, StreamKind},
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = streams)]
pub(super) struct StreamRow {
    pub(super) id: i64,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) epoch: String,
    pub(super) last_seq: i64,
    pub(super) status: String,
    pub(super) title: Option<String>,
    pub(super) phase: Option<String>,
    pub(super) speaker: Option<String>,
    pub(super) turn_count: i64,
    pub(super) summary: Option<String>,
    pub(super) created_at: i64,
    pub(super) last_activity_at: i64,
}

#[derive(Insertable)]
#[diesel(table_name = streams)]
pub(super) struct NewStreamRow<'a> {
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) epoch: &'a str,
    pub(super) last_seq: i64,
    pub(super) status: &'a str,
    pub(super) turn_count: i64,
    pub(super) created_at: i64,
    pub(super) last_activity_at: i64,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = idempotency_keys)]
pub(super) struct KeyRow {
    pub(super) stream_id: i64,
    pub(super) name: String,
    pub(super) digest: Vec<u8>,
    pub(super) first_seq: i64,
    pub(super) created_at: i64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = events)]
pub(super) struct EventRow {
    pub(super) seq: i64,
    pub(super) name: String,
    pub(super) data: String,
    pub(super) published_at: i64,
}

/// A stream as it is stored, but for its events.
#[derive(Debug, Clone)]
pub(crate) struct StoredStream {
    /// Grows with each stream that is created; lists are paged by it.
    pub(crate) row: i64,
    pub(crate) key: StreamKey,
    /// The id of the last event stored.
    pub(crate) tail: EventId,
    pub(crate) snapshot: Snapshot,
    /// Milliseconds since the Unix epoch.
    pub(crate) created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub(crate) last_activity_at: i64,
}

/// An event as it is stored; its data as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct StoredEvent {
    pub(crate) seq: u64,
    pub(crate) name: String,
    pub(crate) data: String,
    /// Milliseconds since the Unix epoch.
    pub(crate) published_at: i64,
}

impl StreamRow {
    pub(super) fn into_snapshot(self) -> Snapshot {
        Snapshot {
            status: Status::from_stored(&self.status),
            title: self.title,
            phase: self.phase,
            speaker: self.speaker,
            turn_count: unsigned(self.turn_count),
            summary: self.summary,
        }
    }

    /// The row's epoch; a row that holds anything else was not written by this program.
    pub(super) fn epoch(&self) -> QueryResult<Epoch> {
        self.epoch
            .parse()
            .map_err(|error| diesel::result::Error::DeserializationError(Box::new(error)))
    }

    pub(super) fn into_stored(self) -> QueryResult<StoredStream> {
        let corrupt = |error| diesel::result::Error::DeserializationError(Box::new(error));
        let kind: StreamKind = self.kind.parse().map_err(corrupt)?;
        Ok(StoredStream {
            row: self.id,
            key: StreamKey::new(kind, self.name.parse().map_err(corrupt)?),
            tail: EventId { epoch: self.epoch()?, seq: unsigned(self.last_seq) },
            created_at: self.created_at,
            last_activity_at: self.last_activity_at,
            snapshot: self.into_snapshot(),
        })
    }
}

impl From<EventRow> for StoredEvent {
    fn from(row: EventRow) -> Self {
        Self {
            seq: unsigned(row.seq),
            name: row.name,
            data: row.data,
            published_at: row.published_at,
        }
    }
}

/// SQLite knows no unsigned numbers; ours never reach the sign.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
