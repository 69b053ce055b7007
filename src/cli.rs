//! The command line. Data goes to standard output, logs to standard error.
//!
//! Exit codes: 0 success, 1 failure, 2 usage.

mod bench;
mod client;
mod play;
mod publish;
mod serve;
mod tls;
mod token;
mod watch;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    app::StartError,
    config::{LogConfig, ServerConfig, SettingsError},
    logging,
};

/// Live streams of AI debates and conversations over Server-Sent Events, with history that lasts.
#[derive(Debug, Parser)]
#[command(
    name = "clearside-sse",
    version,
    max_term_width = 100,
    after_help = "Start with `clearside-sse demo` and open http://127.0.0.1:3000/ in a browser."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    log: LogConfig,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(ServerConfig),
    /// Run the server and play the sample debate and the sample conversation on it, over and over
    Demo(ServerConfig),
    /// Perform a transcript on a running server
    Play(play::PlayArgs),
    /// Follow a stream in the terminal
    Watch(watch::WatchArgs),
    /// Publish events on a stream
    Publish(publish::PublishArgs),
    /// Make and check tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Measure a running server: how many clients and events it takes, and how fast
    Bench(bench::BenchArgs),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let default_filter = match cli.command {
        Command::Serve(_) | Command::Demo(_) => logging::SERVER_FILTER,
        Command::Play(_)
        | Command::Watch(_)
        | Command::Publish(_)
        | Command::Bench(_)
        | Command::Token(_) => logging::CLIENT_FILTER,
    };
    logging::init(&cli.log, default_filter);
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if is_usage(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        match command {
            Command::Serve(config) => serve::serve(&config).await,
            Command::Demo(config) => serve::demo(&config).await,
            Command::Play(args) => play::play(args).await,
            Command::Watch(args) => watch::watch(args).await,
            Command::Publish(args) => publish::publish(args).await,
            Command::Token(command) => token::token(command),
            Command::Bench(args) => bench::bench(args).await,
        }
    })
}

/// A setting makes no sense: trying again does not help.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<SettingsError>() || matches!(error.downcast_ref(), Some(StartError::Settings(_)))
}

/// Whoever read our output has had enough, as `head` does.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::{Arg, CommandFactory};

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_readme_has_every_setting_as_the_help_has_it() {
        let mut command = Cli::command();
        command.build();
        let serve = command.find_subcommand("serve").unwrap();
        let is_setting = |arg: &&Arg| arg.get_env().is_some() && !arg.is_hide_set();
        let row = |arg: &Arg| {
            let default = match arg.get_default_values() {
                [default] => format!("`{}`", default.display()),
                _ => "none".to_owned(),
            };
            let flag = arg.get_long().unwrap();
            let variable = arg.get_env().unwrap().display();
            format!("| `--{flag}` | `{variable}` | {default} | {} |", arg.get_help().unwrap())
        };
        let mut expected: Vec<_> = serve.get_arguments().filter(is_setting).map(row).collect();
        let readme = include_str!("../README.md");
        let mut rows: Vec<_> = readme.lines().filter(|line| line.starts_with("| `--")).collect();
        expected.sort_unstable();
        rows.sort_unstable();
        assert_eq!(rows, expected);
    }
}
