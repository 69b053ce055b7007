//! The command line of clearside-sse.

use std::process::ExitCode;

/// Thousands of small pieces are allocated by one thread and freed by another: glibc keeps more of them each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    clearside_sse::cli::main()
}
