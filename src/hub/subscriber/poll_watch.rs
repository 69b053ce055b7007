//! Tells a body that is polled in a loop, for nothing, from one that is merely polled often.

use std::time::Duration;

use tokio::time::Instant;

/// How many polls for nothing, with no output between them, are worth a look at the clock. An honest
/// connection has one or two for each delivery.
const POLLS: u32 = 4096;

/// How long a storm may last. actix-http spins for as long as 128 KiB of pipelined requests wait behind a
/// stream. A mailbox makes its reader spin, too, while the kernel has stopped a sender halfway: that ends by
/// itself, after some milliseconds, and must cost nobody the connection.
const STORM: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct PollWatch {
    idle_polls: u32,
    // Apart, because few connections ever have one.
    storm: Option<Box<Storm>>,
}

#[derive(Debug)]
struct Storm {
    began: Instant,
    last_seen: Instant,
}

impl PollWatch {
    /// The body had something to yield.
    pub(super) const fn yielded(&mut self) {
        self.idle_polls = 0;
    }

    /// The body had nothing to yield. Whether that has been going on for too long.
    pub(super) fn is_storm(&mut self) -> bool {
        self.idle_polls += 1;
        if self.idle_polls < POLLS {
            return false;
        }
        self.idle_polls = 0;
        let now = Instant::now();
        // What is yielded meanwhile, a heartbeat say, ends no storm.
        let began = match self.storm.as_deref() {
            Some(storm) if now - storm.last_seen < STORM => storm.began,
            _ => now,
        };
        self.storm = Some(Box::new(Storm { began, last_seen: now }));
        now - began >= STORM
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Polls for nothing: so many in each of these steps of 10 ms, with a heartbeat after every tenth.
    async fn has_storm(polls: u32, steps: u32) -> bool {
        let mut watch = PollWatch::default();
        for step in 1..=steps {
            if (0..polls).any(|_| watch.is_storm()) {
                return true;
            }
            if step % 10 == 0 {
                watch.yielded();
            }
            advance(Duration::from_millis(10)).await;
        }
        false
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_polled_in_a_loop_for_a_second_is_a_storm_whatever_it_yields_meanwhile() {
        assert!(has_storm(2 * POLLS, 102).await);
        assert!(has_storm(POLLS / 2, 120).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_ends_by_itself_is_none() {
        assert!(!has_storm(2 * POLLS, 99).await);
        let mut watch = PollWatch::default();
        for _ in 0..10 {
            assert!(!(0..4 * POLLS).any(|_| watch.is_storm()));
            advance(STORM).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nor_are_polls_that_each_yield_something() {
        let mut watch = PollWatch::default();
        for _ in 0..4 * POLLS {
            assert!(!watch.is_storm());
            watch.yielded();
            // So fast that they would be one, did they yield nothing.
            advance(Duration::from_micros(100)).await;
        }
    }
}
