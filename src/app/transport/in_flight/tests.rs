use futures_util::FutureExt;
use tokio::time::advance;

use super::*;

const QUIET: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_is_asked_is_waited_for_however_long_it_takes() {
    let in_flight = InFlight::default();
    let (one, other) = (in_flight.begin(0), in_flight.begin(0));
    let mut settled = in_flight.settled(QUIET).boxed_local();
    for asked in [one, other] {
        assert!((&mut settled).now_or_never().is_none());
        advance(10 * QUIET).await;
        assert!((&mut settled).now_or_never().is_none());
        drop(asked);
    }
    assert!((&mut settled).now_or_never().is_none(), "the last words have to be sent, too");
    advance(QUIET).await;
    assert!((&mut settled).now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_at_the_last_moment_is_answered_too() {
    let in_flight = InFlight::default();
    let mut settled = in_flight.settled(QUIET).boxed_local();
    assert!((&mut settled).now_or_never().is_none());
    advance(QUIET / 2).await;
    let late = in_flight.begin(0);
    assert!((&mut settled).now_or_never().is_none());
    advance(QUIET).await;
    assert!((&mut settled).now_or_never().is_none());
    drop(late);
    assert!((&mut settled).now_or_never().is_none());
    advance(QUIET).await;
    assert!((&mut settled).now_or_never().is_some());
}

/// An answer of so many bytes, or without an end.
async fn answer(in_flight: &InFlight, bytes: Option<usize>) -> CountedBody {
    answer_in(in_flight, &in_flight.room, PAGE_KIB, bytes).await
}

async fn answer_in(
    in_flight: &InFlight,
    room: &Arc<Semaphore>,
    kib: u32,
    bytes: Option<usize>,
) -> CountedBody {
    let room = Arc::clone(room).acquire_many_owned(kib).await.unwrap();
    let size = bytes.map_or(BodySize::Stream, |bytes| BodySize::Sized(bytes as u64));
    let asked = Arc::new(in_flight.begin(0).answered(size, room));
    CountedBody::of(vec![0; bytes.unwrap_or(1)], Some(asked))
}

fn next(answer: &mut CountedBody) -> Option<Bytes> {
    let next = std::future::poll_fn(|cx| Pin::new(&mut *answer).poll_next(cx));
    next.now_or_never().unwrap().map(Result::unwrap)
}

#[tokio::test(start_paused = true)]
async fn a_piece_now_and_then_is_enough_and_a_stream_owes_none() {
    let in_flight = InFlight::default();
    let stall = QUIET;
    let _stream = answer(&in_flight, None).await;
    let mut end = in_flight.is_too_much(stall).boxed_local();
    assert!((&mut end).now_or_never().is_none());
    advance(10 * stall).await;
    assert!((&mut end).now_or_never().is_none(), "nothing is owed by a stream");
    let mut long = answer(&in_flight, Some(3 * PIECE_BYTES)).await;
    for _ in 0..3 {
        let piece = next(&mut long).unwrap();
        assert_eq!(piece.len(), PIECE_BYTES);
        assert!((&mut end).now_or_never().is_none());
        advance(stall * 9 / 10).await;
        assert!((&mut end).now_or_never().is_none());
        drop(piece);
    }
    assert_eq!(next(&mut long), None);
    drop(long);
    assert!((&mut end).now_or_never().is_none());
    advance(10 * stall).await;
    assert!((&mut end).now_or_never().is_none(), "all is taken");
    let _untaken = answer(&in_flight, Some(1)).await;
    assert!((&mut end).now_or_never().is_none());
    advance(stall).await;
    assert!((&mut end).now_or_never().is_some());
}

#[test]
fn what_waits_may_be_many_or_long_and_not_both() {
    let in_flight = InFlight::default();
    let mut end = in_flight.overrun().boxed_local();
    let long = 32 * 1024;
    let mut waiting: Vec<_> = (0..HEADS_BYTES_MAX / long).map(|_| in_flight.begin(long)).collect();
    assert!((&mut end).now_or_never().is_none());
    // One that is answered has no head any more.
    let room = Arc::clone(&in_flight.room).try_acquire_many_owned(1).unwrap();
    let _answered = waiting.pop().map(|asked| asked.answered(BodySize::Sized(1), room));
    waiting.push(in_flight.begin(long));
    assert!((&mut end).now_or_never().is_none());
    waiting.push(in_flight.begin(1));
    assert!((&mut end).now_or_never().is_some());
    drop(waiting);
    assert_eq!(in_flight.counts.borrow().heads, 0);
}

#[tokio::test(start_paused = true)]
async fn brief_answers_are_no_way_on_while_pages_have_no_room() {
    let stall = QUIET;
    for (pages, is_let_go) in [(1, false), (8, true)] {
        let in_flight = InFlight::default();
        let mut untaken = Vec::new();
        for _ in 0..pages {
            untaken.push(answer(&in_flight, Some(1024 * PAGE_KIB as usize)).await);
        }
        let mut end = in_flight.is_too_much(stall).boxed_local();
        let mut has_ended = false;
        for _ in 0..4 {
            has_ended |= (&mut end).now_or_never().is_some();
            if has_ended {
                break;
            }
            advance(stall / 2).await;
            let mut brief = answer_in(&in_flight, &in_flight.brief_room, BRIEF_KIB, Some(1)).await;
            assert!(next(&mut brief).is_some(), "and there is always room for it");
        }
        assert_eq!(has_ended, is_let_go, "{pages} pages");
    }
}

#[tokio::test]
async fn an_answer_has_its_room_until_the_last_piece_of_it_is_written() {
    let in_flight = InFlight::default();
    let used = || ROOM_KIB as usize - in_flight.room.available_permits();
    let mut whole = answer(&in_flight, Some(100 * 1024)).await;
    assert_eq!(used(), 100, "and no more than it has come to need");
    let _stream = answer(&in_flight, None).await;
    assert_eq!(used(), 100, "a stream has none");
    let mut pieces = Vec::new();
    while let Some(piece) = next(&mut whole) {
        pieces.push(piece);
    }
    drop(whole);
    assert_eq!(used(), 100);
    let last = pieces.pop().map(|mut piece| piece.split_off(1));
    drop(pieces);
    assert_eq!(used(), 100, "a part of a piece is one, too");
    drop(last);
    assert_eq!(used(), 0);
}
