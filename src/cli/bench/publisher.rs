//! Publishes the events of a run: at a rate, or as fast as they arrive.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;

use super::{
    run::Run,
    stream::{BenchStream, EVENT_NAME, Payload},
};
use crate::{
    cli::client::{ApiClient, Sent},
    event::{NewEvent, vocabulary},
};

/// How many publishes may be under way: as many connections as the client keeps.
pub(super) const UNDER_WAY_MAX: u32 = 100;

/// How long nothing else is published in the place of a publish that has failed: a server that is down is
/// not to be asked a thousand times a second.
const BREATHER: Duration = Duration::from_millis(100);

/// When the next event is published.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Turn {
    /// So many a second in all, evenly timed.
    Rate(f64),
    /// As soon as fewer than so many are under way; one is until all clients have it.
    InFlight(u32),
}

/// Publishes on the streams of a run in turn.
#[derive(Clone)]
pub(super) struct Publisher {
    pub(super) client: ApiClient,
    pub(super) streams: Rc<[Rc<BenchStream>]>,
    pub(super) payload: Rc<Payload>,
    pub(super) is_transient: bool,
    pub(super) run: Rc<Run>,
}

impl Publisher {
    /// Publishes until `end`. What is under way then goes on, as long as what is returned is kept.
    pub(super) async fn publish(&self, turn: Turn, end: impl Future<Output = ()>) -> JoinSet<()> {
        let mut end = std::pin::pin!(end);
        let mut under_way = JoinSet::new();
        let mut due = Instant::now();
        for stream in self.streams.iter().cycle() {
            tokio::select! {
                biased;
                () = &mut end => break,
                () = wait_for_turn(turn, due, &mut under_way) => {}
            }
            if let Turn::Rate(rate) = turn {
                self.run.lag.record(due.elapsed());
                due += Duration::from_secs_f64(1.0 / rate);
            }
            let waits_for_clients = matches!(turn, Turn::InFlight(_));
            let (publisher, stream) = (self.clone(), Rc::clone(stream));
            under_way.spawn_local(async move {
                publisher.publish_one(&stream, waits_for_clients).await
            });
        }
        under_way
    }

    async fn publish_one(&self, stream: &BenchStream, waits_for_clients: bool) {
        let _under_way = UnderWay::new(&self.run.under_way);
        let started = Instant::now();
        let mark = stream.begin(started);
        let failure = match self.send(stream, &self.payload.write(mark)).await {
            Ok(Sent::Published(_)) => {
                stream.acknowledge(mark);
                None
            }
            Ok(Sent::Refused(status, detail)) => {
                Some(format!("the server refuses ({status}): {detail}"))
            }
            Err(error) => Some(format!("{error:#}")),
        };
        let has_failed = failure.is_some();
        self.run.answer(started, failure);
        if has_failed {
            tokio::time::sleep(BREATHER).await;
        } else if waits_for_clients {
            stream.delivered(mark.lane).await;
        }
        stream.release(mark.lane);
    }

    async fn send(&self, stream: &BenchStream, data: &str) -> anyhow::Result<Sent> {
        let data = RawValue::from_string(data.to_owned())?;
        let event = NewEvent { name: EVENT_NAME.into(), data, transient: self.is_transient };
        self.client.publish(&stream.key, &[event], None).await
    }

    /// Ends the streams, so that no list shows them as live. Of those that had nothing but transient events
    /// there is nothing left.
    pub(super) async fn end_streams(&self) {
        let streams = self.streams.iter().filter(|stream| !self.is_transient && stream.sent() > 0);
        stream::iter(streams)
            .for_each_concurrent(UNDER_WAY_MAX as usize, async |stream| {
                let name = vocabulary(stream.key.kind()).final_name();
                let ended = match NewEvent::new(name, &serde_json::json!({})) {
                    Ok(event) => self.client.publish(&stream.key, &[event], None).await,
                    Err(error) => Err(error.into()),
                };
                match ended {
                    Ok(Sent::Published(_)) => {}
                    Ok(Sent::Refused(_, detail)) => {
                        log::warn!("{} could not be ended: {detail}", stream.key);
                    }
                    Err(error) => log::warn!("{} could not be ended: {error:#}", stream.key),
                }
            })
            .await;
    }
}

async fn wait_for_turn(turn: Turn, due: Instant, under_way: &mut JoinSet<()>) {
    let under_way_max = match turn {
        Turn::Rate(_) => {
            tokio::time::sleep_until(due.into()).await;
            UNDER_WAY_MAX
        }
        Turn::InFlight(count) => count,
    };
    while under_way.try_join_next().is_some() {}
    while under_way.len() >= under_way_max as usize {
        under_way.join_next().await;
    }
}

/// Counts a publish for as long as it is under way.
struct UnderWay<'a>(&'a Cell<usize>);

impl<'a> UnderWay<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
