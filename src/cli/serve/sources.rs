//! Where resources come from: a directory, the API server, or the controller; each followed until told to stop.
//!
//! Whatever is away, what stands goes on to decide. A controller that is away at the start is waited for a moment, then
//! what was kept on disk is enforced and called stale until the controller confirms it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::Condition;
use crate::api::settings::{Scope, Settings};
use crate::clock::{Clock, SystemClock, UnixTime};
use crate::cluster::client::connect;
use crate::cluster::mirror::{self, Mirrored};
use crate::delivery::client::{Delivered, Options, Subscriber};
use crate::files;

use super::super::args::ServeArgs;
use super::super::{UsageError, instant, keys, policies};
use super::given::Given;
use super::publish::Publisher;
use super::status::Status;

/// PEM of the authorities that the controller's certificate must come from, if no file names them.
const CONTROLLER_CA: &str = "ENTRANCE_CONTROLLER_CA_PEM";

/// A start without the controller goes on after this with what is on disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// A source whose flags were found usable.
pub(super) enum Source {
    Files(PathBuf),
    Kube(Box<kube::Client>),
    Controller(Box<Subscriber>),
}

impl Source {
    /// Checks the flags. Needs a runtime; nothing is asked yet.
    pub(super) async fn new(args: &ServeArgs, settings: &Settings) -> Result<Self, UsageError> {
        if let Some(directory) = &args.policies {
            policies::exists(directory)?;
            return Ok(Self::Files(directory.clone()));
        }
        let Some(url) = &args.controller else {
            let client = connect(args.kubeconfig.as_deref()).await;
            return Ok(Self::Kube(Box::new(client.map_err(|fault| UsageError::new(format!("--kube: {fault}")))?)));
        };
        let said = [
            ("--workload-namespace", "who this is", settings.scope != Scope::Gateway),
            ("--pin-host", "which hosts are given to a namespace", !settings.pins.is_empty()),
        ];
        if let Some((flag, what, _)) = said.into_iter().find(|(.., given)| *given) {
            let why = format!("{flag}: the controller says {what}; leave the flag out with --controller");
            return Err(UsageError::new(why));
        }
        Ok(Self::Controller(Box::new(subscriber(url, args)?)))
    }

    /// Publishes every state until told to stop.
    pub(super) async fn follow(self, publisher: Publisher, status: Arc<Status>, stop: CancellationToken) {
        match self {
            Self::Files(directory) => {
                let mut publisher = publisher;
                files::watch::run(directory, stop, move |reading| publisher.read(reading)).await;
            }
            Self::Kube(client) => mirrored(&client, (publisher, status), stop).await,
            Self::Controller(subscriber) => delivered(*subscriber, (publisher, status), stop).await,
        }
    }
}

fn subscriber(url: &str, args: &ServeArgs) -> Result<Subscriber, UsageError> {
    let read = |file: &PathBuf| {
        std::fs::read(file)
            .map_err(|error| UsageError::new(format!("--controller-ca: cannot read `{}`: {error}", file.display())))
    };
    let ca = args.controller_ca.as_ref().map(read).transpose()?.or_else(|| keys::given(CONTROLLER_CA));
    if let Some(directory) = args.state.as_ref().filter(|directory| !directory.is_dir()) {
        return Err(UsageError::new(format!("--state: there is no directory `{}`", directory.display())));
    }
    let options = Options { url: url.to_owned(), ca, token: args.controller_token.clone(), state: args.state.clone() };
    Subscriber::new(options, Arc::new(SystemClock)).map_err(|fault| UsageError::new(format!("--controller: {fault}")))
}

async fn mirrored(client: &kube::Client, (mut publisher, status): (Publisher, Arc<Status>), stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let mut states = mirror::run((client, &[]), Arc::new(SystemClock), &stop, &tasks);
    let mut published = None;
    loop {
        let state = states.borrow_and_update().clone();
        status.supply(kubernetes(&state));
        if let Some(resources) = state.resources.filter(|new| !is(published.as_ref(), new)) {
            published = Some(Arc::clone(&resources));
            block_in_place(|| publisher.take(Given::Mirrored(resources)));
        }
        if !next(&mut states, &stop).await {
            break;
        }
    }
    tasks.close();
    tasks.wait().await;
}

async fn delivered(subscriber: Subscriber, (mut publisher, status): (Publisher, Arc<Status>), stop: CancellationToken) {
    let mut states = subscriber.watch();
    let started = SystemClock.unix();
    let tasks = TaskTracker::new();
    tasks.spawn(subscriber.run(stop.clone()));
    status.supply(controller(&states.borrow().clone(), started));
    tokio::select! {
        live = timeout(PATIENCE, states.wait_for(|delivered| delivered.live)) => drop(live),
        () = stop.cancelled() => {}
    }
    let mut published = None;
    loop {
        let state = states.borrow_and_update().clone();
        status.supply(controller(&state, started));
        if let Some(new) = state.state.filter(|new| !is(published.as_ref(), new)) {
            if new.recalled {
                tracing::warn!(code = "state_recalled", "the controller does not answer: what was kept on disk stands");
            }
            published = Some(Arc::clone(&new));
            block_in_place(|| publisher.take(Given::Delivered(new)));
        }
        if !next(&mut states, &stop).await {
            break;
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Waits for the next state; `false`: told to stop, or nobody follows any more.
async fn next<T>(states: &mut watch::Receiver<T>, stop: &CancellationToken) -> bool {
    tokio::select! {
        changed = states.changed() => changed.is_ok(),
        () = stop.cancelled() => false,
    }
}

fn is<T>(known: Option<&Arc<T>>, new: &Arc<T>) -> bool {
    known.is_some_and(|known| Arc::ptr_eq(known, new))
}

/// What readiness says of the API server.
pub(in super::super) fn kubernetes(state: &Mirrored) -> Condition {
    let name = "kubernetes".to_owned();
    let missing: Vec<&str> = state.missing.iter().map(|kind| kind.as_str()).collect();
    let failing: Vec<String> =
        state.failing.iter().map(|(kind, since)| format!("{} since {}", kind.as_str(), instant(*since))).collect();
    let message = match (&state.resources, failing.is_empty()) {
        (Some(_), true) => "in sync".to_owned(),
        (Some(_), false) => format!("stale: what stands is kept; cannot be watched: {}", failing.join(", ")),
        (None, true) if missing.is_empty() => "not listed yet".to_owned(),
        (None, true) => format!("not listed yet: {}", missing.join(", ")),
        (None, false) => format!("not listed yet: {}; cannot be watched: {}", missing.join(", "), failing.join(", ")),
    };
    Condition { name, ready: state.resources.is_some(), message }
}

fn controller(state: &Delivered, started: UnixTime) -> Condition {
    let problem = state.problem.as_deref().unwrap_or("no answer yet");
    let message = match (&state.state, state.live) {
        (Some(_), true) => "connected".to_owned(),
        (Some(held), false) if held.recalled => {
            format!("stale: kept from before the start at {}, and the controller is away: {problem}", instant(started))
        }
        (Some(_), false) => {
            let heard = state.heard.map_or_else(|| "never".to_owned(), instant);
            format!("stale: what stands is kept; the controller was last heard at {heard}: {problem}")
        }
        (None, _) => format!("nothing delivered yet: {problem}"),
    };
    Condition { name: "controller".to_owned(), ready: state.state.is_some(), message }
}
