//! What was acknowledged had been synced to the disk by then: the order of the server's own calls says so.
//!
//! Short of a power cut (see `power.rs`) this is what tells a store that syncs from one that does not.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::{
    load::post,
    strace::Strace,
    support::{Process, Wire, event},
};

/// Publishers at once, so that several publishes share a commit.
const PUBLISHERS: usize = 8;
const PUBLISHES_EACH: usize = 12;

/// What was published in one event, and the id that it got.
struct Acknowledged {
    mark: String,
    id: String,
}

/// Publishes on several streams, with a follower on each, and tells what the server asked of the kernel.
async fn traced(variables: &[(&str, &str)]) -> (Vec<Acknowledged>, Calls) {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve_with(folder.path(), 0, &[], variables).await;
    let address = server.address;
    let stream = |number: usize| format!("/api/debates/d{}", number % 4);
    let mut followers = Vec::new();
    for number in 0..4 {
        let path = format!("{}/stream", stream(number));
        followers.push(Wire::follow(address, &path, &[]).await);
    }
    // Whole pages of the database, and the beginnings of answers and deliveries.
    let what = "trace=pwrite64,fdatasync,fsync,sendto,sendmsg,write,writev";
    let strace = Strace::attach(&server, folder.path(), &["-y", "-s", "4096", "-e", what]).await;
    let publishers = (0..PUBLISHERS).map(async |publisher| {
        let mut acknowledged = Vec::new();
        for number in 0..PUBLISHES_EACH {
            let mark = format!("mark-{publisher}-{number}.");
            let note = event("note", json!({ "mark": mark }));
            let answer = post(address, &stream(publisher), &mark, &note).await.unwrap();
            assert_eq!(answer.status(), 201, "{}", answer.text());
            let id = answer.ids()[0].clone().unwrap();
            acknowledged.push(Acknowledged { mark, id });
        }
        acknowledged
    });
    let acknowledged: Vec<_> = join_all(publishers).await.into_iter().flatten().collect();
    let last = PUBLISHERS / 4 * PUBLISHES_EACH;
    for follower in &mut followers {
        follower.until_seq(last as u64).await;
    }
    (acknowledged, Calls::read(&strace.end()))
}

/// The calls that matter, as places in one order: that of the tracer.
#[derive(Debug, Default)]
struct Calls {
    /// What was written to the log, and when it was begun.
    written: Vec<(usize, String)>,
    /// When a sync of the log was asked for, and when it was done.
    syncs: Vec<(usize, usize)>,
    /// How many of them were for the file's times, too.
    syncs_of_times: usize,
    /// What was sent over a socket, and when it was begun.
    sent: Vec<(usize, String)>,
}

impl Calls {
    /// Reads `PID CALL(FD<FILE>, …) = RESULT`; a call that another thread's comes between has two lines.
    fn read(log: &str) -> Self {
        let (mut calls, mut begun) = (Self::default(), BTreeMap::new());
        for (at, line) in log.lines().enumerate() {
            let (thread, call) = line.split_once(' ').unwrap_or_default();
            let call = call.trim_start();
            let is_sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
            let is_to_log = call.split_once('>').is_some_and(|(file, _)| file.ends_with("-wal"));
            if is_sync && is_to_log {
                calls.syncs_of_times += usize::from(call.starts_with("fsync("));
                if call.ends_with("= 0") {
                    calls.syncs.push((at, at));
                } else {
                    begun.insert(thread, at);
                }
            } else if call.starts_with("<... f") && call.contains("sync resumed>") {
                let begun = begun.remove(thread);
                calls
                    .syncs
                    .extend(begun.filter(|_| call.ends_with("= 0")).map(|begun| (begun, at)));
            } else if call.starts_with("pwrite64(") && is_to_log {
                calls.written.push((at, call.to_owned()));
            } else if call.split_once('>').is_some_and(|(file, _)| file.contains("<socket:")) {
                calls.sent.push((at, call.to_owned()));
            }
        }
        calls
    }

    /// Why this event was not safe by the time somebody heard of it.
    fn fault(&self, event: &Acknowledged) -> Option<&'static str> {
        let written = self.written.iter().find(|(_, call)| call.contains(&event.mark));
        let Some((written, _)) = written else { return Some("it was never written") };
        let safe = self.syncs.iter().find(|(begun, _)| begun > written);
        let Some((_, safe)) = safe else { return Some("it was never synced") };
        let heard = self.sent.iter().filter(|(_, call)| call.contains(&event.id));
        let heard: Vec<_> = heard.map(|(at, _)| *at).collect();
        match heard.iter().min() {
            // The answer to whoever published it, and the event to who follows.
            Some(_) if heard.len() < 2 => Some("it was not sent twice"),
            Some(first) if first < safe => Some("somebody heard of it before it was synced"),
            Some(_) => None,
            None => Some("nobody heard of it"),
        }
    }
}

fn faults(acknowledged: &[Acknowledged], calls: &Calls) -> BTreeMap<&'static str, usize> {
    let mut faults = BTreeMap::new();
    for fault in acknowledged.iter().filter_map(|event| calls.fault(event)) {
        *faults.entry(fault).or_default() += 1;
    }
    faults
}

#[actix_web::test]
async fn whoever_hears_of_an_event_hears_of_it_after_it_was_synced() {
    let (acknowledged, calls) = traced(&[]).await;
    let syncs = calls.syncs.len();
    println!("{} events acknowledged, {syncs} syncs of the log", acknowledged.len());
    assert_eq!(faults(&acknowledged, &calls), BTreeMap::new());
    assert_eq!(calls.syncs_of_times, 0, "SQLite is compiled for fdatasync (.cargo/config.toml)");
}

#[actix_web::test]
async fn a_server_that_does_not_sync_is_found_out() {
    let (acknowledged, calls) = traced(&[("LD_PRELOAD", "libeatmydata.so")]).await;
    let all = BTreeMap::from([("it was never synced", acknowledged.len())]);
    assert_eq!(faults(&acknowledged, &calls), all);
}
