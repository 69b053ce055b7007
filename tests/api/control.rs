//! Steering the orchestrator over HTTP: what happens is told by the order of the events, never by time.

use serde_json::{Value, json};

use crate::helpers::{SseEvent, TestServer, Wire, phase};

/// A kind of stream and the names of its events.
#[derive(Clone, Copy)]
struct Kind {
    path: &'static str,
    started: &'static str,
    token: &'static str,
    utterance: &'static str,
    pause: &'static str,
    resume: &'static str,
    end: &'static str,
}

const DEBATE: Kind = Kind {
    path: "/api/debates/d1",
    started: "debate_started",
    token: "token",
    utterance: "utterance",
    pause: "pause",
    resume: "resume",
    end: "complete",
};

const CONVERSATION: Kind = Kind {
    path: "/api/conversations/sessions/s1",
    started: "conversation_started",
    token: "conversation_token",
    utterance: "conversation_utterance",
    pause: "conversation_paused",
    resume: "conversation_resumed",
    end: "conversation_completed",
};

impl Kind {
    async fn command(self, server: &TestServer, command: &str, body: &Value) -> (u16, Value) {
        let answer = server.post(&format!("{}/{command}", self.path), body).await;
        (answer.status(), answer.json())
    }

    async fn launch(self, server: &TestServer, body: &Value) {
        let (status, answer) = self.command(server, "launch", body).await;
        assert_eq!((status, &answer), (202, &json!({ "status": "launched" })));
    }

    async fn steer(self, server: &TestServer, command: &str) -> u16 {
        self.command(server, command, &json!({})).await.0
    }

    async fn follow(self, server: &TestServer) -> Wire {
        server.follow_live(&format!("{}/stream", self.path)).await
    }

    /// The tokens of each utterance, joined, are its content.
    #[track_caller]
    fn assert_tokens_are_the_text(self, events: &[SseEvent]) {
        let mut spoken = String::new();
        for event in events {
            if event.name == self.token {
                spoken.push_str(&event.text("token"));
            } else if event.name == self.utterance {
                assert_eq!(event.text("content"), std::mem::take(&mut spoken));
            }
        }
    }

    fn names(self, events: &[SseEvent]) -> Vec<&str> {
        let mut names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
        names.dedup_by(|a, b| a == b && *a == self.token);
        names
    }
}

/// A talk that takes a while at speed 1, and no time at all at 1000.
fn talk() -> Value {
    let text = "One two three four five six seven eight nine ten. ".repeat(20);
    json!({
        "title": "T",
        "speakers": [{"id": "a", "name": "Ada", "host": true}, {"id": "b", "name": "Ben"}],
        "script": [
            {"phase": "One"},
            {"speaker": "a", "text": text},
            {"speaker": "b", "text": "Short,\n\n- *and* \"quoted\"."},
        ],
    })
}

#[actix_web::test]
async fn launching_without_a_body_plays_the_sample_of_the_kind() {
    for (kind, title) in [
        (DEBATE, "Should it be legal to make a talking AI"),
        (CONVERSATION, "How do you warn somebody"),
    ] {
        let server = TestServer::start().await;
        let mut wire = kind.follow(&server).await;
        let path = format!("{}/launch", kind.path);
        let answer = crate::helpers::request(server.address, "POST", &path, &[], b"").await;
        assert_eq!(answer.status(), 202, "{}", answer.text());
        let started = wire.next().await;
        assert_eq!(started.name, kind.started);
        assert!(started.text("title").starts_with(title), "{started:?}");
        wire.until(kind.token).await;
        assert_eq!(kind.steer(&server, "stop").await, 202);
        wire.until_end().await;
    }
}

#[actix_web::test]
async fn a_transcript_is_performed_whole_in_order_and_with_tokens() {
    let markdown = "## Full Transcript\n\n### Opening\n\n**[00:01] Ada:**\n\nYes.\n\n**[00:02] Ben:**\n\nNo, *no*.\n";
    for kind in [DEBATE, CONVERSATION] {
        for transcript in [talk(), json!(markdown)] {
            let server = TestServer::start().await;
            let mut wire = kind.follow(&server).await;
            let body = json!({ "transcript": transcript, "speed": 1000 });
            kind.launch(&server, &body).await;
            let events = wire.until_end().await;
            kind.assert_tokens_are_the_text(&events);
            let names = kind.names(&events);
            let changed = "conversation_speaker_changed";
            let names: Vec<_> = names.into_iter().filter(|name| *name != changed).collect();
            assert_eq!(
                names,
                [
                    kind.started,
                    "phase_transition",
                    kind.token,
                    kind.utterance,
                    kind.token,
                    kind.utterance,
                    kind.end
                ]
            );
            let history = server.get(&format!("{}/events", kind.path)).await.text();
            assert!(!history.contains(kind.token), "tokens are not stored");
        }
    }
}

