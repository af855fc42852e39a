//! `entrance serve`: everything that answers, follows, records and reports, started in order and ended in order.
//!
//! - **Start.** What can be wrong with flags, files and addresses is found out first, and ends the command with a
//!   message. Then it listens, before it has policies: checks are answered 503 and health says so.
//! - **Run.** Each set of resources from the one source ([`sources`]) becomes a new state, or leaves the one that stands
//!   ([`publish`]).
//! - **End.** On SIGTERM or SIGINT readiness and health go first; [`crate::envoy::server`] drains; the admin port answers
//!   until the last request is over; the audit log is written out. A second signal cuts the draining short.
//!
//! Readiness is told by [`status`].

mod doors;
mod given;
mod listing;
mod parts;
mod publish;
mod sources;
mod status;

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use doors::{Doors, Open};
use parts::Parts;
use publish::Publisher;
use sources::Source;
pub(super) use sources::kubernetes;
use status::Status;

use super::args::ServeArgs;
use super::runtime::{self, Signals};
use super::{Outcome, UsageError, logging, scope};

/// Serves until told to end.
pub(super) fn run(args: &ServeArgs) -> Result<Outcome, UsageError> {
    logging::start("info");
    runtime::run(serve(args))?
}

async fn serve(args: &ServeArgs) -> Result<Outcome, UsageError> {
    // Before anything is open: a signal that comes early is heard, too.
    let mut signals = Signals::take()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let mut running = Running::start(args).await?;
    let outcome = signals.last(running.open.ended()).await;
    running.end(&mut signals).await;
    outcome
}

/// Everything that runs.
struct Running {
    open: Open,
    status: Arc<Status>,
    parts: Parts,
    following: JoinHandle<()>,
    stop: CancellationToken,
}

impl Running {
    async fn start(args: &ServeArgs) -> Result<Self, UsageError> {
        let settings = scope::settings(&args.scope, None)?;
        let source = Source::new(args, &settings).await?;
        let parts = Parts::new(args)?;
        let doors = Doors::bind(args).await?;
        let status = Arc::new(Status::new(Arc::clone(&parts.authorizer), Arc::clone(&parts.keys), doors.places()));
        let (publisher, ready) = Publisher::new(settings, Arc::clone(&status));
        let open = doors.open((&parts, Arc::clone(&status)), ready);
        let stop = CancellationToken::new();
        let following = tokio::spawn(source.follow(publisher, Arc::clone(&status), stop.clone()));
        Ok(Self { open, status, parts, following: tokio::spawn(noticed(following)), stop })
    }

    async fn end(self, signals: &mut Signals) {
        self.status.drain();
        signals.unless_again(self.open.close()).await;
        self.stop.cancel();
        let (Ok(()) | Err(_)) = self.following.await;
        self.parts.close().await;
        tracing::info!("ended");
    }
}

/// Waits for the following to end, which it does when told to. What stands is kept whatever happens.
async fn noticed(following: JoinHandle<()>) {
    if let Err(error) = following.await {
        tracing::error!(%error, "policies are not followed any more because of a bug; restart to go on");
    }
}
