//! `token`: makes tokens, and says what one grants.

use std::{
    io::{self, Read, Write},
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::{
    auth::{Authority, Grants, NewToken, StreamPattern},
    clock::Clock,
    config::{KeySettings, SecretSettings, SettingsError, duration},
};

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it
    Create(CreateArgs),
    /// Check a token as a server with these keys would, and print what it grants
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    secret: SecretSettings,
    #[command(flatten)]
    grants: GrantArgs,
    /// Whose token it is; limits on rates are counted by this name
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// How long it is good for, a second or more
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime)]
    ttl: Duration,
}

/// A token that grants nothing is a slip.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct GrantArgs {
    /// Streams that may be published on: debates/ID, debates/PREFIX*, debates/* or *; may be repeated
    #[arg(long, value_name = "STREAMS", value_delimiter = ',')]
    publish: Vec<StreamPattern>,
    /// Streams that may be followed and read; may be repeated
    #[arg(long, value_name = "STREAMS", value_delimiter = ',')]
    subscribe: Vec<StreamPattern>,
    /// Streams that may be launched, paused, resumed and stopped; may be repeated
    #[arg(long, value_name = "STREAMS", value_delimiter = ',')]
    control: Vec<StreamPattern>,
    /// Whether the server's statistics may be read
    #[arg(long)]
    stats: bool,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        lifetime if lifetime < Duration::from_secs(1) => Err("must be at least a second".into()),
        lifetime => Ok(lifetime),
    }
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The token, or - for standard input
    #[arg(default_value = "-", hide_default_value = true)]
    token: String,
    #[command(flatten)]
    keys: KeySettings,
}

pub(super) fn token(command: TokenCommand) -> anyhow::Result<()> {
    match command {
        TokenCommand::Create(args) => create(args),
        TokenCommand::Check(args) => check(&args),
    }
}

fn create(args: CreateArgs) -> anyhow::Result<()> {
    let none = || SettingsError::new("--jwt-secret-file", "say which secret to sign with");
    let secret = args.secret.load()?.ok_or_else(none)?;
    let GrantArgs { publish, subscribe, control, stats } = args.grants;
    let mut token = NewToken::new(Grants { publish, subscribe, control, stats }, args.ttl);
    token.subject = args.subject;
    token.audience = args.secret.jwt_audience;
    token.issuer = args.secret.jwt_issuer;
    Ok(writeln!(io::stdout(), "{}", token.sign(&secret, &Clock::system())?)?)
}

fn check(args: &CheckArgs) -> anyhow::Result<()> {
    let none = || SettingsError::new("--jwt-secret-file", "say which key to check by");
    let keys = args.keys.load()?.ok_or_else(none)?;
    let mut token = args.token.clone();
    if token == "-" {
        token.clear();
        io::stdin().read_to_string(&mut token).context("cannot read standard input")?;
    }
    let access = keys.access(token.trim())?;
    let left = access.expires_at().map(|end| end.duration_since(tokio::time::Instant::now()));
    let shown = serde_json::json!({
        "subject": access.subject().map(|subject| &**subject),
        "expiresInSeconds": left.map(|left| left.as_secs()),
        "clearside": access.grants(),
    });
    Ok(writeln!(io::stdout(), "{shown:#}")?)
}
