//! The async runtime of a command, and the signals that end it.

use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Outcome, UsageError};

/// Runs a command on all cores.
pub(super) fn run<F: Future>(command: F) -> Result<F::Output, UsageError> {
    on(&mut Builder::new_multi_thread(), command)
}

/// Runs a command that does one thing at a time.
pub(super) fn run_alone<F: Future>(command: F) -> Result<F::Output, UsageError> {
    on(&mut Builder::new_current_thread(), command)
}

fn on<F: Future>(builder: &mut Builder, command: F) -> Result<F::Output, UsageError> {
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| UsageError::new(format!("cannot start the runtime: {error}")))?;
    Ok(runtime.block_on(command))
}

/// SIGTERM and SIGINT, from the moment this is made.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over. Needs a runtime.
    pub(super) fn take() -> Result<Self, UsageError> {
        let take = |kind| signal(kind);
        let failed = |error: io::Error| UsageError::new(format!("cannot listen for signals: {error}"));
        Ok(Self {
            terminate: take(SignalKind::terminate()).map_err(failed)?,
            interrupt: take(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    /// Waits for the next one; gives its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits until somebody ends the command, or a port is no longer answered.
    pub(super) async fn last(&mut self, ended: impl Future<Output = ()>) -> Result<Outcome, UsageError> {
        tokio::select! {
            signal = self.next() => {
                tracing::info!(signal, "shutting down");
                Ok(Outcome::Done)
            }
            () = ended => Err(UsageError::new("a port is no longer answered; the log says why")),
        }
    }

    /// Does what is left to do, unless somebody ends the command once more.
    pub(super) async fn unless_again(&mut self, closing: impl Future<Output = ()>) {
        tokio::select! {
            () = closing => {}
            signal = self.next() => tracing::warn!(signal, "told again to end: what is in flight is cut off"),
        }
    }
}
