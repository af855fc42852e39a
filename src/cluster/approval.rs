//! Whether somebody may do something in a namespace: asked of the API server's own authorizer, for each question anew.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};

use crate::api::object::{GROUP, VERSION};

/// For one question. The API server waits for our own answer meanwhile.
const PATIENCE: Duration = Duration::from_secs(3);

/// A user, as the API server authenticated them.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The name.
    pub username: String,
    /// The id, if there is one.
    pub uid: String,
    /// The groups.
    pub groups: Vec<String>,
    /// What else is known.
    pub extra: BTreeMap<String, Vec<String>>,
}

/// What is to be done, to which object of ours.
#[derive(Clone, Copy, Debug)]
pub struct Deed<'a> {
    /// The verb.
    pub verb: &'a str,
    /// The plural of the kind.
    pub resource: &'a str,
    /// The namespace.
    pub namespace: &'a str,
    /// The name; empty for any.
    pub name: &'a str,
}

/// Whether a user may. `None`: the API server does not say.
pub async fn may(client: &Client, subject: Subject, deed: Deed<'_>) -> Option<bool> {
    let Subject { username, uid, groups, extra } = subject;
    let attributes = ResourceAttributes {
        group: Some(GROUP.to_owned()),
        version: Some(VERSION.to_owned()),
        resource: Some(deed.resource.to_owned()),
        verb: Some(deed.verb.to_owned()),
        namespace: Some(deed.namespace.to_owned()),
        name: Some(deed.name.to_owned()).filter(|name| !name.is_empty()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(username),
        uid: Some(uid).filter(|uid| !uid.is_empty()),
        groups: Some(groups),
        extra: Some(extra),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    match tokio::time::timeout(PATIENCE, api.create(&PostParams::default(), &review)).await {
        Ok(Ok(answer)) => answer.status.map(|status| status.allowed && status.denied != Some(true)),
        Ok(Err(error)) => {
            tracing::warn!(code = "access_review_failed", %error);
            None
        }
        Err(_) => {
            tracing::warn!(code = "access_review_failed", error = "no answer in time");
            None
        }
    }
}
