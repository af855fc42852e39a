//! A view counts when it is whole, as one step: what comes in parts is neither enforced nor kept before its end.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use entrance::api::object::{Object, Resources};
use entrance::api::settings::Scope;
use entrance::delivery::session::Session;
use entrance::delivery::subscription::{Became, Subscription};
use entrance::delivery::view::{Audience, Catalogue};
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryResponse;
use envoy_types::pb::google::rpc::Status;
use serde_json::{Value, json};

fn object(body: &Value) -> Arc<Object> {
    Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap())
}

fn policy(namespace: &str, name: &str) -> Arc<Object> {
    let metadata = json!({"namespace": namespace, "name": name});
    object(&json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy", "metadata": metadata}))
}

/// An application, and a key set of a mebibyte.
fn application(namespace: &str, name: &str) -> [Arc<Object>; 2] {
    let metadata = json!({"namespace": namespace, "name": name});
    let keys = json!({"keys": {"staticJwks": {"configMapRef": {"name": name}}}});
    let data = json!({"keys": "x".repeat(1 << 20)});
    [
        json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "EntraApplication", "metadata": metadata, "spec": keys}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}),
    ]
    .map(|body| object(&body))
}

fn resources(objects: &[Arc<Object>]) -> Resources {
    let mut resources = Resources::new();
    objects.iter().for_each(|object| drop(resources.put(Arc::clone(object))));
    resources
}

fn workload() -> Audience {
    Audience::Workload { namespace: "shop".into(), labels: BTreeMap::new() }
}

/// Both ends of a stream.
struct Stream {
    audience: Audience,
    catalogue: Catalogue,
    session: Session,
    subscription: Subscription,
    /// A name that the subscriber cannot read.
    refuses: Option<&'static str>,
}

impl Stream {
    fn new(audience: Audience, objects: &[Arc<Object>]) -> Self {
        let mut subscription = Subscription::default();
        let session = Session::begin(&subscription.subscribe());
        let catalogue = Catalogue::default().next(&resources(objects));
        Self { audience, catalogue, session, subscription, refuses: None }
    }

    fn publish(&mut self, objects: &[Arc<Object>]) {
        self.catalogue = self.catalogue.next(&resources(objects));
    }

    fn response(&mut self) -> Option<DeltaDiscoveryResponse> {
        self.session.send(&self.catalogue.view(&self.audience), self.catalogue.generation)
    }

    /// One response and its answer; `None`: there is nothing to send.
    fn exchange(&mut self) -> Option<Became> {
        let response = self.response()?;
        let bad = response.resources.iter().any(|envelope| Some(&*envelope.name) == self.refuses);
        if bad {
            let mut answer = Subscription::default().take(&response).answer;
            answer.error_detail = Some(Status { code: 3, message: "no".to_owned(), ..Status::default() });
            self.session.hear(&answer);
            return Some(Became::Underway);
        }
        let taken = self.subscription.take(&response);
        self.session.hear(&taken.answer);
        Some(taken.became)
    }

    /// What became of all of them.
    fn rest(&mut self) -> Vec<Became> {
        std::iter::from_fn(|| self.exchange()).take(64).collect()
    }

    fn stands(&self) -> Vec<String> {
        self.subscription.resources().all().map(|object| object.id.to_string()).collect()
    }
}

