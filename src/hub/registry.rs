//! The registry: which stream is whose, who is connected, and where a message goes.

mod places;

use std::{collections::HashMap, sync::Arc};

use actix::{Actor, AsyncContext, Context, Handler, MessageResult, ResponseFuture};
use futures_util::future;
use tokio::sync::oneshot;
use uuid::Uuid;

use self::places::Places;
pub(crate) use self::places::is_of_own_network;
use super::{
    answer::Passed,
    broadcast::{Broadcast, PublishError},
    budget::Budget,
    config::HubConfig,
    delivery::Chunk,
    messages::{
        ClientCounts, Connect, ConnectError, Disconnect, HubStats, Inspect, Inspection, NextChunk,
        Peer, Retire, SendToClient, SendToClientError, Shutdown, Stats, StreamGone, StreamIdle,
    },
    stream_actor::StreamActor,
    subscriber::Backlog,
    totals::Totals,
    way::Way,
};
use crate::{
    clock::Clock,
    store::Store,
    stream_key::{StreamKey, StreamKind},
};

/// How many messages may wait for the registry, which only passes them on.
const MAILBOX_CAPACITY: usize = 65_536;

/// Knows every active stream. See [`RegistryAddr`](super::messages::RegistryAddr).
pub struct Registry {
    config: Arc<HubConfig>,
    clock: Clock,
    store: Store,
    /// What waits to be stored, on all streams.
    pending: Budget,
    streams: HashMap<StreamKey, Entry>,
    places: Places,
    totals: Totals,
    /// Waits for the last client to go, once the hub is shutting down.
    shutting_down: Option<Vec<oneshot::Sender<()>>>,
}

pub(super) struct Entry {
    pub(super) way: Arc<Way>,
    clients: HashMap<Uuid, Client>,
}

impl Entry {
    /// Whether nothing is left of the stream here: its actor is gone, and whoever followed it.
    fn is_over(&self) -> bool {
        self.clients.is_empty() && !self.way.is_open()
    }
}

/// One that is connected.
struct Client {
    /// What it is counted by.
    peer: Peer,
    /// Looked at when somebody asks who is behind.
    backlog: Arc<Backlog>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("streams", &self.streams.len()).finish_non_exhaustive()
    }
}

impl Registry {
    pub(crate) fn new(config: Arc<HubConfig>, clock: Clock, store: Store) -> Self {
        Self {
            pending: Budget::new(config.pending_bytes_total_max),
            config,
            clock,
            store,
            streams: HashMap::new(),
            places: Places::default(),
            totals: Totals::default(),
            shutting_down: None,
        }
    }

    /// Counts a client in; the way is that to its stream's actor, which has not heard of it yet.
    fn count_in(
        &mut self,
        connect: &Connect,
        ctx: &Context<Self>,
    ) -> Result<Arc<Way>, ConnectError> {
        let peer = Places::counted(&connect.peer, &self.config);
        self.check_room_for(connect, &peer)?;
        let backlog = Arc::clone(connect.handle.backlog());
        let entry = self.entry(&connect.stream, ctx).ok_or(ConnectError::Full)?;
        entry.clients.insert(connect.subscriber, Client { peer: peer.clone(), backlog });
        let way = Arc::clone(&entry.way);
        self.places.take(&peer);
        Ok(way)
    }

    fn check_room_for(&self, connect: &Connect, counted: &Peer) -> Result<(), ConnectError> {
        if self.shutting_down.is_some() {
            return Err(ConnectError::ShuttingDown);
        }
        let of_the_stream = self.streams.get(&connect.stream).map_or(0, |it| it.clients.len());
        let is_full = of_the_stream >= self.config.clients_per_stream_max
            || !self.places.are_left_for(counted, &self.config);
        // A client that is gone has said so already; what it said must stay the last word.
        if is_full || !connect.handle.is_connected() { Err(ConnectError::Full) } else { Ok(()) }
    }

