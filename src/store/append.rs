//! Appending: ids are given, events stored and the snapshot folded in one transaction.

use diesel::prelude::*;

use super::{
    StoreError,
    models::{NewEventRow, NewStreamRow, StreamRow, signed},
    schema::{events, streams},
};
use crate::{
    event::{Epoch, Event, EventId, Snapshot, Status, vocabulary},
    stream_key::StreamKey,
};

/// Events for one stream, all or none of which will be stored.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) key: StreamKey,
    /// Durable events, their data as it goes over the wire.
    pub(crate) events: Vec<Event>,
    /// Milliseconds since the Unix epoch.
    pub(crate) now_ms: i64,
}

/// What the store made of an [`Append`].
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    /// The id of the first event; the others follow without a hole.
    pub(crate) first: EventId,
    /// The stream's snapshot after the last event.
    pub(crate) snapshot: Snapshot,
}

/// Why nothing was appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error("the stream is completed")]
    Completed,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Appends within the transaction that `conn` is in. `None`: the stream is completed.
pub(super) fn append(
    conn: &mut SqliteConnection,
    append: &Append,
) -> QueryResult<Option<Appended>> {
    let mut row = find_or_create(conn, append)?;
    let mut snapshot = row.snapshot();
    if snapshot.status == Status::Completed {
        return Ok(None);
    }
    let vocabulary = vocabulary(append.key.kind());
    let first_seq = row.last_seq + 1;
    for event in &append.events {
        row.last_seq += 1;
        diesel::insert_into(events::table)
            .values(NewEventRow {
                stream_id: row.id,
                seq: row.last_seq,
                name: event.name(),
                data: event.data(),
                published_at: append.now_ms,
            })
            .execute(conn)?;
        snapshot.apply(&vocabulary.change(event.name(), event.data()));
    }
    row.set_snapshot(&snapshot);
    row.last_activity_at = append.now_ms;
    diesel::update(&row).set(&row).execute(conn)?;
    let first = EventId {
        epoch: row.epoch()?,
        seq: first_seq.unsigned_abs(),
    };
    Ok(Some(Appended { first, snapshot }))
}

fn find_or_create(conn: &mut SqliteConnection, append: &Append) -> QueryResult<StreamRow> {
    let (kind, name) = (append.key.kind().as_str(), append.key.id().as_str());
    let found = streams::table
        .filter(streams::kind.eq(kind).and(streams::name.eq(name)))
        .select(StreamRow::as_select())
        .first(conn)
        .optional()?;
    if let Some(row) = found {
        return Ok(row);
    }
    let empty = Snapshot::default();
    diesel::insert_into(streams::table)
        .values(NewStreamRow {
            kind,
            name,
            epoch: Epoch::random().as_str(),
            last_seq: 0,
            status: empty.status.as_str(),
            turn_count: signed(empty.turn_count),
            created_at: append.now_ms,
            last_activity_at: append.now_ms,
        })
        .returning(StreamRow::as_returning())
        .get_result(conn)
}
