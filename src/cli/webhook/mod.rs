//! `entrance webhook`: what the API server asks before it keeps an object.
//!
//! Every replica mirrors the API server and answers; ready once everything was listed once and there is a certificate to
//! show. On SIGTERM what is in flight is answered, then the ports close.

mod certificates;
mod cluster;
mod doors;
mod injection;
mod status;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::desk::Desk;
use crate::admission::grant::{Approval, Rules};
use crate::admission::validate::Judge;
use crate::api::settings::Settings;
use crate::clock::{Clock, SystemClock};
use crate::cluster::client::connect;
use crate::cluster::{mirror, version};

use super::args::{GrantApproval, WebhookArgs};
use super::runtime::{self, Signals};
use super::{Outcome, UsageError, logging, scope};

use certificates::Source;
use cluster::Known;
use doors::Doors;
use status::Status;

/// Runs until told to end.
pub(super) fn run(args: &WebhookArgs) -> Result<Outcome, UsageError> {
    logging::start("info");
    runtime::run(answer(args))?
}

async fn answer(args: &WebhookArgs) -> Result<Outcome, UsageError> {
    let mut signals = Signals::take()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let judge = Judge::new(Settings { pins: scope::pins(&args.pins)?, ..Settings::default() });
    let client = connect(args.kubeconfig.as_deref()).await.map_err(|fault| UsageError::new(fault.to_string()))?;
    let source = Source::new(args, &client)?;
    let injected = args.sidecar.as_deref().map(injection::read).transpose()?;
    let mut doors = Doors::bind(args).await?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mirrored = mirror::run((&client, &[]), Arc::clone(&clock), &stop, &tasks);
    let shown = source.run(&stop, &tasks);
    let (publish, version) = watch::channel(None);
    tasks.spawn(version::run(client.clone(), publish, stop.clone()));
    let (publish, injected) = watch::channel(injected);
    if let Some(file) = args.sidecar.clone() {
        tasks.spawn(injection::follow(file, publish, stop.clone()));
    }
    let known = Known { client, mirrored: mirrored.clone(), version, injected, bundle: shown.bundle.clone() };
    let (rules, namespace) = (rules(args), args.namespace.clone());
    let desk = Arc::new(Desk { judge, rules, cluster: Arc::new(known), clock, namespace });
    let status = Arc::new(Status { mirrored, shown: shown.clone() });
    doors.open((desk, status), shown, &stop);
    let outcome = signals.last(doors.ended()).await;
    stop.cancel();
    let closing = async {
        doors.close().await;
        tasks.close();
        tasks.wait().await;
    };
    signals.unless_again(closing).await;
    tracing::info!("ended");
    outcome
}

const fn rules(args: &WebhookArgs) -> Rules {
    let approval = match args.grant_approval {
        GrantApproval::Required => Approval::Required,
        GrantApproval::None => Approval::None,
    };
    Rules { longest: args.longest_grant.0, approval }
}
