//! `play`: performs a transcript on a running server.

use std::{fs, path::PathBuf};

use actix::{Actor, Context, Handler};
use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::client::{ApiClient, HttpPublisher, ServerArgs};
use crate::{
    orchestrator::{Launch, Pace, Players, Progress, Transcript, WaitForEnd},
    stream_key::{StreamId, StreamKey, StreamKind},
};

#[derive(Debug, Args)]
pub(super) struct PlayArgs {
    /// A debate that ClearSide exported (Markdown), or a transcript in the JSON form
    file: PathBuf,
    #[command(flatten)]
    stream: StreamArgs,
    #[command(flatten)]
    server: ServerArgs,
    /// How many times as fast as people speak
    #[arg(long, value_name = "N", default_value = "1", value_parser = pace)]
    speed: Pace,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct StreamArgs {
    /// Perform it as the debate of this id
    #[arg(long, value_name = "ID")]
    debate: Option<StreamId>,
    /// Perform it as the conversation of this id
    #[arg(long, value_name = "ID")]
    conversation: Option<StreamId>,
}

fn pace(text: &str) -> Result<Pace, String> {
    let speed = text.parse().ok().and_then(Pace::at_speed);
    speed.ok_or_else(|| "a speed is a number from 0.01 to 1000".into())
}

impl StreamArgs {
    fn key(self) -> anyhow::Result<StreamKey> {
        let debate = self.debate.map(|id| StreamKey::new(StreamKind::Debate, id));
        let conversation = self.conversation.map(|id| StreamKey::new(StreamKind::Conversation, id));
        debate.or(conversation).context("say which stream: --debate ID or --conversation ID")
    }
}

pub(super) async fn play(args: PlayArgs) -> anyhow::Result<()> {
    let file = args.file.display().to_string();
    let text = fs::read(&args.file).with_context(|| format!("cannot read {file}"))?;
    let text = String::from_utf8(text).with_context(|| format!("{file} is no text file"))?;
    let transcript: Transcript = text.parse().with_context(|| file.clone())?;
    let stream = args.stream.key()?;

    let client = ApiClient::new(&args.server)?;
    let publisher = HttpPublisher { client }.start().recipient();
    let bar =
        ProgressBar::new(text.len() as u64).with_style(style()?).with_message(stream.to_string());
    let progress = ProgressDisplay { bar: bar.clone() }.start().recipient();
    let players = Players::new(publisher).with_progress(progress).start();

    let launch = Launch { stream: stream.clone(), transcript, pace: args.speed };
    players.send(launch).await?.with_context(|| format!("cannot play {file} on {stream}"))?;
    tokio::select! {
        ended = players.send(WaitForEnd(stream.clone())) => {
            ended?.with_context(|| format!("{stream} was broken off"))?;
            bar.finish();
            Ok(())
        }
        _ = tokio::signal::ctrl_c() => {
            bar.abandon();
            anyhow::bail!("{stream} was broken off by Ctrl-C; whoever follows it waits for more")
        }
    }
}

fn style() -> anyhow::Result<ProgressStyle> {
    Ok(ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} % [{elapsed}, {eta} left]")?)
}

struct ProgressDisplay {
    bar: ProgressBar,
}

impl Actor for ProgressDisplay {
    type Context = Context<Self>;
}

impl Handler<Progress> for ProgressDisplay {
    type Result = ();

    fn handle(&mut self, Progress { spoken, length }: Progress, _: &mut Self::Context) {
        self.bar.set_length(length);
        self.bar.set_position(spoken);
    }
}