    /// The limit that a publish does not keep, if there is one.
    fn exceeded_limit(&self, broadcast: &Broadcast) -> Option<usize> {
        let (event_max, publish_max) =
            (self.config.event_bytes_max, self.config.publish_bytes_max());
        let lengths = || broadcast.events.iter().map(|event| event.data().len());
        let is_event_too_large = lengths().any(|length| length > event_max);
        let is_publish_too_large = lengths().sum::<usize>() > publish_max;
        is_event_too_large.then_some(event_max).or(is_publish_too_large.then_some(publish_max))
    }

    /// The stream's entry, with an actor that is alive: one that has panicked is replaced. None: there is no room for
    /// another stream.
    pub(super) fn entry(&mut self, key: &StreamKey, ctx: &Context<Self>) -> Option<&mut Entry> {
        let Self { config, clock, store, pending, streams, totals, .. } = self;
        if streams.len() >= config.streams_max && !streams.contains_key(key) {
            return None;
        }
        let start = || {
            let (config, clock, store) = (Arc::clone(config), clock.clone(), store.clone());
            let totals = Arc::clone(totals.of_streams());
            let registry = ctx.address();
            let actor =
                StreamActor::new(key.clone(), config, clock, store, registry, totals, pending);
            Arc::new(Way::to(actor.launch()))
        };
        let entry = streams
            .entry(key.clone())
            .or_insert_with(|| Entry { way: start(), clients: HashMap::new() });
        if !entry.way.is_open() {
            log::warn!(stream:% = key; "the stream's actor is gone and is started anew");
            entry.way = start();
        }
        Some(entry)
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_CAPACITY);
    }
}

impl Handler<Connect> for Registry {
    type Result = ResponseFuture<Result<Option<Chunk>, ConnectError>>;

    fn handle(&mut self, connect: Connect, ctx: &mut Self::Context) -> Self::Result {
        let way = match self.count_in(&connect, ctx) {
            Ok(way) => way,
            Err(refusal) => {
                self.totals.refused(refusal);
                return Box::pin(future::ready(Err(refusal)));
            }
        };
        let admission = way.ask(connect);
        let totals = Arc::clone(self.totals.of_streams());
        Box::pin(async move {
            admission.await.unwrap_or_else(|_| {
                totals.refused_as_unavailable();
                Err(ConnectError::Unavailable)
            })
        })
    }
}

impl Handler<Disconnect> for Registry {
    type Result = ();

    fn handle(&mut self, gone: Disconnect, _: &mut Self::Context) {
        let Some(entry) = self.streams.get_mut(&gone.stream) else {
            return;
        };
        if let Some(Client { peer, backlog }) = entry.clients.remove(&gone.subscriber) {
            self.places.give_back(peer);
            // One that its stream has not taken in was never counted as a connection.
            if backlog.has_joined() {
                self.totals.disconnected(gone.reason);
            }
            if entry.is_over() {
                self.streams.remove(&gone.stream);
            } else {
                entry.way.tell(gone);
            }
        }
        if self.places.are_free() {
            for waiting in self.shutting_down.iter_mut().flat_map(|waiting| waiting.drain(..)) {
                let _ = waiting.send(());
            }
        }
    }
}

impl Handler<Broadcast> for Registry {
    type Result = Passed;

    fn handle(&mut self, broadcast: Broadcast, ctx: &mut Self::Context) -> Self::Result {
        if let Some(limit) = self.exceeded_limit(&broadcast) {
            return Passed(Err(PublishError::TooLarge { limit }));
        }
        Passed(match self.entry(&broadcast.stream, ctx) {
            Some(entry) => Ok((Arc::clone(&entry.way), broadcast)),
            None => Err(PublishError::Overloaded),
        })
    }
}

impl Handler<SendToClient> for Registry {
    type Result = ResponseFuture<Result<(), SendToClientError>>;

