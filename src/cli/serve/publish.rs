//! From resources, wherever they come from, to what is enforced.
//!
//! A set of resources is compiled and published whole, even if parts of it are broken: those deny. A reading without
//! resources changes nothing. Resources that are the same as before keep their generation, whatever changed in comments,
//! order or spelling.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::watch;

use crate::api::compile::{Compiled, Compiler};
use crate::api::settings::Settings;
use crate::authorize::world::World;
use crate::clock::Stopwatch;
use crate::files::shelf::Reading;

use super::given::Given;
use super::status::{Enforced, Status};

/// The one writer of what is enforced. Compiling takes a while: not for an async worker.
pub(super) struct Publisher {
    compiler: Compiler,
    settings: Settings,
    status: Arc<Status>,
    ready: watch::Sender<bool>,
    given: Option<Given>,
}

impl Publisher {
    /// A publisher that has published nothing, and a signal that turns true when it has.
    pub(super) fn new(settings: Settings, status: Arc<Status>) -> (Self, watch::Receiver<bool>) {
        let (ready, signal) = watch::channel(false);
        (Self { compiler: Compiler::default(), settings, status, ready, given: None }, signal)
    }

    /// Takes a set of resources in. A panic must not end the following: the next set may be a better one.
    pub(super) fn take(&mut self, given: Given) {
        let problem = self.guarded(|publisher| publisher.publish(given));
        self.status.trouble(problem.into_iter().collect());
    }

    /// Takes a reading of files in, as [`Self::take`] does.
    pub(super) fn read(&mut self, reading: Reading) {
        if let Some(bug) = self.guarded(|publisher| publisher.read_unguarded(reading)) {
            self.status.trouble(vec![bug]);
        }
    }

    fn guarded(&mut self, work: impl FnOnce(&mut Self)) -> Option<String> {
        if catch_unwind(AssertUnwindSafe(|| work(self))).is_ok() {
            return None;
        }
        self.compiler = Compiler::default();
        let bug = "a bug keeps the newest policies from being compiled".to_owned();
        tracing::error!("{bug}; what stands is kept");
        Some(bug)
    }

    fn read_unguarded(&mut self, reading: Reading) {
        let problems: Vec<_> = reading.problems.iter().map(ToString::to_string).collect();
        for problem in &problems {
            tracing::error!(problem, "a policy file cannot be used");
        }
        match reading.library {
            Some(library) => self.publish(Given::Files(library)),
            None if self.given.is_some() => tracing::error!("rules may be missing: what stands is kept"),
            None => tracing::error!("no policies: every request is answered 503"),
        }
        self.status.trouble(problems);
    }

    fn publish(&mut self, given: Given) {
        let watch = Stopwatch::start();
        let scope = given.scope().unwrap_or(&self.settings.scope).clone();
        let pins = given.pins().unwrap_or(&self.settings.pins).clone();
        let settings = (&scope, &pins) == (&self.settings.scope, &self.settings.pins);
        let unchanged = self.given.as_ref().is_some_and(|former| former.resources() == given.resources() && settings);
        (self.settings.scope, self.settings.pins) = (scope, pins);
        let compiled = self.compiler.compile(given.resources(), &self.settings);
        // Lines move with comments, too.
        let faults = compiled.faults.iter().map(|fault| given.describe(fault)).collect();
        self.given = Some(given);
        let enforced = match self.status.enforced().filter(|_| unchanged) {
            Some(standing) => standing.with(faults),
            None => Enforced { world: self.renew(&compiled), profiles: compiled.profiles.clone(), faults },
        };
        if !unchanged {
            tell(&enforced, &compiled, &watch);
        }
        self.status.enforce(enforced);
        self.ready.send_replace(true);
    }

    /// Puts a new world in force. Sources of keys that it needs are asked first, those that it no longer needs are
    /// dropped last, so that nobody is refused in between.
    fn renew(&self, compiled: &Compiled) -> Arc<World> {
        self.status.remember();
        let former = self.status.authorizer.world();
        let generation = former.as_ref().map_or(0, |former| former.generation).saturating_add(1);
        let world = World::new(generation, Arc::clone(&compiled.snapshot), &compiled.profiles);
        let world = Arc::new(world.revoking(compiled.revocations.iter().cloned()));
        let needed = || world.discoveries().map(Arc::clone);
        let held = former.iter().flat_map(|former| former.discoveries().map(Arc::clone));
        self.status.keys.watch(held.chain(needed()));
        self.status.authorizer.publish(Arc::clone(&world));
        self.status.keys.watch(needed());
        world
    }
}

fn tell(enforced: &Enforced, compiled: &Compiled, watch: &Stopwatch) {
    for fault in &enforced.faults {
        tracing::warn!(fault, "a fault in the policies: what is broken denies");
    }
    let (mut hosts, mut policies) = (0_usize, HashMap::new());
    for (_, table) in compiled.snapshot.all() {
        hosts = hosts.saturating_add(1);
        // A policy stands at each of its hosts, and counts once.
        policies.extend(table.policies().iter().map(|policy| (Arc::as_ptr(policy), policy.routes.len())));
    }
    if hosts == 0 {
        tracing::warn!("no policy is in force: every request is denied");
    }
    tracing::info!(
        generation = enforced.world.generation,
        hosts,
        policies = policies.len(),
        routes = policies.values().sum::<usize>(),
        applications = enforced.profiles.len(),
        faults = enforced.faults.len(),
        took_ms = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX),
        "policies loaded"
    );
}
