//! Whose service-account token is this: asked of the API server, and remembered for a little while.
//!
//! The token must be for our audience. What its holder may see follows from what the API server says of it: the
//! namespace of the service account, and the labels of the pod that the token is bound to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PartialObjectMeta, PostParams};
use kube::{Client, ResourceExt as _};

use crate::clock::{Clock, UnixTime};

/// The audience that tokens must be for.
pub const AUDIENCE: &str = "entrance";
/// How long an answer counts. A token that is withdrawn counts as long.
const REMEMBERED: i64 = 60;
/// Most answers that are remembered.
const MOST: usize = 10_000;
/// For one question.
const PATIENCE: Duration = Duration::from_secs(5);
const PREFIX: &str = "system:serviceaccount:";
const POD: &str = "authentication.kubernetes.io/pod-name";

/// Who holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The namespace of the service account.
    pub namespace: Arc<str>,
    /// The service account.
    pub account: Arc<str>,
    /// The pod that the token is bound to, and its labels.
    pub pod: Option<(Arc<str>, BTreeMap<String, String>)>,
}

/// Why nobody can say who holds a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewFault {
    /// The API server does not accept it for our audience.
    #[error("the API server does not accept it for the audience `entrance`")]
    Refused,
    /// It is not a service account's.
    #[error("it is not a service account's")]
    NotAnAccount,
    /// The pod it is bound to is gone.
    #[error("the pod that it is bound to is gone")]
    PodGone,
    /// The API server does not answer.
    #[error("the API server does not answer")]
    Unavailable,
}

/// Reviews tokens.
pub struct Reviewer {
    client: Client,
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<[u8; 32], (UnixTime, Holder)>>,
}

impl Reviewer {
    /// A reviewer that remembers nothing yet.
    #[must_use]
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock, known: Mutex::default() }
    }

    /// Who holds this token. Only good answers are remembered, by a hash of the token.
    ///
    /// # Errors
    /// [`ReviewFault`].
    pub async fn holder(&self, token: &str) -> Result<Holder, ReviewFault> {
        let key = hash(token);
        let now = self.clock.unix();
        if let Some((_, holder)) = self.known().get(&key).filter(|(until, _)| now < *until) {
            return Ok(holder.clone());
        }
        let asked = tokio::time::timeout(PATIENCE, self.ask(token)).await;
        let holder = asked.unwrap_or(Err(ReviewFault::Unavailable))?;
        let mut known = self.known();
        if known.len() >= MOST {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() < MOST {
            known.insert(key, (now.plus(REMEMBERED), holder.clone()));
        }
        Ok(holder)
    }

    async fn ask(&self, token: &str) -> Result<Holder, ReviewFault> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer = Api::<TokenReview>::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| unavailable(&error))?.status.ok_or(ReviewFault::Refused)?;
        let ours = status.audiences.iter().flatten().any(|audience| audience == AUDIENCE);
        if status.authenticated != Some(true) || !ours {
            return Err(ReviewFault::Refused);
        }
        let user = status.user.ok_or(ReviewFault::NotAnAccount)?;
        let (namespace, account) = account(&user).ok_or(ReviewFault::NotAnAccount)?;
        let pod = match pod(&user) {
            Some(pod) => Some((Arc::from(pod), self.labels(namespace, pod).await?)),
            None => None,
        };
        Ok(Holder { namespace: namespace.into(), account: account.into(), pod })
    }

    async fn labels(&self, namespace: &str, pod: &str) -> Result<BTreeMap<String, String>, ReviewFault> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let found: Option<PartialObjectMeta<Pod>> =
            pods.get_metadata_opt(pod).await.map_err(|error| unavailable(&error))?;
        found.map(|pod| pod.labels().clone()).ok_or(ReviewFault::PodGone)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], (UnixTime, Holder)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(error: &kube::Error) -> ReviewFault {
    tracing::warn!(code = "review_failed", %error, "cannot judge a subscriber's token");
    ReviewFault::Unavailable
}

fn account(user: &UserInfo) -> Option<(&str, &str)> {
    let (namespace, account) = user.username.as_deref()?.strip_prefix(PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !account.is_empty() && !account.contains(':')).then_some((namespace, account))
}

fn pod(user: &UserInfo) -> Option<&str> {
    match user.extra.as_ref()?.get(POD)?.as_slice() {
        [pod] => Some(pod),
        [] | [_, _, ..] => None,
    }
}

fn hash(token: &str) -> [u8; 32] {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    let mut key = [0; 32];
    for (slot, byte) in key.iter_mut().zip(hash.as_ref()) {
        *slot = *byte;
    }
    key
}
