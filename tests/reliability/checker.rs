//! What publishers were told against what was stored and what subscribers saw.

#[cfg(test)]
mod planted;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Instant,
};

use serde_json::Value;

use crate::support::{Connection, SseEvent};

/// What a publisher asked for, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    pub(crate) publisher: usize,
    pub(crate) stream: String,
    /// Durable events only: type and data.
    pub(crate) events: Vec<(String, Value)>,
    pub(crate) outcome: Outcome,
    /// When the outcome was known.
    pub(crate) settled_at: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// 2xx: the ids of its durable events.
    Acknowledged(Vec<String>),
    /// A definite no: nothing of it may ever be seen.
    Refused,
    /// No answer, or one that leaves it open.
    Unknown,
}

/// Somebody who has followed a stream from its beginning, over however many connections.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    pub(crate) stream: String,
    pub(crate) seen: Vec<SseEvent>,
    pub(crate) connections: Vec<Connection>,
    /// The status that would have ended an `EventSource`, if it has come.
    pub(crate) closed_by: Option<u16>,
}

/// One event of the history that is left in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// All that is known of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) publishes: Vec<Publish>,
    pub(crate) subscribers: Vec<Subscriber>,
    pub(crate) history: BTreeMap<String, Vec<Stored>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Acknowledged, and not in the history.
    Lost,
    /// Seen or stored, and never published, or refused.
    Phantom,
    /// Stored or seen twice.
    Duplicate,
    /// Not in the order of the stream, or of the publisher.
    Order,
    /// The same id, and something else.
    Altered,
    /// Something was left out, and no gap says so.
    Hole,
    /// A subscriber has not come to the end.
    Converge,
    /// A token out of order, or after what ends it.
    Token,
    /// A connection was live without an event that had been acknowledged before it was asked for.
    Stale,
    /// An `EventSource` was ended that had not seen the end.
    Closed,
}

#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) fault: Fault,
    #[allow(dead_code, reason = "shown by Debug")]
    pub(crate) what: String,
}

/// What an event is without what the server adds to it.
fn essence(stream: &str, name: &str, data: &Value) -> String {
    let mut data = data.clone();
    if let Some(fields) = data.as_object_mut().filter(|_| stream.contains("/conversations/")) {
        fields.retain(|field, _| field != "type" && field != "timestamp");
    }
    format!("{name} {data}")
}

fn split(id: &str) -> (&str, u64) {
    let (epoch, seq) = id.split_once('-').unwrap_or_else(|| panic!("{id} is no id"));
    (epoch, seq.parse().unwrap_or_else(|_| panic!("{id} is no id")))
}

/// All that is wrong with a run.
pub(crate) fn check(run: &Run) -> Vec<Finding> {
    let mut findings = Findings::default();
    let streams: BTreeSet<&String> = run
        .history
        .keys()
        .chain(run.publishes.iter().map(|publish| &publish.stream))
        .chain(run.subscribers.iter().map(|subscriber| &subscriber.stream))
        .collect();
    for stream in streams {
        let history = run.history.get(stream).map_or(&[][..], Vec::as_slice);
        let publishes: Vec<_> = run.publishes.iter().filter(|it| it.stream == *stream).collect();
        check_history(&mut findings, stream, history, &publishes);
        check_acknowledged(&mut findings, stream, history, &publishes);
        for subscriber in run.subscribers.iter().filter(|it| it.stream == *stream) {
            check_subscriber(&mut findings, subscriber, history);
            check_tokens(&mut findings, subscriber);
            check_connections(&mut findings, subscriber, &publishes);
            check_closed(&mut findings, subscriber, history);
        }
    }
    findings.0
}

/// Fails unless nothing is wrong.
#[track_caller]
pub(crate) fn assert_clean(run: &Run) {
    let findings = check(run);
    let first: Vec<_> = findings.iter().take(10).collect();
    assert!(findings.is_empty(), "{} findings, such as {first:#?}", findings.len());
}

/// The kinds of fault that were found.
pub(crate) fn faults(run: &Run) -> BTreeSet<Fault> {
    check(run).iter().map(|finding| finding.fault).collect()
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, fault: Fault, what: String) {
        self.0.push(Finding { fault, what });
    }
}