#[test]
fn a_view_that_comes_in_parts_counts_at_its_end() {
    let large: Vec<_> = (0..20).flat_map(|at| application("shop", &format!("a{at}"))).collect();
    for (audience, scope) in [
        (Audience::Gateway, Scope::Gateway),
        (workload(), Scope::Workload { namespace: "shop".into(), labels: BTreeMap::new() }),
    ] {
        let mut stream = Stream::new(audience, &large);
        for _ in 0..2 {
            assert_eq!(stream.exchange(), Some(Became::Underway));
            assert_eq!((stream.subscription.scope(), stream.stands().len()), (None, 0), "a part of it counts");
        }
        assert_eq!(stream.rest(), [Became::Whole]);
        assert_eq!((stream.subscription.scope(), stream.stands().len()), (Some(scope), large.len()));
        // one small change is one message
        let changed: Vec<_> = large.iter().cloned().chain([policy("shop", "orders")]).collect();
        stream.publish(&changed);
        assert_eq!(stream.rest(), [Became::Whole]);
        assert_eq!(stream.stands().len(), changed.len());
        // a large one leaves what stood until it is whole
        stream.publish(&[policy("shop", "orders")]);
        stream.rest();
        stream.publish(&changed);
        assert_eq!(stream.exchange(), Some(Became::Underway));
        assert_eq!(stream.stands(), ["AccessPolicy shop/orders"]);
        assert_eq!(stream.rest(), [Became::Underway, Became::Whole]);
        assert_eq!(stream.stands().len(), changed.len());
    }
}

#[test]
fn a_first_view_that_lacks_something_does_not_count_and_a_later_one_does() {
    let all = [policy("evil", "mine"), policy("shop", "orders"), policy("shop", "other")];
    let mut stream = Stream::new(Audience::Gateway, &all);
    stream.refuses = Some("AccessPolicy/shop/orders");
    let became = stream.rest();
    assert_eq!(became.last(), Some(&Became::Lacking(vec!["AccessPolicy/shop/orders".to_owned()])), "{became:?}");
    assert_eq!(stream.subscription.scope(), None);
    // it goes, and the view is whole without it
    stream.publish(&[policy("evil", "mine"), policy("shop", "other")]);
    assert_eq!(stream.rest(), [Became::Whole]);
    assert_eq!(stream.stands(), ["AccessPolicy evil/mine", "AccessPolicy shop/other"]);
    // from here on one that is refused keeps no other out
    stream.publish(&[policy("shop", "orders"), policy("shop", "third")]);
    assert_eq!(stream.rest().last(), Some(&Became::Whole));
    assert_eq!(stream.stands(), ["AccessPolicy shop/third"]);
}

#[test]
fn whoever_holds_something_else_than_is_believed_asks_for_everything_anew() {
    let all = [policy("shop", "orders"), policy("shop", "other")];
    let mut stream = Stream::new(workload(), &all);
    stream.rest();
    // a message is lost, and so is what it brought
    stream.publish(&[policy("shop", "orders"), policy("shop", "lost")]);
    let response = stream.response().unwrap();
    let mut unread = Subscription::default();
    drop(unread.subscribe());
    stream.session.hear(&unread.take(&response).answer);
    stream.publish(&[policy("shop", "orders"), policy("shop", "lost"), policy("shop", "next")]);
    assert_eq!(stream.exchange(), Some(Became::Strayed));
    assert_eq!(stream.stands(), ["AccessPolicy shop/orders", "AccessPolicy shop/other"]);
    let anew = stream.subscription.subscribe();
    assert!(anew.initial_resource_versions.is_empty());
    stream.session = Session::begin(&anew);
    assert_eq!(stream.rest(), [Became::Whole]);
    assert_eq!(stream.stands().len(), 3);
}

#[test]
fn a_subscriber_that_knows_nothing_of_ends_is_told_of_none_and_gets_a_view_in_one_message() {
    let large: Vec<_> = (0..20).flat_map(|at| application("shop", &format!("a{at}"))).collect();
    let mut stream = Stream::new(workload(), &large);
    let mut first = stream.subscription.subscribe();
    first.resource_names_subscribe = vec!["*".to_owned()];
    stream.session = Session::begin(&first);
    let response = stream.response().unwrap();
    assert_eq!(response.resources.len(), large.len() + 1);
    assert!(response.resources.iter().all(|envelope| envelope.name != "complete"));
    // nor does one that waits for an end count what comes without
    assert_eq!(stream.subscription.take(&response).became, Became::Underway);
    assert_eq!(stream.subscription.scope(), None);
}
