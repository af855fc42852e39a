//! Leader election by a Lease: who writes status. Every replica serves; one writes.
//!
//! A replica is leader while its own clock says that the lease it renewed cannot have ended. It gives up in time by
//! itself when it cannot renew, so two never believe to be leader at once, as long as clocks run at one speed. What is
//! compared is how long ago another's renewal was *seen* here, never another machine's time of day.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a lease counts without renewal.
pub const DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew for so long gives up.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// Between two attempts.
pub const RETRY: Duration = Duration::from_secs(2);

/// Which lease, and for whom.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The namespace of the lease.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who applies: unique among replicas.
    pub identity: String,
}

/// Applies for the lease until told to stop; the receiver says whether this replica is leader. Gives the lease back in
/// the end.
pub async fn run(client: Client, candidate: Candidate, leader: watch::Sender<bool>, stop: CancellationToken) {
    let leases: Api<Lease> = Api::namespaced(client, &candidate.namespace);
    let mut election = Election { leases, candidate, seen: None, held_until: None };
    loop {
        let attempt = tokio::time::timeout(RETRY, election.attempt());
        match attempt.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(code = "lease_failed", %error, "trying again"),
            Err(_) => tracing::warn!(code = "lease_failed", error = "no answer in time", "trying again"),
        }
        let leads = election.leads();
        if leader.send_replace(leads) != leads {
            tracing::info!(code = "leader", leads, identity = election.candidate.identity, "leadership changed");
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = stop.cancelled() => break,
        }
    }
    leader.send_replace(false);
    election.resign().await;
}

struct Election {
    leases: Api<Lease>,
    candidate: Candidate,
    /// The last renewal of somebody else, and when it was first seen here.
    seen: Option<(String, Option<MicroTime>, Instant)>,
    held_until: Option<Instant>,
}

impl Election {
    fn leads(&self) -> bool {
        self.held_until.is_some_and(|until| Instant::now() < until)
    }

    async fn attempt(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        let Some(lease) = self.leases.get_opt(&self.candidate.name).await? else {
            let lease = self.claim(Lease::default());
            return self.settle(self.leases.create(&PostParams::default(), &lease).await, started);
        };
        if !self.may_take(&lease) {
            self.held_until = None;
            return Ok(());
        }
        let claimed = self.claim(lease);
        // The resource version makes this fail if anybody was faster.
        self.settle(self.leases.replace(&self.candidate.name, &PostParams::default(), &claimed).await, started)
    }

    fn settle(&mut self, outcome: Result<Lease, Error>, started: Instant) -> Result<(), Error> {
        match outcome {
            Ok(_) => {
                self.held_until = started.checked_add(DEADLINE);
                Ok(())
            }
            Err(Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether the lease is ours, was given back, or was not renewed for its whole duration as seen from here.
    fn may_take(&mut self, lease: &Lease) -> bool {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        if holder.is_empty() || holder == self.candidate.identity {
            return true;
        }
        let renewed = spec.and_then(|spec| spec.renew_time.clone());
        let now = Instant::now();
        match &self.seen {
            Some((known, at, since)) if *known == holder && *at == renewed => now.duration_since(*since) > DURATION,
            Some(_) | None => {
                self.seen = Some((holder, renewed, now));
                false
            }
        }
    }

    fn claim(&self, lease: Lease) -> Lease {
        let now = MicroTime(k8s_openapi::jiff::Timestamp::now());
        let before = lease.spec.unwrap_or_default();
        let ours = before.holder_identity.as_deref() == Some(&self.candidate.identity);
        let transitions = before.lease_transitions.unwrap_or(0);
        let spec = LeaseSpec {
            holder_identity: Some(self.candidate.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if ours { before.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_transitions: Some(if ours { transitions } else { transitions.saturating_add(1) }),
            ..LeaseSpec::default()
        };
        let metadata = ObjectMeta {
            name: Some(self.candidate.name.clone()),
            namespace: Some(self.candidate.namespace.clone()),
            ..lease.metadata
        };
        Lease { metadata, spec: Some(spec) }
    }

    /// Gives the lease back, so that another one need not wait.
    async fn resign(&mut self) {
        if !self.leads() {
            return;
        }
        let given_back = async {
            let Some(mut lease) = self.leases.get_opt(&self.candidate.name).await? else { return Ok(()) };
            let Some(spec) = &mut lease.spec else { return Ok(()) };
            if spec.holder_identity.as_deref() == Some(&self.candidate.identity) {
                spec.holder_identity = None;
                self.leases.replace(&self.candidate.name, &PostParams::default(), &lease).await?;
            }
            Ok::<(), Error>(())
        };
        match tokio::time::timeout(RETRY, given_back).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(code = "lease_failed", "could not give the lease back; it ends by itself")
            }
        }
    }
}
