//! Reading: each query is a look-up in an index, never a scan.

use diesel::{connection::DefaultLoadingMode, prelude::*};

use super::{
    models::{EventRow, StoredEvent, StoredStream, StreamRow, signed},
    schema::{events, streams},
};
use crate::{
    event::EventId,
    stream_key::{StreamKey, StreamKind},
};

/// How much of a history is read at once; at least one event, if there is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageLimits {
    pub(crate) events: usize,
    /// Bytes of data, above which no further event is added.
    pub(crate) bytes: usize,
}

pub(super) fn row(conn: &mut SqliteConnection, key: &StreamKey) -> QueryResult<Option<StreamRow>> {
    streams::table
        .filter(streams::kind.eq(key.kind().as_str()).and(streams::name.eq(key.id().as_str())))
        .select(StreamRow::as_select())
        .get_result(conn)
        .optional()
}

pub(super) fn load(
    conn: &mut SqliteConnection,
    key: &StreamKey,
) -> QueryResult<Option<StoredStream>> {
    row(conn, key)?.map(StreamRow::into_stored).transpose()
}

pub(super) fn page(
    conn: &mut SqliteConnection,
    key: &StreamKey,
    cursor: EventId,
    limits: PageLimits,
) -> QueryResult<Vec<StoredEvent>> {
    let stream_id: Option<i64> = streams::table
        .filter(streams::kind.eq(key.kind().as_str()).and(streams::name.eq(key.id().as_str())))
        .filter(streams::epoch.eq(cursor.epoch.as_str()))
        .select(streams::id)
        .get_result(conn)
        .optional()?;
    let Some(stream_id) = stream_id else {
        return Ok(Vec::new());
    };
    let rows = events::table
        .filter(events::stream_id.eq(stream_id).and(events::seq.gt(signed(cursor.seq))))
        .order(events::seq)
        .select(EventRow::as_select())
        .load_iter::<_, DefaultLoadingMode>(conn)?;
    let mut page = Vec::new();
    let mut bytes = 0;
    // They are read one by one, and no more of them than are taken.
    for row in rows.take(limits.events) {
        let event = StoredEvent::from(row?);
        bytes += event.data.len();
        if !page.is_empty() && bytes > limits.bytes {
            break;
        }
        page.push(event);
    }
    Ok(page)
}

pub(super) fn list(
    conn: &mut SqliteConnection,
    kind: StreamKind,
    before: Option<i64>,
    limit: usize,
) -> QueryResult<Vec<StoredStream>> {
    let rows: Vec<StreamRow> = streams::table
        .filter(streams::kind.eq(kind.as_str()).and(streams::id.lt(before.unwrap_or(i64::MAX))))
        .order(streams::id.desc())
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(StreamRow::as_select())
        .load(conn)?;
    rows.into_iter().map(StreamRow::into_stored).collect()
}

pub(super) fn ping(conn: &mut SqliteConnection) -> QueryResult<()> {
    streams::table.select(streams::id).first::<i64>(conn).optional().map(drop)
}
