//! The orchestrator's side: actors that perform a transcript as a live debate or conversation.
//!
//! A [`Player`](player) publishes through a `Recipient<Broadcast>` and knows nothing else of the hub, so it
//! performs on a hub in its own process and, through an HTTP client, on any other.

mod pace;
mod player;
mod players;
mod sample;
mod script;
mod transcript;
mod wording;

pub use self::{
    pace::Pace,
    player::Progress,
    players::{Command, Control, ControlError, Launch, Players, WaitForEnd},
    transcript::{Cue, Manner, Speaker, Speech, Transcript, TranscriptError, tokens},
};
