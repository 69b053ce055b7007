//! What becomes of a stream whose actor has panicked; and, below, its races and its rounds.

mod races;
mod retirement;
mod rounds;

use std::{future::poll_fn, path::PathBuf, pin::Pin, time::Duration};

use actix::{Actor, Arbiter, Handler, Message};
use actix_web::body::MessageBody;

use super::StreamActor;
use crate::{
    Broadcast, Clock, DatabaseUrl, Hub, HubConfig, NewEvent, PublishError, Store, StreamKey,
    hub::{Peer, registry::Registry, subscriber::SubscriberBody, tests::settle},
    sse::Cursor,
};

/// Makes the actor of a stream panic.
#[derive(Message)]
#[rtype(result = "()")]
struct Panic(StreamKey);

impl Handler<Panic> for Registry {
    type Result = ();

    fn handle(&mut self, panic: Panic, ctx: &mut Self::Context) {
        // Not `send`: a message whose answer nobody waits for any more is thrown away.
        self.entry(&panic.0.clone(), ctx).unwrap().way.tell(panic);
    }
}

impl Handler<Panic> for StreamActor {
    type Result = ();

    fn handle(&mut self, _: Panic, _: &mut <Self as Actor>::Context) {
        panic!("on purpose");
    }
}

struct Setup {
    hub: Hub,
    stream: StreamKey,
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        Self::with(HubConfig::default(), Clock::system())
    }

    fn with(config: HubConfig, clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&DatabaseUrl::file(folder.path().join("test.db"))).unwrap();
        let hub = Hub::start_with_clock(&Arbiter::current(), store, config, clock);
        Self { hub, stream: "debate/d1".parse().unwrap(), folder }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("test.db")
    }

    async fn publish(&self) -> Result<u64, PublishError> {
        self.publish_event("note", &serde_json::json!({})).await
    }

    /// Publishes an event that is durable.
    async fn publish_event(
        &self,
        name: &str,
        data: &impl serde::Serialize,
    ) -> Result<u64, PublishError> {
        let event = NewEvent::new(name, data).unwrap();
        self.hub.publish(&self.stream, event).await.map(|id| id.unwrap().seq)
    }

    async fn follow(&self, cursor: Cursor) -> SubscriberBody {
        self.hub.subscribe(&self.stream, cursor, Peer::default()).await.unwrap().unwrap()
    }
}

/// The rest of a response, up to its end or to the first `stop`; one of them must come.
async fn read(body: &mut SubscriberBody, stop: &str) -> String {
    let mut text = String::new();
    // For all of it: whoever is deaf still hears heartbeats.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !text.contains(stop) {
        let next = poll_fn(|cx| Pin::new(&mut *body).poll_next(cx));
        match tokio::time::timeout_at(deadline, next).await {
            Ok(Some(Ok(bytes))) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Ok(None) => return text + "<end>",
            Err(_) => panic!("neither {stop:?} nor an end after {text:?}"),
        }
    }
    text
}

#[actix::test]
async fn a_stream_whose_actor_panics_sends_its_subscribers_away_and_is_rebuilt() {
    let setup = Setup::new();
    assert_eq!(setup.publish().await, Ok(1));
    let mut body = setup.follow(Cursor::Now).await;
    assert!(read(&mut body, "snapshot").await.contains("event: snapshot"));

    setup.hub.registry().send(Panic(setup.stream.clone())).await.unwrap();
    assert_eq!(read(&mut body, "no such text").await, "<end>", "it would be deaf");
    drop(body);

    assert_eq!(setup.publish().await, Ok(2), "the stream goes on where it was");
    let text = read(&mut setup.follow(Cursor::Earliest).await, "snapshot").await;
    assert_eq!(text.matches("event: note").count(), 2);
    assert_eq!(setup.hub.stats().await.debates.clients, 0);
}

#[actix::test]
async fn a_stream_whose_actor_has_panicked_is_forgotten_once_nobody_follows_it() {
    let setup = Setup::new();
    let active = async || setup.hub.stats().await.debates.active;
    setup.publish().await.unwrap();
    setup.hub.registry().send(Panic(setup.stream.clone())).await.unwrap();
    settle().await;
    assert_eq!(active().await, 0, "nobody ever followed it");

    let mut body = setup.follow(Cursor::Now).await;
    read(&mut body, "snapshot").await;
    setup.hub.registry().send(Panic(setup.stream.clone())).await.unwrap();
    read(&mut body, "no such text").await;
    assert_eq!(active().await, 1);
    drop(body);
    settle().await;
    assert_eq!(active().await, 0, "the last one has gone");
    let totals = setup.hub.stats().await.totals;
    assert_eq!((totals.connections, totals.disconnects["unavailable"]), (1, 1));
}

#[actix::test]
async fn a_publish_that_an_actor_takes_with_it_is_answered() {
    let setup = Setup::new();
    setup.publish().await.unwrap();
    let panic = setup.hub.registry().send(Panic(setup.stream.clone()));
    let (_, lost) = tokio::join!(panic, setup.publish());
    assert_eq!(lost, Err(PublishError::Unavailable));
    assert_eq!(setup.publish().await, Ok(2));
}

#[actix::test]
async fn a_registry_that_panics_is_noticed() {
    struct Crash;
    impl Message for Crash {
        type Result = ();
    }
    impl Handler<Crash> for Registry {
        type Result = ();

        fn handle(&mut self, _: Crash, _: &mut Self::Context) {
            panic!("on purpose");
        }
    }
    let setup = Setup::new();
    assert!(setup.hub.is_alive().await);
    assert!(setup.hub.registry().send(Crash).await.is_err());
    setup.hub.lost().await;
    assert!(!setup.hub.is_ready().await);
    assert_eq!(setup.publish().await, Err(PublishError::Unavailable));
}

#[actix::test]
async fn whoever_publishes_to_an_actor_that_is_just_panicking_is_told() {
    let setup = Setup::new();
    assert_eq!(setup.publish().await, Ok(1));
    setup.hub.registry().try_send(Panic(setup.stream.clone())).unwrap();
    let note = NewEvent::new("note", &serde_json::json!({})).unwrap();
    let broadcast = Broadcast::one(setup.stream.clone(), note).unwrap();
    let answer = setup.hub.registry().send(broadcast).await.expect("the registry is there");
    assert_eq!(answer, Err(PublishError::Unavailable));
    assert_eq!(setup.publish().await, Ok(2));
}
