//! The command line of clearside-sse.

use std::process::ExitCode;

fn main() -> ExitCode {
    clearside_sse::cli::main()
}
