//! The disk fails: `strace` makes calls of the running server return errors.

use serde_json::json;

use crate::{
    checker,
    load::{Load, post, read_history},
    strace::Strace,
    support::{Process, Wire, event, get, token},
};

const STREAM: &str = "/api/debates/d0";

/// How many calls fail, one at a time: the first, the second, … after each other.
const FAILURES: usize = 25;

/// The first call fails in the middle of a load, and then the second after the last failure, and so on:
/// nobody notices but the publishers, and those only for a moment.
async fn one_failure_after_another(calls: &str, errors: [&str; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--history", "16"]).await;
    let mut load = Load::start(server.address, 4, 2);
    load.follow(server.address, 12);
    load.acknowledged(20).await;
    let mut injected = 0;
    for nth in 1..=FAILURES {
        let what = format!("{calls}:error={}:when={nth}", errors[nth % 2]);
        let failing = Strace::inject(&server, folder.path(), &what).await;
        load.until(&what, || failing.injected() > 0).await;
        injected += failing.injected();
        drop(failing);
        load.acknowledged(1).await;
    }
    load.acknowledged(20).await;
    let is_ready = get(server.address, "/health/ready").await.status();
    let (run, followers, tally) = load.end().await;
    println!("{calls}: {injected} calls failed, {tally:?}");
    checker::assert_clean(&run);
    assert_eq!(is_ready, 200, "it has recovered without a restart");
    assert!(tally.unavailable.get() > 0, "what was not stored was not acknowledged");
    assert_eq!(tally.unavailable.get(), tally.failures.get(), "everything was answered");
    // The second connection is the one that is told to stay away.
    assert!(followers.iter().all(|it| it.connections <= 2), "no stream was cut");
}

#[actix_web::test]
async fn a_sync_that_fails_is_a_503_and_no_more() {
    one_failure_after_another("fdatasync,fsync", ["EIO", "EIO"]).await;
}

#[actix_web::test]
async fn a_write_that_fails_is_a_503_and_no_more() {
    one_failure_after_another("pwrite64", ["ENOSPC", "EIO"]).await;
}

/// As long as the disk fails, nothing is acknowledged and nothing of it is seen; all else goes on.
async fn outage(what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--history", "4"]).await;
    let address = server.address;
    let note = |number: usize| event("note", json!({ "n": number }));
    for number in 1..=10 {
        let answer = post(address, STREAM, &format!("k{number}"), &note(number)).await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    let stored = read_history(address, STREAM).await;
    let follow = format!("{STREAM}/stream");
    let mut live = Wire::follow(address, &follow, &[]).await;
    live.until("snapshot").await;

    let failing = Strace::inject(&server, folder.path(), what).await;
    for number in 11..=16 {
        let answer = post(address, STREAM, &format!("k{number}"), &note(number)).await.unwrap();
        assert_eq!((answer.status(), answer.code().as_str()), (503, "unavailable"), "{what}");
    }
    assert!(failing.injected() >= 6, "each was tried");
    assert_eq!(get(address, "/health/ready").await.status(), 503, "{what}");
    assert_eq!(get(address, "/health/live").await.status(), 200, "{what}");
    // Tokens go on, and nothing has come before them.
    let answer = post(address, STREAM, "t", &token("Pro", "word")).await.unwrap();
    assert_eq!(answer.status(), 202, "{what}");
    let seen = live.until("token").await;
    let durable: Vec<_> = seen.iter().filter(|event| event.is_durable()).collect();
    assert!(durable.is_empty(), "{what}: not stored, and seen: {durable:?}");
    // So do replays, from the store, and the history.
    let mut late = Wire::follow(address, &follow, &[("Last-Event-ID", "earliest")]).await;
    let replay = late.until("snapshot").await;
    assert_eq!(replay.iter().filter(|event| event.is_durable()).count(), 10, "{what}");
    assert_eq!(read_history(address, STREAM).await, stored, "{what}");
    drop(failing);

    // The same again: what was refused is stored once, and everyone sees it.
    for number in 11..=16 {
        let answer = post(address, STREAM, &format!("k{number}"), &note(number)).await.unwrap();
        assert!(matches!(answer.status(), 200 | 201), "{what}: {}", answer.text());
    }
    assert_eq!(get(address, "/health/ready").await.status(), 200, "{what}");
    for wire in [&mut live, &mut late] {
        let seen = wire.until_seq(16).await;
        let seqs: Vec<_> =
            seen.iter().filter(|it| it.is_durable()).filter_map(|it| it.seq()).collect();
        assert_eq!(seqs, (11..=16).collect::<Vec<_>>(), "{what}");
    }
    let numbers: Vec<_> =
        read_history(address, STREAM).await.iter().map(|it| it.data["n"].clone()).collect();
    assert_eq!(json!(numbers), json!((1..=16).collect::<Vec<_>>()), "{what}");
}

#[actix_web::test]
async fn while_the_disk_fails_nothing_is_acknowledged_and_all_else_goes_on() {
    for what in [
        "fdatasync,fsync:error=EIO:when=1+",
        "pwrite64:error=ENOSPC:when=1+",
        "pwrite64:error=EIO:when=2+",
    ] {
        outage(what).await;
    }
}

/// A sync fails, and then the process dies: what was written and not synced may come back or not. Either
/// way it has one id, and no id that anyone has seen means something else.
#[actix_web::test]
async fn what_was_written_and_not_synced_changes_nothing_that_was_seen() {
    for is_followed_by_another in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Process::serve(folder.path(), 0, &[]).await;
        let address = server.address;
        let note = |number: usize| event("note", json!({ "n": number }));
        let publish = async |number: usize| {
            post(address, STREAM, &format!("k{number}"), &note(number)).await.unwrap()
        };
        for number in 1..=3 {
            assert_eq!(publish(number).await.status(), 201);
        }
        let follow = format!("{STREAM}/stream");
        let mut live = Wire::follow(address, &follow, &[]).await;
        live.until("snapshot").await;

        let what = "fdatasync,fsync:error=EIO:when=1+";
        let failing = Strace::inject(&server, folder.path(), what).await;
        assert_eq!(publish(4).await.status(), 503);
        assert!(failing.injected() > 0);
        let mut cursor =
            format!("{}-3", read_history(address, STREAM).await[0].id.split_once('-').unwrap().0);
        if is_followed_by_another {
            drop(failing);
            assert_eq!(publish(5).await.status(), 201);
            let seen = live.until_seq(4).await.pop().unwrap();
            assert_eq!(seen.json(), json!({ "n": 5 }), "what was refused has no id");
            cursor = seen.last_event_id;
        }
        let seen: u64 = cursor.split_once('-').unwrap().1.parse().unwrap();
        let before = read_history(address, STREAM).await;
        server.kill();
        let _server = Process::serve(folder.path(), address.port(), &[]).await;

        let after = read_history(address, STREAM).await;
        println!("{} stored before the death, {} after", before.len(), after.len());
        assert!(after.starts_with(&before), "{before:?} became {after:?}");
        let mut wire = Wire::follow(address, &follow, &[("Last-Event-ID", &cursor)]).await;
        let replay = wire.until("snapshot").await;
        assert!(replay.iter().all(|event| event.name != "gap"), "{replay:?}");
        let answer = publish(4).await;
        let (status, id) = (answer.status(), answer.ids()[0].clone());
        assert!(matches!(status, 200 | 201), "{}", answer.text());
        let history = read_history(address, STREAM).await;
        let stored: Vec<_> =
            history.iter().filter(|event| event.data == json!({ "n": 4 })).collect();
        assert_eq!(stored.len(), 1, "{history:?}");
        assert_eq!(Some(&stored[0].id), id.as_ref());
        // The follower has all that came after its cursor, once.
        let mut seqs: Vec<_> = replay.iter().filter(|it| it.is_durable()).collect();
        let late = if status == 201 { wire.until("note").await } else { Vec::new() };
        seqs.extend(late.iter().filter(|it| it.is_durable()));
        let seqs: Vec<u64> = seqs.iter().filter_map(|it| it.seq()).collect();
        assert_eq!(seqs, (seen + 1..=history.len() as u64).collect::<Vec<_>>());
    }
}
