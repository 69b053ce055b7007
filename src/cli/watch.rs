//! `watch`: follows a stream in the terminal, as a browser would: it reconnects, resumes and shows gaps.

use std::{
    cell::Cell,
    io::{self, Write},
    pin::pin,
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use eventsource_stream::{Event, Eventsource};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};

use super::client::{ApiClient, Refused, ServerArgs};
use crate::{event::vocabulary, stream_key::StreamKey};

/// How long to wait before reconnecting until the server has said.
const RETRY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// debate/ID or conversation/ID
    stream: StreamKey,
    #[command(flatten)]
    server: ServerArgs,
    /// Where to start: earliest, or the id of the last event seen; from now on, if not given
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    /// Print each event as a line of JSON, tokens and all
    #[arg(long)]
    json: bool,
}

pub(super) async fn watch(args: WatchArgs) -> anyhow::Result<()> {
    let client = ApiClient::new(&args.server)?;
    let mut last_event_id = args.from;
    let retry = Cell::new(RETRY);
    let final_name = vocabulary(args.stream.kind()).final_name();
    let mut screen = Screen::default();
    let mut has_connected = false;
    loop {
        match client.follow(&args.stream, last_event_id.as_deref()).await {
            Ok(None) => return Ok(()),
            Ok(Some(body)) => {
                has_connected = true;
                let heard = |bytes: &Bytes| retry.set(find_retry(bytes).unwrap_or(retry.get()));
                let mut events = pin!(body.inspect_ok(heard).eventsource());
                while let Some(Ok(event)) = events.next().await {
                    // The parser repeats the last id for events that have none.
                    let id = Some(&event.id).filter(|id| !id.is_empty());
                    let new_id = id.filter(|id| last_event_id.as_ref() != Some(*id));
                    match args.json {
                        true => write_json(&event, new_id)?,
                        false => screen.show(&event)?,
                    }
                    if let Some(id) = new_id {
                        last_event_id = Some(id.clone());
                    }
                    if event.event == final_name {
                        return Ok(());
                    }
                }
                log::warn!("the connection has ended; reconnecting");
            }
            // A server that was never there is more likely a mistake than a restart.
            Err(error) if !has_connected || error.is::<Refused>() => return Err(error),
            Err(error) => log::warn!("{error:#}; trying again"),
        }
        tokio::time::sleep(retry.get()).await;
    }
}

/// The time that the server gives each client before it reconnects. The parser only tells of one that comes
/// with an event, and ours comes alone, first of all.
fn find_retry(bytes: &[u8]) -> Option<Duration> {
    let line =
        std::str::from_utf8(bytes).ok()?.lines().find_map(|line| line.strip_prefix("retry: "))?;
    line.parse().ok().map(Duration::from_millis)
}

fn write_json(event: &Event, id: Option<&String>) -> io::Result<()> {
    let data = serde_json::from_str(&event.data).unwrap_or_else(|_| Value::from(&*event.data));
    writeln!(io::stdout(), "{}", json!({ "id": id, "type": event.event, "data": data }))
}

/// What has been printed of the current line.
#[derive(Default)]
struct Screen {
    /// Whose tokens are on the current line.
    speaking: Option<String>,
}

impl Screen {
    fn show(&mut self, event: &Event) -> io::Result<()> {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let text =
            |field: &str| data.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        match event.event.as_str() {
            "connected" | "connection_established" => Ok(()),
            "token" => self.say(&text("speaker"), &text("token")),
            "conversation_token" => self.say(&text("personaName"), &text("token")),
            "utterance" => self.finish(&text("speaker"), &text("content")),
            "conversation_utterance" => self.finish(&text("speakerName"), &text("content")),
            "conversation_speaker_changed" => Ok(()),
            "phase_transition" => self.line(&format!("== {} ==", text("phase"))),
            "debate_started" | "conversation_started" => self.line(&format!("# {}", text("title"))),
            "conversation_context_updated" => self.line(&format!("(so far: {})", text("summary"))),
            "snapshot" => self.snapshot(&data),
            "gap" => {
                let missed = data.get("missed").and_then(Value::as_u64);
                let missed = missed.map_or_else(|| "some".to_owned(), |missed| missed.to_string());
                self.line(&format!(
                    "-- gap ({}): {missed} events cannot be shown --",
                    text("reason")
                ))
            }
            other => self.line(&format!("-- {other} {} --", event.data)),
        }
    }

    /// Shows what a client that comes late has to know.
    fn snapshot(&mut self, data: &Value) -> io::Result<()> {
        let text = |field: &str| data.get(field).and_then(Value::as_str);
        let about: Vec<_> = ["status", "title", "phase"].into_iter().filter_map(text).collect();
        self.line(&format!("-- {} --", about.join(" · ")))?;
        for open in data.get("open").and_then(Value::as_array).into_iter().flatten() {
            let text = |field: &str| open.get(field).and_then(Value::as_str).unwrap_or_default();
            self.say(text("name"), text("text"))?;
        }
        Ok(())
    }

    fn say(&mut self, speaker: &str, token: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.speaking.as_deref() != Some(speaker) {
            if self.speaking.is_some() {
                writeln!(out)?;
            }
            write!(out, "{}: ", visible(speaker))?;
            self.speaking = Some(speaker.to_owned());
        }
        write!(out, "{}", visible(token))?;
        out.flush()
    }

    fn finish(&mut self, speaker: &str, content: &str) -> io::Result<()> {
        if self.speaking.as_deref() == Some(speaker) {
            self.speaking = None;
            return writeln!(io::stdout());
        }
        self.line(&format!("{speaker}: {content}"))
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.speaking.take().is_some() {
            writeln!(out)?;
        }
        writeln!(out, "{}", visible(text))
    }
}

/// What others have written must not steer our terminal.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}
