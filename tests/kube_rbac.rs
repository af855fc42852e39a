//! The roles of `examples/kubernetes/rbac.yaml` are enough for what the accounts do, and for nothing more: the API server
//! itself is asked.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "support/api_server.rs"]
#[expect(dead_code, reason = "other tests stop the server and act as others")]
mod api_server;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "support/rbac.rs"]
#[expect(dead_code, reason = "other tests have an installation of their own")]
mod rbac;

use std::sync::Arc;

use entrance::clock::SystemClock;
use entrance::cluster::review::{Holder, ReviewFault, Reviewer};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;

use api_server::{ADMIN, ApiServer};

const SYSTEM: &str = "entrance";
const CONTROLLER: &str = "entrance-controller";
const GATEWAY: &str = "entrance-gateway";
const WEBHOOK: &str = "entrance-webhook";
const READ: [&str; 3] = ["get", "list", "watch"];
const OTHERS: [&str; 4] = ["referencegrants", "httproutes", "grpcroutes", "gateways"];
const KINDS: [&str; 4] = ["entraapplications", "accesspolicies", "accessgrants", "tokenrevocations"];

/// Whether an account may do something: a verb, and `group/resource` or `group/resource/subresource`, perhaps of one name.
async fn may(client: &Client, account: &str, ask: (&str, &str, &str), namespace: &str) -> bool {
    let (verb, what, name) = ask;
    let mut parts = what.split('/');
    let (group, resource) = (parts.next().unwrap(), parts.next().unwrap());
    let review: SubjectAccessReview = serde_json::from_value(json!({
        "metadata": {},
        "spec": {
            "user": format!("system:serviceaccount:{SYSTEM}:{account}"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{SYSTEM}"), "system:authenticated"],
            "resourceAttributes": {
                "verb": verb, "group": group, "resource": resource, "name": name, "namespace": namespace,
                "subresource": parts.next().unwrap_or_default(),
            },
        },
    }))
    .unwrap();
    let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await.unwrap();
    answer.status.unwrap().allowed
}

/// What an account may do in every namespace.
fn everywhere(account: &str) -> Vec<(&'static str, String)> {
    let kinds = KINDS.iter().map(|kind| format!("entrance.dev/{kind}"));
    let others = OTHERS.map(|kind| format!("gateway.networking.k8s.io/{kind}"));
    let read = kinds.chain(others).chain(["/configmaps".to_owned(), "/services".to_owned()]);
    let mut all: Vec<_> = read.flat_map(|what| READ.map(|verb| (verb, what.clone()))).collect();
    if account == CONTROLLER {
        all.extend(KINDS.iter().map(|kind| ("patch", format!("entrance.dev/{kind}/status"))));
        all.extend(READ.map(|verb| (verb, "gateway.envoyproxy.io/securitypolicies".to_owned())));
        all.push(("create", "authentication.k8s.io/tokenreviews".to_owned()));
        all.push(("get", "/pods".to_owned()));
        all.extend(["create", "patch"].map(|verb| (verb, "events.k8s.io/events".to_owned())));
    }
    if account == WEBHOOK {
        all.push(("create", "authorization.k8s.io/subjectaccessreviews".to_owned()));
    }
    all
}

/// What accounts may do with single objects.
async fn by_name(client: &Client) {
    let hooks = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"];
    let hooks = hooks.map(|kind| format!("admissionregistration.k8s.io/{kind}"));
    let (leases, secrets) = ("coordination.k8s.io/leases".to_owned(), "/secrets".to_owned());
    for account in [CONTROLLER, GATEWAY, WEBHOOK] {
        let (leads, keeps) = (account == CONTROLLER, account == WEBHOOK);
        let leases = [
            ("create", "", leads),
            ("get", CONTROLLER, leads),
            ("update", CONTROLLER, leads),
            ("delete", CONTROLLER, false),
            ("get", "another", false),
            ("update", "another", false),
            ("list", "", false),
        ]
        .map(|ask| (&leases, ask));
        let maps = "/configmaps".to_owned();
        let maps = [
            ("create", "", leads),
            ("patch", CONTROLLER, leads),
            ("patch", "another", false),
            ("update", CONTROLLER, false),
            ("delete", CONTROLLER, false),
        ]
        .map(|ask| (&maps, ask));
        let secrets = [
            ("get", "entrance-certificates", leads || keeps),
            ("update", "entrance-certificates", keeps),
            ("patch", "entrance-certificates", false),
            ("delete", "entrance-certificates", false),
            ("get", "another", false),
        ]
        .map(|ask| (&secrets, ask));
        let hooks = hooks.iter().flat_map(|of| {
            [
                ("get", "entrance", keeps),
                ("patch", "entrance", keeps),
                ("update", "entrance", false),
                ("get", "another", false),
            ]
            .map(|ask| (of, ask))
        });
        for (of, (verb, name, wanted)) in leases.into_iter().chain(maps).chain(secrets).chain(hooks) {
            let found = may(client, account, (verb, of, name), SYSTEM).await;
            assert_eq!(found, wanted, "{account} {verb} {of} {name}");
        }
    }
}

#[tokio::test]
async fn each_account_may_do_what_it_does_and_nothing_else() {
    let server = ApiServer::shared().await;
    let client = server.client(ADMIN).await;
    rbac::apply(&client).await;
    let namespace = server.namespace("users").await;
    let others =
        ["/secrets", "/services", "/serviceaccounts", "/serviceaccounts/token", "/nodes", "/pods/exec", "/pods/log"];
    let groups = ["apps/deployments", "coordination.k8s.io/leases", "rbac.authorization.k8s.io/clusterroles", "*/*"];
    let kinds = KINDS.iter().flat_map(|kind| [format!("entrance.dev/{kind}"), format!("entrance.dev/{kind}/status")]);
    let known = [
        "gateway.envoyproxy.io/securitypolicies",
        "/configmaps",
        "/pods",
        "events.k8s.io/events",
        "/events",
        "gateway.networking.k8s.io/gatewayclasses",
    ];
    let gateways =
        OTHERS.iter().flat_map(|kind| ["", "/status"].map(|of| format!("gateway.networking.k8s.io/{kind}{of}")));
    let reviews = ["authentication.k8s.io/tokenreviews", "authorization.k8s.io/subjectaccessreviews"];
    let all =
        others.into_iter().chain(groups).chain(known).chain(reviews).map(str::to_owned).chain(kinds).chain(gateways);
    let verbs = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate", "*"];
    let all: Vec<String> = all.collect();
    for account in [CONTROLLER, GATEWAY, WEBHOOK] {
        let allowed = everywhere(account);
        for what in &all {
            for verb in verbs {
                let wanted = allowed.iter().any(|(known, of)| *known == verb && of == what);
                let found = may(&client, account, (verb, what, ""), &namespace).await;
                assert_eq!(found, wanted, "{account} {verb} {what}");
            }
        }
    }
    by_name(&client).await;
    holders_are_told(server, &namespace).await;
}

/// The controller's account says who holds a token: enough for reviews, whatever the holder may do himself.
async fn holders_are_told(server: &ApiServer, namespace: &str) {
    let admin = server.client(ADMIN).await;
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), namespace);
    let account = serde_json::from_value(json!({"metadata": {"name": "orders"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(admin, namespace);
    let pod = json!({
        "metadata": {"name": "orders-0", "labels": {"app": "orders"}},
        "spec": {"serviceAccountName": "orders", "containers": [{"name": "app", "image": "app"}]},
    });
    let pod = pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let controller = server.account_token(SYSTEM, CONTROLLER, &[]).await;
    let reviewer = Reviewer::new(server.client(&controller).await, Arc::new(SystemClock));
    let unbound = server.account_token(namespace, "orders", &["entrance"]).await;
    let (of, account) = (Arc::from(namespace), Arc::from("orders"));
    assert_eq!(reviewer.holder(&unbound).await, Ok(Holder { namespace: of, account, pod: None }));
    let bound = server.pod_token(namespace, ("orders", &pod), &["entrance"]).await;
    let holder = reviewer.holder(&bound).await.unwrap();
    let (name, labels) = holder.pod.unwrap();
    assert_eq!((&*name, labels), ("orders-0", [("app".to_owned(), "orders".to_owned())].into()));
    let other = server.account_token(namespace, "orders", &[]).await;
    for refused in [&*other, ADMIN, "rubbish"] {
        assert_eq!(reviewer.holder(refused).await, Err(ReviewFault::Refused), "{refused}");
    }
}
