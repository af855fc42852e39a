//! Writes statuses, if this replica holds the lease: what is known of every object, when it changed.
//!
//! A round judges what may have changed ([`super::extent`]), writes what differs, at most [`BATCH`] statuses, and begins
//! again if there is more: what changed meanwhile is written once, in its newest state. Objects that people just changed
//! come first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::compile::{Compiled, Compiler};
use crate::api::object::ObjectId;
use crate::api::settings::Settings;
use crate::clock::{Clock, UnixTime};
use crate::cluster::conditions::Known;
use crate::cluster::statuses::{Applied, Standing, Statuses};
use crate::delivery::roster::Roster;
use crate::delivery::view::Catalogue;
use crate::entra::KeyStore;

use super::Parts;
use super::delays::Delays;
use super::extent::{Basis, Extent};
use super::judge::{Ground, Judgement};
use super::peers::{Peers, Summaries};
use super::planes::Counter;

/// Statuses of one round.
const BATCH: usize = 256;
/// Writes at one time.
const WRITES: usize = 8;
/// Between a change and its round: what comes together is written together.
const GATHER: Duration = Duration::from_millis(150);
/// Keys and failed writes are looked at again after this; so long nothing is written to a server that cannot.
const IDLE: Duration = Duration::from_secs(5);
/// Others' writes are looked for after this.
const RELOAD: Duration = Duration::from_secs(600);
/// Data planes come back to a replica within this time.
const RETURN: Duration = Duration::from_secs(15);

/// What the writer follows.
pub(super) struct Sources {
    pub(super) catalogue: watch::Receiver<Option<Arc<Catalogue>>>,
    pub(super) leader: watch::Receiver<bool>,
    pub(super) peers: watch::Receiver<Arc<Summaries>>,
}

/// Writes statuses.
pub(super) struct Writer {
    sources: Sources,
    statuses: Statuses,
    keys: Arc<KeyStore>,
    roster: Arc<Roster>,
    news: watch::Receiver<u64>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    peers: Peers,
    compiler: Compiler,
    /// Of the catalogue of this generation.
    compiled: Option<(u64, Compiled)>,
    /// What the last round rested on; `None`: the next one judges everything.
    basis: Option<Basis>,
    /// Statuses that are still to be written.
    owed: HashSet<ObjectId>,
    /// Of these, the ones that could not be: they wait on their own.
    delays: Delays,
    known: HashMap<ObjectId, Known, RandomState>,
    standing: HashMap<ObjectId, Standing>,
}

/// A status that differs from the one that stands.
struct Draft {
    id: ObjectId,
    known: Known,
    before: Standing,
    after: Standing,
}

impl Draft {
    /// What people changed, then what is new, then the rest.
    fn urgency(&self) -> u8 {
        match self.before.observed {
            Some(observed) if observed != self.known.generation => 0,
            None => 1,
            Some(_) => 2,
        }
    }
}

impl Writer {
    pub(super) fn new(parts: &Parts, settings: Settings, sources: Sources) -> Self {
        Self {
            sources,
            statuses: Statuses::new(parts.client.clone(), &parts.candidate.identity),
            keys: Arc::clone(&parts.keys),
            roster: Arc::clone(&parts.roster),
            news: parts.roster.news(),
            clock: Arc::clone(&parts.clock),
            settings,
            peers: Peers::default(),
            compiler: Compiler::default(),
            compiled: None,
            basis: None,
            owed: HashSet::new(),
            delays: Delays::default(),
            known: HashMap::default(),
            standing: HashMap::new(),
        }
    }