    fn handle(&mut self, message: SendToClient, _: &mut Self::Context) -> Self::Result {
        let limit = self.config.event_bytes_max;
        if message.event.data().len() > limit {
            return Box::pin(future::ready(Err(SendToClientError::TooLarge { limit })));
        }
        let sent = self.streams.get(&message.stream).map(|entry| entry.way.ask(message));
        Box::pin(async move {
            let sent = sent.ok_or(SendToClientError::Unknown)?;
            sent.await.unwrap_or(Err(SendToClientError::Unavailable))
        })
    }
}

impl Handler<NextChunk> for Registry {
    type Result = ResponseFuture<Option<Chunk>>;

    fn handle(&mut self, question: NextChunk, _: &mut Self::Context) -> Self::Result {
        self.totals.caught_up();
        let chunk = self.streams.get(&question.stream).map(|entry| entry.way.ask(question));
        Box::pin(async move { chunk?.await.ok().flatten() })
    }
}

impl Handler<Inspect> for Registry {
    type Result = ResponseFuture<Option<Inspection>>;

    fn handle(&mut self, question: Inspect, _: &mut Self::Context) -> Self::Result {
        let view = self.streams.get(&question.0).map(|entry| entry.way.ask(question));
        Box::pin(async move { view?.await.ok().flatten() })
    }
}

impl Handler<Stats> for Registry {
    type Result = MessageResult<Stats>;

    fn handle(&mut self, _: Stats, _: &mut Self::Context) -> Self::Result {
        let mut stats = HubStats { totals: self.totals.read(), ..HubStats::default() };
        for (key, entry) in &self.streams {
            let kind = match key.kind() {
                StreamKind::Debate => &mut stats.debates,
                StreamKind::Conversation => &mut stats.conversations,
            };
            kind.count += usize::from(!entry.clients.is_empty());
            kind.clients += entry.clients.len();
            let is_behind = |client: &&Client| client.backlog.is_behind();
            kind.behind += entry.clients.values().filter(is_behind).count();
            kind.active += 1;
        }
        MessageResult(stats)
    }
}

impl Handler<ClientCounts> for Registry {
    type Result = Vec<usize>;

    fn handle(
        &mut self,
        ClientCounts(streams): ClientCounts,
        _: &mut Self::Context,
    ) -> Self::Result {
        let count = |key| self.streams.get(key).map_or(0, |entry| entry.clients.len());
        streams.iter().map(count).collect()
    }
}

impl Handler<StreamIdle> for Registry {
    type Result = ();

    /// Forgets the stream only if this is the actor that is known, and nothing is on its way to it.
    fn handle(
        &mut self,
        StreamIdle { stream, address, handled }: StreamIdle,
        _: &mut Self::Context,
    ) {
        let is_idle =
            |entry: &Entry| entry.way.has_come_to(&address, handled) && entry.clients.is_empty();
        if self.streams.get(&stream).is_some_and(is_idle) {
            self.streams.remove(&stream);
            let _ = address.try_send(Retire);
        }
    }
}

impl Handler<StreamGone> for Registry {
    type Result = ();

    /// Whoever follows it still has to leave first; another actor may have taken its place.
    fn handle(&mut self, StreamGone(stream): StreamGone, _: &mut Self::Context) {
        if self.streams.get(&stream).is_some_and(Entry::is_over) {
            self.streams.remove(&stream);
        }
    }
}

impl Handler<Shutdown> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, shutdown: Shutdown, _: &mut Self::Context) -> Self::Result {
        let (last, gone) = oneshot::channel();
        let waiting = self.shutting_down.get_or_insert_default();
        if self.places.are_free() {
            let _ = last.send(());
        } else {
            waiting.push(last);
        }
        for entry in self.streams.values() {
            // One whose mailbox is full has its connections closed by the server instead.
            let _ = entry.way.try_tell(shutdown);
        }
        Box::pin(async move { gone.await.unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests;
