//! `entrance controller`: the resources of a cluster on their way to those who enforce them, and back as statuses.
//!
//! - **Every replica** mirrors the API server and delivers; ready once everything was listed once.
//! - **One replica**, which holds the lease, writes statuses and events ([`writer`]).
//! - **End.** On SIGTERM health goes first, streams end, the lease is given back.

mod admit;
mod board;
mod certificate;
mod delays;
mod doors;
mod extent;
mod judge;
mod peers;
mod planes;
mod status;
mod writer;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::settings::Settings;
use crate::clock::{Clock, SystemClock};
use crate::cluster::board::Board;
use crate::cluster::client::connect;
use crate::cluster::lease::{self, Candidate};
use crate::cluster::mirror::{self, Mirrored};
use crate::delivery::roster::Roster;
use crate::delivery::view::Catalogue;
use crate::entra::{self, KeyStore};

use super::args::ControllerArgs;
use super::runtime::{self, Signals};
use super::{Outcome, UsageError, keys, logging, scope};

use board::Replica;
use doors::Doors;
use status::Status;
use writer::{Sources, Writer};

/// Runs until told to end.
pub(super) fn run(args: &ControllerArgs) -> Result<Outcome, UsageError> {
    logging::start("info");
    runtime::run(control(args))?
}

async fn control(args: &ControllerArgs) -> Result<Outcome, UsageError> {
    let mut signals = Signals::take()?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    let settings = Settings { pins: scope::pins(&args.pins)?, ..Settings::default() };
    let parts = Parts::new(args).await?;
    let mut doors = Doors::bind(args).await?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let mirrored = mirror::run((&parts.client, &mirror::GUARDS), Arc::clone(&parts.clock), &stop, &tasks);
    let (publish, catalogue) = watch::channel(None);
    let empty = Catalogue::pinning(&settings.pins);
    tasks.spawn(catalogues(mirrored.clone(), (empty, publish), stop.clone()));
    let (lead, leader) = watch::channel(false);
    tasks.spawn(lease::run(parts.client.clone(), parts.candidate.clone(), lead, stop.clone()));
    let (hear, peers) = watch::channel(Arc::default());
    let at_board = parts.at_board((catalogue.clone(), leader.clone()));
    tasks.spawn(at_board.run(hear, stop.clone()));
    let sources = Sources { catalogue: catalogue.clone(), leader: leader.clone(), peers };
    tasks.spawn(Writer::new(&parts, settings, sources).run(stop.clone()));
    let (roster, shown) = (Arc::clone(&parts.roster), doors.shown());
    let status = Arc::new(Status { mirrored, catalogue, leader, roster, shown });
    doors.open(args, &parts, (status, stop.clone()));
    let outcome = signals.last(doors.ended()).await;
    stop.cancel();
    let closing = async {
        doors.close().await;
        tasks.close();
        tasks.wait().await;
        parts.keys.shutdown().await;
    };
    signals.unless_again(closing).await;
    tracing::info!("ended");
    outcome
}

/// What several tasks share.
struct Parts {
    client: kube::Client,
    clock: Arc<dyn Clock>,
    keys: Arc<KeyStore>,
    roster: Arc<Roster>,
    candidate: Candidate,
}

impl Parts {
    async fn new(args: &ControllerArgs) -> Result<Self, UsageError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let client = connect(args.kubeconfig.as_deref()).await.map_err(|fault| UsageError::new(fault.to_string()))?;
        let extra_ca = args.extra_ca.as_deref().map(keys::extra_ca).transpose()?;
        let options = entra::Options { extra_ca, clock: Arc::clone(&clock), ..entra::Options::default() };
        let keys = Arc::new(KeyStore::new(options).map_err(|fault| UsageError::new(fault.to_string()))?);
        let candidate =
            Candidate { namespace: args.lease_namespace.clone(), name: args.lease_name.clone(), identity: identity() };
        Ok(Self { client, clock, keys, roster: Arc::default(), candidate })
    }
}

impl Parts {
    /// This replica at the board, which has the name of the lease.
    fn at_board(
        &self,
        (catalogue, leader): (watch::Receiver<Option<Arc<Catalogue>>>, watch::Receiver<bool>),
    ) -> Replica {
        let Candidate { namespace, name, identity } = self.candidate.clone();
        let board = Board::new(self.client.clone(), (&namespace, &name));
        Replica { board, identity, roster: Arc::clone(&self.roster), catalogue, leader }
    }
}

/// Unique among replicas, and among the lives of one: the host name, which is the pod's, and something by chance.
fn identity() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:08x}", host.trim(), RandomState::new().hash_one(std::process::id()) >> 32)
}

/// Turns each state of the mirror into a catalogue.
async fn catalogues(
    mut mirrored: watch::Receiver<Mirrored>,
    (empty, publish): (Catalogue, watch::Sender<Option<Arc<Catalogue>>>),
    stop: CancellationToken,
) {
    let mut known = None;
    let mut catalogue = Arc::new(empty);
    loop {
        let resources = mirrored.borrow_and_update().resources.clone();
        if let Some(resources) = resources.filter(|new| known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, new))) {
            catalogue = Arc::new(block_in_place(|| catalogue.next(&resources)));
            known = Some(resources);
            publish.send_replace(Some(Arc::clone(&catalogue)));
        }
        tokio::select! {
            changed = mirrored.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}