/// The history is whole, and holds what was published, once.
fn check_history(
    findings: &mut Findings,
    stream: &str,
    history: &[Stored],
    publishes: &[&Publish],
) {
    let essences = |is_wanted: fn(&Outcome) -> bool| -> HashSet<String> {
        let wanted = publishes.iter().filter(|publish| is_wanted(&publish.outcome));
        wanted
            .flat_map(|it| it.events.iter().map(|(name, data)| essence(stream, name, data)))
            .collect()
    };
    let possible = essences(|outcome| *outcome != Outcome::Refused);
    let mut known = HashSet::new();
    for (event, seq) in history.iter().zip(1..) {
        let (epoch, stored_seq) = split(&event.id);
        if stored_seq != seq || epoch != split(&history[0].id).0 {
            findings.add(Fault::Hole, format!("{stream}: {} is stored at {seq}", event.id));
        }
        let essence = essence(stream, &event.name, &event.data);
        if !possible.contains(&essence) {
            findings.add(Fault::Phantom, format!("{stream}: {} is stored: {essence}", event.id));
        }
        if !known.insert(essence) {
            findings.add(Fault::Duplicate, format!("{stream}: {} was stored before", event.id));
        }
    }
}

/// What was acknowledged is in the history, as it was published, whole publishes in their order.
fn check_acknowledged(
    findings: &mut Findings,
    stream: &str,
    history: &[Stored],
    publishes: &[&Publish],
) {
    let by_id: HashMap<&str, &Stored> =
        history.iter().map(|event| (event.id.as_str(), event)).collect();
    let mut last_of = HashMap::new();
    for publish in publishes {
        let Outcome::Acknowledged(ids) = &publish.outcome else { continue };
        if ids.len() != publish.events.len() {
            findings.add(Fault::Lost, format!("{stream}: not an id for each event: {publish:?}"));
        }
        for (index, (id, (name, data))) in ids.iter().zip(&publish.events).enumerate() {
            match by_id.get(id.as_str()) {
                None => findings.add(Fault::Lost, format!("{stream}: {id} was acknowledged")),
                Some(stored)
                    if essence(stream, &stored.name, &stored.data)
                        != essence(stream, name, data) =>
                {
                    findings.add(Fault::Altered, format!("{stream}: {id}: {data} is {stored:?}"));
                }
                Some(_) => {}
            }
            let seq = split(id).1;
            let last = last_of.insert(publish.publisher, seq).unwrap_or(0);
            if seq <= last || (index > 0 && seq != last + 1) {
                let publisher = publish.publisher;
                findings.add(
                    Fault::Order,
                    format!("{stream}: publisher {publisher} was told {id} after {last}"),
                );
            }
        }
    }
}

