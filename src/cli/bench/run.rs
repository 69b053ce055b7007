//! What a run counts while it goes on, for its progress, its end and its report.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

/// How long nothing may arrive or be answered before what is missing is taken for lost.
const QUIET: Duration = Duration::from_secs(5);

/// How often it is looked whether everything has arrived.
const SETTLE_CHECK: Duration = Duration::from_millis(20);

/// How much is read from a connection at a time.
const READ_BYTES: usize = 64 * 1024;

/// Times from one microsecond to ten minutes, to three digits.
#[derive(Debug)]
pub(super) struct Times(RefCell<Histogram<u64>>);

/// A percentile is a question, and this is where it is answered: in milliseconds.
impl Times {
    fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self(RefCell::new(Histogram::new_with_bounds(1, 600_000_000, 3)?)))
    }

    pub(super) fn record(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.0.borrow_mut().saturating_record(micros);
    }

    pub(super) fn quantile_ms(&self, quantile: f64) -> f64 {
        let times = self.0.borrow();
        // The histogram's own answer is the end of a range that it does not tell apart.
        millis(times.value_at_quantile(quantile).min(times.max()))
    }

    pub(super) fn max_ms(&self) -> f64 {
        millis(self.0.borrow().max())
    }
}

#[expect(clippy::cast_precision_loss, reason = "ten minutes in microseconds are far from 2^52")]
fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// What all clients and publishers of a run share.
#[derive(Debug)]
pub(super) struct Run {
    /// Everyone reads into the same buffer, one after the other.
    pub(super) scratch: RefCell<Vec<u8>>,
    /// From the first packet of a connection to its snapshot.
    pub(super) connecting: Times,
    /// From the beginning of a publish to its answer.
    pub(super) answers: Times,
    /// From the beginning of a publish to its receipt by each client.
    pub(super) latency: Times,
    /// How much later than planned events were sent.
    pub(super) lag: Times,
    /// Events that clients have received for the first time.
    pub(super) received: Cell<u64>,
    /// Events that nobody published, or not like that.
    pub(super) altered: Cell<u64>,
    /// Connections that have ended before the run did.
    pub(super) lost: Cell<u64>,
    /// Publishes that are being answered.
    pub(super) under_way: Cell<usize>,
    /// What went wrong first with a publish.
    pub(super) first_error: RefCell<Option<String>>,
    pub(super) last_receipt: Cell<Instant>,
    /// When something last arrived or was answered.
    last_sign: Cell<Instant>,
}

impl Run {
    pub(super) fn new() -> Result<Self, hdrhistogram::CreationError> {
        let now = Instant::now();
        Ok(Self {
            scratch: RefCell::new(vec![0; READ_BYTES]),
            connecting: Times::new()?,
            answers: Times::new()?,
            latency: Times::new()?,
            lag: Times::new()?,
            received: Cell::default(),
            altered: Cell::default(),
            lost: Cell::default(),
            under_way: Cell::default(),
            first_error: RefCell::default(),
            last_receipt: Cell::new(now),
            last_sign: Cell::new(now),
        })
    }

    pub(super) fn receive(&self, sent_at: Instant, now: Instant) {
        self.latency.record(now.saturating_duration_since(sent_at));
        self.received.set(self.received.get() + 1);
        self.last_receipt.set(now);
        self.last_sign.set(now);
    }

    pub(super) fn answer(&self, sent_at: Instant, failure: Option<String>) {
        let now = Instant::now();
        self.last_sign.set(now);
        match failure {
            None => self.answers.record(now.saturating_duration_since(sent_at)),
            Some(failure) => {
                self.first_error.borrow_mut().get_or_insert(failure);
            }
        }
    }

    /// Waits for what is still on its way, for as long as anything arrives.
    pub(super) async fn settle(&self, expected: impl Fn() -> u64) {
        loop {
            tokio::time::sleep(SETTLE_CHECK).await;
            let is_settled = self.under_way.get() == 0 && self.received.get() >= expected();
            if is_settled || self.last_sign.get().elapsed() > QUIET {
                return;
            }
        }
    }
}
