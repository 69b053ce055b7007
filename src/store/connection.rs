//! Connections, each with the settings that durability rests on, and the migrations.

use std::time::Duration;

use diesel::{
    Connection, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    r2d2::{self, CustomizeConnection},
    sql_types::{BigInt, Text},
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{DatabaseUrl, Manager, StoreError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The first SQLite without the WAL-reset bug.
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// How many reads may run at once.
const READERS: u32 = 4;

/// How long to wait for a lock, or for a free connection, before giving up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type Pool = r2d2::Pool<Manager>;

/// A connection with every setting in place.
pub(super) fn establish(url: &DatabaseUrl) -> Result<SqliteConnection, StoreError> {
    let open_error = |reason: String| StoreError::Open { url: url.clone(), reason };
    let path = url.0.to_string_lossy();
    let mut conn =
        SqliteConnection::establish(&path).map_err(|error| open_error(error.to_string()))?;
    configure(&mut conn).map_err(|error| open_error(error.to_string()))?;
    verify(&mut conn)?;
    Ok(conn)
}

/// The pool that reads go through.
pub(super) fn pool(url: &DatabaseUrl) -> Result<Pool, StoreError> {
    r2d2::Pool::builder()
        .max_size(READERS)
        .connection_timeout(BUSY_TIMEOUT)
        .connection_customizer(Box::new(Settings))
        .build(Manager::new(url.0.to_string_lossy()))
        .map_err(|error| StoreError::Open { url: url.clone(), reason: error.to_string() })
}

/// Brings the tables up to date.
pub(super) fn migrate(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let unavailable = |error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::Unavailable(error.to_string())
    };
    conn.run_pending_migrations(MIGRATIONS).map_err(unavailable)?;
    let known =
        diesel::migration::MigrationSource::<diesel::sqlite::Sqlite>::migrations(&MIGRATIONS)
            .map_err(unavailable)?;
    let applied = conn.applied_migrations().map_err(unavailable)?;
    let newer = applied
        .into_iter()
        .find(|version| known.iter().all(|own| own.name().version() != *version));
    newer.map_or(Ok(()), |version| Err(StoreError::Newer(version.to_string())))
}

/// Write-ahead log and a full sync at every commit: an acknowledged event survives a power cut.
fn configure(conn: &mut SqliteConnection) -> diesel::QueryResult<()> {
    conn.batch_execute(&format!(
        "PRAGMA busy_timeout = {};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;",
        BUSY_TIMEOUT.as_millis()
    ))
}

/// Asserts that the settings took: SQLite ignores a `PRAGMA` it cannot follow.
fn verify(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let unavailable = |error: diesel::result::Error| StoreError::Unavailable(error.to_string());
    let Version { version } = diesel::sql_query("SELECT sqlite_version() AS version")
        .get_result(conn)
        .map_err(unavailable)?;
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    if (part(), part(), part()) < SQLITE_VERSION_MIN {
        return Err(StoreError::SqliteTooOld(version));
    }
    let JournalMode { journal_mode } =
        diesel::sql_query("PRAGMA journal_mode").get_result(conn).map_err(unavailable)?;
    if journal_mode != "wal" {
        return Err(StoreError::Pragma("a write-ahead log"));
    }
    let Synchronous { synchronous } =
        diesel::sql_query("PRAGMA synchronous").get_result(conn).map_err(unavailable)?;
    if synchronous != 2 {
        return Err(StoreError::Pragma("synchronous = FULL"));
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct JournalMode {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

#[derive(QueryableByName)]
struct Synchronous {
    #[diesel(sql_type = BigInt)]
    synchronous: i64,
}

/// Puts the settings on every pooled connection.
#[derive(Debug)]
struct Settings;

impl CustomizeConnection<SqliteConnection, r2d2::Error> for Settings {
    fn on_acquire(&self, conn: &mut SqliteConnection) -> Result<(), r2d2::Error> {
        configure(conn).map_err(r2d2::Error::QueryError)
    }
}
