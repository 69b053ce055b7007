//! The way from the registry to a stream's actor, on which every message is counted.

use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Addr, Handler, Message, dev::Request, prelude::SendError};

use super::stream_actor::StreamActor;

/// It is shared and never cloned: with each clone of an address, one message more may wait in the mailbox.
pub(super) struct Way {
    address: Addr<StreamActor>,
    /// Messages passed on to this address.
    routed: AtomicU64,
}

impl Way {
    pub(super) fn to(address: Addr<StreamActor>) -> Self {
        Self { address, routed: AtomicU64::new(0) }
    }

    /// Whether the actor is alive.
    pub(super) fn is_open(&self) -> bool {
        self.address.connected()
    }

    /// Whether it leads to this actor, and nothing is under way to it that it has not handled.
    pub(super) fn has_come_to(&self, address: &Addr<StreamActor>, handled: u64) -> bool {
        self.address == *address && self.routed.load(Ordering::Relaxed) == handled
    }

    /// Passes a question on. It is in the stream's mailbox when this returns, unless that is full.
    pub(super) fn ask<M>(&self, question: M) -> Request<StreamActor, M>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        StreamActor: Handler<M>,
    {
        self.routed.fetch_add(1, Ordering::Relaxed);
        self.address.send(question)
    }

    /// Passes on what must not be lost, and is bounded by the number of connections.
    #[expect(clippy::disallowed_methods, reason = "once for each connection, and must not be lost")]
    pub(super) fn tell<M>(&self, fact: M)
    where
        M: Message + Send + 'static,
        M::Result: Send,
        StreamActor: Handler<M>,
    {
        self.routed.fetch_add(1, Ordering::Relaxed);
        self.address.do_send(fact);
    }

    /// Passes on what there has to be room for.
    pub(super) fn try_tell<M>(&self, fact: M) -> Result<(), SendError<M>>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        StreamActor: Handler<M>,
    {
        self.address.try_send(fact)?;
        self.routed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
