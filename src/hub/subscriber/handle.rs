//! What reaches a subscriber, as its stream's actor has it: the mailbox, what is in it, and when it is due for more.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Addr, dev::SendError};
use tokio::time::Instant;

use super::SubscriberActor;
use crate::hub::{
    config::HubConfig,
    messages::{Deliver, End, EndReason, FallBehind},
};

/// What reaches a subscriber, for the stream's actor.
#[derive(Debug)]
pub(crate) struct SubscriberHandle {
    address: Addr<SubscriberActor>,
    backlog: Arc<Backlog>,
    backlog_bytes_max: usize,
    /// Bytes of the deliveries that ever went into the mailbox, and of those that were out of it when this was last
    /// looked at. To look is a cache miss, for each of thousands of subscribers: it is done where it decides something.
    delivered: Cell<usize>,
    seen_opened: Cell<usize>,
    next_heartbeat: Instant,
    /// None: it has been told that it is old enough.
    expires_at: Option<Instant>,
}

/// What both ends of a subscriber's mailbox know of it. All deliveries go in through the [`SubscriberHandle`], which
/// counts them.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// Deliveries pass the subscriber by, as they do before its first chunk: what is transient in its
    /// mailbox is not worth sending.
    is_behind: AtomicBool,
    /// Its stream has taken it in.
    has_joined: AtomicBool,
    /// It has said that it leaves: the mailbox is closed a moment after that.
    has_left: AtomicBool,
    /// Bytes of the deliveries that were ever taken out of the mailbox.
    opened: AtomicUsize,
}

/// A delivery was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// The mailbox is full.
    Full,
    /// The connection is gone; its `Disconnect` is on its way.
    Gone,
}

impl Backlog {
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Acquire)
    }

    pub(crate) fn has_joined(&self) -> bool {
        self.has_joined.load(Ordering::Acquire)
    }

    pub(crate) fn join(&self) {
        self.has_joined.store(true, Ordering::Release);
    }

    /// To be called before it says so.
    pub(super) fn leave(&self) {
        self.has_left.store(true, Ordering::Release);
    }

    /// Deliveries of so many bytes in all have been taken out of the mailbox.
    pub(super) fn set_opened(&self, bytes: usize) {
        self.opened.store(bytes, Ordering::Relaxed);
    }
}

impl SubscriberHandle {
    pub(super) fn new(
        address: Addr<SubscriberActor>,
        config: &HubConfig,
        connected_at: Instant,
        expires_at: Instant,
    ) -> Self {
        Self {
            address,
            backlog: Arc::new(Backlog {
                is_behind: true.into(),
                has_joined: false.into(),
                has_left: false.into(),
                opened: 0.into(),
            }),
            backlog_bytes_max: config.backlog_bytes_max,
            delivered: Cell::new(0),
            seen_opened: Cell::new(0),
            next_heartbeat: connected_at + config.heartbeat_interval,
            expires_at: Some(expires_at),
        }
    }

    pub(crate) const fn backlog(&self) -> &Arc<Backlog> {
        &self.backlog
    }

    pub(crate) fn is_connected(&self) -> bool {
        !self.backlog.has_left.load(Ordering::Acquire) && self.address.connected()
    }

    pub(crate) fn deliver(&self, delivery: Deliver) -> Result<(), Undelivered> {
        let bytes = delivery.0.bytes.len();
        if !self.has_room_for(bytes) {
            return Err(Undelivered::Full);
        }
        self.address.try_send(delivery).map_err(|error| match error {
            SendError::Full(_) => Undelivered::Full,
            SendError::Closed(_) => Undelivered::Gone,
        })?;
        self.delivered.set(self.delivered.get().wrapping_add(bytes));
        Ok(())
    }

    /// One that waits for nothing has room for a delivery of any length.
    fn has_room_for(&self, bytes: usize) -> bool {
        let fits = |waiting: usize| waiting + bytes <= self.backlog_bytes_max;
        if fits(self.delivered.get().wrapping_sub(self.seen_opened.get())) {
            return true;
        }
        let waiting = self.waiting_bytes();
        waiting == 0 || fits(waiting)
    }

    /// Bytes of the deliveries in the mailbox.
    fn waiting_bytes(&self) -> usize {
        self.seen_opened.set(self.backlog.opened.load(Ordering::Relaxed));
        self.delivered.get().wrapping_sub(self.seen_opened.get())
    }

    pub(crate) fn end(&self, after: Duration, reason: EndReason) -> Result<(), Undelivered> {
        self.address.try_send(End { after, reason }).map_err(|_| Undelivered::Full)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "once for each time that the mailbox was found full"
    )]
    pub(crate) fn fall_behind(&self) {
        self.backlog.is_behind.store(true, Ordering::Release);
        self.address.do_send(FallBehind);
    }

    /// When the connection next needs something by itself.
    pub(crate) fn due_at(&self) -> Instant {
        self.expires_at.map_or(self.next_heartbeat, |end| end.min(self.next_heartbeat))
    }

    /// Gives the connection what is due on it between `now` and `until`: an end, at its moment, if it will be old
    /// enough, else a heartbeat.
    pub(crate) fn attend(
        &mut self,
        now: Instant,
        until: Instant,
        heartbeat: &Deliver,
        interval: Duration,
    ) {
        if let Some(end) = self.expires_at.filter(|end| *end < until) {
            // If there is no room for it, there may be the next time.
            if self.end(end.saturating_duration_since(now), EndReason::AgeLimit).is_ok() {
                self.expires_at = None;
            }
        } else if self.next_heartbeat < until {
            // One that is behind opens no mail, and one for which mail is waiting is not idle.
            if !self.backlog.is_behind() && self.waiting_bytes() == 0 {
                let _ = self.deliver(heartbeat.clone());
            }
            let next = self.next_heartbeat + interval;
            self.next_heartbeat = if next < until { until + interval } else { next };
        }
    }

    pub(crate) fn catch_up(&self) {
        self.backlog.is_behind.store(false, Ordering::Release);
    }
}
