//! The hub as an application's own actors use it: the orchestrator of the specifications, in Rust.

use actix::{Actor, Context, Handler, Message, ResponseFuture};
use clearside_sse::{
    Broadcast, BroadcastError, ClientCounts, EventId, NewEvent, PublishError, RegistryAddr,
    SendToClient, SendToClientError, Stats, StreamKey, debate,
};
use serde_json::json;

use crate::helpers::{End, SseEvent, TestServer, phase, within};

/// The specifications' `DebateOrchestrator`.
struct DebateOrchestrator {
    debate: StreamKey,
    hub: RegistryAddr,
}

/// `emitUtterance`
#[derive(Message)]
#[rtype(result = "Result<EventId, PublishError>")]
struct EmitUtterance {
    speaker: &'static str,
    content: &'static str,
}

/// `transitionPhase`
#[derive(Message)]
#[rtype(result = "Result<EventId, PublishError>")]
struct TransitionPhase(&'static str);

impl DebateOrchestrator {
    fn emit(
        &self,
        name: &str,
        data: &impl serde::Serialize,
    ) -> ResponseFuture<Result<EventId, PublishError>> {
        let event = NewEvent::new(name, data).unwrap();
        let broadcast = Broadcast::one(self.debate.clone(), event).unwrap();
        let sent = self.hub.send(broadcast);
        Box::pin(async move {
            let published = sent.await.unwrap()?;
            Ok(published.last_id().expect("it is durable"))
        })
    }
}

impl Actor for DebateOrchestrator {
    type Context = Context<Self>;
}

impl Handler<EmitUtterance> for DebateOrchestrator {
    type Result = ResponseFuture<Result<EventId, PublishError>>;

    fn handle(&mut self, emit: EmitUtterance, _: &mut Self::Context) -> Self::Result {
        let utterance = debate::Utterance {
            id: "u1".into(),
            timestamp: 7.into(),
            phase: "Opening".into(),
            speaker: emit.speaker.into(),
            content: emit.content.into(),
        };
        self.emit("utterance", &utterance)
    }
}

impl Handler<TransitionPhase> for DebateOrchestrator {
    type Result = ResponseFuture<Result<EventId, PublishError>>;

    fn handle(
        &mut self,
        TransitionPhase(phase): TransitionPhase,
        _: &mut Self::Context,
    ) -> Self::Result {
        let transition = debate::PhaseTransition { phase: phase.into(), timestamp: 7.into() };
        self.emit("phase_transition", &transition)
    }
}

fn key(text: &str) -> StreamKey {
    text.parse().unwrap()
}

#[actix_web::test]
async fn an_orchestrator_actor_is_answered_with_the_ids_that_its_audience_sees() {
    let server = TestServer::start().await;
    let orchestrator =
        DebateOrchestrator { debate: key("debate/d1"), hub: server.hub.registry().clone() }.start();
    // "Open 3 browser tabs with same debate ID": one before, one between, one after.
    let mut tabs = vec![server.follow_live("/api/debates/d1/stream").await];
    let first = orchestrator.send(TransitionPhase("Opening")).await.unwrap().unwrap();
    tabs.push(server.resume("/api/debates/d1/stream", &first.to_string()).await);
    let emit = EmitUtterance { speaker: "Pro", content: "Because." };
    let second = orchestrator.send(emit).await.unwrap().unwrap();
    assert_eq!((first.seq, second.seq), (1, 2));
    assert_eq!(first.epoch, second.epoch);
    tabs.push(server.resume("/api/debates/d1/stream", &first.to_string()).await);
    for mut tab in tabs {
        let seen = tab.until_seq(2).await.pop().unwrap();
        assert_eq!(seen.id, Some(second.to_string()));
        assert_eq!(
            seen.data,
            r#"{"id":"u1","timestamp":7,"phase":"Opening","speaker":"Pro","content":"Because."}"#
        );
    }
    orchestrator.send(TransitionPhase("Closing")).await.unwrap().unwrap();
    server
        .hub
        .publish(&key("debate/d1"), NewEvent::new("complete", &json!({})).unwrap())
        .await
        .unwrap();
    let refused = orchestrator.send(TransitionPhase("More")).await.unwrap();
    assert_eq!(refused, Err(PublishError::Completed));
}

#[actix_web::test]
async fn fifty_clients_of_one_debate_all_see_what_is_broadcast() {
    let server = TestServer::start().await;
    let mut wires = Vec::new();
    for _ in 0..50 {
        wires.push(server.follow_live("/api/debates/d1/stream").await);
    }
    assert_eq!(server.hub.client_count(&key("debate/d1")).await, 50);
    let last = server.publish("/api/debates/d1", json!([phase("a"), phase("b")])).await;
    for wire in &mut wires {
        let events = wire.until_seq(2).await;
        assert_eq!(events.len(), 2);
        assert_eq!(events[1].id.as_ref(), Some(&last));
    }
}

#[actix_web::test]
async fn stats_count_streams_and_clients_and_return_to_zero() {
    let server = TestServer::start().await;
    let registry = server.hub.registry();
    let debate = key("debate/d1");
    assert!(!server.hub.has_clients(&debate).await);
    let wires = [
        server.follow_live("/api/debates/d1/stream").await,
        server.follow_live("/api/debates/d1/stream").await,
        server.follow_live("/api/debates/d2/stream").await,
        server.follow_live("/api/conversations/sessions/d1/stream").await,
    ];
    let stats = registry.send(Stats).await.unwrap();
    assert_eq!((stats.debates.count, stats.debates.clients), (2, 3));
    assert_eq!((stats.conversations.count, stats.conversations.clients), (1, 1));
    let json = server.get("/api/stats").await.json();
    assert_eq!(json["debates"]["clients"], 3);
    assert_eq!(json["conversations"]["count"], 1);
    let streams = ["debate/d1", "debate/d2", "conversation/d1", "debate/none"].map(key);
    let counts = registry.send(ClientCounts(streams.to_vec())).await.unwrap();
    assert_eq!(counts, [2, 1, 1, 0]);
    assert!(server.hub.has_clients(&debate).await);

    drop(wires);
    // Nothing is published: that they are gone is noticed by itself.
    server.until_clients(0).await;
    let stats = registry.send(Stats).await.unwrap();
    assert_eq!((stats.debates.count, stats.conversations.count), (0, 0));
    assert!(!server.hub.has_clients(&debate).await);
    // Streams that nobody has published to are forgotten with their last client.
    crate::helpers::eventually("no stream in memory", || async {
        let stats = registry.send(Stats).await.unwrap();
        stats.debates.active + stats.conversations.active == 0
    })
    .await;
}

#[actix_web::test]
async fn totals_tell_what_was_published_and_why_connections_ended() {
    let server = TestServer::start().await;
    let gone = server.follow_live("/api/debates/d1/stream?lastEventId=nonsense").await;
    drop(gone);
    server.until_clients(0).await;
    let _ended = server.follow_live("/api/debates/d1/stream").await;
    let events = json!([
        { "type": "token", "data": { "speaker": "Pro", "token": "Well" } },
        { "type": "note", "data": {} },
        { "type": "complete", "data": {} },
    ]);
    let answer = server.post("/api/debates/d1/events", &events).await;
    assert_eq!(answer.status(), 201);
    server.until_clients(0).await;

    let stats = server.get("/api/stats").await.json();
    assert_eq!(
        (&stats["debates"]["behind"], &stats["conversations"]["behind"]),
        (&json!(0), &json!(0))
    );
    let totals = &stats["totals"];
    assert_eq!(totals["connections"], 2);
    assert_eq!(totals["disconnects"], json!({ "closed_by_client": 1, "completed": 1 }));
    assert_eq!(totals["refusals"], json!({}));
    assert_eq!((&totals["events"], &totals["transientEvents"]), (&json!(2), &json!(1)));
    assert_eq!((&totals["gaps"], &totals["fellBehind"]), (&json!(1), &json!(0)));
    let times = totals["publishMs"].as_object().unwrap();
    let (under, count) = times.iter().next().unwrap();
    assert!(under.parse::<u64>().unwrap().is_power_of_two(), "{times:?}");
    assert_eq!((times.len(), count), (1, &json!(1)), "one publish: {times:?}");
}

#[actix_web::test]
async fn one_client_can_be_sent_an_event_by_message() {
    let server = TestServer::start().await;
    let mut wire = server.follow("/api/debates/d1/stream").await;
    let events = wire.until("snapshot").await;
    let client: uuid::Uuid = events[0].text("clientId").parse().unwrap();
    let event = || NewEvent::new("note", &json!({ "for": "you" })).unwrap();
    let registry = server.hub.registry();
    let message = SendToClient::new(key("debate/d1"), client, event()).unwrap();
    assert_eq!(registry.send(message).await.unwrap(), Ok(()));
    let received: SseEvent = wire.next().await;
    assert_eq!((received.name.as_str(), received.id), ("note", None));

    for (stream, client) in [
        ("debate/d1", uuid::Uuid::from_u128(7)),
        ("debate/d2", client),
        ("conversation/d1", client),
    ] {
        let message = SendToClient::new(key(stream), client, event()).unwrap();
        let outcome = registry.send(message).await.unwrap();
        assert_eq!(outcome, Err(SendToClientError::Unknown), "{stream}");
    }
    let end = NewEvent::new("complete", &json!({})).unwrap();
    assert!(SendToClient::new(key("debate/d1"), client, end).is_err());
}

#[actix_web::test]
async fn a_broadcast_that_makes_no_sense_cannot_be_made() {
    let event = |name: &str| NewEvent::new(name, &json!({})).unwrap();
    for (stream, events, expected) in [
        ("debate/d1", vec![], "a publish holds 1 to 100 events, not 0"),
        ("debate/d1", vec![event("note"); 101], "a publish holds 1 to 100 events, not 101"),
        ("debate/d1", vec![event("phase_transition")], "$.data.phase: is missing"),
        ("debate/d1", vec![event("note"), event("utterance")], "event 1: $.data.id: is missing"),
        (
            "debate/d1",
            vec![event("complete"), event("note")],
            "nothing can follow the event that ends the stream",
        ),
        (
            "conversation/s1",
            vec![event("conversation_completed"), event("note")],
            "nothing can follow the event that ends the stream",
        ),
    ] {
        let refused: BroadcastError = Broadcast::new(key(stream), &events).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    assert!(Broadcast::new(key("conversation/s1"), &[event("complete"), event("note")]).is_ok());
}

#[actix_web::test]
async fn a_payload_that_is_too_long_is_refused_to_actors_too() {
    let server = TestServer::with(|settings| settings.hub.event_bytes_max = 10).await;
    let stream = key("debate/d1");
    for (text, is_taken) in [("12345678", true), ("123456789", false)] {
        let event = NewEvent::new("note", &text).unwrap();
        let outcome = server.hub.publish(&stream, event).await;
        assert_eq!(outcome.is_ok(), is_taken, "{outcome:?}");
    }
}

#[actix_web::test]
async fn a_shutdown_lets_everyone_go_with_a_retry_and_answers_publishes_to_the_last() {
    let server = TestServer::start().await;
    let mut wires = Vec::new();
    for _ in 0..20 {
        wires.push(server.follow_live("/api/debates/d1/stream").await);
    }
    let spread = std::time::Duration::from_millis(300);
    let hub = server.hub.clone();
    let shutdown = actix_web::rt::spawn(async move { hub.shutdown(spread).await });
    for wire in &mut wires {
        wire.until_end().await;
        let retry = wire.text().rsplit_once("retry: ").unwrap().1;
        assert!(retry.ends_with("\n\n") && retry.len() <= 6, "{retry:?} is the last word");
        assert_eq!(wire.end, Some(End::Clean));
    }
    within("the shutdown", shutdown).await.unwrap();
    let id = server.publish("/api/debates/d1", phase("after")).await;
    assert!(id.ends_with("-1"));

    let mut late = server.follow("/api/debates/d1/stream").await;
    assert_eq!(late.head.status, 200, "else an EventSource would not come back");
    let events = late.until_end().await;
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].name.as_str(), events[0].id.as_ref()), ("busy", None));
    assert!(late.text().starts_with("retry: "));
}
