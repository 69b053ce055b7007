//! `bench` against a running server, and against one that does not keep its word.

use std::process::Output;

use serde_json::Value;

use crate::{
    cli::{assert_success, serve, stderr, stdout},
    helpers::{Lie, LyingProxy, Process, clearside, eventually, get, run, run_and_signal},
};

fn report(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Of each stream that there is: its status, and how many events it has.
async fn streams(address: std::net::SocketAddr) -> Vec<(String, usize)> {
    let list = get(address, "/api/debates").await.json();
    let mut found = Vec::new();
    for stream in list["streams"].as_array().unwrap() {
        let id = stream["id"].as_str().unwrap();
        let events = get(address, &format!("/api/debates/{id}/events?limit=1000")).await.json();
        found.push((
            stream["status"].as_str().unwrap().to_owned(),
            events["events"].as_array().unwrap().len(),
        ));
    }
    found
}

#[actix_web::test]
async fn a_run_against_a_good_server_is_complete_and_leaves_its_streams_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let args = ["bench", "--clients", "20", "--streams", "3", "--rate", "30", "--seconds", "1"];
    let output =
        run(clearside(&[&args[..], &["--size", "500", "--json", "--url", &url]].concat())).await;
    assert_success(&output);
    let report = report(&output);
    let published = report["published"].as_u64().unwrap();
    assert!((20..=31).contains(&published), "30 a second for one: {report}");
    // 7, 7 and 6 clients, and the streams in turn.
    let shares: Vec<_> = (0..published).map(|event| [7, 7, 6][event as usize % 3]).collect();
    assert_eq!(report["expected"], shares.iter().sum::<u64>());
    assert_eq!(report["received"], report["expected"]);
    for nothing in
        ["missing", "doubled", "outOfOrder", "altered", "publishErrors", "connectionsLost"]
    {
        assert_eq!(report[nothing], 0, "{nothing}");
    }
    assert_eq!(report["isComplete"], true);
    for times in ["connectMs", "answerMs", "latencyMs", "lagMs"] {
        let [p50, p90, p99, max] =
            ["p50", "p90", "p99", "max"].map(|name| report[times][name].as_f64().unwrap());
        assert!(p50 > 0.0 && p50 <= p90 && p90 <= p99 && p99 <= max, "{times}: {report}");
    }
    assert!(report["deliveriesPerSecond"].as_f64().unwrap() > 0.0);
    let streams = streams(server.address).await;
    assert_eq!(streams.len(), 3);
    assert!(streams.iter().all(|(status, _)| status == "completed"), "{streams:?}");
    assert_eq!(streams.iter().map(|(_, events)| events).sum::<usize>(), published as usize + 3);
}

#[actix_web::test]
async fn transient_events_are_counted_too_and_nothing_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let args =
        ["bench", "--clients", "20", "--streams", "4", "--in-flight", "8", "--seconds", "0.5"];
    let output = run(clearside(&[&args[..], &["--transient", "--url", &url]].concat())).await;
    assert_success(&output);
    let table = stdout(&output);
    assert!(
        table.starts_with("20 clients, 4 streams; transient events of 200 bytes, 8 in flight\n"),
        "{table}"
    );
    assert!(
        table.ends_with("\ncomplete: every client has received every event, once and in order\n"),
        "{table}"
    );
    assert_eq!(streams(server.address).await, []);
}

#[actix_web::test]
async fn whatever_a_proxy_does_to_events_is_counted_and_the_run_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = serve(folder.path()).await;
    for (lie, fault) in [
        (Lie::None, None),
        (Lie::Drop, Some("missing")),
        (Lie::Double, Some("doubled")),
        (Lie::Swap, Some("outOfOrder")),
        (Lie::Alter, Some("altered")),
    ] {
        let (through, proxy) = LyingProxy::start(server.address, lie).await;
        let url = format!("http://{through}");
        let args = ["bench", "--clients", "20", "--streams", "3", "--rate", "150"];
        let args = [&args[..], &["--seconds", "2", "--json", "--url", &url]].concat();
        let output = run(clearside(&args)).await;
        let report = report(&output);
        let Some(fault) = fault else {
            assert_success(&output);
            continue;
        };
        assert_eq!(output.status.code(), Some(1), "{lie:?}: {report}");
        assert!(stderr(&output).starts_with("error: not complete: "), "{}", stderr(&output));
        assert_eq!(report["isComplete"], false);
        assert!(proxy.lies() > 0, "there is something to find in {} events", proxy.events());
        assert!(report[fault].as_u64().unwrap() > 0, "{lie:?}: {report}");
    }
}

