//! An orchestrator of an application's own: an actor that runs a debate and sends `Broadcast` to the hub.
//!
//! `cargo run --example mock_orchestrator`, then follow with
//! `curl -N 'http://127.0.0.1:3000/api/debates/mock/stream?lastEventId=earliest'`.

use std::time::Duration;

use actix::prelude::*;
use actix_web::{
    App, HttpServer,
    rt::signal::unix::{SignalKind, signal},
};
use clearside_sse::{
    Api, Broadcast, DatabaseUrl, Hub, HubConfig, NewEvent, PublishError, RegistryAddr, Store,
    StreamKey, debate,
};

/// Runs a short debate, a speech every two seconds.
struct DebateOrchestrator {
    debate: StreamKey,
    hub: RegistryAddr,
    script: std::slice::Iter<'static, (&'static str, &'static str, &'static str)>,
    phase: &'static str,
}

/// Phase, speaker and speech.
const SCRIPT: [(&str, &str, &str); 5] = [
    ("Opening Statements", "Pro Advocate", "Streams ought to be resumable."),
    ("Opening Statements", "Con Advocate", "They ought not to break in the first place."),
    ("Rebuttals", "Pro Advocate", "Tunnels exist."),
    ("Rebuttals", "Con Advocate", "Then one should stay out of tunnels."),
    ("Closing Statements", "Moderator", "I thank you both, from inside a tunnel."),
];

impl Actor for DebateOrchestrator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(Duration::from_secs(2), Self::next_turn);
    }
}

impl DebateOrchestrator {
    /// Publishes what happens next, and goes on once it is stored.
    fn next_turn(&mut self, ctx: &mut Context<Self>) {
        let turn = self.script.next();
        let events = match turn {
            Some((phase, speaker, content)) => self.speech(phase, speaker, content),
            None => NewEvent::new("complete", &serde_json::json!({})).into_iter().collect(),
        };
        let Ok(broadcast) = Broadcast::new(self.debate.clone(), &events) else {
            return ctx.stop();
        };
        let published = self.hub.send(broadcast).into_actor(self);
        ctx.spawn(published.map(move |answer, _, ctx| {
            match answer.unwrap_or(Err(PublishError::Unavailable)) {
                Ok(published) => println!("stored: {:?}", published.last_id()),
                Err(error) => eprintln!("not published: {error}"),
            }
            if turn.is_some() {
                ctx.run_later(Duration::from_secs(2), Self::next_turn);
            } else {
                ctx.stop();
            }
        }));
    }

    /// The events of one speech; they become visible together.
    fn speech(&mut self, phase: &'static str, speaker: &str, content: &str) -> Vec<NewEvent> {
        let is_new = std::mem::replace(&mut self.phase, phase) != phase;
        let transition = debate::PhaseTransition { phase: phase.into(), timestamp: now_ms() };
        let utterance = debate::Utterance {
            id: uuid::Uuid::new_v4().to_string(),
            timestamp: now_ms(),
            phase: phase.into(),
            speaker: speaker.into(),
            content: content.into(),
        };
        let transition = is_new.then(|| NewEvent::new("phase_transition", &transition));
        transition.into_iter().chain([NewEvent::new("utterance", &utterance)]).flatten().collect()
    }
}

fn now_ms() -> serde_json::Number {
    clearside_sse::Clock::system().now_ms().into()
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(&DatabaseUrl::file(folder.path().join("mock.db")))?;
    let hub = Hub::start(&Arbiter::current(), store, HubConfig::default());
    let orchestrator = DebateOrchestrator {
        debate: "debate/mock".parse()?,
        hub: hub.registry().clone(),
        script: SCRIPT.iter(),
        phase: "",
    };
    orchestrator.start();

    println!("curl -N 'http://127.0.0.1:3000/api/debates/mock/stream?lastEventId=earliest'");
    let api = Api::new(hub.clone());
    let mut terminate = signal(SignalKind::terminate())?;
    HttpServer::new(move || App::new().configure(|app| api.configure(app)))
        .tcp_nodelay(true)
        .h1_allow_half_closed(false)
        // Else the server waits for all followers, and cuts them off in the end. Told so, they come back by themselves.
        .shutdown_signal(async move {
            terminate.recv().await;
            hub.shutdown(Duration::from_millis(500)).await;
        })
        .bind(("127.0.0.1", 3000))?
        .run()
        .await?;
    Ok(())
}
