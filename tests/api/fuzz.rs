//! The kept inputs of the fuzz targets, and a few thousand mutations of them that are the same every time.
//!
//! `scripts/fuzz.sh` looks further: it is guided by what the code does with its inputs.

use std::{fs, panic::AssertUnwindSafe, path::Path};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// What chance would take long to come up with.
const WORDS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    ":",
    ",",
    "\r",
    "\n",
    "\r\n",
    "\n\n",
    "\0",
    " ",
    "-",
    "+",
    "%",
    "&",
    "=",
    "0",
    "1",
    "18446744073709551616",
    "1e400",
    "-0.0",
    "null",
    "true",
    "\\ud83c",
    "\\u0000",
    "\u{feff}",
    "\u{2028}",
    "\u{1f3a4}",
    "earliest",
    "limit",
    "lastEventId",
    "\"type\":",
    "\"data\":",
    "token",
    "complete",
    "### ",
    "**[00:01] Ada:**\n\n",
];

/// Runs a target on what is kept for it, and on so many mutations of that.
fn run(name: &str, target: impl Fn(&[u8]), mutations: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut kept: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    kept.sort();
    let kept: Vec<_> = kept.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(kept.len() > 10, "{name}: {} inputs", kept.len());
    let mut random = fastrand::Rng::with_seed(7);
    let mutated = (0..mutations).map(|_| {
        let mut input = random.choice(&kept).unwrap().clone();
        for _ in 0..random.usize(1..5) {
            mutate(&mut input, &kept, &mut random);
        }
        input
    });
    for input in kept.iter().cloned().chain(mutated) {
        let shown = String::from_utf8_lossy(&input).into_owned();
        if std::panic::catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            panic!("{name} fails on {shown:?}");
        }
    }
}

fn mutate(input: &mut Vec<u8>, kept: &[Vec<u8>], random: &mut fastrand::Rng) {
    let at = random.usize(..=input.len());
    let end = (at + random.usize(..8)).min(input.len());
    match random.u8(..6) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
        1 => drop(input.drain(at..end)),
        2 => drop(input.splice(at..end, random.choice(WORDS).unwrap().bytes())),
        3 => drop(input.splice(at..at, input[at..end].to_vec())),
        4 => {
            let other = random.choice(kept).unwrap();
            input.truncate(at);
            input.extend_from_slice(&other[random.usize(..=other.len())..]);
        }
        _ => input.insert(at, random.u8(..)),
    }
}

#[test]
fn any_cursor_is_an_id_letter_for_letter_or_none() {
    run("cursor", targets::cursor, 20_000);
}

#[test]
fn any_query_is_answered_or_refused() {
    let server = targets::Server::start();
    run("query", |input| targets::query(&server, input), 1_500);
}

#[test]
fn any_publish_keeps_its_meaning_or_is_refused() {
    let server = targets::Server::start();
    run("publish", |input| targets::publish(&server, input), 3_000);
}

#[test]
fn any_transcript_can_be_performed_or_is_refused() {
    run("transcript", targets::transcript, 5_000);
}
