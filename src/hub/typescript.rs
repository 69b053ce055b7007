//! The vocabularies as TypeScript types, for `clients/typescript`.

use std::path::Path;

use ts_rs::{Config, TS};

use super::{
    delivery::SnapshotView,
    replay::{Gap, GapReason},
};
use crate::event::{OpenUtterance, Status, conversation, debate};

const HEAD: &str = "\
/**
 * What the server's events carry.
 *
 * Written from the server's Rust types by `UPDATE_TYPESCRIPT=1 cargo test typescript`. Do not edit.
 */
";

fn declaration<T: TS>(config: &Config) -> String {
    let text = format!("{}export {}", T::docs().unwrap_or_default(), T::decl(config));
    tidy(&text)
}

/// One line for each field and for each comment.
fn tidy(text: &str) -> String {
    let text =
        text.replace("/**\n * ", "/** ").replace("\n */\n", " */\n").replace(", };", ",\n};");
    let mut tidied = String::from("\n");
    for line in text.lines().map(str::trim_end) {
        let is_field = !line.starts_with("export") && !line.starts_with("};");
        let is_inside = tidied.contains("export ");
        tidied.push_str(if is_field && is_inside { "  " } else { "" });
        tidied.push_str(line);
        tidied.push('\n');
    }
    tidied
}

#[test]
fn the_types_of_the_typescript_client_are_those_of_the_vocabularies() {
    // JSON.parse makes numbers, never a bigint.
    let config = Config::new().with_large_int("number");
    let declarations = [
        declaration::<Status>,
        declaration::<SnapshotView>,
        declaration::<OpenUtterance>,
        declaration::<Gap>,
        declaration::<GapReason>,
        declaration::<debate::DebateStarted>,
        declaration::<debate::PhaseTransition>,
        declaration::<debate::Token>,
        declaration::<debate::Utterance>,
        declaration::<conversation::SessionStarted>,
        declaration::<conversation::Participant>,
        declaration::<conversation::SpeakerChanged>,
        declaration::<conversation::Token>,
        declaration::<conversation::Utterance>,
        declaration::<conversation::ContextUpdated>,
    ];
    let written: String =
        declarations.into_iter().map(|declaration| declaration(&config)).collect();
    let written = format!("{HEAD}{written}");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/typescript/src/vocabulary.ts");
    if std::env::var_os("UPDATE_TYPESCRIPT").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == kept,
        "clients/typescript/src/vocabulary.ts is not what the Rust types say: \
         UPDATE_TYPESCRIPT=1 cargo test typescript writes it\n{written}"
    );
}