/// Each event once and in order, as it is stored, up to the end; what is missing was announced.
fn check_subscriber(findings: &mut Findings, subscriber: &Subscriber, history: &[Stored]) {
    let stream = &subscriber.stream;
    let by_id: HashMap<&str, &Stored> =
        history.iter().map(|event| (event.id.as_str(), event)).collect();
    let has = |seq: u64| history.iter().any(|event| split(&event.id).1 == seq);
    let (mut last, mut received) = (0, HashSet::new());
    for event in &subscriber.seen {
        let Some(seq) = event.id.as_deref().filter(|id| *id != "earliest").map(|id| split(id).1)
        else {
            continue;
        };
        match event.name.as_str() {
            "snapshot" if seq > last => {
                findings.add(Fault::Hole, format!("{stream}: snapshot at {seq} after {last}"));
                last = seq;
            }
            "snapshot" => {}
            "gap" => {
                // No run takes anything out of a history: whatever is stored can be replayed.
                let missed = event.json()["missed"].as_u64();
                let is_right = match missed {
                    // A new beginning, for a place that the history does not have.
                    None => !has(last) && !(1..=seq).any(has),
                    Some(_) => missed == seq.checked_sub(last) && !(last + 1..=seq).any(has),
                };
                if !is_right {
                    findings.add(Fault::Hole, format!("{stream}: {event:?} after {last}"));
                }
                if missed.is_none() {
                    received.clear();
                }
                last = seq;
            }
            _ => {
                let id = event.id.as_deref().unwrap_or_default();
                if !received.insert(seq) {
                    findings.add(Fault::Duplicate, format!("{stream}: {id} was seen before"));
                } else if seq < last {
                    findings.add(Fault::Order, format!("{stream}: {id} after {last}"));
                } else if seq > last + 1 {
                    findings.add(Fault::Hole, format!("{stream}: {id} after {last}"));
                }
                last = last.max(seq);
                match by_id.get(id) {
                    None => findings.add(Fault::Phantom, format!("{stream}: saw {event:?}")),
                    Some(stored) if stored.name != event.name || stored.data != event.json() => {
                        findings.add(Fault::Altered, format!("{stream}: {event:?}, {stored:?}"));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    if last != history.len() as u64 {
        let tail = history.len();
        findings.add(Fault::Converge, format!("{stream}: came to {last} of {tail}"));
    }
}

/// On each connection a speaker's tokens rise, and none comes after the utterance that ends it.
///
/// Tokens hold a number; an utterance's `content` is that of the last token before it.
fn check_tokens(findings: &mut Findings, subscriber: &Subscriber) {
    let mut last: HashMap<String, u64> = HashMap::new();
    for event in &subscriber.seen {
        let (speaker, number) = match event.name.as_str() {
            "connected" | "connection_established" => {
                last.clear();
                continue;
            }
            "token" => ("speaker", "token"),
            "conversation_token" => ("personaSlug", "token"),
            "utterance" => ("speaker", "content"),
            "conversation_utterance" => ("personaSlug", "content"),
            _ => continue,
        };
        let number: u64 = event.text(number).parse().unwrap_or_else(|_| panic!("{event:?}"));
        let is_token = event.name.ends_with("token");
        let last = last.entry(event.text(speaker)).or_default();
        if number < *last || (is_token && number == *last) {
            let stream = &subscriber.stream;
            findings.add(Fault::Token, format!("{stream}: {event:?} after {last}"));
        }
        *last = number;
    }
}

/// What was acknowledged before a connection was asked for comes before its live edge.
fn check_connections(findings: &mut Findings, subscriber: &Subscriber, publishes: &[&Publish]) {
    let stream = &subscriber.stream;
    let ends = subscriber.connections.iter().skip(1).map(|next| next.first_event);
    let ends = ends.chain([subscriber.seen.len()]);
    for (connection, end) in subscriber.connections.iter().zip(ends) {
        let known = publishes.iter().filter(|publish| publish.settled_at < connection.asked_at);
        let known = known.filter_map(|publish| match &publish.outcome {
            Outcome::Acknowledged(ids) => ids.last().map(|id| split(id).1),
            Outcome::Refused | Outcome::Unknown => None,
        });
        let events = &subscriber.seen[connection.first_event..end];
        let edge = events.iter().find(|event| event.name == "snapshot").map(|snapshot| {
            // The final event follows its snapshot.
            let is_over = snapshot.json()["status"] == "completed";
            snapshot.seq().unwrap_or(0) + u64::from(is_over)
        });
        // One that was cut off before its live edge has promised nothing.
        if let (Some(known), Some(edge)) = (known.max(), edge)
            && edge < known
        {
            let what =
                format!("{stream}: {known} was acknowledged, and a connection began at {edge}");
            findings.add(Fault::Stale, what);
        }
    }
}

/// Whoever is told to stay away (204) has seen the end; any other status is told to nobody.
fn check_closed(findings: &mut Findings, subscriber: &Subscriber, history: &[Stored]) {
    let stream = &subscriber.stream;
    let end = history
        .last()
        .filter(|event| event.name.ends_with("complete") || event.name.ends_with("completed"));
    let last = subscriber.seen.iter().rev().find(|event| event.is_durable());
    let has_seen_the_end =
        end.is_some() && last.and_then(|last| last.id.as_ref()) == end.map(|end| &end.id);
    match subscriber.closed_by {
        None => {}
        Some(204) if has_seen_the_end => {}
        Some(status) => {
            findings.add(Fault::Closed, format!("{stream}: closed by {status} after {last:?}"));
        }
    }
}
