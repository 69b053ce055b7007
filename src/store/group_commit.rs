//! Group commit: one thread writes, and whatever waits for it goes into one transaction.
//!
//! A sync to disk costs the same for one event as for a thousand. While one transaction is being synced
//! the next one gathers, so that a lone publisher waits for nobody and many share the cost.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use diesel::SqliteConnection;
use tokio::sync::{mpsc, oneshot};

use super::{
    StoreError,
    append::{self, Append, Appended, KnownStreams},
    connection,
};

/// How many appends may wait; a further one waits for its place. Each stream has at most one.
const QUEUE_MAX: usize = 1024;

/// How many appends share a transaction at most.
const BATCH_MAX: usize = 512;

/// A handle to the thread that writes; it ends with the last handle.
#[derive(Clone)]
pub(super) struct GroupCommit {
    queue: mpsc::Sender<Request>,
    progress: Arc<Mutex<Progress>>,
}

/// How the thread gets on.
#[derive(Debug, Default, Clone, Copy)]
struct Progress {
    /// The last commit has failed.
    has_failed: bool,
    /// When the commit that is under way was begun.
    begun: Option<Instant>,
}

enum Request {
    Append(Waiting),
    Checkpoint(oneshot::Sender<Result<(), StoreError>>),
}

struct Waiting {
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
        let progress = Arc::<Mutex<Progress>>::default();
        thread::Builder::new().name("store-writer".into()).spawn({
            let progress = Arc::clone(&progress);
            move || write(conn, &reopen, requests, &progress)
        })?;
        Ok(Self { queue, progress })
    }

    /// Whether the last commit has failed.
    pub(super) fn has_failed(&self) -> bool {
        look_at(&self.progress).has_failed
    }

    /// Something else has shown that the database can be written again.
    pub(super) fn forget_failure(&self) {
        look_at(&self.progress).has_failed = false;
    }

    /// Fails if nothing more will be written, or nothing has been for too long.
    pub(super) fn check(&self, commit_max: Duration) -> Result<(), StoreError> {
        if self.queue.is_closed() {
            return Err(gone());
        }
        match look_at(&self.progress).begun {
            Some(begun) if begun.elapsed() > commit_max => {
                Err(StoreError::Unavailable("a commit does not come to an end".into()))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request::Append(Waiting { append, answer })).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Moves the log into the database, once what waits has been written.
    pub(super) async fn checkpoint(&self) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request::Checkpoint(answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the thread that writes has ended".into())
}

/// Each of its fields makes sense by itself: a panic leaves nothing half done.
fn look_at(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes until the last handle is gone.
fn write(
    conn: SqliteConnection,
    reopen: &impl Fn() -> Result<SqliteConnection, StoreError>,
    mut requests: mpsc::Receiver<Request>,
    progress: &Mutex<Progress>,
) {
    let mut writer = Some(Writer::new(conn));
    let (mut received, mut batch, mut checkpoints) = (Vec::new(), Vec::new(), Vec::new());
    while requests.blocking_recv_many(&mut received, BATCH_MAX) > 0 {
        for request in received.drain(..) {
            match request {
                Request::Append(waiting) => batch.push(waiting),
                Request::Checkpoint(answer) => checkpoints.push(answer),
            }
        }
        if !batch.is_empty() {
            look_at(progress).begun = Some(Instant::now());
            let written = write_batch(&mut writer, reopen, &batch);
            *look_at(progress) = Progress { has_failed: written.is_err(), begun: None };
            answer(&mut batch, written);
        }
        for answer in checkpoints.drain(..) {
            let _ = answer.send(checkpoint(writer.as_mut()));
        }
    }
}

fn answer(batch: &mut Vec<Waiting>, written: Result<Vec<Appended>, StoreError>) {
    match written {
        Ok(appended) => {
            for (waiting, appended) in batch.drain(..).zip(appended) {
                // Whoever asked may have gone; what was stored stays.
                let _ = waiting.answer.send(Ok(appended));
            }
        }
        Err(error) => {
            log::error!(error:% = error, appends = batch.len(); "events could not be stored");
            for waiting in batch.drain(..) {
                let _ = waiting.answer.send(Err(StoreError::Unavailable(error.to_string())));
            }
        }
    }
}

fn checkpoint(writer: Option<&mut Writer>) -> Result<(), StoreError> {
    let unavailable = |reason: String| Err(StoreError::Unavailable(reason));
    let Some(Writer { conn, .. }) = writer else {
        return unavailable("the last commit has failed".into());
    };
    match connection::checkpoint(conn) {
        Ok(true) => Ok(()),
        Ok(false) => unavailable("the database is in use".into()),
        Err(error) => unavailable(error.to_string()),
    }
}

/// A connection, and what is known of the database as its last transaction has left it.
struct Writer {
    conn: SqliteConnection,
    known: KnownStreams,
}

impl Writer {
    fn new(conn: SqliteConnection) -> Self {
        Self { conn, known: KnownStreams::default() }
    }
}

/// Stores a batch in one transaction, with a new connection if the last one has failed.
fn write_batch(
    writer: &mut Option<Writer>,
    reopen: &impl Fn() -> Result<SqliteConnection, StoreError>,
    batch: &[Waiting],
) -> Result<Vec<Appended>, StoreError> {
    // After a failed sync, what this connection believes of the file cannot be trusted. A new one begins at
    // what the log's index counts, and frames that were not synced are not counted: they are written again.
    let mut open = match writer.take() {
        Some(open) => open,
        None => Writer::new(reopen()?),
    };
    let Writer { conn, known } = &mut open;
    let appended = conn.immediate_transaction(|conn| {
        batch.iter().map(|waiting| append::append(conn, known, &waiting.append)).collect()
    });
    match appended {
        Ok(appended) => {
            *writer = Some(open);
            Ok(appended)
        }
        Err(error) => Err(StoreError::Unavailable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{
        event::{Event, NewEvent},
        store::{AppendPublish, DatabaseUrl, Store, connection, sabotage},
        stream_key::StreamKind,
    };

    fn note() -> Append {
        let note = NewEvent::new("note", &1).unwrap();
        let event = Event::accept(StreamKind::Debate, &note).unwrap();
        Append {
            stream: "debate/d1".parse().unwrap(),
            publishes: vec![AppendPublish { events: [event].into(), key: None }],
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
        assert_eq!(reopened.load(Ordering::Relaxed), 2, "it is a new connection that goes on");
    }

    #[tokio::test]
    async fn what_was_known_of_streams_that_share_a_failed_commit_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("test.db");
        let store = Store::open(&DatabaseUrl::file(&database)).unwrap();
        let note_on = |stream: &str| Append { stream: stream.parse().unwrap(), ..note() };
        for stream in ["debate/a", "debate/b"] {
            store.append(note_on(stream)).await.unwrap();
        }
        sabotage::execute(
            &database,
            "CREATE TRIGGER full BEFORE INSERT ON events
             WHEN NEW.stream_id = (SELECT id FROM streams WHERE name = 'b')
             BEGIN SELECT RAISE(ABORT, 'EIO'); END",
        );
        // While one commit waits, the next two gather.
        let held = sabotage::Held::new(&database);
        let first = store.append(note_on("debate/c"));
        let two = async {
            while look_at(&store.writer.progress).begun.is_none() {
                tokio::task::yield_now().await;
            }
            let release = async { drop(held) };
            tokio::join!(
                store.append(note_on("debate/a")),
                store.append(note_on("debate/b")),
                release
            )
        };
        let (first, (a, b, ())) = tokio::join!(first, two);
        first.unwrap();
        assert!(a.is_err() && b.is_err(), "{a:?}, {b:?}");
        sabotage::execute(&database, "DROP TRIGGER full");
        for stream in ["debate/a", "debate/b"] {
            assert_eq!(store.append(note_on(stream)).await.unwrap().tail.seq, 2, "{stream}");
        }
    }

    #[tokio::test]
    async fn a_writer_that_has_ended_is_never_ready_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("test.db");
        let url = DatabaseUrl::file(&database);
        let mut store = Store::open(&url).unwrap();
        let conn = connection::reopen(&url).unwrap();
        store.writer = GroupCommit::start(conn, || panic!("on purpose")).unwrap();
        store.ping().await.unwrap();
        sabotage::execute(&database, "ALTER TABLE events RENAME TO elsewhere");
        store.append(note()).await.unwrap_err();
        sabotage::execute(&database, "ALTER TABLE elsewhere RENAME TO events");
        store.ping().await.expect("the next commit may succeed");
        store.append(note()).await.unwrap_err();
        store.writer.queue.closed().await;
        for _ in 0..2 {
            store.ping().await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_commit_that_does_not_come_to_an_end_is_noticed_while_it_lasts() {
        const SHORT: Duration = Duration::ZERO;
        const LONG: Duration = Duration::from_hours(1);
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("test.db");
        let store = Store::open(&DatabaseUrl::file(&database)).unwrap();
        store.ping_within(SHORT).await.expect("nothing is under way");
        let held = sabotage::Held::new(&database);
        let append = tokio::spawn({
            let store = store.clone();
            async move { store.append(note()).await }
        });
        while look_at(&store.writer.progress).begun.is_none() {
            tokio::task::yield_now().await;
        }
        store.ping_within(SHORT).await.expect_err("it is under way");
        store.ping_within(LONG).await.expect("for less than that");
        drop(held);
        append.await.unwrap().unwrap();
        store.ping_within(SHORT).await.expect("it has ended");
    }
}
