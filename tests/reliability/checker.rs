//! What publishers were told against what was stored and what subscribers saw.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::support::SseEvent;

/// What a publisher asked for, and what came of it.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    pub(crate) publisher: usize,
    pub(crate) stream: String,
    /// Durable events only: type and data.
    pub(crate) events: Vec<(String, Value)>,
    pub(crate) outcome: Outcome,
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
                let missed = event.json()["missed"].as_u64();
                if missed.is_none() {
                    received.clear(); // a new beginning
                } else if missed != seq.checked_sub(last) {
                    findings.add(Fault::Hole, format!("{stream}: {event:?} after {last}"));
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

mod tests {
    use serde_json::json;

    use super::*;

    const STREAM: &str = "/api/debates/d1";

    fn seen(name: &str, id: Option<&str>, data: Value) -> SseEvent {
        let id = id.map(str::to_owned);
        let last_event_id = id.clone().unwrap_or_default();
        SseEvent { name: name.into(), id, last_event_id, data: data.to_string() }
    }

    fn note(seq: u64) -> SseEvent {
        seen("note", Some(&format!("aaaaaaaa-{seq}")), json!({ "n": seq }))
    }

    fn token(number: &str) -> SseEvent {
        seen("token", None, json!({ "speaker": "s", "token": number }))
    }

    /// Six notes, the third and fourth in one publish, one more refused, one more not answered.
    fn clean() -> Run {
        let publish = |seqs: &[u64], outcome| Publish {
            publisher: 0,
            stream: STREAM.into(),
            events: seqs.iter().map(|seq| ("note".into(), json!({ "n": seq }))).collect(),
            outcome,
        };
        let acknowledged = |seqs: &[u64]| {
            let ids = seqs.iter().map(|seq| format!("aaaaaaaa-{seq}")).collect();
            publish(seqs, Outcome::Acknowledged(ids))
        };
        let stored = |seq: u64| Stored {
            id: format!("aaaaaaaa-{seq}"),
            name: "note".into(),
            data: json!({ "n": seq }),
        };
        let mut events: Vec<_> = (1..=6).map(note).collect();
        events.insert(3, token("1"));
        events.insert(5, token("2"));
        events.insert(0, seen("connected", None, json!({})));
        Run {
            publishes: vec![
                acknowledged(&[1]),
                acknowledged(&[2]),
                acknowledged(&[3, 4]),
                publish(&[5], Outcome::Unknown),
                publish(&[77], Outcome::Refused),
                publish(&[88], Outcome::Unknown),
                acknowledged(&[6]),
            ],
            subscribers: vec![Subscriber { stream: STREAM.into(), seen: events }],
            history: [(STREAM.to_owned(), (1..=6).map(stored).collect())].into(),
        }
    }

    #[test]
    fn the_checker_finds_nothing_wrong_with_a_clean_run() {
        assert_clean(&clean());
    }

    type Plant = fn(&mut Run);

    /// What was seen of note `seq`, in the clean run.
    fn at(run: &Run, seq: u64) -> usize {
        run.subscribers[0].seen.iter().position(|event| *event == note(seq)).unwrap()
    }

    fn stored(run: &mut Run) -> &mut Vec<Stored> {
        run.history.get_mut(STREAM).unwrap()
    }

    #[test]
    fn the_checker_finds_every_planted_fault() {
        use Fault::{Altered, Converge, Duplicate, Hole, Lost, Order, Phantom, Token};
        let planted: [(&str, &[Fault], Plant); 22] = [
            ("an acknowledged event is gone from the end", &[Lost, Phantom, Converge], |run| {
                stored(run).pop();
            }),
            (
                "an acknowledged event is gone from the middle",
                &[Lost, Hole, Phantom, Converge],
                |run| {
                    stored(run).remove(1);
                },
            ),
            ("all is gone", &[Lost, Phantom, Converge], |run| run.history.clear()),
            ("a subscriber misses one", &[Hole], |run| {
                let at = at(run, 3);
                run.subscribers[0].seen.remove(at);
            }),
            ("a subscriber misses the last", &[Converge], |run| {
                run.subscribers[0].seen.pop();
            }),
            ("a subscriber sees nothing", &[Converge], |run| run.subscribers[0].seen.clear()),
            ("a subscriber sees one twice", &[Duplicate], |run| {
                let at = at(run, 3);
                run.subscribers[0].seen.insert(at, note(3));
            }),
            ("a subscriber sees an old one again", &[Duplicate], |run| {
                run.subscribers[0].seen.push(note(1));
            }),
            ("a subscriber sees two swapped", &[Hole, Order], |run| {
                let at = at(run, 5);
                run.subscribers[0].seen.swap(at, at + 1);
            }),
            ("a subscriber sees other data", &[Altered], |run| {
                let at = at(run, 2);
                run.subscribers[0].seen[at].data = json!({ "n": 3 }).to_string();
            }),
            ("a subscriber sees another type", &[Altered], |run| {
                let at = at(run, 2);
                run.subscribers[0].seen[at].name = "other".into();
            }),
            ("a subscriber sees what was never stored", &[Phantom], |run| {
                run.subscribers[0].seen.push(note(7));
                stored(run).push(Stored {
                    id: "aaaaaaaa-7".into(),
                    name: "note".into(),
                    data: json!({ "n": 7 }),
                });
            }),
            ("a subscriber sees an id of another life", &[Phantom], |run| {
                let at = at(run, 2);
                run.subscribers[0].seen[at].id = Some("bbbbbbbb-2".into());
            }),
            ("a snapshot is ahead of what was seen", &[Hole, Duplicate], |run| {
                let at = at(run, 3);
                run.subscribers[0].seen.insert(at, seen("snapshot", Some("aaaaaaaa-3"), json!({})));
                run.subscribers[0].seen.push(note(3));
            }),
            ("a gap says less than is missing", &[Hole], |run| {
                let at = at(run, 2);
                run.subscribers[0].seen[at] =
                    seen("gap", Some("aaaaaaaa-2"), json!({ "missed": 2 }));
            }),
            ("what was refused is stored", &[Phantom], |run| {
                stored(run)[4].data = json!({ "n": 77 });
                let at = at(run, 5);
                run.subscribers[0].seen[at].data = json!({ "n": 77 }).to_string();
            }),
            ("a repeat is stored again", &[Duplicate], |run| {
                stored(run)[4].data = json!({ "n": 4 });
                let at = at(run, 5);
                run.subscribers[0].seen[at].data = json!({ "n": 4 }).to_string();
            }),
            ("an acknowledged id holds something else", &[Altered], |run| {
                stored(run)[1].data = json!({ "n": 88 });
                let at = at(run, 2);
                run.subscribers[0].seen[at].data = json!({ "n": 88 }).to_string();
            }),
            ("a publisher's events change places", &[Order], |run| run.publishes.swap(0, 1)),
            ("one id is told twice", &[Altered, Order], |run| {
                run.publishes[1].outcome = Outcome::Acknowledged(vec!["aaaaaaaa-1".into()]);
            }),
            ("tokens change places", &[Token], |run| {
                let first = at(run, 3) - 1;
                let (a, b) = if run.subscribers[0].seen[first].name == "token" {
                    (first, first + 2)
                } else {
                    (first + 2, first + 4)
                };
                run.subscribers[0].seen.swap(a, b);
            }),
            ("a token comes after what ends it", &[Token], |run| {
                let end = json!({ "speaker": "s", "content": "3" });
                run.subscribers[0].seen.push(seen("utterance", None, end));
                run.subscribers[0].seen.push(token("3"));
            }),
        ];
        for (what, expected, plant) in planted {
            let mut run = clean();
            plant(&mut run);
            let expected: BTreeSet<_> = expected.iter().copied().collect();
            assert_eq!(faults(&run), expected, "{what}");
        }
    }

    #[test]
    fn a_gap_that_says_what_is_missing_is_no_hole() {
        let mut run = clean();
        let at = at(&run, 2);
        run.subscribers[0].seen[at] = seen("gap", Some("aaaaaaaa-2"), json!({ "missed": 1 }));
        assert_clean(&run);
    }
}
