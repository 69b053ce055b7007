//! The wall clock: the one place that reads it.
//!
//! Durations and deadlines use tokio's clock, which tests can pause and nobody can set; this one stamps
//! events, and tells how old what was stamped before may be.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

/// Tells the time of day, in milliseconds since the Unix epoch.
#[derive(Clone)]
pub struct Clock {
    time_of_day: Arc<dyn Fn() -> i64 + Send + Sync>,
    made_at: Instant,
    made_at_ms: i64,
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::showing(|| {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            milliseconds(since_epoch)
        })
    }

    /// A clock that stands still, for tests.
    #[must_use]
    pub fn stopped_at(unix_ms: i64) -> Self {
        Self::showing(move || unix_ms)
    }

    pub(crate) fn showing(time_of_day: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        let made_at_ms = time_of_day();
        Self { time_of_day: Arc::new(time_of_day), made_at: Instant::now(), made_at_ms }
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        (self.time_of_day)()
    }

    /// A moment that is at least so long ago. A clock that was set meanwhile makes nothing older: many a
    /// machine starts in 1970 and hears of the real time later.
    pub(crate) fn surely_ago(&self, age: Duration) -> i64 {
        let unset = self.made_at_ms.saturating_add(milliseconds(self.made_at.elapsed()));
        self.now_ms().min(unset).saturating_sub(milliseconds(age))
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now_ms()).finish()
    }
}
