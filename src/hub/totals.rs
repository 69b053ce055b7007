//! What the hub has done since it started, counted for operators. Nothing here changes what it does.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
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
}

/// The counters, as the registry keeps them.
#[derive(Debug, Default)]
pub(super) struct Totals {
    counted: HubTotals,
    published: Arc<PublishedTotals>,
}

/// What is only known when the stream's actor has answered.
#[derive(Debug, Default)]
pub(super) struct PublishedTotals {
    durable: AtomicU64,
    transient: AtomicU64,
}

impl Totals {
    pub(super) fn connected(&mut self) {
        self.counted.connections += 1;
    }

    pub(super) fn refused(&mut self, refusal: ConnectError) {
        *self.counted.refusals.entry(refusal.as_str()).or_default() += 1;
    }

    pub(super) fn disconnected(&mut self, reason: EndReason) {
        *self.counted.disconnects.entry(reason.as_str()).or_default() += 1;
    }

    pub(super) fn caught_up(&mut self) {
        self.counted.catch_ups += 1;
    }

    pub(super) fn published(&self) -> Arc<PublishedTotals> {
        Arc::clone(&self.published)
    }

    pub(super) fn read(&self) -> HubTotals {
        HubTotals {
            events: self.published.durable.load(Ordering::Relaxed),
            transient_events: self.published.transient.load(Ordering::Relaxed),
            ..self.counted.clone()
        }
    }
}

impl PublishedTotals {
    pub(super) fn add(&self, published: &Published) {
        if published.is_repeat {
            return;
        }
        let durable = published.ids.iter().flatten().count();
        let transient = published.ids.len() - durable;
        self.durable.fetch_add(durable as u64, Ordering::Relaxed);
        self.transient.fetch_add(transient as u64, Ordering::Relaxed);
    }
}
