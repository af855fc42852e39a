//! Where reviews are answered: which of the judges looks at what, and what has to be asked first.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::api::object::{GROUP, Kind, Resources, VERSION};
use crate::clock::Clock;

use super::grant::{self, Rules};
use super::inject::sidecar::Sidecar;
use super::inject::{self, Ground, Version};
use super::review::{Operation, Refusal, Request, User, Verdict};
use super::validate::Judge;

/// The API server did not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered;

/// What is known of the cluster, and what can be asked of it.
pub trait Cluster: Send + Sync {
    /// Everything that stands; `None` before all of it was read.
    fn resources(&self) -> Option<Arc<Resources>>;

    /// What is injected into pods; `None`: nothing is.
    fn sidecar(&self) -> Option<Arc<Sidecar>>;

    /// PEM of the authority that the controller's certificate comes from; `None`: not known yet, or at all.
    fn authority(&self) -> Option<Arc<str>>;

    /// The version of the API server; `None`: not known yet.
    fn version(&self) -> Option<Version>;

    /// Whether a user may approve the grant of this namespace and name.
    fn may_approve<'a>(&'a self, user: &'a User, grant: (&'a str, &'a str)) -> BoxFuture<'a, Result<bool, Unanswered>>;
}

/// Answers reviews.
pub struct Desk {
    /// Judges our resources.
    pub judge: Judge,
    /// What grants must keep to.
    pub rules: Rules,
    /// The cluster.
    pub cluster: Arc<dyn Cluster>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The namespace that this runs in.
    pub namespace: String,
}

impl Desk {
    /// What `/validate` answers.
    pub async fn validate(&self, request: &Request) -> Verdict {
        let Some(kind) = ours(request) else { return Verdict::pass() };
        // What goes takes nothing along, unless it is an application that others refer to.
        let goes = request.operation == Operation::Delete && kind != Kind::EntraApplication;
        if goes || request.leaves_spec() {
            return Verdict::pass();
        }
        let examined = match kind {
            Kind::AccessGrant => grant::examine(request, &self.rules, self.clock.unix()),
            Kind::EntraApplication
            | Kind::AccessPolicy
            | Kind::TokenRevocation
            | Kind::ConfigMap
            | Kind::ReferenceGrant
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::Gateway
            | Kind::Service
            | Kind::SecurityPolicy => grant::Examined::default(),
        };
        let Some(resources) = self.cluster.resources() else { return Verdict::refuse(too_early()) };
        let mut verdict = tokio::task::block_in_place(|| self.judge.judge(request, kind, &resources));
        if verdict.outcome.is_err() {
            return verdict;
        }
        if let Some(refusal) = examined.refusal(request) {
            return Verdict::refuse(refusal);
        }
        if examined.needs_verb
            && let Err(refusal) = self.approver(request).await
        {
            return Verdict::refuse(refusal);
        }
        verdict.warnings.extend(examined.warnings);
        verdict
    }

    /// What `/mutate` answers.
    #[must_use]
    pub fn mutate(&self, request: &Request) -> Verdict {
        if inject::concerns(request) {
            let (sidecar, authority) = (self.cluster.sidecar(), self.cluster.authority());
            let ground = Ground {
                sidecar: sidecar.as_deref(),
                authority: authority.as_deref(),
                version: self.cluster.version(),
                namespace: &self.namespace,
            };
            return inject::inject(request, &ground);
        }
        match ours(request) {
            Some(Kind::AccessGrant) => Verdict::change(grant::stamps(request, &self.rules, self.clock.unix())),
            Some(_) | None => Verdict::pass(),
        }
    }

    async fn approver(&self, request: &Request) -> Result<(), Refusal> {
        let of = (request.namespace.as_str(), request.name.as_str());
        match self.cluster.may_approve(&request.user_info, of).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(grant::without_verb(request)),
            Err(Unanswered) => Err(Refusal::unavailable(format!(
                "the API server did not say whether `{}` may approve; try again in a moment",
                request.user_info.username
            ))),
        }
    }
}

fn too_early() -> Refusal {
    Refusal::unavailable(
        "the webhook has not read all resources of the cluster yet, so that nobody can tell what this one would do; try \
         again in a moment",
    )
}

/// The kind, if it is one of ours and the object itself is concerned, not its status.
fn ours(request: &Request) -> Option<Kind> {
    let whole = request.sub_resource.as_deref().unwrap_or_default().is_empty();
    if !whole || request.kind.group != GROUP || request.operation == Operation::Connect {
        return None;
    }
    Kind::of(&format!("{GROUP}/{VERSION}"), &request.kind.kind).ok().flatten()
}
