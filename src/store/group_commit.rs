//! Group commit: one thread writes, and whatever waits for it goes into one transaction.
//!
//! A sync to disk costs the same for one event as for a thousand. While one transaction is being synced
//! the next one gathers, so that a lone publisher waits for nobody and many share the cost.

use std::{io, thread};

use diesel::{QueryResult, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::{
    StoreError,
    append::{self, Append, AppendError, Appended},
};

/// How many appends may wait; a further one waits for its place. Each stream has at most one.
const QUEUE_MAX: usize = 1024;

/// How many appends share a transaction at most.
const BATCH_MAX: usize = 512;

/// A handle to the thread that writes; it ends with the last handle.
#[derive(Clone)]
pub(super) struct GroupCommit {
    queue: mpsc::Sender<Request>,
}

struct Request {
    append: Append,
    answer: oneshot::Sender<Result<Appended, AppendError>>,
}

impl GroupCommit {
    /// Starts the thread. `reopen` makes a new connection after one has failed.
    pub(super) fn start(
        conn: SqliteConnection,
        reopen: impl Fn() -> Result<SqliteConnection, StoreError> + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write(conn, &reopen, requests))?;
        Ok(Self { queue })
    }

    pub(super) async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let gone = || StoreError::Unavailable("the thread that writes has ended".into());
        let (answer, answered) = oneshot::channel();
        self.queue
            .send(Request { append, answer })
            .await
            .map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

fn write(
    mut conn: SqliteConnection,
    reopen: &impl Fn() -> Result<SqliteConnection, StoreError>,
    mut requests: mpsc::Receiver<Request>,
) {
    let mut batch = Vec::new();
    while requests.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        match commit(&mut conn, &batch) {
            Ok(outcomes) => {
                for (request, outcome) in batch.drain(..).zip(outcomes) {
                    // Whoever asked may have gone; what was stored stays.
                    let _ = request.answer.send(outcome.ok_or(AppendError::Completed));
                }
            }
            Err(error) => {
                log::error!(error:% = error, appends = batch.len(); "events could not be stored");
                for request in batch.drain(..) {
                    let reason = StoreError::Unavailable(error.to_string());
                    let _ = request.answer.send(Err(reason.into()));
                }
                // After a failed sync SQLite's view of the file cannot be trusted: start from what is on disk.
                match reopen() {
                    Ok(fresh) => conn = fresh,
                    Err(error) => {
                        log::error!(error:% = error; "the database could not be reopened")
                    }
                }
            }
        }
    }
}

fn commit(conn: &mut SqliteConnection, batch: &[Request]) -> QueryResult<Vec<Option<Appended>>> {
    conn.immediate_transaction(|conn| {
        batch
            .iter()
            .map(|request| append::append(conn, &request.append))
            .collect()
    })
}