#[actix_web::test]
async fn what_cannot_be_launched_is_refused_and_leaves_the_stream_alone() {
    let server = TestServer::start().await;
    for (body, status, code) in [
        (json!({"transcript": "Dear diary"}), 422, "invalid_transcript"),
        (json!({"transcript": {"speakers": []}}), 422, "invalid_transcript"),
        (json!({"transcript": [1]}), 422, "invalid_transcript"),
        (json!({"speed": 0}), 400, "invalid_speed"),
        (json!({"speed": 1001}), 400, "invalid_speed"),
        (json!({"speed": "fast"}), 422, "invalid_launch"),
        (json!({"sped": 1}), 422, "invalid_launch"),
        (json!([]), 422, "invalid_launch"),
        (json!([null, 2.0]), 422, "invalid_launch"),
        (json!({"transcript": speech_of(65_500)}), 422, "invalid_transcript"),
        (json!({"transcript": speech_of(200_000)}), 422, "invalid_transcript"),
    ] {
        let answer = server.post("/api/debates/d1/launch", &body).await;
        assert_eq!(answer.status(), status, "{body}: {}", answer.text());
        assert_eq!(answer.code(), code, "{body}");
    }
    assert_eq!(server.get("/api/debates/d1").await.status(), 404);
}

/// A talk of one speech, this many bytes of JSON long.
fn speech_of(bytes: usize) -> Value {
    speech_by("Ada", "One", bytes)
}

/// The same by somebody of this name, in a phase of that one.
fn speech_by(name: &str, phase: &str, bytes: usize) -> Value {
    // Its quotes count, and JSON writes six bytes for each of the others: that many are soon said.
    let text = "\u{1}".repeat((bytes - 2) / 6) + &"x".repeat((bytes - 2) % 6);
    assert_eq!(json!(text).to_string().len(), bytes);
    json!({
        "speakers": [{"id": "a", "name": name}],
        "script": [{"phase": phase}, {"speaker": "a", "text": text}],
    })
}

#[actix_web::test]
async fn what_can_be_launched_can_be_performed_however_long_its_names_are() {
    let long = "\"".repeat(1000);
    let cast: Vec<_> =
        (0..700).map(|id| json!({ "id": id.to_string(), "name": "n".repeat(50) })).collect();
    let crowd = json!({ "speakers": cast, "script": [{ "speaker": "1", "text": "Yes." }] });
    for kind in [DEBATE, CONVERSATION] {
        for (what, transcript, is_too_long) in [
            ("a long text", speech_of(65_000), false),
            ("too long a text", speech_of(65_500), true),
            ("a long name", speech_by(&long, "One", 63_000), false),
            ("a name too long for the text", speech_by(&long, "One", 64_000), true),
            ("a long phase", speech_by("Ada", &long, 63_000), false),
            ("a phase too long for the text", speech_by("Ada", &long, 64_000), true),
            ("too long a cast", crowd.clone(), true),
        ] {
            let server = TestServer::start().await;
            let mut wire = kind.follow(&server).await;
            let body = json!({ "transcript": transcript, "speed": 1000 });
            let (status, answer) = kind.command(&server, "launch", &body).await;
            if is_too_long {
                let refused = (422, &json!("invalid_transcript"));
                assert_eq!((status, &answer["error"]["code"]), refused, "{what}");
                assert_eq!(server.get(kind.path).await.status(), 404, "{what}: nothing is begun");
                continue;
            }
            assert_eq!(status, 202, "{what}: {answer}");
            let events = wire.until_end().await;
            kind.assert_tokens_are_the_text(&events);
            let names = kind.names(&events);
            assert!(names.contains(&kind.utterance), "{what}: {names:?}");
        }
    }
}

