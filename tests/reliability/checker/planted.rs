//! Faults that are planted in a clean log, and found.

use std::time::Duration;

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
///
/// Each was settled a second after the one before it; the subscriber was there before the first.
fn clean() -> Run {
    let begun = Instant::now();
    let mut settled_at = begun;
    let mut publish = |seqs: &[u64], outcome| Publish {
        settled_at: {
            settled_at += Duration::from_secs(1);
            settled_at
        },
        publisher: 0,
        stream: STREAM.into(),
        events: seqs.iter().map(|seq| ("note".into(), json!({ "n": seq }))).collect(),
        outcome,
    };
    let acknowledged = |seqs: &[u64]| {
        let ids = seqs.iter().map(|seq| format!("aaaaaaaa-{seq}")).collect();
        Outcome::Acknowledged(ids)
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
            publish(&[1], acknowledged(&[1])),
            publish(&[2], acknowledged(&[2])),
            publish(&[3, 4], acknowledged(&[3, 4])),
            publish(&[5], Outcome::Unknown),
            publish(&[77], Outcome::Refused),
            publish(&[88], Outcome::Unknown),
            publish(&[6], acknowledged(&[6])),
        ],
        subscribers: vec![Subscriber {
            stream: STREAM.into(),
            seen: events,
            connections: vec![Connection { asked_at: begun, first_event: 0 }],
            closed_by: None,
        }],
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
    let planted: [(&str, &[Fault], Plant); 25] = [
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
            run.subscribers[0].seen[at] = seen("gap", Some("aaaaaaaa-2"), json!({ "missed": 2 }));
        }),
        ("a gap is told of what is still stored", &[Hole], |run| {
            let at = at(run, 2);
            run.subscribers[0].seen[at] = seen("gap", Some("aaaaaaaa-2"), json!({ "missed": 1 }));
        }),
        ("a gap of unknown size is told of what is still stored", &[Hole], |run| {
            let at = at(run, 2);
            run.subscribers[0].seen[at] =
                seen("gap", Some("aaaaaaaa-2"), json!({ "missed": null }));
        }),
        ("a subscriber begins anew for no reason", &[Hole], |run| {
            let at = at(run, 3);
            let again = seen("gap", Some("aaaaaaaa-0"), json!({ "missed": null }));
            run.subscribers[0].seen.splice(at..at, [again, note(1), note(2)]);
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
fn a_gap_over_what_is_gone_is_no_hole() {
    let plants: [Plant; 2] = [
        |run| {
            stored(run).remove(1);
            let at = at(run, 2);
            run.subscribers[0].seen[at] = seen("gap", Some("aaaaaaaa-2"), json!({ "missed": 1 }));
        },
        |run| {
            stored(run).truncate(2);
            let again = seen("gap", Some("aaaaaaaa-0"), json!({ "missed": null }));
            run.subscribers[0].seen.extend([again, note(1), note(2)]);
        },
    ];
    for plant in plants {
        let mut run = clean();
        plant(&mut run);
        // That it is gone is another matter.
        let mut findings = Findings::default();
        check_subscriber(&mut findings, &run.subscribers[0], &run.history[STREAM]);
        let is_hole = |finding: &Finding| finding.fault == Fault::Hole;
        assert!(!findings.0.iter().any(is_hole), "{:?}", findings.0);
    }
}

/// The subscriber connects once more, so many seconds after the beginning, and is live at this place.
fn connect_again(run: &mut Run, seconds: u64, snapshot: Option<(u64, &str)>) {
    let subscriber = &mut run.subscribers[0];
    subscriber.connections.push(Connection {
        asked_at: subscriber.connections[0].asked_at + Duration::from_secs(seconds),
        first_event: subscriber.seen.len(),
    });
    subscriber.seen.push(seen("connected", None, json!({})));
    subscriber.seen.extend(snapshot.map(|(seq, status)| {
        seen("snapshot", Some(&format!("aaaaaaaa-{seq}")), json!({ "status": status }))
    }));
}

#[test]
fn the_checker_finds_connections_that_begin_before_what_was_acknowledged() {
    // Up to 4 was acknowledged after three seconds, 6 after seven.
    for (seconds, snapshot, is_stale) in [
        (100, Some((6, "live")), false),
        (100, Some((5, "live")), true),
        (100, Some((5, "completed")), false),
        (100, Some((4, "completed")), true),
        (100, None, false),
        (5, Some((4, "live")), false),
        (5, Some((3, "live")), true),
        (2, Some((1, "live")), false),
    ] {
        let mut run = clean();
        connect_again(&mut run, seconds, snapshot);
        let expected = if is_stale { BTreeSet::from([Fault::Stale]) } else { BTreeSet::new() };
        assert_eq!(faults(&run), expected, "{seconds} {snapshot:?}");
    }
}

#[test]
fn the_checker_finds_whoever_was_sent_away_before_the_end() {
    let over = || {
        let mut run = clean();
        run.publishes[6].events[0].0 = "complete".into();
        stored(&mut run)[5].name = "complete".into();
        run.subscribers[0].seen.last_mut().unwrap().name = "complete".into();
        run
    };
    for (status, is_found) in
        [(None, false), (Some(204), false), (Some(200), true), (Some(401), true), (Some(503), true)]
    {
        let mut run = over();
        run.subscribers[0].closed_by = status;
        let expected = if is_found { BTreeSet::from([Fault::Closed]) } else { BTreeSet::new() };
        assert_eq!(faults(&run), expected, "{status:?}");
    }
    let mut run = clean();
    run.subscribers[0].closed_by = Some(204);
    assert_eq!(faults(&run), BTreeSet::from([Fault::Closed]), "the stream has not ended");
    let mut run = over();
    run.subscribers[0].closed_by = Some(204);
    run.subscribers[0].seen.pop();
    let expected = BTreeSet::from([Fault::Closed, Fault::Converge]);
    assert_eq!(faults(&run), expected, "it has not seen the end");
}
