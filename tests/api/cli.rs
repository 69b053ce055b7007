//! `publish`, `watch` and `play` against a running server.

use std::{path::Path, process::Output};

use serde_json::{Value, json};

use crate::helpers::{Follower, Process, clearside, eventually, get, run, run_with_input, within};

const STREAM: &str = "/api/debates/d1";

pub(crate) async fn serve(folder: &Path) -> (Process, String) {
    let server = Process::serve(folder, 0, &["--retry", "50ms"]).await;
    let url = format!("http://{}", server.address);
    (server, url)
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
pub(crate) fn assert_success(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
}

/// Failed with one line that says this.
#[track_caller]
pub(crate) fn assert_failure(output: &Output, expected: &str) {
    let stderr = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("error: ") && stderr.contains(expected), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[actix_web::test]
async fn publish_prints_ids_and_takes_its_data_from_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let phase = r#"{"phase":"Opening","timestamp":1}"#;
    let file = folder.path().join("data.json");
    std::fs::write(&file, phase).unwrap();
    let from_file = format!("@{}", file.display());
    let mut epoch = String::new();
    for (seq, (data, input)) in (1..).zip([(phase, ""), (from_file.as_str(), ""), ("-", phase)]) {
        let command = clearside(&["publish", "debate/d1", "phase_transition", data, "--url", &url]);
        let output = run_with_input(command, input).await;
        assert_success(&output);
        let printed = stdout(&output);
        let (printed_epoch, printed_seq) = printed.trim().split_once('-').unwrap();
        assert_eq!(printed_seq, seq.to_string());
        assert!(epoch.is_empty() || epoch == printed_epoch);
        printed_epoch.clone_into(&mut epoch);
    }
    let transient = ["publish", "debate/d1", "note", "1", "--transient", "--url", &url];
    assert_eq!(stdout(&run(clearside(&transient)).await), "transient\n");
    let history = get(server.address, &format!("{STREAM}/events")).await.json();
    assert_eq!(history["events"].as_array().unwrap().len(), 3);
}

#[actix_web::test]
async fn publish_refuses_what_is_wrong_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    for (name, data, expected) in [
        ("note", "{", "the data is no JSON"),
        ("note", "@/no/such/file", "cannot read /no/such/file"),
        ("phase_transition", "{}", "$.data.phase: is missing"),
        ("gap", "{}", "sent by the hub itself"),
        ("a b", "{}", "an event type is"),
    ] {
        let command = clearside(&["publish", "debate/d1", name, data, "--url", &url]);
        assert_failure(&run(command).await, expected);
    }
    assert_eq!(get(server.address, STREAM).await.status(), 404);
    let address = server.address.to_string();
    drop(server);
    let command = clearside(&["publish", "debate/d1", "note", "{}", "--url", &url]);
    assert_failure(&run(command).await, &address);
}

#[actix_web::test]
async fn publish_takes_a_line_for_each_event_and_says_which_one_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let args = ["publish", "debate/d1", "--jsonl", "--url", &url];
    let lines = "{\"type\":\"note\",\"data\":1}\n\n{\"type\":\"token\",\"data\":{\"speaker\":\"a\",\"token\":\"b\"}}\n{\"type\":\"note\",\"data\":2}";
    let output = run_with_input(clearside(&args), lines).await;
    assert_success(&output);
    let printed = stdout(&output);
    let printed: Vec<_> = printed.lines().map(|line| line.rsplit('-').next().unwrap()).collect();
    assert_eq!(printed, ["1", "transient", "2"]);

    let lines = "{\"type\":\"note\",\"data\":3}\n{\"type\":\"utterance\",\"data\":{}}\n{\"type\":\"note\",\"data\":4}";
    let output = run_with_input(clearside(&args), lines).await;
    assert_failure(&output, "line 2: $.data.id: is missing");
    assert!(stdout(&output).trim().ends_with("-3"), "what came before it is published");
    let history = get(server.address, &format!("{STREAM}/events")).await.json();
    assert_eq!(history["events"].as_array().unwrap().len(), 3);
}

