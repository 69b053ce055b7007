//! The statements of each append, as ones that diesel keeps under their type: its own `update` is parsed anew each time
//! it is run, and of its `insert_into` the text is put together anew each time to find what was kept.

use diesel::{
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{BigInt, Nullable, Text},
    sqlite::Sqlite,
};

use super::models::signed;
use crate::event::{Epoch, Snapshot};

/// What new events change in their stream's row. No index has one of these columns, and none is written.
pub(super) struct SaveStream<'a> {
    id: i64,
    epoch: &'a str,
    last_seq: i64,
    snapshot: &'a Snapshot,
    turn_count: i64,
    last_activity_at: i64,
}

impl<'a> SaveStream<'a> {
    pub(super) fn new(
        id: i64,
        epoch: &'a Epoch,
        last_seq: i64,
        snapshot: &'a Snapshot,
        now_ms: i64,
    ) -> Self {
        let (epoch, turn_count) = (epoch.as_str(), signed(snapshot.turn_count));
        Self { id, epoch, last_seq, snapshot, turn_count, last_activity_at: now_ms }
    }
}

impl QueryFragment<Sqlite> for SaveStream<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let Snapshot { status, title, phase, speaker, turn_count: _, summary } = self.snapshot;
        out.push_sql("UPDATE streams SET last_seq = ");
        out.push_bind_param::<BigInt, _>(&self.last_seq)?;
        out.push_sql(", status = ");
        out.push_bind_param::<Text, _>(status.as_str())?;
        out.push_sql(", title = ");
        out.push_bind_param::<Nullable<Text>, _>(title)?;
        out.push_sql(", phase = ");
        out.push_bind_param::<Nullable<Text>, _>(phase)?;
        out.push_sql(", speaker = ");
        out.push_bind_param::<Nullable<Text>, _>(speaker)?;
        out.push_sql(", turn_count = ");
        out.push_bind_param::<BigInt, _>(&self.turn_count)?;
        out.push_sql(", summary = ");
        out.push_bind_param::<Nullable<Text>, _>(summary)?;
        out.push_sql(", last_activity_at = ");
        out.push_bind_param::<BigInt, _>(&self.last_activity_at)?;
        out.push_sql(" WHERE id = ");
        out.push_bind_param::<BigInt, _>(&self.id)?;
        out.push_sql(" AND epoch = ");
        out.push_bind_param::<Text, _>(self.epoch)
    }
}

impl QueryId for SaveStream<'_> {
    /// Its text never changes.
    type QueryId = SaveStream<'static>;
}

impl RunQueryDsl<SqliteConnection> for SaveStream<'_> {}

/// A new event's row.
pub(super) struct AddEvent<'a> {
    pub(super) stream_id: i64,
    pub(super) seq: i64,
    pub(super) name: &'a str,
    pub(super) data: &'a str,
    pub(super) published_at: i64,
}

impl QueryFragment<Sqlite> for AddEvent<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("INSERT INTO events (stream_id, seq, name, data, published_at) VALUES (");
        out.push_bind_param::<BigInt, _>(&self.stream_id)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.seq)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.name)?;
        out.push_sql(", ");
        out.push_bind_param::<Text, _>(self.data)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.published_at)?;
        out.push_sql(")");
        Ok(())
    }
}

impl QueryId for AddEvent<'_> {
    /// Its text never changes.
    type QueryId = AddEvent<'static>;
}

impl RunQueryDsl<SqliteConnection> for AddEvent<'_> {}
