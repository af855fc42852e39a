//! `entrance demo`: the whole thing on one machine. An Entra stand-in, a real Envoy, a small API, the example
//! policies, and `entrance serve` as a process of its own; a tour through them, and then it stays up.
//!
//! Everything binds to loopback on free ports and ends with the demo, however the demo ends.

mod children;
mod files;
mod invitation;
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
    /// The Envoy binary, if it is not in one of `search`.
    pub envoy: Option<PathBuf>,
    /// Directories in which Envoy may be, in order.
    pub search: Vec<PathBuf>,
    /// A directory of policies in place of the built-in ones.
    pub policies: Option<PathBuf>,
    /// The `entrance` binary.
    pub program: PathBuf,
    /// An existing directory for files of this run.
    pub scratch: PathBuf,
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
    fn failed(what: impl Into<String>, why: &dyn std::fmt::Display) -> Self {
        Self::Failed { what: what.into(), why: why.to_string() }
    }
}

/// How the demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every step of the tour came out as it must.
    AsExpected,
    /// Some did not.
    Otherwise,
    /// Somebody ended it during the tour.
    Interrupted,
}

/// Runs the demo until it is over, or until `interrupt`; `say` prints a line.
///
/// # Errors
/// [`DemoError`] if a part could not be started or did not answer.
pub async fn run(
    options: &Options,
    say: &(dyn Fn(&str) + Sync),
    interrupt: impl Future<Output = ()>,
) -> Result<Ending, DemoError> {
    let mut interrupt = std::pin::pin!(interrupt);
    say("Starting an Entra stand-in, an example API, entrance serve and Envoy on loopback …");
    // What was started when something goes wrong here, or somebody ends it, is ended as it is dropped.
    let mut stack = tokio::select! {
        stack = Stack::start(options) => stack?,
        () = &mut interrupt => return Ok(Ending::Interrupted),
    };
    let outcome = tokio::select! {
        outcome = tour::walk(&stack, say) => outcome,
        () = &mut interrupt => {
            stack.stop().await;
            return Ok(Ending::Interrupted);
        }
    };
    let ending = outcome.map(|steps| tell(&steps, say));
    if ending.is_ok() && !options.once {
        say(&invitation::text(&stack));
        interrupt.await;
    }
    stack.stop().await;
    ending
}

fn tell(steps: &[tour::Step], say: &(dyn Fn(&str) + Sync)) -> Ending {
    say(&format!("\n{}\n", table::render(steps)));
    if steps.iter().all(tour::Step::came_out) {
        say("Every step came out as it must.");
        return Ending::AsExpected;
    }
    say("Steps marked `!!` did not come out as they must: see the column `expected`.");
    Ending::Otherwise
}
