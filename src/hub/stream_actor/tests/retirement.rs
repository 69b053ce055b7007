//! An actor that stops because it has nothing left to do, and what may be on its way to it just then.
//!
//! All actors of a hub share a thread here, and each reads all of its mail in one go: what a test sends
//! without awaiting anything in between lies in the registry's mailbox together, in that order.

use actix::{Addr, AsyncContext, Handler, Message};
use futures_util::{FutureExt, future::join_all};
use tokio::sync::oneshot;

use super::{Panic, Setup, read};
use crate::{
    PublishError, StreamKey,
    hub::{
        messages::StreamIdle,
        registry::Registry,
        stream_actor::{MAILBOX_CAPACITY, StreamActor},
        tests::settle,
    },
    sse::Cursor,
    store::sabotage::{Held, hold_reads},
};

/// Makes the actor of a stream look whether it is idle, as its timer does.
#[derive(Message)]
#[rtype(result = "()")]
struct LookAround(StreamKey);

impl Handler<LookAround> for Registry {
    type Result = ();

    fn handle(&mut self, look: LookAround, ctx: &mut Self::Context) {
        self.entry(&look.0.clone(), ctx).unwrap().way.tell(look);
    }
}

impl Handler<LookAround> for StreamActor {
    type Result = ();

    fn handle(&mut self, _: LookAround, ctx: &mut Self::Context) {
        self.handled += 1;
        self.report_idle(ctx);
    }
}

/// Asks for the address of a stream's actor.
#[derive(Message)]
#[rtype(result = "()")]
struct Find(StreamKey, oneshot::Sender<Addr<StreamActor>>);

impl Handler<Find> for Registry {
    type Result = ();

    fn handle(&mut self, find: Find, ctx: &mut Self::Context) {
        self.entry(&find.0.clone(), ctx).unwrap().way.tell(find);
    }
}

impl Handler<Find> for StreamActor {
    type Result = ();

    fn handle(&mut self, Find(_, answer): Find, ctx: &mut Self::Context) {
        self.handled += 1;
        let _ = answer.send(ctx.address());
    }
}

impl Setup {
    fn look_around(&self) {
        self.hub.registry().try_send(LookAround(self.stream.clone())).unwrap();
    }

    async fn active(&self) -> usize {
        self.hub.stats().await.debates.active
    }
}

#[actix::test]
async fn whoever_subscribes_while_the_last_one_leaves_is_not_left_deaf() {
    let setup = Setup::new();
    let mut last = setup.follow(Cursor::Now).await;
    read(&mut last, "snapshot").await;
    // Nobody has published: with its last subscriber, the stream's actor has nothing to live for.
    drop(last);
    let mut next = setup.follow(Cursor::Now).await;
    read(&mut next, "snapshot").await;
    settle().await;
    assert_eq!(setup.active().await, 1);
    assert_eq!(setup.publish().await, Ok(1));
    assert!(read(&mut next, "event: note").await.contains("event: note"), "it is deaf");

    // The other way round: the actor has gone before the next one comes.
    let other = Setup::new();
    let mut last = other.follow(Cursor::Now).await;
    read(&mut last, "snapshot").await;
    drop(last);
    settle().await;
    assert_eq!(other.active().await, 0);
    let mut next = other.follow(Cursor::Now).await;
    read(&mut next, "snapshot").await;
    assert_eq!(other.publish().await, Ok(1));
    assert!(read(&mut next, "event: note").await.contains("event: note"), "it is deaf");
}

#[actix::test]
async fn a_publish_that_is_on_its_way_to_an_idle_actor_is_not_lost_with_it() {
    let setup = Setup::new();
    assert_eq!(setup.publish().await, Ok(1));
    // The actor says that it is idle, with this publish in its mailbox.
    setup.look_around();
    assert_eq!(setup.publish().await, Ok(2));
    // Nor is one that asks for history, or looks at the stream.
    setup.look_around();
    let mut body = setup.follow(Cursor::Earliest).await;
    assert_eq!(read(&mut body, "snapshot").await.matches("event: note").count(), 2);
    drop(body);
    settle().await;
    setup.look_around();
    settle().await;
    assert_eq!(setup.active().await, 0, "now it may go");
    assert_eq!(setup.publish().await, Ok(3));
}

#[actix::test]
async fn an_actor_is_not_idle_while_something_of_it_is_being_stored() {
    let setup = Setup::new();
    assert_eq!(setup.publish().await, Ok(1));
    let held = Held::new(&setup.database());
    let mut publish = Box::pin(setup.publish());
    assert!(publish.as_mut().now_or_never().is_none());
    settle().await;
    setup.look_around();
    settle().await;
    assert_eq!(setup.active().await, 1);
    drop(held);
    assert_eq!(publish.await, Ok(2));
}

#[actix::test]
async fn an_actor_that_has_been_replaced_takes_its_successor_nowhere() {
    let setup = Setup::new();
    assert_eq!(setup.publish().await, Ok(1));
    let (answer, found) = oneshot::channel();
    setup.hub.registry().send(Find(setup.stream.clone(), answer)).await.unwrap();
    let gone = found.await.unwrap();
    setup.hub.registry().send(Panic(setup.stream.clone())).await.unwrap();
    settle().await;
    assert_eq!(setup.publish().await, Ok(2), "another one has taken its place");
    // What the first one may still have had to say, and the second one would say after one message.
    let stale = StreamIdle { stream: setup.stream.clone(), address: gone, handled: 1 };
    setup.hub.registry().send(stale).await.unwrap();
    assert_eq!(setup.active().await, 1);
}

#[actix::test]
async fn what_a_full_mailbox_has_refused_keeps_no_stream_from_its_rest() {
    let setup = Setup::new();
    // Before its stream is loaded, an actor reads no mail.
    let held = hold_reads(&setup.hub.store);
    let publishes = join_all((0..MAILBOX_CAPACITY + 100).map(|_| setup.publish()));
    let (answers, ()) = tokio::join!(publishes, async {
        settle().await;
        drop(held);
    });
    let room = setup.hub.config().pending_publishes_max;
    let (taken, refused) = answers.split_at(room);
    assert!(taken.iter().all(Result::is_ok));
    assert!(refused.iter().all(|answer| *answer == Err(PublishError::Overloaded)));
    setup.look_around();
    settle().await;
    assert_eq!(setup.active().await, 0);
}
