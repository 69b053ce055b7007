//! The promises under fire: processes that are killed, disks that fail, proxies that lie.
//!
//! Every run leaves a log of what publishers were told and of what subscribers saw, and one checker reads
//! them all. It is seen to find what is planted, so that a clean run means something. Figures go to standard
//! output (`-- --nocapture`); `docs/reliability.md` tells what they were.
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
mod support;

mod checker;
mod crash;
mod disk;
mod isolation;
mod leak;
mod lean;
mod load;
mod power;
mod proxy;
mod storm;
mod strace;
mod synced;
mod vanished;
