//! The actor's context, and what goes into its mailbox.

use std::{cell::RefCell, rc::Rc, time::Duration};

use actix::{ActorContext, ActorFuture, ActorState, Context, fut, prelude::MessageResult};
use actix_web::rt::spawn;
use futures_util::{FutureExt, future::poll_fn};
use tokio::{
    sync::{Notify, mpsc::unbounded_channel},
    task::yield_now,
    time::timeout,
};

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
async fn what_was_opened_since_it_was_last_looked_at_makes_room_to_the_byte() {
    for (bytes, outcome) in [(70, Ok(())), (71, Err(Undelivered::Full))] {
        let (mut body, handle) =
            subscribe(HubConfig { backlog_bytes_max: 100, ..HubConfig::default() });
        handle.deliver(delivery(50)).unwrap();
        assert_eq!(body.read().len(), 1);
        handle.deliver(delivery(30)).unwrap();
        assert_eq!(handle.deliver(delivery(bytes)), outcome);
    }
}

#[actix_web::test]
async fn what_another_thread_delivers_wakes_the_reader_and_is_counted_as_it_is_read() {
    const DELIVERIES: usize = 5000;
    let (mut body, handle) =
        subscribe(HubConfig { backlog_bytes_max: 100, ..HubConfig::default() });
    let sender = std::thread::spawn(move || {
        for number in 0..DELIVERIES {
            let delivery = delivery(1 + number % 60);
            // If the test fails, it is to end.
            while handle.is_connected()
                && handle.deliver(delivery.clone()) == Err(Undelivered::Full)
            {
                std::thread::yield_now();
            }
        }
        handle
    });
    let mut bytes_left: usize = (0..DELIVERIES).map(|number| 1 + number % 60).sum();
    let read = async {
        while bytes_left > 0 {
            bytes_left -= poll_fn(|cx| body.next(cx)).await.unwrap().len();
        }
    };
    timeout(Duration::from_secs(30), read).await.expect("mail waits, and nobody reads it");
    let handle = sender.join().unwrap();
    handle.deliver(delivery(900)).expect("all of it has been read");
}

#[actix_web::test]
async fn a_heartbeat_is_for_one_that_is_not_behind_and_has_no_mail() {
    let (mut body, mut handle) = subscribe(HubConfig::default());
    let interval = HubConfig::default().heartbeat_interval;
    let mut attend = |handle: &mut SubscriberHandle| {
        let due_at = handle.due_at();
        handle.attend(due_at, due_at + Duration::from_secs(1), &delivery(2), interval);
        assert!(handle.due_at() > due_at, "there is another one");
        body.read().concat().len()
    };
    assert_eq!(attend(&mut handle), 0, "it has not had its first chunk");
    handle.catch_up();
    assert_eq!(attend(&mut handle), 2);
    handle.deliver(delivery(7)).unwrap();
    assert_eq!(attend(&mut handle), 7);
    assert_eq!(attend(&mut handle), 2);
}

#[actix_web::test]
async fn one_that_falls_behind_is_sent_what_must_not_be_skipped_and_no_mail_after_that() {
    let (mut body, handle) = subscribe(HubConfig::default());
    handle.catch_up();
    handle.deliver(delivery(1)).unwrap();
    let token = Delivery { bytes: "token".into(), is_durable: false, is_final: false, after: 0 };
    handle.deliver(Deliver(Arc::new(token))).unwrap();
    handle.fall_behind();
    handle.deliver(delivery(3)).unwrap();
    assert_eq!(body.read(), ["x"]);
    // The chunk that it has asked for does not come.
    let end = timeout(Duration::from_secs(30), poll_fn(|cx| body.next(cx))).await;
    assert!(end.unwrap().unwrap().starts_with(b"retry: "));
    assert_eq!(body.ctx.ended(), Some(EndReason::Unavailable));
}

/// Waits until it is told, and writes a word then.
fn wait_to_write(ctx: &mut SubscriberContext, word: &'static str) -> Rc<Notify> {
    let told = Rc::<Notify>::default();
    let teller = Rc::clone(&told);
    let wait = fut::wrap_future::<_, SubscriberActor>(async move { told.notified().await });
    ctx.wait(wait.map(move |(), _, ctx: &mut SubscriberContext| ctx.write(word.into())));
    teller
}

fn at_once(
    run: impl FnOnce(&mut SubscriberContext) + 'static,
) -> impl ActorFuture<SubscriberActor, Output = ()> {
    fut::wrap_future::<_, SubscriberActor>(async {}).map(|(), _, ctx| run(ctx))
}

#[actix_web::test]
async fn no_mail_is_opened_while_something_is_awaited_and_what_is_awaited_last_comes_first() {
    let (mut body, handle) = subscribe(HubConfig::default());
    let outer = wait_to_write(&mut body.ctx, "outer");
    let inner = wait_to_write(&mut body.ctx, "inner");
    handle.deliver(delivery(1)).unwrap();
    outer.notify_one();
    assert!(body.read().is_empty());
    inner.notify_one();
    assert_eq!(body.read(), ["inner", "outer", "x"]);
}

