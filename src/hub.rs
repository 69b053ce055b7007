//! Streams, their subscribers and their history: the part that everything else exists for.
//!
//! The [registry](registry) routes; one [actor](stream_actor) for each active stream owns its
//! [state](stream_state), which holds all the rules; one [actor](subscriber) for each connection lives in
//! its response body.

mod answer;
mod broadcast;
mod budget;
mod config;
mod delivery;
mod history;
mod messages;
mod publish_queue;
mod registry;
mod replay;
mod stream_actor;
mod stream_state;
mod subscriber;
mod totals;
mod way;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix::{Actor, Addr, ArbiterHandle, Message};
use futures_util::FutureExt;
use uuid::Uuid;

pub(crate) use self::registry::is_of_own_network;
pub use self::{
    broadcast::{BATCH_MAX, Broadcast, BroadcastError, PublishError, Published},
    config::HubConfig,
    delivery::SnapshotView,
    messages::{
        ClientCounts, ConnectError, HubStats, KindStats, Peer, RegistryAddr, SendToClient,
        SendToClientError, Shutdown, Stats,
    },
    registry::Registry,
    subscriber::SubscriberBody,
    totals::HubTotals,
};
use self::{
    messages::{Connect, Inspect, Inspection},
    subscriber::Surroundings,
};
use crate::{
    clock::Clock,
    event::{EventId, NewEvent, Status},
    sse::Cursor,
    store::{PageLimits, Store, StoreError, StoredEvent, StoredStream},
    stream_key::{StreamKey, StreamKind},
};

/// How soon it is noticed that the registry is gone.
const LOST_CHECK: Duration = Duration::from_secs(1);

/// A cloneable handle to the registry, the streams' actors and the store.
///
/// ```
/// use clearside_sse::{DatabaseUrl, Hub, HubConfig, NewEvent, Store};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("clearside.db");
/// # actix::System::new().block_on(async {
/// let store = Store::open(&DatabaseUrl::file(path))?;
/// let hub = Hub::start(&actix::Arbiter::current(), store, HubConfig::default());
///
/// let debate = "debate/d1".parse()?;
/// let phase = NewEvent::new("phase_transition", &serde_json::json!({"phase": "Opening", "timestamp": 0}))?;
/// let id = hub.publish(&debate, phase).await?.expect("a phase transition is durable");
/// assert_eq!(id.seq, 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Hub {
    registry: Addr<Registry>,
    surroundings: Arc<Surroundings>,
    store: Store,
}

/// A stream, with what is happening on it right now.
#[derive(Debug, Clone)]
pub(crate) struct StreamDescription {
    pub(crate) key: StreamKey,
    pub(crate) view: SnapshotView,
    /// The id of the last durable event.
    pub(crate) tail: Option<EventId>,
    /// None if nothing durable has been published.
    pub(crate) stored: Option<StoredStream>,
}

impl Hub {
    /// Starts a hub, its registry and all streams' actors on this arbiter.
    #[must_use]
    pub fn start(arbiter: &ArbiterHandle, store: Store, config: HubConfig) -> Self {
        Self::start_with_clock(arbiter, store, config, Clock::system())
    }

    /// Starts a hub that stamps its events by this clock.
    #[must_use]
    pub fn start_with_clock(
        arbiter: &ArbiterHandle,
        store: Store,
        config: HubConfig,
        clock: Clock,
    ) -> Self {
        let config = Arc::new(config);
        let actor = Registry::new(Arc::clone(&config), clock, store.clone());
        let registry = Registry::start_in_arbiter(arbiter, |_| actor);
        let surroundings = Arc::new(Surroundings {
            config,
            next_chunk: registry.clone().recipient(),
            disconnect: registry.clone().recipient(),
            is_shutting_down: AtomicBool::new(false),
        });
        Self { registry, surroundings, store }
    }

    /// Where an application's actors send [`Broadcast`] and the other messages to.
    #[must_use]
    pub const fn registry(&self) -> &RegistryAddr {
        &self.registry
    }

    /// The settings that the hub was started with.
    #[must_use]
    pub fn config(&self) -> &HubConfig {
        &self.surroundings.config
    }

    /// Publishes one event; answers its id once it is stored, none if it is transient.
    ///
    /// # Errors
    /// When the event is not as its name demands, the stream has ended, or the event cannot be stored.
    pub async fn publish(
        &self,
        stream: &StreamKey,
        event: NewEvent,
    ) -> Result<Option<EventId>, PublishError> {
        let broadcast = Broadcast::one(stream.clone(), event)?;
        Ok(self.broadcast(broadcast).await?.last_id())
    }

    /// Publishes events: all of them, next to each other, or none. They are on their way when this returns, unless the
    /// hub has more mail than it takes; but if nobody waits for the answer, they may be dropped.
    ///
    /// # Errors
    /// When the stream has ended, or the events cannot be stored.
    pub fn broadcast(
        &self,
        broadcast: Broadcast,
    ) -> impl Future<Output = Result<Published, PublishError>> + Send + use<> {
        self.ask(broadcast).map(|published| published.unwrap_or(Err(PublishError::Unavailable)))
    }

