//! What the hub has done since it started, counted for operators. Nothing here changes what it does.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;

use super::{
    broadcast::Published,
    messages::{ConnectError, EndReason},
};

/// Counts since the hub started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct HubTotals {
    /// Connections that were taken in.
    pub connections: u64,
    /// Connections that were turned away, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Connections that have ended, by reason.
    pub disconnects: BTreeMap<&'static str, u64>,
    /// Durable events that were published, repeats left out.
    pub events: u64,
    /// Transient events that were published.
    pub transient_events: u64,
    /// How often a connection that was behind the live edge asked for more of the history.
    pub catch_ups: u64,
    /// How often a connection could not take a delivery, and was sent to the history.
    pub fell_behind: u64,
    /// Gaps that connections were told of.
    pub gaps: u64,
    /// Publishes with durable events, repeats left out, by how long they took until they were stored and on
    /// their way to everyone: under so many milliseconds, a power of two.
    pub publish_ms: BTreeMap<u64, u64>,
}

/// The counters, as the registry keeps them.
#[derive(Debug, Default)]
pub(super) struct Totals {
    counted: HubTotals,
    streams: Arc<StreamTotals>,
}

/// What only the streams' actors know, counted by all of them.
#[derive(Debug, Default)]
pub(crate) struct StreamTotals {
    connections: AtomicU64,
    /// Connections that an actor has not lived to answer.
    unavailable: AtomicU64,
    durable: AtomicU64,
    transient: AtomicU64,
    fell_behind: AtomicU64,
    gaps: AtomicU64,
    /// Under 1 ms, 2 ms, 4 ms, and so on: the last is longer than anyone waits.
    publish_ms: [AtomicU64; 32],
}

impl Totals {
    pub(super) fn refused(&mut self, refusal: ConnectError) {
        *self.counted.refusals.entry(refusal.as_str()).or_default() += 1;
    }

    pub(super) fn disconnected(&mut self, reason: EndReason) {
        *self.counted.disconnects.entry(reason.as_str()).or_default() += 1;
    }

    pub(super) fn caught_up(&mut self) {
        self.counted.catch_ups += 1;
    }

    pub(super) fn of_streams(&self) -> &Arc<StreamTotals> {
        &self.streams
    }

    pub(super) fn read(&self) -> HubTotals {
        let streams = &self.streams;
        let times = streams.publish_ms.iter().map(|count| count.load(Ordering::Relaxed));
        let publish_ms = (0..).map(|power| 1_u64 << power).zip(times);
        let mut refusals = self.counted.refusals.clone();
        let unavailable = streams.unavailable.load(Ordering::Relaxed);
        if unavailable > 0 {
            refusals.insert(ConnectError::Unavailable.as_str(), unavailable);
        }
        HubTotals {
            connections: streams.connections.load(Ordering::Relaxed),
            refusals,
            events: streams.durable.load(Ordering::Relaxed),
            transient_events: streams.transient.load(Ordering::Relaxed),
            fell_behind: streams.fell_behind.load(Ordering::Relaxed),
            gaps: streams.gaps.load(Ordering::Relaxed),
            publish_ms: publish_ms.filter(|(_, count)| *count > 0).collect(),
            ..self.counted.clone()
        }
    }
}

impl StreamTotals {
    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused_as_unavailable(&self) {
        self.unavailable.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn published(&self, published: &Published, took: Duration) {
        if published.is_repeat {
            return;
        }
        let durable = published.ids.iter().flatten().count();
        let transient = published.ids.len() - durable;
        self.durable.fetch_add(durable as u64, Ordering::Relaxed);
        self.transient.fetch_add(transient as u64, Ordering::Relaxed);
        // Tokens alone are stored nowhere, and would hide how long storing takes.
        if durable > 0 {
            let power = took.as_millis().checked_ilog2().map_or(0, |log| log as usize + 1);
            let last = self.publish_ms.len() - 1;
            if let Some(count) = self.publish_ms.get(power.min(last)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn fell_behind(&self) {
        self.fell_behind.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn told_gaps(&self, gaps: u64) {
        self.gaps.fetch_add(gaps, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;

    #[test]
    fn a_publish_is_counted_under_the_power_of_two_that_it_stayed_under() {
        let id: EventId = "k3v9x2a7-1".parse().unwrap();
        for (ids, is_repeat, took_ms, expected) in [
            (vec![Some(id)], false, 0, Some(1)),
            (vec![Some(id)], false, 1, Some(2)),
            (vec![Some(id), None], false, 3, Some(4)),
            (vec![Some(id)], false, 4, Some(8)),
            (vec![Some(id)], false, 1023, Some(1024)),
            (vec![Some(id)], false, u64::MAX, Some(1 << 31)),
            (vec![None], false, 3, None),
            (vec![Some(id)], true, 3, None),
        ] {
            let totals = Totals::default();
            let published = Published { ids, is_repeat };
            totals.of_streams().published(&published, Duration::from_millis(took_ms));
            let counted = totals.read().publish_ms;
            let expected: BTreeMap<_, _> = expected.into_iter().map(|under| (under, 1)).collect();
            assert_eq!(counted, expected, "{published:?} took {took_ms} ms");
        }
    }
}
