//! The registry: which stream is whose, who is connected, and where a message goes.

use std::{
    collections::{HashMap, hash_map},
    hash::Hash,
    net::IpAddr,
    sync::Arc,
};

use actix::{Actor, AsyncContext, Context, Handler, MessageResult, ResponseFuture};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{
    answer::Passed,
    broadcast::{Broadcast, PublishError},
    budget::Budget,
    config::HubConfig,
    delivery::Chunk,
    messages::{
        ClientCounts, Connect, ConnectError, Disconnect, HubStats, Inspect, Inspection, NextChunk,
        Peer, Retire, SendToClient, SendToClientError, Shutdown, Stats, StreamIdle,
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
    clients: usize,
    /// How many clients come from each address.
    addresses: HashMap<IpAddr, usize>,
    /// How many clients there are in each name.
    subjects: HashMap<Arc<str>, usize>,
    totals: Totals,
    /// Waits for the last client to go, once the hub is shutting down.
    shutting_down: Option<Vec<oneshot::Sender<()>>>,
}

pub(super) struct Entry {
    pub(super) way: Arc<Way>,
    clients: HashMap<Uuid, Client>,
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
            clients: 0,
            addresses: HashMap::new(),
            subjects: HashMap::new(),
            totals: Totals::default(),
            shutting_down: None,
        }
    }

    /// Why this client is not taken in, if it is not.
    fn refusal(&self, connect: &Connect) -> Option<ConnectError> {
        if self.shutting_down.is_some() {
            return Some(ConnectError::ShuttingDown);
        }
        let Peer { address, subject } = self.counted_by(&connect.peer);
        let from_there = address.and_then(|address| self.addresses.get(&address));
        let in_that_name = subject.and_then(|subject| self.subjects.get(&subject));
        let is_full = self.clients >= self.config.clients_max
            || from_there.is_some_and(|clients| *clients >= self.config.clients_per_address_max)
            || in_that_name.is_some_and(|clients| *clients >= self.config.clients_per_subject_max);
        // A client that is gone has said so already; what it said must stay the last word.
        (is_full || !connect.handle.is_connected()).then_some(ConnectError::Full)
    }

    /// What of this is counted: an address of our own network may be a proxy, and everybody's.
    fn counted_by(&self, peer: &Peer) -> Peer {
        let is_counted =
            |address: &IpAddr| self.config.counts_own_network || !is_of_own_network(*address);
        Peer { address: peer.address.filter(is_counted), subject: peer.subject.clone() }
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

    /// The stream's entry, with an actor that is alive: one that has panicked is replaced.
    pub(super) fn entry(&mut self, key: &StreamKey, ctx: &Context<Self>) -> &mut Entry {
        let Self { config, clock, store, pending, streams, totals, .. } = self;
        let start = || {
            let (config, clock, store) = (Arc::clone(config), clock.clone(), store.clone());
            let idle = ctx.address().recipient();
            let totals = Arc::clone(totals.of_streams());
            StreamActor::new(key.clone(), config, clock, store, idle, totals, pending).launch()
        };
        let start = || Arc::new(Way::to(start()));
        let entry = streams
            .entry(key.clone())
            .or_insert_with(|| Entry { way: start(), clients: HashMap::new() });
        if !entry.way.is_open() {
            log::warn!(stream:% = key; "the stream's actor is gone and is started anew");
            entry.way = start();
        }
        entry
    }
}

/// Whether an address is this machine's or of a network that is not the open one.
pub(crate) fn is_of_own_network(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn forget_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let hash_map::Entry::Occupied(mut clients) = counts.entry(key) {
        *clients.get_mut() -= 1;
        if *clients.get() == 0 {
            clients.remove();
        }
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
        if let Some(refusal) = self.refusal(&connect) {
            self.totals.refused(refusal);
            return Box::pin(async move { Err(refusal) });
        }
        self.clients += 1;
        self.totals.connected();
        let peer = self.counted_by(&connect.peer);
        if let Some(address) = peer.address {
            *self.addresses.entry(address).or_default() += 1;
        }
        if let Some(subject) = &peer.subject {
            *self.subjects.entry(Arc::clone(subject)).or_default() += 1;
        }
        let client = Client { peer, backlog: Arc::clone(connect.handle.backlog()) };
        let entry = self.entry(&connect.stream.clone(), ctx);
        entry.clients.insert(connect.subscriber, client);
        let admission = entry.way.ask(connect);
        Box::pin(async move { admission.await.unwrap_or(Err(ConnectError::Unavailable)) })
    }
}

impl Handler<Disconnect> for Registry {
    type Result = ();

    fn handle(&mut self, gone: Disconnect, _: &mut Self::Context) {
        let Some(entry) = self.streams.get_mut(&gone.stream) else {
            return;
        };
        if let Some(Client { peer, .. }) = entry.clients.remove(&gone.subscriber) {
            let Peer { address, subject } = peer;
            self.clients -= 1;
            self.totals.disconnected(gone.reason);
            if let Some(address) = address {
                forget_one(&mut self.addresses, address);
            }
            if let Some(subject) = subject {
                forget_one(&mut self.subjects, subject);
            }
            entry.way.tell(gone);
        }
        if self.clients == 0 {
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
        let way = Arc::clone(&self.entry(&broadcast.stream, ctx).way);
        Passed(Ok((way, broadcast)))
    }
}

impl Handler<SendToClient> for Registry {
    type Result = ResponseFuture<Result<(), SendToClientError>>;

    fn handle(&mut self, message: SendToClient, _: &mut Self::Context) -> Self::Result {
        let sent = self.streams.get_mut(&message.stream).map(|entry| entry.way.ask(message));
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
        let chunk = self.streams.get_mut(&question.stream).map(|entry| entry.way.ask(question));
        Box::pin(async move { chunk?.await.ok().flatten() })
    }
}

impl Handler<Inspect> for Registry {
    type Result = ResponseFuture<Option<Inspection>>;

    fn handle(&mut self, question: Inspect, _: &mut Self::Context) -> Self::Result {
        let view = self.streams.get_mut(&question.0).map(|entry| entry.way.ask(question));
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

impl Handler<Shutdown> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, shutdown: Shutdown, _: &mut Self::Context) -> Self::Result {
        let (last, gone) = oneshot::channel();
        if self.clients > 0 {
            self.shutting_down.get_or_insert_default().push(last);
        } else {
            self.shutting_down.get_or_insert_default();
            let _ = last.send(());
        }
        for entry in self.streams.values_mut() {
            // One whose mailbox is full has its connections closed by the server instead.
            let _ = entry.way.try_tell(shutdown);
        }
        Box::pin(async move { gone.await.unwrap_or_default() })
    }
}
