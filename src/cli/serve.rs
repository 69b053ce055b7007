//! `serve` and `demo`.

use std::{
    io::{self, Write},
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};

use crate::{
    app::Application,
    config::ServerConfig,
    event::Epoch,
    hub::PublishError,
    orchestrator::{Launch, Pace, Players, Transcript, WaitForEnd},
    stream_key::{StreamKey, StreamKind},
};

/// How long the demo waits between the end of one performance and the next.
const INTERMISSION: Duration = Duration::from_secs(10);

pub(super) async fn serve(config: &ServerConfig) -> anyhow::Result<()> {
    let application = Application::start(config)?;
    let stop = stop_signal()?;
    say(&announcement(&application))?;
    Ok(application.run_until(stop).await?)
}

pub(super) async fn demo(config: &ServerConfig) -> anyhow::Result<()> {
    let application = Application::start(config)?;
    let stop = stop_signal()?;
    let mut text = announcement(&application);
    let url = &application.url;
    // Without a token, all that follows is answered 401.
    let (how, token) = match application.is_open {
        true => (format!("Open {url}/ in a browser, or try"), ""),
        false => (
            "With a token that grants to subscribe, as `clearside-sse token create` makes it, try"
                .to_owned(),
            "-H \"Authorization: Bearer $TOKEN\" ",
        ),
    };
    text.push_str(&format!("\n{how}\n"));
    let mut performances = Vec::new();
    for kind in StreamKind::ALL {
        let stream = StreamKey::new(kind, format!("demo-{}", Epoch::random()).parse()?);
        text.push_str(&format!("  curl -N {token}{url}{}/stream\n", stream.path()));
        let performance = perform_for_ever(stream, application.players.clone());
        performances.push(actix_web::rt::spawn(performance));
    }
    text.push_str("\nCtrl-C ends it.\n");
    say(&text)?;
    let stop = async move {
        stop.await;
        performances.iter().for_each(JoinHandle::abort);
    };
    Ok(application.run_until(stop).await?)
}

/// Where it listens, and to whom.
fn announcement(application: &Application) -> String {
    let mut text = format!("listening on {}\n", application.url);
    if application.is_open {
        let who = match application.address.ip().to_canonical().is_loopback() {
            true => "anyone on this machine",
            false => "anyone who reaches it",
        };
        text.push_str(&format!("there are no keys: {who} may publish and read\n"));
    }
    text
}

/// All of it at once: some read the first line and close the pipe.
fn say(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}

/// Performs the sample of this kind over and over, each time on a stream of its own: an end is final.
async fn perform_for_ever(mut stream: StreamKey, players: actix::Addr<Players>) {
    loop {
        if let Err(error) = perform(stream.clone(), &players).await {
            log::error!(stream:% = stream, error:% = error; "the demo was broken off");
        }
        tokio::time::sleep(INTERMISSION).await;
        match format!("demo-{}", Epoch::random()).parse() {
            Ok(id) => stream = StreamKey::new(stream.kind(), id),
            Err(_) => return,
        }
    }
}

async fn perform(stream: StreamKey, players: &actix::Addr<Players>) -> anyhow::Result<()> {
    let transcript = Transcript::sample(stream.kind())?;
    players.send(Launch { stream: stream.clone(), transcript, pace: Pace::default() }).await??;
    let ended: Result<(), PublishError> = players.send(WaitForEnd(stream)).await?;
    Ok(ended?)
}

/// Done when the process is asked to end. Whoever asks twice does not want to wait.
pub(super) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        next().await;
        actix_web::rt::spawn(async move {
            next().await;
            std::process::exit(1);
        });
    })
}
