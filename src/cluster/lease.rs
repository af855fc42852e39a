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
        let leads = election.leads(Instant::now());
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
    fn leads(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    async fn attempt(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        let Some(lease) = self.leases.get_opt(&self.candidate.name).await? else {
            let lease = self.claim(Lease::default());
            return self.settle(self.leases.create(&PostParams::default(), &lease).await, started);
        };
        if !self.may_take(&lease, Instant::now()) {
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
    fn may_take(&mut self, lease: &Lease, now: Instant) -> bool {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default();
        if holder.is_empty() || holder == self.candidate.identity {
            return true;
        }
        let renewed = spec.and_then(|spec| spec.renew_time.clone());
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
        if !self.leads(Instant::now()) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Candidate, DURATION, Election};
    use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
    use kube::api::Api;
    use kube::{Client, Config};
    use tokio::time::Instant;

    fn election() -> Election {
        crate::token::install_crypto().unwrap();
        let client = Client::try_from(Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let candidate = Candidate { namespace: "entrance".into(), name: "lease".into(), identity: "me".into() };
        Election { leases: Api::namespaced(client, "entrance"), candidate, seen: None, held_until: None }
    }

    fn lease(holder: Option<&str>, renewed: i64) -> Lease {
        let renew_time = Some(MicroTime(k8s_openapi::jiff::Timestamp::from_second(renewed).unwrap()));
        let holder_identity = holder.map(str::to_owned);
        Lease { spec: Some(LeaseSpec { holder_identity, renew_time, ..LeaseSpec::default() }), ..Lease::default() }
    }

    #[tokio::test]
    async fn a_lease_is_taken_when_it_is_free_ours_or_was_seen_unrenewed_for_its_duration() {
        let (mut election, start) = (election(), Instant::now());
        for free in [Lease::default(), lease(None, 1), lease(Some(""), 1), lease(Some("me"), 1)] {
            assert!(election.may_take(&free, start), "{free:?}");
        }
        // Another's, however old its own clock says it is, is watched for the whole duration first.
        for (holder, renewed, after, taken) in [
            ("other", 1, 0, false),
            ("other", 1, 15, false),
            ("other", 2, 17, false),
            ("third", 2, 34, false),
            ("third", 2, 49, false),
            ("third", 2, 50, true),
        ] {
            let now = start.checked_add(Duration::from_secs(after)).unwrap();
            assert_eq!(election.may_take(&lease(Some(holder), renewed), now), taken, "{holder} {after}");
        }
    }

    #[tokio::test]
    async fn a_leader_gives_up_by_itself_before_the_lease_can_end() {
        let (mut election, start) = (election(), Instant::now());
        assert!(!election.leads(start));
        election.settle(Ok(Lease::default()), start).unwrap();
        assert!(election.leads(start));
        assert!(!election.leads(start.checked_add(DURATION.saturating_sub(Duration::from_secs(1))).unwrap()));
    }

    #[tokio::test]
    async fn a_claim_counts_transitions_and_keeps_what_it_renews() {
        let election = election();
        let ours = election.claim(lease(Some("other"), 1)).spec.unwrap();
        assert_eq!((ours.holder_identity.as_deref(), ours.lease_transitions), (Some("me"), Some(1)));
        let acquired = ours.acquire_time.clone();
        let again = election.claim(Lease { spec: Some(ours), ..Lease::default() }).spec.unwrap();
        assert_eq!((again.lease_transitions, again.acquire_time), (Some(1), acquired));
    }
}