    /// Follows a stream from this cursor on: the body of a `text/event-stream` response. [`Api`](crate::Api)
    /// does so at the usual place; an application may at another.
    ///
    /// `address` is where the client comes from, for the limit on connections from one address. `None`:
    /// the client has seen the end of the stream, and should be told to stay away (204).
    ///
    /// # Errors
    /// When there are too many connections, or the hub is shutting down. An `EventSource` that is to come
    /// back must be answered 200 all the same.
    pub async fn subscribe(
        &self,
        stream: &StreamKey,
        cursor: Cursor,
        peer: Peer,
    ) -> Result<Option<SubscriberBody>, ConnectError> {
        let subscriber = Uuid::new_v4();
        let (mut body, handle) =
            SubscriberBody::new(stream.clone(), subscriber, Arc::clone(&self.surroundings));
        let connect = Connect { stream: stream.clone(), subscriber, handle, cursor, peer };
        let head = self.ask(connect).await.unwrap_or(Err(ConnectError::Unavailable))?;
        Ok(head.map(|head| {
            body.begin(head);
            body
        }))
    }

    /// Sends one transient event to one subscriber.
    ///
    /// # Errors
    /// When nobody of that id follows the stream, or its mailbox is full.
    pub async fn send_to_client(&self, message: SendToClient) -> Result<(), SendToClientError> {
        self.ask(message).await.unwrap_or(Err(SendToClientError::Unavailable))
    }

    /// How many streams are followed, and by how many. All zero if the hub is gone.
    pub async fn stats(&self) -> HubStats {
        self.ask(Stats).await.unwrap_or_default()
    }

    /// How many follow this stream.
    pub async fn client_count(&self, stream: &StreamKey) -> usize {
        self.client_counts(vec![stream.clone()]).await.into_iter().sum()
    }

    /// Whether anyone follows this stream.
    pub async fn has_clients(&self, stream: &StreamKey) -> bool {
        self.client_count(stream).await > 0
    }

    async fn client_counts(&self, streams: Vec<StreamKey>) -> Vec<usize> {
        let none = vec![0; streams.len()];
        self.ask(ClientCounts(streams)).await.unwrap_or(none)
    }

    /// Whether the registry answers.
    pub async fn is_alive(&self) -> bool {
        self.ask(ClientCounts(Vec::new())).await.is_some()
    }

    /// Done when the registry is gone, which it only is after a panic: nothing works any more.
    pub async fn lost(&self) {
        while self.registry.connected() {
            tokio::time::sleep(LOST_CHECK).await;
        }
    }

    /// Whether new clients are welcome: the registry and the store answer, and no shutdown has begun.
    pub async fn is_ready(&self) -> bool {
        let is_shutting_down = self.surroundings.is_shutting_down.load(Ordering::Relaxed);
        !is_shutting_down && self.is_alive().await && self.store.ping().await.is_ok()
    }

    /// Ends every connection within `spread`, each with a retry time of its own, and takes no new ones.
    /// Publishes go on being answered. Returns when the last connection has ended.
    pub async fn shutdown(&self, spread: Duration) {
        self.surroundings.is_shutting_down.store(true, Ordering::Relaxed);
        self.ask(Shutdown { spread }).await;
    }

    /// A stream's state at this moment; none if nobody has published to it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn snapshot(&self, stream: &StreamKey) -> Result<Option<SnapshotView>, StoreError> {
        Ok(self.describe(stream).await?.map(|stream| stream.view))
    }

    /// A stream as it is now; none if nobody has published to it.
    pub(crate) async fn describe(
        &self,
        stream: &StreamKey,
    ) -> Result<Option<StreamDescription>, StoreError> {
        let stored = self.store.load(stream).await?;
        let inspection = self.ask(Inspect(stream.clone())).await.flatten();
        let (view, tail) = match (inspection, &stored) {
            // What is in memory was read together.
            (Some(Inspection { view, tail }), _) => (view, tail),
            (None, Some(stored)) => {
                (SnapshotView::at_rest(stored.snapshot.clone(), 0), Some(stored.tail))
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(StreamDescription { key: stream.clone(), view, tail, stored }))
    }

    /// Whether somebody has published to a stream and it has not ended.
    pub(crate) async fn is_under_way(&self, stream: &StreamKey) -> Result<bool, StoreError> {
        let stream = self.describe(stream).await?;
        Ok(stream.is_some_and(|stream| stream.view.snapshot.status != Status::Completed))
    }

    /// The streams of a kind that have been published to, newest first.
    pub(crate) async fn list(
        &self,
        kind: StreamKind,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<StreamDescription>, StoreError> {
        let streams = self.store.list(kind, before, limit).await?;
        let counts =
            self.client_counts(streams.iter().map(|stream| stream.key.clone()).collect()).await;
        let describe = |(stored, clients): (StoredStream, usize)| StreamDescription {
            key: stored.key.clone(),
            view: SnapshotView::at_rest(stored.snapshot.clone(), clients),
            tail: Some(stored.tail),
            stored: Some(stored),
        };
        Ok(streams.into_iter().zip(counts).map(describe).collect())
    }

    /// The stored events after a cursor.
    pub(crate) async fn page(
        &self,
        stream: &StreamKey,
        cursor: EventId,
        limits: PageLimits,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.store.page(stream, cursor, limits).await
    }

    /// Sends a message to the registry, at once if its mailbox is not full; `None`: the registry is gone.
    fn ask<M>(&self, message: M) -> impl Future<Output = Option<M::Result>> + Send + use<M>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        Registry: actix::Handler<M>,
    {
        self.registry.send(message).map(Result::ok)
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod typescript;
