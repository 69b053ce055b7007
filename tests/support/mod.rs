//! A server to test, clients that look closely, and events to publish.

mod events;
mod follower;
mod http;
mod process;
mod proxy;
mod server;
mod sse;
mod transcript;
mod wire;

use std::{future::Future, time::Duration};

pub(crate) use self::{
    events::*,
    follower::{Connection, Follower},
    http::{Answer, Head, exchange, exchange_json, get, post, request},
    process::{Process, clearside, clearside_with_files, run, run_and_signal, run_with_input},
    proxy::{Lie, LyingProxy},
    server::{NOW_MS, TestServer},
    sse::{Parsers, SseEvent},
    transcript::assert_transcript,
    wire::{End, Wire},
};

/// Longer than anything takes on a loaded machine; only a failure waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for something that must happen.
#[track_caller]
pub(crate) fn within<T>(what: &str, future: impl Future<Output = T>) -> impl Future<Output = T> {
    let what = format!("{what} ({})", std::panic::Location::caller());
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(done) => done,
            Err(_) => panic!("waited too long: {what}"),
        }
    }
}

/// Asks again and again until the answer is the one that must come.
#[track_caller]
pub(crate) fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut is_so: impl FnMut() -> F,
) -> impl Future<Output = ()> {
    within(what, async move {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
}
