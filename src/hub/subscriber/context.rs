//! The context of an actor that lives inside a response body: what it writes is what the body yields.

use std::{collections::VecDeque, fmt};

use actix::{
    Actor, ActorContext, ActorFuture, ActorState, Addr, AsyncContext, Handler, Message,
    SpawnHandle,
    dev::{AsyncContextParts, ContextParts, Envelope, Mailbox, ToEnvelope},
};
use bytes::Bytes;
use tokio::time::Instant;

use super::SubscriberActor;
use crate::hub::{delivery::Chunk, messages::EndReason};

pub(crate) struct SubscriberContext {
    parts: ContextParts<SubscriberActor>,
    /// Written and not yet taken. The actor only runs when both are empty, so that they hold no more than
    /// one mailbox full. Most deliveries come alone, and need no room in the queue.
    front: Option<Bytes>,
    outbox: VecDeque<Bytes>,
    head: Option<Chunk>,
    /// When the client's token expires.
    authorized_until: Option<Instant>,
    ended: Option<EndReason>,
}

impl SubscriberContext {
    pub(super) fn new(mailbox: &Mailbox<SubscriberActor>) -> Self {
        let parts = ContextParts::new(mailbox.sender_producer());
        Self {
            parts,
            front: None,
            outbox: VecDeque::new(),
            head: None,
            authorized_until: None,
            ended: None,
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
        if let Some(front) = self.front.as_mut().filter(|front| front.len() > max) {
            return Some(front.split_to(max));
        }
        let bytes = self.front.take()?;
        self.front = self.outbox.pop_front();
        if self.outbox.is_empty() && self.outbox.capacity() > 0 {
            // An idle connection keeps no room for a burst that is over.
            self.outbox = VecDeque::new();
        }
        Some(bytes)
    }

    /// Whether anyone is left who could send to the actor.
    pub(super) fn is_reachable(&self) -> bool {
        self.parts.connected()
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
        self.ended.is_none() && self.head.is_none() && self.authorized_until.is_some_and(is_over)
    }

    /// Forgets what is queued, but for that of which a part may have been sent.
    pub(super) fn discard(&mut self) {
        self.outbox = VecDeque::new();
    }

    pub(super) fn put_head(&mut self, head: Chunk) {
        self.head = Some(head);
    }

    pub(super) fn take_head(&mut self) -> Option<Chunk> {
        self.head.take()
    }
}

impl ActorContext for SubscriberContext {
    fn stop(&mut self) {
        self.parts.stop();
    }

    fn terminate(&mut self) {
        self.parts.terminate();
    }

    fn state(&self) -> ActorState {
        self.parts.state()
    }
}

impl AsyncContext<SubscriberActor> for SubscriberContext {
    fn address(&self) -> Addr<SubscriberActor> {
        self.parts.address()
    }

    fn spawn<F>(&mut self, fut: F) -> SpawnHandle
    where
        F: ActorFuture<SubscriberActor, Output = ()> + 'static,
    {
        self.parts.spawn(fut)
    }

    fn wait<F>(&mut self, fut: F)
    where
        F: ActorFuture<SubscriberActor, Output = ()> + 'static,
    {
        self.parts.wait(fut);
    }

    fn waiting(&self) -> bool {
        self.parts.waiting()
    }

    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        self.parts.cancel_future(handle)
    }
}

impl AsyncContextParts<SubscriberActor> for SubscriberContext {
    fn parts(&mut self) -> &mut ContextParts<SubscriberActor> {
        &mut self.parts
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
