//! The whole server, from the outside: over TCP, as an application's actors use it, and as a process.
//!
//! One binary, so that it is linked once. Every test has its own database and its own port; nothing here
//! sleeps to synchronise: it waits for what must happen, with a deadline that only a failure reaches.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "tests"
)]

#[allow(dead_code, unused_imports, reason = "each of the binaries needs its own part")]
#[path = "../support/mod.rs"]
mod helpers;

mod actors;
mod bad_input;
mod bench;
mod cli;
mod control;
mod fuzz;
mod history;
mod idempotency;
mod life_cycle;
mod overload;
mod process;
mod publish;
mod restart;
mod security;
mod tokens;
mod vocabulary;
mod wire;