#[actix_web::test]
async fn what_is_awaited_may_await_more_and_so_may_what_is_spawned() {
    let (mut body, handle) = subscribe(HubConfig::default());
    let next = Rc::<RefCell<Option<Rc<Notify>>>>::default();
    let waits_more = |word| {
        let next = Rc::clone(&next);
        at_once(move |ctx| {
            next.replace(Some(wait_to_write(ctx, word)));
        })
    };
    body.ctx.wait(waits_more("awaited"));
    handle.deliver(delivery(1)).unwrap();
    assert!(body.read().is_empty());
    next.take().unwrap().notify_one();
    assert_eq!(body.read(), ["awaited", "x"]);

    body.ctx.spawn(waits_more("spawned"));
    handle.deliver(delivery(1)).unwrap();
    assert_eq!(body.read(), ["x"], "it was there before");
    handle.deliver(delivery(1)).unwrap();
    assert!(body.read().is_empty());
    next.take().unwrap().notify_one();
    assert_eq!(body.read(), ["spawned", "x"]);
}

#[actix_web::test]
async fn what_a_spawned_future_awaits_is_looked_at_before_the_body_waits() {
    let (mut body, _handle) = subscribe(HubConfig::default());
    body.ctx.spawn(at_once(|ctx| wait_to_write(ctx, "awaited").notify_one()));
    assert_eq!(body.read(), ["awaited"]);
}

#[actix_web::test]
async fn what_is_awaited_and_mail_and_what_is_spawned_each_wake_the_body() {
    let (mut body, handle) = subscribe(HubConfig::default());
    let awaited = wait_to_write(&mut body.ctx, "awaited");
    let (seen, mut pieces) = unbounded_channel();
    spawn(async move {
        while let Some(piece) = poll_fn(|cx| body.next(cx)).await {
            seen.send(piece).unwrap();
        }
    });
    let mut next = async || {
        let piece = timeout(Duration::from_secs(30), pieces.recv()).await;
        piece.expect("there is something, and nobody looks").unwrap()
    };
    yield_now().await;
    handle.deliver(delivery(1)).unwrap();
    yield_now().await;
    awaited.notify_one();
    assert_eq!((next().await, next().await), ("awaited".into(), "x".into()));
    handle.deliver(delivery(1)).unwrap();
    assert_eq!(next().await, "x");
    handle.end(Duration::from_millis(1), EndReason::AgeLimit).unwrap();
    assert!(next().await.starts_with(b"retry: "));
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

#[actix_web::test]
async fn the_first_end_stands_and_nothing_is_written_after_it() {
    let (mut body, handle) = subscribe(HubConfig::default());
    for piece in ["one", "", "two"] {
        body.ctx.write(piece.into());
    }
    body.ctx.stop();
    assert_eq!(body.ctx.state(), ActorState::Stopped);
    body.ctx.end(EndReason::AgeLimit);
    body.end_at(Instant::now());
    body.ctx.write("three".into());
    handle.deliver(delivery(1)).unwrap();
    assert_eq!(
        body.read(),
        ["one", "two"],
        "a token that expires after the end takes nothing back"
    );
    assert_eq!(body.ctx.ended(), Some(EndReason::Unavailable));
}

#[actix_web::test]
async fn a_token_that_expires_takes_back_all_but_what_may_be_half_sent() {
    let (mut body, _handle) = subscribe(HubConfig::default());
    assert_eq!(body.ctx.state(), ActorState::Running);
    body.ctx.write(vec![b'1'; PIECE_BYTES + 1].into());
    body.ctx.write("two".into());
    let first = poll_fn(|cx| body.next(cx)).now_or_never().flatten().unwrap();
    assert_eq!(first.len(), PIECE_BYTES);
    body.end_at(Instant::now());
    let rest = body.read();
    assert_eq!(rest[0], "1");
    assert!(rest[1].starts_with(b"event: auth_expired\n"), "{rest:?}");
    assert_eq!((rest.len(), body.ctx.ended()), (2, Some(EndReason::AuthExpired)));
}

#[actix_web::test]
async fn it_starts_once_and_keeps_no_room_for_a_burst() {
    let (mut body, handle) = subscribe(HubConfig::default());
    body.end_at(Instant::now() + Duration::from_secs(60));
    for _ in 0..3 {
        (0..10).for_each(|_| handle.deliver(delivery(1)).unwrap());
        assert_eq!(body.read().len(), 10);
    }
    assert_eq!(body.ctx.held(), (1, 0), "the timer for its token, and no room");
}

#[actix_web::test]
async fn one_that_has_said_that_it_leaves_is_gone_though_its_mailbox_is_there_for_a_moment() {
    let (body, handle) = subscribe(HubConfig::default());
    assert!(handle.is_connected());
    handle.backlog().leave();
    assert!(!handle.is_connected());
    drop(body);
    assert!(!handle.is_connected());
}
