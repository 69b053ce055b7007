//! History that lasts: SQLite through diesel. Nothing outside this module knows of either.
//!
//! One thread writes (see [`group_commit`]); reads go through a pool and run beside it. A sequence number
//! is given inside the transaction that stores its event, so that it can be neither lost nor given twice.

mod append;
mod connection;
mod group_commit;
mod models;
mod read;
#[cfg(test)]
pub(crate) mod sabotage;
mod schema;
mod statements;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use diesel::{SqliteConnection, r2d2::ConnectionManager};

pub(crate) use self::{
    append::{Append, AppendPublish, Appended, KEY_LIFETIME, Outcome},
    models::{StoredEvent, StoredStream},
    read::PageLimits,
};
use self::{connection::Pool, group_commit::GroupCommit};
use crate::{
    event::EventId,
    stream_key::{StreamKey, StreamKind},
};

/// How long a commit may take before the store counts as unable to write: no lock is waited for any longer,
/// so that whatever takes more time is a disk that does not answer.
const COMMIT_MAX: Duration = Duration::from_secs(5);

/// Where a database is, as in `sqlite://clearside.db` (relative) or `sqlite:///var/lib/clearside.db`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseUrl(PathBuf);

impl DatabaseUrl {
    /// The database in this file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }
}

impl FromStr for DatabaseUrl {
    type Err = StoreError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        match url.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() && path != ":memory:" => Ok(Self(path.into())),
            _ => Err(StoreError::Url),
        }
    }
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "sqlite://{}", self.0.display())
    }
}

/// A cloneable handle to the database.
#[derive(Clone)]
pub struct Store {
    readers: Pool,
    writer: GroupCommit,
    // Held for as long as any handle lives: a second process on the same file would give ids of its own.
    _lock: Arc<File>,
    #[cfg(test)]
    pages_read: Arc<std::sync::atomic::AtomicUsize>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database, making and migrating it first if need be. Blocks.
    ///
    /// # Errors
    /// When the file cannot be opened or written, is no database of this program or a newer one's, or is
    /// in use by another process.
    pub fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let real = real_path(&url.0);
        let real = real
            .map_err(|source| StoreError::Open { url: url.clone(), reason: source.to_string() })?;
        let url = &DatabaseUrl(real);
        let lock = lock(url)?;
        let writer = connection::open(url)?;
        let readers = connection::pool(url)?;
        let reopen = {
            let url = url.clone();
            move || connection::reopen(&url)
        };
        Ok(Self {
            readers,
            writer: GroupCommit::start(writer, reopen)?,
            _lock: Arc::new(lock),
            #[cfg(test)]
            pages_read: Arc::default(),
        })
    }

    /// Appends events to a stream and answers once they are durable.
    pub(crate) async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.writer.append(append).await
    }

    /// What is stored of a stream, but for its events.
    pub(crate) async fn load(&self, key: &StreamKey) -> Result<Option<StoredStream>, StoreError> {
        let key = key.clone();
        self.read(move |conn| read::load(conn, &key)).await
    }

    /// The events after `cursor`, oldest first; empty at the end of the history.
    pub(crate) async fn page(
        &self,
        key: &StreamKey,
        cursor: EventId,
        limits: PageLimits,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        log::debug!(stream:% = key, after:% = cursor; "history read");
        #[cfg(test)]
        self.pages_read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let key = key.clone();
        self.read(move |conn| read::page(conn, &key, cursor, limits)).await
    }

    /// The streams of a kind, newest first; those before row `before` only, if one is named.
    pub(crate) async fn list(
        &self,
        kind: StreamKind,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StoredStream>, StoreError> {
        self.read(move |conn| read::list(conn, kind, before, limit)).await
    }

    /// Moves what is in the write-ahead log into the database's own file, which then is the whole history: for the end
    /// of a program. SQLite does so by itself when the log has grown. Takes 5 s at most.
    ///
    /// # Errors
    /// When the database cannot be written, or is in use. Nothing is lost: the log belongs to the database.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        // On the thread that writes, which nobody waits for when the process ends.
        let checkpoint = tokio::time::timeout(COMMIT_MAX, self.writer.checkpoint());
        checkpoint
            .await
            .unwrap_or_else(|_| Err(StoreError::Unavailable("it takes too long".into())))
    }

    /// Whether the database answers, and takes what is written.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.ping_within(COMMIT_MAX).await
    }

    async fn ping_within(&self, commit_max: Duration) -> Result<(), StoreError> {
        self.writer.check(commit_max)?;
        if self.writer.has_failed() {
            // The next publish might be the one that finds it mended; but nobody may come before it is.
            self.read(connection::probe).await?;
            self.writer.forget_failure();
        }
        self.read(read::ping).await
    }

    async fn read<T, F>(&self, query: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut SqliteConnection) -> diesel::QueryResult<T> + Send + 'static,
    {
        let readers = self.readers.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let mut conn =
                readers.get().map_err(|error| StoreError::Unavailable(error.to_string()))?;
            query(&mut conn).map_err(|error| StoreError::Unavailable(error.to_string()))
        });
        answer.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
    }
}

/// Where a file is, or will be once it is made, without any symbolic link on the way: one name for one
/// database, so that there is one lock.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let is_new = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match (path.canonicalize(), path.read_link()) {
        // A link to nothing: SQLite makes the file where it points to.
        (Err(error), Ok(target)) if is_new(&error) => real_path(&path.with_file_name(target)),
        (Err(error), Err(_)) if is_new(&error) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new(".")).canonicalize()?;
            path.file_name().map(|name| folder.join(name)).ok_or(error)
        }
        (real, _) => real,
    }
}

/// Takes the lock that keeps a second process off the database.
///
/// A file of its own: SQLite's locks on the database would be lost when another handle to it is closed.
fn lock(url: &DatabaseUrl) -> Result<File, StoreError> {
    let mut path = url.0.clone().into_os_string();
    path.push(".lock");
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file =
        open.map_err(|source| StoreError::Open { url: url.clone(), reason: source.to_string() })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse { url: url.clone() }),
        Err(std::fs::TryLockError::Error(source)) => {
            Err(StoreError::Open { url: url.clone(), reason: source.to_string() })
        }
    }
}

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no database.
    #[error("a database is a file, named as in sqlite://PATH")]
    Url,
    /// The file cannot be opened, or is no database.
    #[error("cannot open the database {url}: {reason}")]
    Open {
        /// Which one.
        url: DatabaseUrl,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process has the database.
    #[error("the database {url} is in use by another process")]
    InUse {
        /// Which one.
        url: DatabaseUrl,
    },
    /// The database has tables that this version does not know.
    #[error("the database was made by a newer version of this program (migration {0})")]
    Newer(String),
    /// This SQLite has a bug that can corrupt the database.
    #[error("SQLite {0} is older than 3.51.3, which mends a corruption of write-ahead logs")]
    SqliteTooOld(String),
    /// A setting that durability depends on did not take.
    #[error("the database does not keep {0}")]
    Pragma(&'static str),
    /// The thread that writes could not be started.
    #[error("cannot start the thread that writes: {0}")]
    Thread(#[from] io::Error),
    /// The database failed, or is busy for longer than it may be.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
}

type Manager = ConnectionManager<SqliteConnection>;
