//! The commands that speak to a server, over TLS.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    SECRET, file, hs256,
    http2::{Secure, certificate, certificate_for},
};
use crate::{
    cli::{assert_failure, assert_success, stderr, stdout},
    helpers::{Process, clearside, run, run_with_input},
};

/// A server that asks for tokens, where its certificate is, and one that lets in for everything.
async fn start() -> (Secure, tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(&folder, "secret", SECRET);
    let certificate = certificate();
    let secure =
        Secure::start(&certificate, &["--jwt-secret-file", secret.to_str().unwrap()]).await;
    let everything =
        json!({ "publish": ["*"], "subscribe": ["*"], "control": ["*"], "stats": true });
    let token = hs256(&super::claims(&everything));
    file(&folder, "token", &token);
    let url = format!("https://{}", secure.server.address);
    (secure, folder, url)
}

#[actix_web::test]
async fn every_command_speaks_https_to_a_server_whose_authority_is_named() {
    let (secure, folder, url) = start().await;
    let (ca, token) = (secure.folder.path().join("cert.pem"), folder.path().join("token"));
    let how = ["--url", &url, "--ca-file", ca.to_str().unwrap(), "--token-file"];
    let command = |args: &[&str]| clearside(&[args, &how[..], &[token.to_str().unwrap()]].concat());
    let events = "{\"type\":\"note\",\"data\":1}\n{\"type\":\"complete\",\"data\":{}}";
    let published = run_with_input(command(&["publish", "debate/d1", "--jsonl"]), events).await;
    assert_success(&published);
    assert_eq!(stdout(&published).lines().count(), 2, "two ids");

    let watched = run(command(&["watch", "debate/d1", "--json", "--from", "earliest"])).await;
    assert_success(&watched);
    let lines: Vec<Value> =
        stdout(&watched).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["type"] == "note" && line["data"] == 1), "{lines:?}");

    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sample-conversation.json");
    let play = ["play", sample.to_str().unwrap(), "--conversation", "c1", "--speed", "1000"];
    assert_success(&run(command(&play)).await);

    let bench = ["bench", "--clients", "4", "--rate", "10", "--seconds", "1", "--json"];
    let measured = run(command(&bench)).await;
    assert_success(&measured);
    let report: Value = serde_json::from_str(&stdout(&measured)).unwrap();
    assert!(report["isComplete"] == true && report["received"].as_u64() > Some(0), "{report}");
}

#[actix_web::test]
async fn a_server_is_believed_only_if_an_authority_that_is_believed_vouches_for_it() {
    let (secure, folder, url) = start().await;
    let own = secure.folder.path().join("cert.pem");
    let other = file(&folder, "other.pem", &certificate().cert.pem());
    let none = file(&folder, "none.pem", "hello");
    let token = folder.path().join("token");
    let publish = ["publish", "debate/d1", "note", "1", "--url", &url, "--token-file"];
    let publish = [&publish[..], &[token.to_str().unwrap()]].concat();
    let failed = format!("cannot reach {url}");
    for (ca_file, of_this_machine, expected) in [
        (Some(&own), &none, None),
        (Some(&other), &own, Some(failed.as_str())),
        (Some(&none), &own, Some("no certificate in PEM format")),
        (None, &own, None),
        (None, &other, Some(&failed)),
        (None, &none, Some("--ca-file")),
    ] {
        let mut command = clearside(&publish);
        // Where OpenSSL looks, too.
        command.env("SSL_CERT_FILE", of_this_machine).env_remove("SSL_CERT_DIR");
        if let Some(ca_file) = ca_file {
            command.arg("--ca-file").arg(ca_file);
        }
        let output = run(command).await;
        match expected {
            None => assert_success(&output),
            Some(expected) => assert_failure(&output, expected),
        }
    }
}

#[actix_web::test]
async fn a_certificate_is_good_for_the_name_that_it_is_for() {
    let elsewhere = certificate_for(&["elsewhere.example"]);
    let secure = Secure::start(&elsewhere, &[]).await;
    let ca = secure.folder.path().join("cert.pem");
    let url = format!("https://{}", secure.server.address);
    let how = ["--url", &url, "--ca-file", ca.to_str().unwrap()];
    for args in [
        &["publish", "debate/d1", "note", "1"][..],
        &["watch", "debate/d1"],
        &["bench", "--clients", "1", "--seconds", "1"],
    ] {
        let output = run(clearside(&[args, &how].concat())).await;
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr(&output).contains("certificate"), "{args:?}: {}", stderr(&output));
    }
}

#[actix_web::test]
async fn a_token_in_plain_sight_is_warned_of_and_an_authority_is_for_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (secret, ca) = (file(&folder, "secret", SECRET), file(&folder, "ca.pem", "none"));
    let server =
        Process::serve(folder.path(), 0, &["--jwt-secret-file", secret.to_str().unwrap()]).await;
    let token = hs256(&super::claims(&json!({ "publish": ["*"], "subscribe": ["*"] })));
    let token = file(&folder, "token", &token);
    let port = server.address.port();
    let events = "{\"type\":\"note\",\"data\":1}\n{\"type\":\"complete\",\"data\":{}}";
    let with = ["--token-file", token.to_str().unwrap()];
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sample-conversation.json");
    let publish: &[&str] = &["publish", "debate/d1", "--jsonl"];
    let watch: &[&str] = &["watch", "debate/d1", "--from", "earliest"];
    let play: &[&str] =
        &["play", sample.to_str().unwrap(), "--conversation", "c1", "--speed", "1000"];
    for (host, is_warned) in [("127.0.0.1", false), ("localhost", false), ("0.0.0.0", true)] {
        for args in [publish, watch, play] {
            let url = format!("http://{host}:{port}");
            let output =
                run_with_input(clearside(&[args, &["--url", &url], &with].concat()), events).await;
            let said = stderr(&output);
            let warnings = said.matches("in plain sight").count();
            assert_eq!(warnings, usize::from(is_warned), "{args:?} {url}: {said}");
            assert!(!is_warned || said.contains(&url), "{said}");
        }
    }
    let url = format!("http://0.0.0.0:{port}");
    let output = run_with_input(clearside(&[publish, &["--url", &url]].concat()), events).await;
    assert!(!stderr(&output).contains("in plain sight"), "there is no token: {}", stderr(&output));
    for args in [publish, watch, play] {
        let how = ["--url", &url, "--ca-file", ca.to_str().unwrap()];
        let output = run_with_input(clearside(&[args, &how].concat()), events).await;
        assert_failure(&output, "--ca-file is for a server with TLS");
    }
}
