//! What reaches a subscriber, as its stream's actor has it: the mailbox, what is in it, and when it is due for more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix::{Addr, Handler, Message, dev::SendError};
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
    next_heartbeat: Instant,
    /// None: it has been told that it is old enough.
    expires_at: Option<Instant>,
}

/// What both ends of a subscriber's mailbox know of it.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// Deliveries pass the subscriber by, as they do before its first chunk: what is transient in its
    /// mailbox is not worth sending.
    is_behind: AtomicBool,
    /// Bytes of the deliveries in the mailbox, and [`NOTICE_BYTES`] for each other message. All are counted before
    /// they are sent: at zero there is no mail.
    bytes: AtomicUsize,
}

/// A delivery was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// The mailbox is full.
    Full,
    /// The connection is gone; its `Disconnect` is on its way.
    Gone,
}

/// What a message counts that is no delivery.
pub(super) const NOTICE_BYTES: usize = 1;

impl Backlog {
    pub(crate) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Acquire)
    }

    /// Whether there is no mail.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) == 0
    }

    /// A message that counted so much has been taken out.
    pub(super) fn opened(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
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
            backlog: Arc::new(Backlog { is_behind: true.into(), bytes: 0.into() }),
            backlog_bytes_max: config.backlog_bytes_max,
            next_heartbeat: connected_at + config.heartbeat_interval,
            expires_at: Some(expires_at),
        }
    }

    pub(crate) const fn backlog(&self) -> &Arc<Backlog> {
        &self.backlog
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.address.connected()
    }

    pub(crate) fn deliver(&self, delivery: Deliver) -> Result<(), Undelivered> {
        let bytes = delivery.0.bytes.len();
        let waiting = self.backlog.bytes.load(Ordering::Relaxed);
        // One that waits for nothing gets a delivery of any length.
        if waiting > 0 && waiting + bytes > self.backlog_bytes_max {
            return Err(Undelivered::Full);
        }
        self.try_send(delivery, bytes)
    }

    pub(crate) fn end(&self, after: Duration, reason: EndReason) -> Result<(), Undelivered> {
        self.try_send(End { after, reason }, NOTICE_BYTES)
    }

    fn try_send<M>(&self, message: M, bytes: usize) -> Result<(), Undelivered>
    where
        M: Message<Result = ()> + Send + 'static,
        SubscriberActor: Handler<M>,
    {
        self.backlog.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.address.try_send(message).map_err(|error| {
            self.backlog.opened(bytes);
            match error {
                SendError::Full(_) => Undelivered::Full,
                SendError::Closed(_) => Undelivered::Gone,
            }
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "once for each time that the mailbox was found full"
    )]
    pub(crate) fn fall_behind(&self) {
        self.backlog.is_behind.store(true, Ordering::Release);
        self.backlog.bytes.fetch_add(NOTICE_BYTES, Ordering::Relaxed);
        self.address.do_send(FallBehind);
    }

    /// When the connection next needs something by itself.
    pub(crate) fn due_at(&self) -> Instant {
        self.expires_at.map_or(self.next_heartbeat, |end| end.min(self.next_heartbeat))
    }

    /// Gives the connection what is due on it before `until`: an end if it is old enough, else a heartbeat.
    pub(crate) fn attend(&mut self, until: Instant, heartbeat: &Deliver, interval: Duration) {
        if self.expires_at.is_some_and(|end| end < until) {
            // If there is no room for it, there may be the next time.
            if self.end(Duration::ZERO, EndReason::AgeLimit).is_ok() {
                self.expires_at = None;
            }
        } else if self.next_heartbeat < until {
            // One that is behind opens no mail, and one whose mailbox is full is not idle.
            if !self.backlog.is_behind() {
                let _ = self.deliver(heartbeat.clone());
            }
            self.next_heartbeat = (self.next_heartbeat + interval).max(until);
        }
    }

    pub(crate) fn catch_up(&self) {
        self.backlog.is_behind.store(false, Ordering::Release);
    }
}
