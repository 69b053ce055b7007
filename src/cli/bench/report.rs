//! What came of a run: as a table for people, as JSON for programs.

use std::{fmt, time::Instant};

use indicatif::{HumanCount, HumanFloatCount};
use serde::Serialize;

use super::{
    publisher::Turn,
    run::{Run, Times},
};

/// What a run was to do.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Plan {
    pub(super) clients: u32,
    pub(super) streams: u32,
    #[serde(flatten)]
    pub(super) turn: Turn,
    pub(super) seconds: f64,
    pub(super) size: u32,
    pub(super) transient: bool,
}

/// What every client has received, against what was published.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    /// Events that the server has acknowledged.
    pub(super) published: u64,
    /// Publishes that were refused, or not answered.
    pub(super) publish_errors: u64,
    /// Deliveries that these events come to.
    pub(super) expected: u64,
    pub(super) received: u64,
    pub(super) missing: u64,
    pub(super) doubled: u64,
    pub(super) out_of_order: u64,
    pub(super) altered: u64,
    pub(super) connections_lost: u64,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
struct Quantiles {
    p50: f64,
    p90: f64,
    p99: f64,
    max: f64,
}

/// What came of a run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    #[serde(flatten)]
    plan: Plan,
    #[serde(flatten)]
    counts: Counts,
    is_complete: bool,
    /// From the first publish to the last receipt.
    took_seconds: f64,
    deliveries_per_second: f64,
    connect_ms: Quantiles,
    answer_ms: Quantiles,
    latency_ms: Quantiles,
    lag_ms: Quantiles,
    /// How much of the time this process had something to do: near 1, the figures are its own.
    busy: f64,
}

impl From<&Times> for Quantiles {
    fn from(times: &Times) -> Self {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|quantile| times.quantile_ms(quantile));
        Self { p50, p90, p99, max: times.max_ms() }
    }
}

impl Counts {
    /// What is wrong, if anything is.
    pub(super) fn fault(&self) -> Option<String> {
        let faults: Vec<_> = [
            (self.missing, "missing"),
            (self.doubled, "doubled"),
            (self.out_of_order, "out of order"),
            (self.altered, "not as published"),
            (self.publish_errors, "not published"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", HumanCount(count)))
        .collect();
        match self.expected {
            0 if faults.is_empty() => Some("nothing was published".into()),
            _ => (!faults.is_empty()).then(|| faults.join(", ")),
        }
    }
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "more than 2^52 deliveries would take years")]
    pub(super) fn new(plan: Plan, counts: Counts, run: &Run, started: Instant, busy: f64) -> Self {
        let took = run.last_receipt.get().saturating_duration_since(started).as_secs_f64();
        Self {
            plan,
            counts,
            is_complete: counts.fault().is_none(),
            took_seconds: took,
            deliveries_per_second: if took > 0.0 { counts.received as f64 / took } else { 0.0 },
            connect_ms: (&run.connecting).into(),
            answer_ms: (&run.answers).into(),
            latency_ms: (&run.latency).into(),
            lag_ms: (&run.lag).into(),
            busy,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, counts, .. } = self;
        let count = |count: u64| HumanCount(count).to_string();
        let (clients, streams) = (count(plan.clients.into()), count(plan.streams.into()));
        let of_what = if plan.transient { "transient events" } else { "events" };
        let pace = match plan.turn {
            Turn::Rate(rate) => format!("{rate} a second"),
            Turn::InFlight(in_flight) => format!("{in_flight} in flight"),
        };
        writeln!(
            f,
            "{clients} clients, {streams} streams; {of_what} of {} bytes, {pace}",
            plan.size
        )?;
        writeln!(f)?;
        let mut row = |name: &str, value: String| writeln!(f, "{name:<18}{value:>14}");
        row("published", count(counts.published))?;
        row("publish errors", count(counts.publish_errors))?;
        row("expected", count(counts.expected))?;
        row("received", count(counts.received))?;
        row("missing", count(counts.missing))?;
        row("doubled", count(counts.doubled))?;
        row("out of order", count(counts.out_of_order))?;
        row("altered", count(counts.altered))?;
        row("connections lost", count(counts.connections_lost))?;
        row("deliveries/s", format!("{:.0}", HumanFloatCount(self.deliveries_per_second)))?;
        row("seconds", format!("{:.2}", self.took_seconds))?;
        row("this client busy", format!("{:.0} %", self.busy * 100.0))?;
        writeln!(f)?;
        writeln!(f, "{:<18}{:>14}{:>10}{:>10}{:>10}", "ms", "p50", "p90", "p99", "max")?;
        let lag = matches!(plan.turn, Turn::Rate(_)).then_some(("sent late", self.lag_ms));
        let times = [
            ("connect", self.connect_ms),
            ("publish, answer", self.answer_ms),
            ("publish, receipt", self.latency_ms),
        ];
        for (name, times) in times.into_iter().chain(lag) {
            let Quantiles { p50, p90, p99, max } = times;
            writeln!(f, "{name:<18}{p50:>14.2}{p90:>10.2}{p99:>10.2}{max:>10.2}")?;
        }
        writeln!(f)?;
        match counts.fault() {
            None => write!(f, "complete: every client has received every event, once and in order"),
            Some(fault) => write!(f, "not complete: {fault}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_complete_only_if_nothing_is_wrong_and_something_was_done() {
        let good = Counts { published: 2, expected: 20, received: 20, ..Counts::default() };
        for (counts, expected) in [
            (good, None),
            (Counts { connections_lost: 1, ..good }, None),
            (Counts::default(), Some("nothing was published")),
            (Counts { missing: 1200, ..good }, Some("1,200 missing")),
            (Counts { doubled: 1, out_of_order: 2, ..good }, Some("1 doubled, 2 out of order")),
            (Counts { altered: 3, ..good }, Some("3 not as published")),
            (Counts { publish_errors: 4, ..Counts::default() }, Some("4 not published")),
        ] {
            assert_eq!(counts.fault().as_deref(), expected, "{counts:?}");
        }
    }
}
