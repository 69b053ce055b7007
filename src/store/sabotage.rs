//! What tests do to a database behind the store's back.

use std::{path::Path, sync::atomic::Ordering};

use diesel::{Connection, SqliteConnection, connection::SimpleConnection, r2d2::PooledConnection};

use super::{Manager, Store};

/// Makes these statements, as another process would.
pub(crate) fn execute(database: &Path, statements: &str) {
    connect(database).batch_execute(statements).unwrap();
}

/// Keeps every commit waiting until it is dropped; not for longer than the store waits for a lock.
pub(crate) struct Held(#[expect(dead_code, reason = "it is there to be dropped")] SqliteConnection);

impl Held {
    pub(crate) fn new(database: &Path) -> Self {
        let mut conn = connect(database);
        conn.batch_execute("BEGIN IMMEDIATE").unwrap();
        Self(conn)
    }
}

/// Keeps every read waiting until they are dropped; not for longer than the store waits for a connection.
pub(crate) fn hold_reads(store: &Store) -> Vec<PooledConnection<Manager>> {
    (0..store.readers.max_size()).map(|_| store.readers.get().unwrap()).collect()
}

/// How many pages of history the store has been asked for.
pub(crate) fn pages_read(store: &Store) -> usize {
    store.pages_read.load(Ordering::Relaxed)
}

fn connect(database: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
    conn
}
