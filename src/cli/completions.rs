//! `entrance completions`: a script that completes commands and flags in a shell.

use clap::CommandFactory;

use super::Outcome;
use super::args::{Cli, CompletionsArgs};
use super::out::Out;

/// Prints the script.
pub(super) fn run(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "entrance", &mut script);
    Out.bytes(&script);
    Outcome::Done
}
