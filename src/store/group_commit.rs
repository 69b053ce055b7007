//! Group commit: one thread writes, and whatever waits for it goes into one transaction.
//!
//! A sync to disk costs the same for one event as for a thousand. While one transaction is being synced
//! the next one gathers, so that a lone publisher waits for nobody and many share the cost.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use diesel::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::{
    StoreError,
    append::{self, Append, Appended},
};

/// How many appends may wait; a further one waits for its place. Each stream has at most one.
const QUEUE_MAX: usize = 1024;

/// How many appends share a transaction at most.
const BATCH_MAX: usize = 512;

/// A handle to the thread that writes; it ends with the last handle.
#[derive(Clone)]
pub(super) struct GroupCommit {
    queue: mpsc::Sender<Request>,
    /// The last commit has failed.
    has_failed: Arc<AtomicBool>,
}

struct Request {
    append: Append,
    answer: oneshot::Sender<Result<Appended, StoreError>>,
}

impl GroupCommit {
    /// Starts the thread. `reopen` makes a new connection after one has failed.
    pub(super) fn start(
        conn: SqliteConnection,
        reopen: impl Fn() -> Result<SqliteConnection, StoreError> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let has_failed = Arc::new(AtomicBool::new(false));
        thread::Builder::new().name("store-writer".into()).spawn({
            let has_failed = Arc::clone(&has_failed);
            move || write(conn, &reopen, requests, &has_failed)
        })?;
        Ok(Self { queue, has_failed })
    }

    /// Whether the last commit has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Something else has shown that the database can be written again.
    pub(super) fn forget_failure(&self) {
        self.has_failed.store(false, Ordering::Relaxed);
    }

    pub(super) async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let gone = || StoreError::Unavailable("the thread that writes has ended".into());
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request { append, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Writes until the last handle is gone.
fn write(
    conn: SqliteConnection,
    reopen: &impl Fn() -> Result<SqliteConnection, StoreError>,
    mut requests: mpsc::Receiver<Request>,
    has_failed: &AtomicBool,
) {
    let mut conn = Some(conn);
    let mut batch = Vec::new();
    while requests.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let written = write_batch(&mut conn, reopen, &batch);
        has_failed.store(written.is_err(), Ordering::Relaxed);
        match written {
            Ok(outcomes) => {
                for (request, outcome) in batch.drain(..).zip(outcomes) {
                    // Whoever asked may have gone; what was stored stays.
                    let _ = request.answer.send(Ok(outcome));
                }
            }
            Err(error) => {
                log::error!(error:% = error, appends = batch.len(); "events could not be stored");
                for request in batch.drain(..) {
                    let _ = request.answer.send(Err(StoreError::Unavailable(error.to_string())));
                }
            }
        }
    }
}

/// Stores a batch in one transaction, with a new connection if the last one has failed.
fn write_batch(
    conn: &mut Option<SqliteConnection>,
    reopen: &impl Fn() -> Result<SqliteConnection, StoreError>,
    batch: &[Request],
) -> Result<Vec<Appended>, StoreError> {
    // After a failed sync, what SQLite believes of the file cannot be trusted: only a connection that has
    // read the log anew may acknowledge again.
    let mut open = match conn.take() {
        Some(open) => open,
        None => reopen()?,
    };
    let appended = open.immediate_transaction(|conn| {
        batch.iter().map(|request| append::append(conn, &request.append)).collect()
    });
    match appended {
        Ok(appended) => {
            *conn = Some(open);
            Ok(appended)
        }
        Err(error) => Err(StoreError::Unavailable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::{
        event::{Event, NewEvent},
        store::{AppendPublish, DatabaseUrl, connection, sabotage},
        stream_key::StreamKind,
    };

    fn note() -> Append {
        let note = NewEvent::new("note", &1).unwrap();
        let event = Event::accept(StreamKind::Debate, &note).unwrap();
        Append {
            stream: "debate/d1".parse().unwrap(),
            publishes: vec![AppendPublish { events: vec![event], key: None }],
            now_ms: 0,
            keys_expired_at_ms: 0,
        }
    }

    #[tokio::test]
    async fn a_connection_that_has_failed_acknowledges_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("test.db");
        let url = DatabaseUrl::file(&database);
        let conn = connection::open(&url).unwrap();
        let reopened = Arc::new(AtomicUsize::new(0));
        let writer = GroupCommit::start(conn, {
            let reopened = Arc::clone(&reopened);
            move || match reopened.fetch_add(1, Ordering::Relaxed) {
                0 => Err(StoreError::Unavailable("the disk is still gone".into())),
                _ => connection::reopen(&url),
            }
        })
        .unwrap();
        writer.append(note()).await.unwrap();
        assert_eq!(reopened.load(Ordering::Relaxed), 0);

        let fail =
            "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'EIO'); END";
        sabotage::execute(&database, fail);
        writer.append(note()).await.unwrap_err();
        assert!(writer.has_failed());
        // The next commit would succeed; but on a connection that may believe what is not on the disk.
        sabotage::execute(&database, "DROP TRIGGER full");
        writer.append(note()).await.unwrap_err();
        assert!(writer.has_failed());
        writer.append(note()).await.unwrap();
        assert!(!writer.has_failed());
        assert_eq!(reopened.load(Ordering::Relaxed), 2, "a new connection has read the log anew");
    }
}