#[actix_web::test]
async fn so_many_performances_go_on_at_a_time_and_no_more() {
    let server = TestServer::start().await;
    let on = |id: usize| Kind { path: format!("/api/debates/d{id}").leak(), ..DEBATE };
    let body = json!({ "transcript": talk(), "speed": 0.01 });
    for id in 0..1024 {
        on(id).launch(&server, &body).await;
    }
    let one_more = on(1024);
    let (status, answer) = one_more.command(&server, "launch", &body).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("overloaded")));
    assert_eq!(server.get(one_more.path).await.status(), 404, "nothing is begun");
    let (status, answer) = on(7).command(&server, "launch", &body).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("already_running")));
    assert_eq!(on(7).steer(&server, "stop").await, 202);
    one_more.launch(&server, &body).await;
}

#[actix_web::test]
async fn a_second_launch_is_refused_while_one_is_under_way() {
    for kind in [DEBATE, CONVERSATION] {
        let server = TestServer::start().await;
        let mut wire = kind.follow(&server).await;
        kind.launch(&server, &json!({ "transcript": talk() })).await;
        let (status, answer) = kind.command(&server, "launch", &json!({})).await;
        assert_eq!(status, 409);
        assert_eq!(answer["error"]["code"], "already_running");
        kind.steer(&server, "stop").await;
        let events = wire.until_end().await;
        let starts = events.iter().filter(|event| event.name == kind.started);
        assert_eq!(starts.count(), 1);
    }
}

#[actix_web::test]
async fn a_pause_holds_the_tokens_and_a_resume_goes_on_where_it_stopped() {
    for kind in [DEBATE, CONVERSATION] {
        let server = TestServer::start().await;
        let mut wire = kind.follow(&server).await;
        let body = json!({ "transcript": talk(), "speed": 20 });
        kind.launch(&server, &body).await;
        let mut all = Vec::new();
        for round in 1..=5 {
            all.extend(wire.until(kind.token).await);
            assert_eq!(kind.steer(&server, "pause").await, 202);
            all.extend(wire.until(kind.pause).await);
            let shown = server.get(kind.path).await.json();
            assert_eq!(shown["status"], "paused", "round {round}");
            // Whatever the player still had to say would be between the two.
            assert_eq!(kind.steer(&server, "pause").await, 202, "twice is once");
            assert_eq!(kind.steer(&server, "resume").await, 202);
            let next = wire.next().await;
            assert_eq!(next.name, kind.resume, "round {round}: nothing between pause and resume");
            all.push(next);
            let shown = server.get(kind.path).await.json();
            assert_eq!(shown["status"], "live");
        }
        all.extend(wire.until_end().await);
        kind.assert_tokens_are_the_text(&all);
        let pauses = all.iter().filter(|event| event.name == kind.pause);
        assert_eq!(pauses.count(), 5);
        let said = all.iter().filter(|event| event.name == kind.utterance);
        assert_eq!(said.count(), 2);
    }
}

#[actix_web::test]
async fn a_long_pause_lets_nothing_through() {
    let server = TestServer::start().await;
    let mut wire = DEBATE.follow(&server).await;
    DEBATE.launch(&server, &json!({ "transcript": talk(), "speed": 1000 })).await;
    wire.until("token").await;
    assert_eq!(DEBATE.steer(&server, "pause").await, 202);
    wire.until("pause").await;
    // A hundred markers of our own take much longer than what is left of the talk at this speed.
    for number in 0..100 {
        server.publish(DEBATE.path, crate::helpers::note(number)).await;
    }
    for _ in 0..100 {
        assert_eq!(wire.next().await.name, "note");
    }
    DEBATE.steer(&server, "resume").await;
    assert_eq!(wire.next().await.name, "resume");
    wire.until_end().await;
}

#[actix_web::test]
async fn a_stop_ends_the_performance_and_the_stream() {
    for kind in [DEBATE, CONVERSATION] {
        for is_paused in [false, true] {
            let server = TestServer::start().await;
            let mut wire = kind.follow(&server).await;
            kind.launch(&server, &json!({ "transcript": talk(), "speed": 20 })).await;
            wire.until(kind.token).await;
            if is_paused {
                kind.steer(&server, "pause").await;
            }
            assert_eq!(kind.steer(&server, "stop").await, 202);
            let end = wire.until_end().await.pop().unwrap();
            assert_eq!(end.name, kind.end);
            assert_eq!(end.text("reason"), "stopped");
            for command in ["pause", "resume", "stop"] {
                let (status, answer) = kind.command(&server, command, &json!({})).await;
                assert_eq!(status, 409);
                assert_eq!(answer["error"]["code"], "not_running");
            }
        }
    }
}

