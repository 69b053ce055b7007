//! `publish`: publishes events from the command line or from standard input.

use std::{
    fs,
    io::{self, BufRead, Read, Write},
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::value::RawValue;

use super::client::{ApiClient, Sent, ServerArgs};
use crate::{event::NewEvent, hub::Broadcast, stream_key::StreamKey};

#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// debate/ID or conversation/ID
    stream: StreamKey,
    /// The event's type, such as phase_transition
    #[arg(required_unless_present = "jsonl", value_name = "TYPE")]
    name: Option<String>,
    /// The event's data: JSON, @FILE, or - for standard input
    #[arg(required_unless_present = "jsonl", value_name = "JSON")]
    data: Option<String>,
    /// Neither store nor replay the event
    #[arg(long, conflicts_with = "jsonl")]
    transient: bool,
    /// Read events from standard input, one a line: {"type": …, "data": …}
    #[arg(long, conflicts_with_all = ["name", "data"])]
    jsonl: bool,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn publish(args: PublishArgs) -> anyhow::Result<()> {
    let client = ApiClient::new(&args.server)?;
    if args.jsonl {
        for (number, line) in (1..).zip(io::stdin().lock().lines()) {
            let line = line.context("cannot read standard input")?;
            if !line.trim().is_empty() {
                let event =
                    serde_json::from_str(&line).with_context(|| format!("line {number}"))?;
                send(&client, &args.stream, event)
                    .await
                    .with_context(|| format!("line {number}"))?;
            }
        }
        return Ok(());
    }
    let (Some(name), Some(data)) = (args.name, args.data) else {
        bail!("say what to publish: TYPE JSON")
    };
    let data =
        RawValue::from_string(read(&data)?.trim().to_owned()).context("the data is no JSON")?;
    send(&client, &args.stream, NewEvent { name, data, transient: args.transient }).await
}

fn read(data: &str) -> anyhow::Result<String> {
    if data == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    match data.strip_prefix('@') {
        Some(path) => fs::read_to_string(path).with_context(|| format!("cannot read {path}")),
        None => Ok(data.to_owned()),
    }
}

/// Publishes one event and prints its id.
async fn send(client: &ApiClient, stream: &StreamKey, event: NewEvent) -> anyhow::Result<()> {
    // Says what is wrong without asking the server.
    Broadcast::one(stream.clone(), event.clone())?;
    match client.publish(stream, &[event], None).await? {
        Sent::Published(published) => {
            for id in published.ids {
                let id = id.map_or_else(|| "transient".to_owned(), |id| id.to_string());
                writeln!(io::stdout(), "{id}")?;
            }
            Ok(())
        }
        Sent::Refused(status, message) => bail!("the server refuses ({status}): {message}"),
    }
}
