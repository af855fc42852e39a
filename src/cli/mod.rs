//! The command line: who starts what, with which settings. The only place that reads arguments and environment.
//!
//! Exit codes: 0 done or allowed, 1 denied or undecidable, 2 bad use or an error.

mod args;
mod bypass;
mod certificates;
mod check;
mod completions;
mod controller;
mod crds;
mod descriptors;
mod doctor;
mod keys;
mod logging;
mod offline;
mod out;
mod policies;
mod ports;
mod report;
mod runtime;
mod scope;
mod serve;
mod token;
mod webhook;

#[cfg(feature = "emulator")]
mod demo;
#[cfg(feature = "emulator")]
mod emulator;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::clock::UnixTime;

use args::{Cli, Command, TokenCommand};
use out::Out;

/// A message for the person at the terminal; the exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct UsageError(String);

impl UsageError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// A moment for people: RFC 3339.
fn instant(at: UnixTime) -> String {
    jiff::Timestamp::from_second(at.0).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Exit 0.
    Done,
    /// Exit 1.
    Refused,
}

/// Runs the command that `arguments` name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let code = error.exit_code();
            return match error.print() {
                Ok(()) if code == 0 => ExitCode::SUCCESS,
                Ok(()) | Err(_) => ExitCode::from(2),
            };
        }
    };
    let ended = dispatch(cli.command);
    logging::finish();
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Refused) => ExitCode::from(1),
        Err(error) => {
            Out.complain(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}

fn dispatch(command: Command) -> Result<Outcome, UsageError> {
    // First of all, and before any token is seen: a wrong or second crypto provider would panic on the first token.
    crate::token::install_crypto().map_err(|error| UsageError::new(format!("crypto_provider_invalid: {error}")))?;
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Controller(args) => controller::run(&args),
        Command::Webhook(args) => webhook::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Token(TokenCommand::Inspect(args)) => token::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Bypass(args) => bypass::run(&args),
        Command::Crds(args) => crds::run(&args),
        Command::Completions(args) => Ok(completions::run(&args)),
        #[cfg(feature = "emulator")]
        Command::Emulator(args) => emulator::run(&args),
        #[cfg(feature = "emulator")]
        Command::Demo(args) => demo::run(args),
    }
}
