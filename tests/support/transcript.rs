//! Golden transcripts: whole response bodies, as they must be, in `tests/transcripts/`.
//!
//! They are valid event streams, so that clients in other languages can be tested against them: what
//! differs from run to run is replaced by something of the same shape. `UPDATE_TRANSCRIPTS=1` writes them.

use std::path::Path;

/// The epoch of every id in the transcripts.
const EPOCH: &str = "k3v9x2a7";

const CLIENT_ID: &str = "6f1c2b4e-0d3a-4c55-9e1f-7a8b9c0d1e2f";

/// Compares with `tests/transcripts/NAME.txt`.
#[track_caller]
pub(crate) fn assert_transcript(name: &str, epoch_of: &str, text: &str) {
    let text = normalised(text, epoch_of);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/transcripts/{name}.txt"));
    if std::env::var_os("UPDATE_TRANSCRIPTS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}\n{text}", path.display()));
    assert!(
        text == expected,
        "{name} is not as it was\n--- expected\n{expected}\n--- actual\n{text}"
    );
}

/// Replaces retry times, client ids and the epoch of this id.
fn normalised(text: &str, epoch_of: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        if let Some(retry) = line.strip_prefix("retry: ") {
            retry.trim_end().parse::<u32>().expect("a retry time");
            out.push_str("retry: 2000\n");
        } else if let Some((before, rest)) = line.split_once(r#""clientId":""#) {
            let (client, after) = rest.split_once('"').expect("the string ends");
            assert_eq!(client.len(), CLIENT_ID.len(), "a UUID: {client}");
            out.push_str(&format!(r#"{before}"clientId":"{CLIENT_ID}"{after}"#));
        } else {
            out.push_str(line);
        }
    }
    match epoch_of.split_once('-') {
        Some((epoch, _)) => {
            assert_eq!(epoch.len(), EPOCH.len());
            out.replace(&format!("{epoch}-"), &format!("{EPOCH}-"))
        }
        None => out,
    }
}