    /// Writes whenever this replica leads, until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = async { loop { self.lead().await } } => {}
            () = stop.cancelled() => {}
        }
    }

    /// Waits to lead, then writes for as long as that lasts.
    async fn lead(&mut self) {
        if self.sources.leader.wait_for(|leads| *leads).await.is_err() {
            return std::future::pending().await;
        }
        let began = Instant::now();
        let mut loaded: Option<Instant> = None;
        while *self.sources.leader.borrow() {
            if loaded.is_none_or(|at| at.elapsed() > RELOAD) {
                if !self.load().await {
                    sleep(IDLE).await;
                    continue;
                }
                loaded = Some(Instant::now());
            }
            let (more, until) = self.round(began.elapsed() > RETURN).await;
            if !more {
                self.wait(until).await;
            }
        }
    }

    async fn load(&mut self) -> bool {
        match self.statuses.load().await {
            Ok(standing) => {
                self.standing = standing;
                self.known.clear();
                self.basis = None;
                true
            }
            Err(error) => {
                tracing::warn!(code = "status_failed", %error, "cannot read statuses; trying again");
                false
            }
        }
    }

    /// Waits for something to change.
    async fn wait(&mut self, until: Option<UnixTime>) {
        let left = until.map(|until| until.since(self.clock.unix())).and_then(|left| u64::try_from(left).ok());
        let pause = left.map_or(IDLE, |left| IDLE.min(Duration::from_secs(left)));
        let changed = async {
            tokio::select! {
                changed = self.sources.catalogue.changed() => drop(changed),
                changed = self.news.changed() => drop(changed),
                changed = self.sources.leader.changed() => drop(changed),
                changed = self.sources.peers.changed() => drop(changed),
            }
            sleep(GATHER).await;
        };
        let (Ok(()) | Err(_)) = timeout(pause, changed).await;
    }

    /// One round: whether there is more to write at once, and when time alone changes something.
    async fn round(&mut self, settled: bool) -> (bool, Option<UnixTime>) {
        let Some(catalogue) = self.sources.catalogue.borrow_and_update().clone() else { return (false, None) };
        let judgement = block_in_place(|| self.judge(&catalogue, settled));
        let mut drafts = self.drafts(judgement.known);
        drafts.sort_by_key(Draft::urgency);
        self.owed = drafts.iter().map(|draft| draft.id.clone()).collect();
        let (now, owed) = (Instant::now(), &self.owed);
        self.delays.retain(|id| owed.contains(id));
        drafts.retain(|draft| !self.delays.holds(&draft.id, now));
        let more = drafts.len() > BATCH;
        drafts.truncate(BATCH);
        if self.write(drafts).await {
            sleep(IDLE).await;
        }
        (more, judgement.until)
    }

    fn judge(&mut self, catalogue: &Catalogue, settled: bool) -> Judgement {
        let resources = catalogue.resources();
        let compiled = match self.compiled.take() {
            Some((generation, compiled)) if generation == catalogue.generation => compiled,
            Some(_) | None => self.compiler.compile(resources, &self.settings),
        };
        let sources = compiled.profiles.iter().flat_map(|profile| profile.discoveries().map(Arc::clone));
        self.keys.watch(sources.collect::<Vec<_>>());
        self.news.mark_unchanged();
        let planes = self.roster.all();
        let keys = self.keys.status();
        self.peers.hear(&self.sources.peers.borrow_and_update().clone(), catalogue);
        let planes = (settled || !planes.is_empty() || self.peers.any()).then_some(planes);
        let (faults, peers) = (compiled.faults.clone(), self.peers.counting());
        let basis = Basis { resources: resources.clone(), faults, planes, peers };
        let extent = self.extent(&basis);
        let planes = basis.planes.clone().map(|planes| Counter::new(catalogue, planes));
        let (peers, now) = ((&self.peers, catalogue), self.clock.unix());
        let ground = Ground { resources, compiled: &compiled, keys: &keys, planes, peers, now };
        let judgement = ground.judge(&extent);
        self.compiled = Some((catalogue.generation, compiled));
        self.basis = Some(basis);
        judgement
    }

    /// What is to be judged now. What is gone is forgotten; an object that came in place of one that is gone is told apart
    /// by its `uid`.
    fn extent(&mut self, basis: &Basis) -> Extent {
        let mut extent = self.basis.as_ref().map_or(Extent::All, |before| basis.extent(before));
        if let Extent::Only(policies) = &mut extent {
            policies.extend(self.owed.drain());
        }
        let gone = |id: &ObjectId| basis.resources.get(id).is_none();
        match &extent {
            Extent::Only(policies) => {
                for id in policies.iter().filter(|id| gone(id)) {
                    self.known.remove(id);
                    self.standing.remove(id);
                }
            }
            Extent::All => {
                self.known.retain(|id, _| !gone(id));
                self.standing.retain(|id, _| !gone(id));
            }
        }
        extent
    }

    /// The statuses that differ from those that stand.
    fn drafts(&mut self, all: Vec<(ObjectId, Known)>) -> Vec<Draft> {
        let (mut drafts, now) = (Vec::new(), self.clock.unix());
        for (id, known) in all {
            let former = self.known.get(&id);
            if former == Some(&known) {
                continue;
            }
            // The same name, but another object: what stood was the former one's.
            let another = former.is_some_and(|former| former.uid != known.uid);
            let before = self.standing.get(&id).filter(|_| !another).cloned().unwrap_or_default();
            let after = before.next(&known, now);
            if after == before {
                self.known.insert(id, known);
            } else {
                drafts.push(Draft { id, known, before, after });
            }
        }
        drafts
    }

    /// Whether the API server could not write at all. What it could not write of one object delays no other.
    async fn write(&mut self, drafts: Vec<Draft>) -> bool {
        let (statuses, leader) = (&self.statuses, &self.sources.leader);
        let written: Vec<(Draft, Outcome)> = stream::iter(drafts)
            .map(|draft| async move {
                let done = if *leader.borrow() { written(statuses, &draft).await } else { Outcome::Away };
                (draft, done)
            })
            .buffer_unordered(WRITES)
            .collect()
            .await;
        let (mut away, now) = (false, Instant::now());
        for (draft, done) in written {
            match done {
                Outcome::Applied(Applied::Stands) => {
                    self.owed.remove(&draft.id);
                    self.delays.forget(&draft.id);
                    self.known.insert(draft.id.clone(), draft.known);
                    self.standing.insert(draft.id, draft.after);
                }
                // Another object may come in its place.
                Outcome::Applied(Applied::Gone) => {
                    self.owed.remove(&draft.id);
                    self.known.remove(&draft.id);
                    self.standing.remove(&draft.id);
                    self.delays.hold(draft.id, now);
                }
                // What it says of itself depends on that: it is written again.
                Outcome::Applied(Applied::Crowded(ancestors)) => {
                    self.delays.hold(draft.id.clone(), now);
                    self.standing.insert(draft.id, draft.after.with(ancestors));
                }
                Outcome::Refused => self.delays.hold(draft.id, now),
                Outcome::Away => away = true,
            }
        }
        away
    }
}

/// What became of a write.
enum Outcome {
    Applied(Applied),
    /// It was not taken, as others write to the object all the time, or for what it says.
    Refused,
    /// The API server writes nothing now.
    Away,
}

async fn written(statuses: &Statuses, draft: &Draft) -> Outcome {
    let error = match statuses.apply(&draft.id, (&draft.before, &draft.after)).await {
        Ok(applied) => return Outcome::Applied(applied),
        Err(error) => error,
    };
    tracing::warn!(code = "status_failed", object = %draft.id, %error, "trying again");
    let refused = |code: u16| (400..500).contains(&code) && code != 429;
    if matches!(&error, kube::Error::Api(status) if refused(status.code)) { Outcome::Refused } else { Outcome::Away }
}
