//! The `entrance` command: hands its arguments to [`entrance::cli`] and ends with the exit code it names.

use std::process::ExitCode;

fn main() -> ExitCode {
    entrance::cli::run(std::env::args_os())
}