#[actix_web::test]
async fn nothing_is_steered_where_nothing_runs() {
    let server = TestServer::start().await;
    for kind in [DEBATE, CONVERSATION] {
        for command in ["pause", "resume", "stop"] {
            assert_eq!(kind.steer(&server, command).await, 409);
        }
        assert_eq!(server.get(kind.path).await.status(), 404);
    }
}

#[actix_web::test]
async fn without_players_all_controls_say_that_nothing_runs_and_change_nothing() {
    let server = TestServer::with(|settings| settings.has_players = false).await;
    for kind in [DEBATE, CONVERSATION] {
        server.publish(kind.path, phase("One")).await;
        for command in ["launch", "pause", "resume", "stop"] {
            let (status, answer) = kind.command(&server, command, &json!({})).await;
            let refused = (409, &json!("not_running"));
            assert_eq!((status, &answer["error"]["code"]), refused, "{command}");
        }
        assert_eq!(server.get(kind.path).await.json()["status"], "live");
    }
}

#[actix_web::test]
async fn a_stream_that_nobody_performs_any_more_can_be_stopped_once() {
    for kind in [DEBATE, CONVERSATION] {
        let server = TestServer::start().await;
        server.publish(kind.path, phase("One")).await;
        let mut wire = kind.follow(&server).await;
        for command in ["pause", "resume"] {
            assert_eq!(kind.steer(&server, command).await, 409, "{command}: nobody is there");
        }
        assert_eq!(kind.steer(&server, "stop").await, 202);
        let events = wire.until_end().await;
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].name, kind.end);
        assert_eq!(events[0].text("reason"), "stopped");
        let (status, answer) = kind.command(&server, "stop", &json!({})).await;
        assert_eq!(status, 409);
        assert_eq!(answer["error"]["code"], "not_running");
        let shown = server.get(kind.path).await.json();
        assert_eq!(shown["status"], "completed");
    }
}

#[actix_web::test]
async fn a_performance_that_a_restart_has_cut_off_can_be_stopped_or_launched_anew() {
    for kind in [DEBATE, CONVERSATION] {
        for command in ["stop", "launch"] {
            let server = TestServer::start().await;
            let mut wire = kind.follow(&server).await;
            kind.launch(&server, &json!({ "transcript": talk(), "speed": 20 })).await;
            wire.until(kind.token).await;
            assert_eq!(kind.steer(&server, "pause").await, 202);
            drop(wire);
            let folder = server.stop().await;
            let server = TestServer::on(folder).await;
            assert_eq!(server.get(kind.path).await.json()["status"], "paused");
            let mut wire = kind.follow(&server).await;
            if command == "launch" {
                kind.launch(&server, &json!({ "transcript": talk(), "speed": 20 })).await;
                assert_eq!(wire.next().await.name, kind.started);
                assert_eq!(server.get(kind.path).await.json()["status"], "live");
            }
            assert_eq!(kind.steer(&server, "stop").await, 202);
            assert_eq!(wire.until_end().await.pop().unwrap().name, kind.end);
        }
    }
}

#[actix_web::test]
async fn nothing_is_launched_on_a_stream_that_has_ended() {
    for kind in [DEBATE, CONVERSATION] {
        let server = TestServer::start().await;
        server.publish(kind.path, phase("One")).await;
        let end = crate::helpers::event(kind.end, json!({}));
        server.publish(kind.path, end).await;
        for _ in 0..2 {
            let (status, answer) = kind.command(&server, "launch", &json!({})).await;
            assert_eq!(status, 409);
            assert_eq!(answer["error"]["code"], "completed");
        }
    }
}

#[actix_web::test]
async fn a_stream_that_somebody_else_completes_ends_the_performance() {
    let server = TestServer::start().await;
    let mut wire = DEBATE.follow(&server).await;
    DEBATE.launch(&server, &json!({ "transcript": talk(), "speed": 20 })).await;
    wire.until("token").await;
    server.publish(DEBATE.path, crate::helpers::complete()).await;
    assert_eq!(wire.until_end().await.pop().unwrap().name, "complete");
    crate::helpers::eventually("the player to end", || async {
        DEBATE.command(&server, "stop", &json!({})).await.1["error"]["code"] == "not_running"
    })
    .await;
}
