//! The context of an actor that lives inside a response body: what it writes is what the body yields.
//!
//! actix's own context has room for futures inline, several hundred bytes that a delivery walks past. Here they are apart,
//! and a connection that follows, and whose token has no end, has none.

use std::{
    collections::VecDeque,
    fmt, mem,
    pin::Pin,
    task::{self, Poll},
};

use actix::{
    Actor, ActorContext, ActorFuture, ActorState, Addr, AsyncContext, Handler, Message,
    SpawnHandle, WeakAddr,
    dev::{Envelope, Mailbox, ToEnvelope},
};
use bytes::Bytes;
use tokio::time::Instant;

use super::SubscriberActor;
use crate::hub::{delivery::Chunk, messages::EndReason};

type Task = Pin<Box<dyn ActorFuture<SubscriberActor, Output = ()>>>;

pub(crate) struct SubscriberContext {
    address: WeakAddr<SubscriberActor>,
    /// Written and not yet taken. The actor only runs when both are empty, so that they hold no more than
    /// one mailbox full. Most deliveries come alone, and need no room in the queue.
    front: Option<Bytes>,
    outbox: VecDeque<Bytes>,
    head: Option<Box<Chunk>>,
    /// When the client's token expires.
    authorized_until: Option<Instant>,
    ended: Option<EndReason>,
    /// No mail is opened before these are done, the last one first.
    awaited: Vec<Task>,
    spawned: Vec<(SpawnHandle, Task)>,
    last_spawned: SpawnHandle,
}

impl SubscriberContext {
    pub(super) fn new(mailbox: &Mailbox<SubscriberActor>) -> Self {
        Self {
            address: mailbox.address().downgrade(),
            front: None,
            outbox: VecDeque::new(),
            head: None,
            authorized_until: None,
            ended: None,
            awaited: Vec::new(),
            spawned: Vec::new(),
            last_spawned: SpawnHandle::default(),
        }
    }

    /// Appends to the response; nothing more after its end.
    pub(super) fn write(&mut self, bytes: Bytes) {
        if self.ended.is_some() || bytes.is_empty() {
            return;
        }
        if self.front.is_none() {
            self.front = Some(bytes);
        } else {
            self.outbox.push_back(bytes);
        }
    }

    /// Ends the response once everything written has been taken.
    pub(super) fn end(&mut self, reason: EndReason) {
        self.ended.get_or_insert(reason);
    }

    pub(super) const fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// The next bytes to send, at most `max` of them.
    pub(super) fn take(&mut self, max: usize) -> Option<Bytes> {
        let front = self.front.as_mut()?;
        if front.len() > max {
            return Some(front.split_to(max));
        }
        let next = self.outbox.pop_front();
        if self.outbox.is_empty() && self.outbox.capacity() > 0 {
            // An idle connection keeps no room for a burst that is over.
            self.outbox = VecDeque::new();
        }
        mem::replace(&mut self.front, next)
    }

    pub(super) const fn set_authorized_until(&mut self, end: Instant) {
        self.authorized_until = Some(end);
    }

    pub(super) const fn authorized_until(&self) -> Option<Instant> {
        self.authorized_until
    }

    /// Whether the client's token has expired, and nobody has said so.
    pub(super) fn is_overdue(&self) -> bool {
        let is_over = |end| Instant::now() >= end;
        self.authorized_until.is_some_and(is_over) && self.ended.is_none() && self.head.is_none()
    }

    /// Forgets what is queued, but for that of which a part may have been sent.
    pub(super) fn discard(&mut self) {
        self.outbox = VecDeque::new();
    }

    pub(super) fn put_head(&mut self, head: Chunk) {
        self.head = Some(Box::new(head));
    }

    pub(super) fn take_head(&mut self) -> Option<Chunk> {
        self.head.take().map(|head| *head)
    }

    /// Goes on with what is waited for; done when nothing is.
    pub(super) fn poll_awaited(
        &mut self,
        actor: &mut SubscriberActor,
        cx: &mut task::Context<'_>,
    ) -> Poll<()> {
        while let Some(mut awaited) = self.awaited.pop() {
            if awaited.as_mut().poll(actor, self, cx).is_pending() {
                self.awaited.push(awaited);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Goes on with what has been spawned; whether more has been meanwhile.
    pub(super) fn poll_spawned(
        &mut self,
        actor: &mut SubscriberActor,
        cx: &mut task::Context<'_>,
    ) -> bool {
        if self.spawned.is_empty() {
            return false;
        }
        let mut polled = mem::take(&mut self.spawned);
        polled.retain_mut(|(_, task)| task.as_mut().poll(actor, self, cx).is_pending());
        let is_more = !self.spawned.is_empty();
        polled.append(&mut self.spawned);
        self.spawned = polled;
        is_more
    }
}

#[cfg(test)]
impl SubscriberContext {
    /// How many futures run, and for how many pieces there is room.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.awaited.len() + self.spawned.len(), self.outbox.capacity())
    }
}

impl ActorContext for SubscriberContext {
    fn stop(&mut self) {
        self.end(EndReason::Unavailable);
    }

    fn terminate(&mut self) {
        self.stop();
    }

    fn state(&self) -> ActorState {
        if self.ended.is_some() { ActorState::Stopped } else { ActorState::Running }
    }
}

impl AsyncContext<SubscriberActor> for SubscriberContext {
    /// The mailbox lives as long as this does; without it, an address leads nowhere.
    fn address(&self) -> Addr<SubscriberActor> {
        self.address.upgrade().unwrap_or_else(|| Mailbox::default().address())
    }

    fn spawn<F>(&mut self, future: F) -> SpawnHandle
    where
        F: ActorFuture<SubscriberActor, Output = ()> + 'static,
    {
        self.last_spawned = self.last_spawned.next();
        self.spawned.push((self.last_spawned, Box::pin(future)));
        self.last_spawned
    }

    fn wait<F>(&mut self, future: F)
    where
        F: ActorFuture<SubscriberActor, Output = ()> + 'static,
    {
        self.awaited.push(Box::pin(future));
    }

    fn waiting(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Not from within another of these futures: while they are polled, none is here.
    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        let before = self.spawned.len();
        self.spawned.retain(|(spawned, _)| *spawned != handle);
        self.spawned.len() < before
    }
}

impl<M> ToEnvelope<SubscriberActor, M> for SubscriberContext
where
    SubscriberActor: Actor<Context = Self> + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn pack(
        message: M,
        answer: Option<tokio::sync::oneshot::Sender<M::Result>>,
    ) -> Envelope<SubscriberActor> {
        Envelope::new(message, answer)
    }
}

impl fmt::Debug for SubscriberContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubscriberContext")
            .field("outbox", &self.outbox.len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