#[actix_web::test]
async fn a_server_that_dies_leaves_the_run_incomplete() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, url) = serve(folder.path()).await;
    let args = ["bench", "--clients", "5", "--seconds", "3600", "--json", "--url", &url];
    let address = server.address;
    let output = run_and_signal(clearside(&args), "INT", async {
        eventually("an event", || async { streams(address).await.iter().any(|it| it.1 > 2) }).await;
        server.kill();
    })
    .await;
    let report = report(&output);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["connectionsLost"], 5);
}

#[actix_web::test]
async fn ctrl_c_ends_the_run_its_streams_and_says_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let address = server.address;
    let args =
        ["bench", "--clients", "5", "--streams", "2", "--seconds", "3600", "--json", "--url", &url];
    let output = run_and_signal(clearside(&args), "INT", async {
        eventually("an event on each stream", || async {
            streams(address).await.iter().filter(|it| it.1 > 2).count() == 2
        })
        .await;
    })
    .await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "error: broken off before its time\n");
    let report = report(&output);
    assert_eq!(report["received"], report["expected"]);
    assert_eq!(report["isComplete"], true, "as far as it went");
    assert!(streams(address).await.iter().all(|(status, _)| status == "completed"));
}

#[actix_web::test]
async fn bench_says_what_is_in_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, url) = serve(folder.path()).await;
    let nobody = "http://127.0.0.1:9";
    for (args, code, expected) in [
        (&["--clients", "0"][..], 2, "--clients"),
        (&["--clients", "2", "--streams", "3"], 2, "more streams than clients"),
        (&["--rate", "0"], 2, "must be a number from 0.001"),
        (&["--rate", "NaN"], 2, "must be a number from 0.001"),
        (&["--rate", "5", "--in-flight", "5"], 2, "cannot be used with"),
        (&["--in-flight", "101"], 2, "--in-flight"),
        (&["--size", "10"], 2, "--size"),
        (&["--seconds", "0"], 2, "--seconds"),
        (&["--url", "ftp://example.org"], 2, "http://127.0.0.1:3000"),
        (&["--url", nobody], 1, "cannot reach http://127.0.0.1:9"),
        (&["--size", "65537", "--seconds", "0.1"], 1, "65536"),
    ] {
        // The flag wins over the environment.
        let mut command = clearside(&["bench"]);
        command.env("CLEARSIDE_URL", &url).args(args);
        let output = run(command).await;
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(expected), "{args:?}: {stderr}");
    }
}

#[actix_web::test]
async fn a_limit_of_open_files_that_is_too_low_is_told_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (server, url) = serve(folder.path()).await;
    let mut command = std::process::Command::new("sh");
    let program = clearside(&[]).get_program().to_owned();
    command.args(["-c", "ulimit -n 200 && exec \"$0\" bench --clients 100 --url \"$1\""]);
    command.arg(program).arg(&url);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stderr(&output),
        "error: 100 clients need 232 open files, and no more than 200 are allowed; `ulimit -n 232` \
         allows more, or take fewer clients\n"
    );
    assert_eq!(streams(server.address).await, []);
}

#[actix_web::test]
async fn a_server_that_is_full_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Process::serve(folder.path(), 0, &["--max-clients", "10"]).await;
    let url = format!("http://{}", server.address);
    let output = run(clearside(&["bench", "--clients", "11", "--url", &url])).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    assert!(stderr.contains("the server is busy: there are too many connections"), "{stderr}");
    assert_eq!(streams(server.address).await, [], "nothing was published");
}
