//! The one `UPDATE`, as a statement that diesel keeps: its own `update` is parsed anew each time it is run.

use diesel::{
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{BigInt, Nullable, Text},
    sqlite::Sqlite,
};

use super::models::signed;
use crate::event::Snapshot;

/// What new events change in their stream's row. No index has one of these columns, and none is written.
pub(super) struct SaveStream<'a> {
    id: i64,
    last_seq: i64,
    snapshot: &'a Snapshot,
    turn_count: i64,
    last_activity_at: i64,
}

impl<'a> SaveStream<'a> {
    pub(super) fn new(id: i64, last_seq: i64, snapshot: &'a Snapshot, now_ms: i64) -> Self {
        let turn_count = signed(snapshot.turn_count);
        Self { id, last_seq, snapshot, turn_count, last_activity_at: now_ms }
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
        out.push_bind_param::<BigInt, _>(&self.id)
    }
}

impl QueryId for SaveStream<'_> {
    /// Its text never changes.
    type QueryId = SaveStream<'static>;
}

impl RunQueryDsl<SqliteConnection> for SaveStream<'_> {}
