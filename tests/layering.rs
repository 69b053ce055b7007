//! The ladder of `ARCHITECTURE.md`: a module imports only from rungs below its own.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// From the top down; modules on one rung do not know each other. What `DESIGN.md` writes side by side is
/// two rungs where one needs the other: `control` steers players, and the logs have settings.
const LADDER: [&[&str]; 11] = [
    &["main"],
    &["cli"],
    &["app"],
    &["logging"],
    &["config"],
    &["http"],
    &["orchestrator"],
    &["hub"],
    &["store", "backplane"],
    &["sse"],
    &["event", "auth"],
];

/// Below everything, and known to all.
const GROUND: [&str; 3] = ["stream_key", "clock", "metrics"];

fn rung(module: &str) -> Option<usize> {
    if GROUND.contains(&module) {
        return Some(LADDER.len());
    }
    LADDER.iter().position(|rung| rung.contains(&module))
}

/// The modules below `crate::` that a source file names, in imports and in paths.
fn imports(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let code: String = source
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .flat_map(|line| [line, "\n"])
        .collect();
    for (_, rest) in
        code.match_indices("crate::").map(|(at, found)| (at, &code[at + found.len()..]))
    {
        let rest = rest.trim_start();
        if let Some(list) = rest.strip_prefix('{') {
            names.extend(first_names(list));
        } else {
            names.extend(first_name(rest));
        }
    }
    names
}

/// The first name of each path in a brace, which is open already.
fn first_names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut depth, mut starts) = (0, true);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => starts = true,
            character if character.is_whitespace() => {}
            _ if depth == 0 && starts => {
                starts = false;
                names.extend(first_name(&list[at..]));
            }
            _ => {}
        }
    }
    names
}

fn first_name(path: &str) -> Option<String> {
    let name: String =
        path.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

/// What this file of this top-level module imports from where it must not.
fn offences(module: &str, source: &str) -> Vec<String> {
    let Some(own) = rung(module) else {
        return vec![format!("{module} has no rung")];
    };
    let is_offence = |name: &String| {
        let is_type = name.starts_with(|c: char| c.is_ascii_uppercase());
        name != module && !is_type && rung(name).is_none_or(|other| other <= own)
    };
    let offences = imports(source).into_iter().filter(is_offence);
    offences.map(|name| format!("{module} imports {name}")).collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_module_imports_only_from_rungs_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&src);
    assert!(files.len() > 30, "{files:?}");
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(&src).unwrap();
        let top = path.iter().next().unwrap().to_str().unwrap();
        let module = top.strip_suffix(".rs").unwrap_or(top);
        // The root names every module, and `main` the library's one entry.
        if module != "lib" && module != "main" {
            let source = fs::read_to_string(&file).unwrap();
            found.extend(
                offences(module, &source).into_iter().map(|o| format!("{}: {o}", path.display())),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_check_can_fail() {
    for (module, source, expected) in [
        ("hub", "use crate::http::Api;", "hub imports http"),
        (
            "hub",
            "use crate::{\n    clock::Clock,\n    orchestrator::{Players, x},\n};",
            "hub imports orchestrator",
        ),
        ("store", "fn f() { crate::hub::g() }", "store imports hub"),
        ("event", "use crate::sse::Cursor;", "event imports sse"),
        ("clock", "use crate::event::Event;", "clock imports event"),
        ("hub", "use crate::nowhere::X;", "hub imports nowhere"),
        ("utils", "", "utils has no rung"),
    ] {
        assert_eq!(offences(module, source), [expected], "{source}");
    }
    for (module, source) in [
        ("http", "use crate::{event::{EventId, x::y}, hub::{Hub, http}};"),
        ("hub", "use crate::hub::messages::Stats; use super::http;"),
        ("hub", "// use crate::http::Api;"),
        ("event", "use crate::{clock::Clock, stream_key::StreamKind};"),
        ("cli", "use crate::{app, config, http, NewEvent};"),
    ] {
        assert_eq!(offences(module, source), [""; 0], "{source}");
    }
}