#[actix_web::test]
async fn watch_prints_every_event_and_ends_with_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let args = ["watch", "debate/d1", "--json", "--from", "earliest", "--url", &url];
    let watching = actix_web::rt::spawn(run(clearside(&args)));
    eventually("the watcher", || async {
        get(server.address, "/api/stats").await.json()["debates"]["clients"] == 1
    })
    .await;
    let lines: String = [
        json!({ "type": "phase_transition", "data": { "phase": "Opening", "timestamp": 1 } }),
        json!({ "type": "token", "data": { "speaker": "Pro", "token": "Hi" } }),
        json!({ "type": "note", "data": { "n": 1.0 } }),
        json!({ "type": "complete", "data": {} }),
    ]
    .iter()
    .map(|line| format!("{line}\n"))
    .collect();
    let publish = clearside(&["publish", "debate/d1", "--jsonl", "--url", &url]);
    assert_success(&run_with_input(publish, &lines).await);
    let output = watching.await.unwrap();
    assert_success(&output);
    let live = parse_lines(&stdout(&output));
    let names: Vec<_> = live.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(names, ["connected", "snapshot", "phase_transition", "token", "note", "complete"]);
    assert_eq!(live[3]["data"], json!({ "speaker": "Pro", "token": "Hi" }));
    assert!(live[5]["id"].as_str().unwrap().ends_with("-3"));

    // Once more, after the end: the same but for the token.
    let output = run(clearside(&args)).await;
    assert_success(&output);
    let late = parse_lines(&stdout(&output));
    let is_durable = |line: &&Value| {
        !["connected", "snapshot", "token"].contains(&line["type"].as_str().unwrap())
    };
    assert!(late.iter().filter(is_durable).eq(live.iter().filter(is_durable)));

    let last = live[5]["id"].as_str().unwrap();
    let output =
        run(clearside(&["watch", "debate/d1", "--json", "--from", last, "--url", &url])).await;
    assert_success(&output);
    assert_eq!(stdout(&output), "", "there is nothing left to see");
}

fn parse_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

#[actix_web::test]
async fn watch_goes_on_across_a_restart_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, url) = serve(folder.path()).await;
    let address = server.address;
    let args = ["watch", "debate/d1", "--json", "--from", "earliest", "--url", &url];
    let watching = actix_web::rt::spawn(run(clearside(&args)));
    let has_watcher =
        || async { get(address, "/api/stats").await.json()["debates"]["clients"] == 1 };
    eventually("the watcher", has_watcher).await;
    let publish = |data: &'static str, name: &'static str| {
        let command = clearside(&["publish", "debate/d1", name, data, "--url", &url]);
        async { assert_success(&run(command).await) }
    };
    publish("1", "note").await;
    server.kill();
    let _server = Process::serve(folder.path(), address.port(), &[]).await;
    publish("2", "note").await;
    publish("3", "note").await;
    eventually("the watcher", has_watcher).await;
    publish("{}", "complete").await;
    let output = watching.await.unwrap();
    assert_success(&output);
    let notes: Vec<_> = parse_lines(&stdout(&output))
        .into_iter()
        .filter(|line| line["type"] == "note")
        .map(|line| line["data"].clone())
        .collect();
    assert_eq!(notes, [json!(1), json!(2), json!(3)]);
}

#[actix_web::test]
async fn watch_says_when_there_is_no_server() {
    let args = ["watch", "debate/d1", "--url", "http://127.0.0.1:9"];
    assert_failure(&run(clearside(&args)).await, "cannot reach http://127.0.0.1:9");
}

#[actix_web::test]
async fn play_performs_a_transcript_on_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let file = folder.path().join("talk.json");
    let talk = json!({
        "title": "T",
        "speakers": [{"id": "a", "name": "Ada"}],
        "script": [{"phase": "One"}, {"speaker": "a", "text": "One two three."}],
    });
    std::fs::write(&file, talk.to_string()).unwrap();
    let file = file.to_str().unwrap().to_owned();
    for (flag, stream, end) in [
        ("--debate", STREAM, "complete"),
        ("--conversation", "/api/conversations/sessions/d1", "conversation_completed"),
    ] {
        let follower = Follower::new(server.address, &format!("{stream}/stream"), Some("earliest"));
        let follower = actix_web::rt::spawn(follower.follow_to_the_end());
        let args = ["play", &file, flag, "d1", "--speed", "1000", "--url", &url];
        assert_success(&run(clearside(&args)).await);
        let follower = follower.await.unwrap();
        let names: Vec<_> = follower.durable().map(|event| event.name.as_str()).collect();
        assert_eq!(names.last(), Some(&end));
        assert_eq!(names.iter().filter(|name| name.ends_with("utterance")).count(), 1);
        // The stream has ended: a second performance is refused.
        assert_failure(&run(clearside(&args)).await, "completed");
    }
}

#[actix_web::test]
async fn play_waits_where_it_comes_too_often_and_leaves_nothing_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--publish-rate", "1"]).await;
    let url = format!("http://{}", server.address);
    let file = folder.path().join("talk.json");
    // More events than may come at once, which are ten.
    let talk = json!({
        "speakers": [{"id": "a", "name": "Ada"}],
        "script": [{"speaker": "a", "text": "One two three four five six seven eight nine ten."}],
    });
    std::fs::write(&file, talk.to_string()).unwrap();
    let follower = Follower::new(server.address, &format!("{STREAM}/stream"), Some("earliest"));
    let follower = actix_web::rt::spawn(follower.follow_to_the_end());
    let file = file.to_str().unwrap();
    let args = ["play", file, "--debate", "d1", "--speed", "1000", "--url", &url];
    assert_success(&run(clearside(&args)).await);
    let follower = follower.await.unwrap();
    let names: Vec<_> = follower.durable().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["debate_started", "utterance", "complete"]);
}

