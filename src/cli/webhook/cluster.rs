//! What admission knows of the cluster: the mirror, and the API server's own authorizer.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kube::Client;
use tokio::sync::watch;

use crate::admission::desk::{Cluster, Unanswered};
use crate::admission::grant::APPROVE;
use crate::admission::inject::Version;
use crate::admission::inject::sidecar::Sidecar;
use crate::admission::review::User;
use crate::api::object::Resources;
use crate::cluster::approval::{self, Deed, Subject};
use crate::cluster::mirror::Mirrored;

use super::injection::Injected;

/// The cluster as this process knows it.
pub(super) struct Known {
    pub(super) client: Client,
    pub(super) mirrored: watch::Receiver<Mirrored>,
    pub(super) version: watch::Receiver<Option<(u32, u32)>>,
    pub(super) injected: watch::Receiver<Option<Injected>>,
    /// What others must trust, if it is ours.
    pub(super) bundle: watch::Receiver<Option<String>>,
}

impl Cluster for Known {
    fn resources(&self) -> Option<Arc<Resources>> {
        self.mirrored.borrow().resources.clone()
    }

    fn sidecar(&self) -> Option<Arc<Sidecar>> {
        self.injected.borrow().as_ref().map(|injected| Arc::clone(&injected.sidecar))
    }

    fn authority(&self) -> Option<Arc<str>> {
        let given = self.injected.borrow().as_ref().and_then(|injected| injected.authority.clone());
        given.or_else(|| self.bundle.borrow().as_deref().map(Arc::from))
    }

    fn version(&self) -> Option<Version> {
        self.version.borrow().map(|(major, minor)| Version { major, minor })
    }

    fn may_approve<'a>(
        &'a self,
        user: &'a User,
        (namespace, name): (&'a str, &'a str),
    ) -> BoxFuture<'a, Result<bool, Unanswered>> {
        let User { username, uid, groups, extra } = user.clone();
        let deed = Deed { verb: APPROVE, resource: "accessgrants", namespace, name };
        let asked = approval::may(&self.client, Subject { username, uid, groups, extra }, deed);
        asked.map(|answer| answer.ok_or(Unanswered)).boxed()
    }
}
