//! `entrance demo`: the whole thing on one machine. An Entra stand-in, a real Envoy, a small API, the example
//! policies, and `entrance serve` as a process of its own; a tour through them, and then it stays up.
//!
//! Everything binds to loopback on free ports and ends with the demo.

mod stack;
mod table;
mod tour;
mod upstream;

use std::path::PathBuf;

use stack::Stack;

/// What the demo is started with.
#[derive(Debug)]
pub struct Options {
    /// End after the tour.
    pub once: bool,
    /// The Envoy binary, if it is not in `.tools/bin` or on the search path.
    pub envoy: Option<PathBuf>,
    /// The example policies.
    pub policies: PathBuf,
    /// Directories in which Envoy may be, in order.
    pub search: Vec<PathBuf>,
    /// The `entrance` binary.
    pub program: PathBuf,
}

/// Why the demo could not run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Something that it needs is missing or broken.
    #[error("{0}")]
    Setup(String),
    /// A process or a request failed.
    #[error("{what}: {why}")]
    Failed {
        /// What was tried.
        what: String,
        /// The error.
        why: String,
    },
}

impl DemoError {
    pub(super) fn failed(what: impl Into<String>, why: &dyn std::fmt::Display) -> Self {
        Self::Failed { what: what.into(), why: why.to_string() }
    }
}

/// Runs the demo; `say` prints a line. Returns whether every step of the tour came out as it must.
///
/// # Errors
/// [`DemoError`] if a part could not be started or did not answer.
pub async fn run(options: &Options, say: &(dyn Fn(&str) + Sync)) -> Result<bool, DemoError> {
    say("Starting an Entra stand-in, Envoy, an example API and entrance serve on loopback …");
    let mut stack = Stack::start(options).await?;
    let outcome = tour::walk(&stack, say).await;
    let good = match &outcome {
        Ok(steps) => steps.iter().all(tour::Step::came_out),
        Err(_) => false,
    };
    if let Ok(steps) = &outcome {
        say(&table::render(steps));
        say(if good {
            "Every step came out as it must."
        } else {
            "Some steps did not come out as they must: see the column `expected`."
        });
        if !options.once {
            say(&stack.invitation());
            stack.wait_for_interrupt().await;
        }
    }
    stack.stop().await;
    outcome.map(|_| good)
}
