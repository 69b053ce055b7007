//! Connections, each with the settings that durability rests on, and the migrations.

use std::time::Duration;

use diesel::{
    Connection, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    migration::{MigrationSource, MigrationVersion},
    r2d2::{self, CustomizeConnection},
    sql_types::{BigInt, Text},
    sqlite::Sqlite,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{DatabaseUrl, Manager, StoreError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The first SQLite without the WAL-reset bug.
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// What SQLite files of this program are marked with: "cSSE".
const APPLICATION_ID: i64 = 0x6353_5345;

/// How many reads may run at once.
const READERS: u32 = 4;

/// How long to wait for a lock, or for a free connection, before giving up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) type Pool = r2d2::Pool<Manager>;

/// Opens the database and brings its tables up to date; leaves what is not ours as it is.
pub(super) fn open(url: &DatabaseUrl) -> Result<SqliteConnection, StoreError> {
    let mut conn = connect(url)?;
    recognise(&mut conn).map_err(|reason| StoreError::Open { url: url.clone(), reason })?;
    settle(&mut conn, url)?;
    migrate(&mut conn)?;
    Ok(conn)
}

/// A connection to a database that has been [`open`]ed before, with every setting in place.
pub(super) fn reopen(url: &DatabaseUrl) -> Result<SqliteConnection, StoreError> {
    let mut conn = connect(url)?;
    settle(&mut conn, url)?;
    Ok(conn)
}

/// Whoever has the file locked, such as a connection that is just being closed, is waited for.
fn connect(url: &DatabaseUrl) -> Result<SqliteConnection, StoreError> {
    let failed = |reason| StoreError::Open { url: url.clone(), reason };
    let mut conn = SqliteConnection::establish(&url.0.to_string_lossy())
        .map_err(|error| failed(error.to_string()))?;
    conn.batch_execute(&format!("PRAGMA busy_timeout = {}", BUSY_TIMEOUT.as_millis()))
        .map_err(|error| failed(error.to_string()))?;
    Ok(conn)
}

fn settle(conn: &mut SqliteConnection, url: &DatabaseUrl) -> Result<(), StoreError> {
    configure(conn)
        .map_err(|error| StoreError::Open { url: url.clone(), reason: error.to_string() })?;
    verify(conn)
}

/// Refuses a database that has tables and was not made by this program.
fn recognise(conn: &mut SqliteConnection) -> Result<(), String> {
    let Marks { application_id, tables } = diesel::sql_query(
        "SELECT application_id, (SELECT count(*) FROM sqlite_schema) AS tables \
         FROM pragma_application_id",
    )
    .get_result(conn)
    .map_err(|error| error.to_string())?;
    if application_id == APPLICATION_ID {
        return Ok(());
    }
    if tables > 0 {
        return Err("it was made by another program".into());
    }
    conn.batch_execute(&format!("PRAGMA application_id = {APPLICATION_ID}"))
        .map_err(|error| error.to_string())
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

/// Brings the tables up to date, unless a newer version of this program has been at them.
fn migrate(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    type Failure = Box<dyn std::error::Error + Send + Sync>;
    let unavailable = |error: Failure| StoreError::Unavailable(error.to_string());
    let known = MigrationSource::<Sqlite>::migrations(&MIGRATIONS).map_err(unavailable)?;
    let is_known =
        |version: &MigrationVersion<'_>| known.iter().any(|own| own.name().version() == *version);
    let applied = conn.applied_migrations().map_err(unavailable)?;
    if let Some(newer) = applied.into_iter().find(|version| !is_known(version)) {
        return Err(StoreError::Newer(newer.to_string()));
    }
    conn.run_pending_migrations(MIGRATIONS).map(drop).map_err(unavailable)
}

/// Commits something of no importance.
pub(super) fn probe(conn: &mut SqliteConnection) -> diesel::QueryResult<()> {
    conn.batch_execute(&format!("PRAGMA user_version = {}", fastrand::i32(1..)))
}

/// Moves the log into the database and leaves it empty, unless somebody is reading.
pub(super) fn checkpoint(conn: &mut SqliteConnection) -> diesel::QueryResult<bool> {
    let Checkpoint { busy } =
        diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)").get_result(conn)?;
    Ok(busy == 0)
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
    if is_too_old(&version) {
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

fn is_too_old(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut part = || parts.next().unwrap_or(0);
    (part(), part(), part()) < SQLITE_VERSION_MIN
}

#[derive(QueryableByName)]
struct Marks {
    #[diesel(sql_type = BigInt)]
    application_id: i64,
    #[diesel(sql_type = BigInt)]
    tables: i64,
}

#[derive(QueryableByName)]
struct Checkpoint {
    #[diesel(sql_type = BigInt)]
    busy: i64,
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

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;
    use crate::store::Store;

    #[test]
    fn a_connection_that_is_just_being_closed_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::file(folder.path().join("clearside.db"));
        drop(open(&url).unwrap());
        let mut other = SqliteConnection::establish(&url.0.to_string_lossy()).unwrap();
        other
            .batch_execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
            .expect("the file is locked");
        let (done, opened) = mpsc::channel::<()>();
        let closing = thread::spawn(move || {
            assert!(opened.recv_timeout(Duration::from_millis(200)).is_err(), "it waits");
            drop(other);
        });
        open(&url).unwrap();
        drop(done);
        closing.join().unwrap();
    }

    #[test]
    fn every_connection_has_every_setting() {
        #[derive(QueryableByName)]
        struct More {
            #[diesel(sql_type = BigInt)]
            foreign_keys: i64,
            #[diesel(sql_type = BigInt)]
            timeout: i64,
        }
        fn check(conn: &mut SqliteConnection) {
            verify(conn).unwrap();
            let more = "SELECT foreign_keys, timeout FROM pragma_foreign_keys, pragma_busy_timeout";
            let More { foreign_keys, timeout } = diesel::sql_query(more).get_result(conn).unwrap();
            assert_eq!((foreign_keys, timeout), (1, 5000));
        }
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::file(folder.path().join("clearside.db"));
        check(&mut open(&url).unwrap());
        check(&mut reopen(&url).unwrap());
        let pool = pool(&url).unwrap();
        let mut all: Vec<_> = (0..READERS).map(|_| pool.get().unwrap()).collect();
        all.iter_mut().for_each(|conn| check(conn));
    }

    #[test]
    fn sqlite_is_compiled_as_the_configuration_says() {
        #[derive(QueryableByName)]
        struct Used {
            #[diesel(sql_type = BigInt)]
            used: i64,
        }
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        for option in ["THREADSAFE=2", "DEFAULT_MEMSTATUS=0"] {
            let query = format!("SELECT sqlite_compileoption_used('{option}') AS used");
            let Used { used } = diesel::sql_query(query).get_result(&mut conn).unwrap();
            assert_eq!(used, 1, "{option}: see .cargo/config.toml");
        }
    }

    #[test]
    fn a_connection_that_syncs_less_is_refused() {
        let (_folder, url, _) = database("");
        let mut conn = open(&url).unwrap();
        conn.batch_execute("PRAGMA synchronous = NORMAL").unwrap();
        let refused = verify(&mut conn).unwrap_err();
        assert!(matches!(refused, StoreError::Pragma("synchronous = FULL")), "{refused}");
        conn.batch_execute("PRAGMA synchronous = FULL; PRAGMA journal_mode = DELETE").unwrap();
        let refused = verify(&mut conn).unwrap_err();
        assert!(matches!(refused, StoreError::Pragma("a write-ahead log")), "{refused}");
    }

    #[test]
    fn a_sqlite_that_may_corrupt_a_log_is_too_old() {
        for (version, is_old) in [
            ("3.40.1", true),
            ("3.51.2", true),
            ("3.9.9", true),
            ("2.99.99", true),
            ("", true),
            ("3.51.3", false),
            ("3.52.0", false),
            ("4.0", false),
        ] {
            assert_eq!(is_too_old(version), is_old, "{version:?}");
        }
    }

    /// A database that these statements have made, as it is on the disk.
    fn database(statements: &str) -> (tempfile::TempDir, DatabaseUrl, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute(statements).unwrap();
        drop(conn);
        let bytes = std::fs::read(&path).unwrap();
        (folder, DatabaseUrl::file(path), bytes)
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_as_it_is() {
        for statements in [
            "CREATE TABLE bookmarks (id INTEGER)",
            "CREATE TABLE streams (id INTEGER); INSERT INTO streams VALUES (7)",
            "PRAGMA application_id = 7; CREATE TABLE streams (id INTEGER)",
        ] {
            let (_folder, url, before) = database(statements);
            let refused = Store::open(&url).unwrap_err();
            assert!(matches!(refused, StoreError::Open { .. }), "{refused}");
            assert!(refused.to_string().ends_with("it was made by another program"), "{refused}");
            assert_eq!(std::fs::read(&url.0).unwrap(), before, "{statements}");
        }
    }

    #[test]
    fn a_newer_database_is_refused_before_anything_is_changed() {
        let (_folder, url, _) = database("");
        drop(open(&url).unwrap());
        let mut conn = connect(&url).unwrap();
        // A newer version has come, and one of ours was never applied.
        conn.batch_execute(
            "DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations);
             DROP TABLE idempotency_keys;
             INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000');",
        )
        .unwrap();
        drop(conn);
        let before = std::fs::read(&url.0).unwrap();
        let refused = Store::open(&url).unwrap_err();
        assert!(
            matches!(&refused, StoreError::Newer(version) if version == "99990101000000"),
            "{refused}"
        );
        assert_eq!(std::fs::read(&url.0).unwrap(), before);
    }

    #[test]
    fn only_files_are_databases() {
        for (url, is_one) in [
            ("sqlite://clearside.db", true),
            ("sqlite:///var/lib/clearside.db", true),
            ("sqlite://:memory:", false),
            ("sqlite://", false),
            (":memory:", false),
            ("clearside.db", false),
            ("postgres://x", false),
        ] {
            assert_eq!(url.parse::<DatabaseUrl>().is_ok(), is_one, "{url}");
        }
    }
}
