//! The `entrance` command: hands its arguments to [`entrance::cli`] and ends with the exit code it names.

use std::process::ExitCode;

/// Every check allocates some thirty times, most of them in the HTTP/2 layer, and a new token a hundred times.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    entrance::cli::run(std::env::args_os())
}
