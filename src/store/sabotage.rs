//! What tests do to a database behind the store's back.

use std::path::Path;

use diesel::{Connection, SqliteConnection, connection::SimpleConnection};

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

fn connect(database: &Path) -> SqliteConnection {
    let mut conn = SqliteConnection::establish(database.to_str().unwrap()).unwrap();
    conn.batch_execute("PRAGMA busy_timeout = 5000").unwrap();
    conn
}
