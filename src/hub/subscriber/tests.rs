//! The actor's context, and what goes into its mailbox.

use std::{cell::RefCell, rc::Rc};

use actix::{Context, fut, prelude::MessageResult};
use futures_util::{FutureExt, future::poll_fn};

use super::*;
use crate::hub::delivery::Delivery;

/// What a hub is to its subscribers.
struct Hub;

impl Actor for Hub {
    type Context = Context<Self>;
}

impl Handler<NextChunk> for Hub {
    type Result = MessageResult<NextChunk>;

    fn handle(&mut self, _: NextChunk, _: &mut Self::Context) -> Self::Result {
        MessageResult(None)
    }
}

impl Handler<Disconnect> for Hub {
    type Result = ();

    fn handle(&mut self, _: Disconnect, _: &mut Self::Context) {}
}

fn subscribe(config: HubConfig) -> (SubscriberBody, SubscriberHandle) {
    let hub = Hub.start();
    let surroundings = Surroundings {
        config: Arc::new(config),
        next_chunk: hub.clone().recipient(),
        disconnect: hub.recipient(),
        is_shutting_down: AtomicBool::new(false),
    };
    SubscriberBody::new("debate/d1".parse().unwrap(), Uuid::nil(), Arc::new(surroundings))
}

impl SubscriberBody {
    /// The pieces that are there, without waiting for more.
    fn read(&mut self) -> Vec<Bytes> {
        let piece = || poll_fn(|cx| self.next(cx)).now_or_never().flatten();
        std::iter::from_fn(piece).collect()
    }
}

fn delivery(bytes: usize) -> Deliver {
    let bytes = vec![b'x'; bytes].into();
    Deliver(Arc::new(Delivery { bytes, is_durable: true, is_final: false, after: 0 }))
}

#[actix_web::test]
async fn a_mailbox_holds_so_many_bytes_and_what_is_opened_makes_room() {
    let (mut body, handle) =
        subscribe(HubConfig { backlog_bytes_max: 100, ..HubConfig::default() });
    for _ in 0..3 {
        handle.deliver(delivery(60)).unwrap();
        handle.deliver(delivery(40)).unwrap();
        assert_eq!(handle.deliver(delivery(1)), Err(Undelivered::Full));
        assert_eq!(body.read().len(), 2);
    }
    // One that waits for nothing gets a delivery of any length, and nothing after it.
    handle.deliver(delivery(900)).unwrap();
    assert_eq!(handle.deliver(delivery(1)), Err(Undelivered::Full));
    assert_eq!(body.read().concat().len(), 900);
    handle.deliver(delivery(1)).unwrap();
}

#[actix_web::test]
async fn what_a_full_mailbox_refuses_takes_no_room() {
    let config = HubConfig { backlog_bytes_max: 100, mailbox_capacity: 1, ..HubConfig::default() };
    let (mut body, handle) = subscribe(config);
    let taken = (0..50).take_while(|_| handle.deliver(delivery(10)).is_ok()).count();
    assert!(taken < 10, "the mailbox is full before the bytes are too many");
    for _ in 0..50 {
        assert_eq!(handle.deliver(delivery(10)), Err(Undelivered::Full));
    }
    assert_eq!(body.read().len(), taken);
    handle.deliver(delivery(100)).unwrap();
}

#[actix_web::test]
async fn no_mail_is_opened_while_something_is_awaited_which_may_await_more() {
    let (mut body, handle) = subscribe(HubConfig::default());
    let (first, second) =
        (Rc::new(tokio::sync::Notify::new()), Rc::new(tokio::sync::Notify::new()));
    let (opens_first, opens_second) = (Rc::clone(&first), Rc::clone(&second));
    let wait = async move { opens_first.notified().await };
    body.ctx.wait(fut::wrap_future::<_, SubscriberActor>(wait).map(|(), _, ctx| {
        ctx.write("first".into());
        let wait = async move { opens_second.notified().await };
        ctx.wait(
            fut::wrap_future::<_, SubscriberActor>(wait)
                .map(|(), _, ctx| ctx.write("second".into())),
        );
    }));
    handle.deliver(delivery(1)).unwrap();
    assert!(body.read().is_empty());
    first.notify_one();
    assert_eq!(body.read(), ["first"]);
    assert!(body.read().is_empty());
    second.notify_one();
    assert_eq!(body.read(), ["second", "x"]);
}

#[actix_web::test]
async fn what_is_spawned_runs_and_what_that_spawns_unless_it_is_cancelled() {
    let (mut body, _handle) = subscribe(HubConfig::default());
    let seen = Rc::new(RefCell::new(Vec::new()));
    let say = |word: &'static str| {
        let seen = Rc::clone(&seen);
        fut::wrap_future::<_, SubscriberActor>(async move { seen.borrow_mut().push(word) })
    };
    let inner = say("inner");
    body.ctx.spawn(say("outer").map(|(), _, ctx: &mut SubscriberContext| {
        ctx.spawn(inner);
    }));
    let cancelled = body.ctx.spawn(say("cancelled"));
    body.ctx.spawn(say("last"));
    assert!(body.ctx.cancel_future(cancelled));
    assert!(!body.ctx.cancel_future(cancelled));
    assert!(body.read().is_empty());
    assert_eq!(*seen.borrow(), ["outer", "last", "inner"]);
}

#[actix_web::test]
async fn the_actor_has_an_address_and_ends_when_nobody_else_has_one() {
    let (mut body, handle) = subscribe(HubConfig::default());
    body.ctx.address().try_send(delivery(1)).unwrap();
    assert_eq!(body.read(), ["x"]);
    assert_eq!(body.ctx.ended(), None);
    drop(handle);
    assert!(body.read().is_empty());
    assert_eq!(body.ctx.ended(), Some(EndReason::Unavailable));
}