#[actix_web::test]
async fn play_refuses_what_is_no_transcript() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let diary = folder.path().join("diary.md");
    std::fs::write(&diary, "Dear diary").unwrap();
    let binary = folder.path().join("binary");
    std::fs::write(&binary, b"\xff\xfe\0").unwrap();
    let missing = folder.path().join("missing.md");
    for (file, expected) in
        [(&diary, "this is no transcript"), (&binary, "is no text file"), (&missing, "cannot read")]
    {
        let args = ["play", file.to_str().unwrap(), "--debate", "d1", "--url", &url];
        let output = run(clearside(&args)).await;
        assert_failure(&output, expected);
        assert!(stderr(&output).contains(file.file_name().unwrap().to_str().unwrap()));
    }
    assert_eq!(get(server.address, STREAM).await.status(), 404);
}

#[actix_web::test]
async fn watch_ends_with_the_last_event_of_its_own_kind_only() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, url) = serve(folder.path()).await;
    for (stream, foreign, own) in [
        ("debate/d1", "conversation_completed", "complete"),
        ("conversation/d1", "complete", "conversation_completed"),
    ] {
        let lines: String = [foreign, "note", own]
            .map(|name| format!("{}\n", json!({ "type": name, "data": {} })))
            .concat();
        let publish = clearside(&["publish", stream, "--jsonl", "--url", &url]);
        assert_success(&run_with_input(publish, &lines).await);
        let args = ["watch", stream, "--json", "--from", "earliest", "--url", &url];
        let output = run(clearside(&args)).await;
        assert_success(&output);
        let lines = parse_lines(&stdout(&output));
        let names: Vec<_> = lines
            .iter()
            .filter_map(|line| line["type"].as_str())
            .filter(|name| [foreign, "note", own].contains(name))
            .collect();
        assert_eq!(names, [foreign, "note", own], "{stream}");
    }
}

#[actix_web::test]
async fn watch_shows_whoever_speaks_under_one_name_also_when_it_joins_late() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let token = |text: &str| {
        let data = json!({ "participantId": "p1", "personaSlug": "ada", "personaName": "Ada Lovelace",
            "segment": "s", "token": text });
        json!({ "type": "conversation_token", "data": data }).to_string()
    };
    let publish = |lines: String| {
        let command = clearside(&["publish", "conversation/s1", "--jsonl", "--url", &url]);
        async move { assert_success(&run_with_input(command, &lines).await) }
    };
    publish(token("It is")).await;
    let watching =
        actix_web::rt::spawn(run(clearside(&["watch", "conversation/s1", "--url", &url])));
    eventually("the watcher", || async {
        get(server.address, "/api/stats").await.json()["conversations"]["clients"] == 1
    })
    .await;
    let said = json!({ "sessionId": "s1", "speakerName": "Ada Lovelace", "personaSlug": "ada",
        "content": "It is so.", "isHost": false, "turnCount": 1, "timestamp": 1 });
    let said = json!({ "type": "conversation_utterance", "data": said });
    let end = json!({ "type": "conversation_completed", "data": {} });
    publish(format!("{}\n{said}\n{end}\n", token(" so."))).await;
    let output = watching.await.unwrap();
    assert_success(&output);
    let shown = stdout(&output);
    assert!(shown.contains("\nAda Lovelace: It is so.\n"), "{shown}");
    assert_eq!(shown.matches("Ada Lovelace").count(), 1, "{shown}");
}

#[actix_web::test]
async fn watch_waits_as_long_as_the_server_says_before_it_reconnects() {
    use std::time::{Duration, Instant};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    // As long as `watch` would wait by itself, these alone would take longer than a test may.
    const QUICK: usize = 40;
    const SLOW: Duration = Duration::from_secs(3);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let watching = actix_web::rt::spawn(run(clearside(&["watch", "debate/d1", "--url", &url])));
    let answer = async |head: &str, body: String| {
        let (mut tcp, _) = listener.accept().await.unwrap();
        let asked_at = Instant::now();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(tcp.read_buf(&mut request).await.unwrap() > 0);
        }
        let answer = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n{body}");
        tcp.write_all(answer.as_bytes()).await.unwrap();
        asked_at
    };
    let stream = "200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked";
    let chunks = |body: &str| format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    within("all of them", async {
        for number in 0..QUICK {
            // The time may come with the head, or as the last word.
            let (retry, event) = ("retry: 20\n\n", "event: note\ndata: 1\n\n");
            let body = if number % 2 == 0 { [retry, event] } else { [event, retry] };
            answer(stream, chunks(&body.concat())).await;
        }
        answer(stream, chunks(&format!("retry: {}\n\n", SLOW.as_millis()))).await;
        let told_at = Instant::now();
        let waited = answer("204 No Content", String::new()).await - told_at;
        assert!(waited >= SLOW, "{waited:?}");
    })
    .await;
    let output = within("the watcher's end", watching).await.unwrap();
    assert_success(&output);
    assert_eq!(stdout(&output).matches("note").count(), QUICK);
}
