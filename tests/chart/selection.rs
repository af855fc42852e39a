//! Whom the webhook configurations concern. Here nobody answers, so whoever is concerned is refused.

use serde_json::{Value, json};

use super::api_server::{ADMIN, ApiServer};
use super::helm::{Helm, objects};
use super::objects::Objects;

const POD: &str = "entrance.dev/inject";

fn namespace(name: &str, says: &str) -> Value {
    let labels = if says.is_empty() { json!({}) } else { json!({POD: says}) };
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// A pod in a namespace, with a label and an annotation, perhaps.
fn pod(within: &str, label: &str, annotation: &str) -> Value {
    let words = |word: &str| if word.is_empty() { json!({}) } else { json!({POD: word}) };
    json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "app", "image": "app"}]}, "metadata": {
        "generateName": "app-", "namespace": within, "labels": words(label), "annotations": words(annotation)}})
}

fn configurations(more: &[&str]) -> Vec<Value> {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("webhook.url=https://{closed}");
    let all = objects(&Helm::offline().renders(&[&["--set", &url], more].concat()));
    all.into_iter().filter(|object| object["kind"].as_str().unwrap().ends_with("WebhookConfiguration")).collect()
}

/// Creates until the answer is as wanted: the API server learns of configurations a moment later.
async fn until(to: &Objects<'_>, object: &Value, refused: bool) {
    let wait = async {
        while to.create(object).await.is_err() != refused {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait).await.unwrap();
}

#[tokio::test]
async fn while_the_webhook_is_away_those_who_asked_for_it_wait_and_nobody_else() {
    let server = ApiServer::start().await;
    let client = server.client(ADMIN).await;
    let real = Objects { client: &client, namespace: "plain", manager: "test", dry_run: false };
    for (name, says) in
        [("plain", ""), ("asks", "true"), ("declines", "false"), ("kube-system", "true"), ("entrance", "true")]
    {
        real.apply(&namespace(name, says)).await.unwrap();
    }
    let (application, policy) = resources();
    for object in [&application, &policy] {
        real.create(object).await.unwrap();
    }
    for configuration in configurations(&[]) {
        real.apply(&configuration).await.unwrap();
    }
    let to = Objects { dry_run: true, ..real };
    until(&to, &pod("asks", "", ""), true).await;
    let mut other = policy.clone();
    other["metadata"]["name"] = json!("another");
    until(&to, &other, true).await;
    pods(&to).await;
    own(&to, (&application, &policy)).await;

    for configuration in configurations(&["--set", "injection.failurePolicy=Ignore"]) {
        real.apply(&configuration).await.unwrap();
    }
    until(&to, &pod("asks", "", ""), false).await;
    assert!(to.create(&other).await.is_err(), "our own kinds stay closed");
}

async fn pods(to: &Objects<'_>) {
    // namespace, label, annotation, and which of the webhooks is asked
    for (within, label, annotation, asked) in [
        ("plain", "", "", ""),
        ("plain", "true", "", "labels"),
        ("plain", "true", "true", "labels"),
        ("plain", "true", "false", ""),
        ("plain", "", "true", "annotations"),
        ("plain", "false", "true", ""),
        ("plain", "false", "", ""),
        ("asks", "", "", "namespaces"),
        ("asks", "true", "", "namespaces"),
        ("asks", "", "true", "namespaces"),
        ("asks", "false", "", ""),
        ("asks", "", "false", ""),
        ("asks", "true", "false", ""),
        ("declines", "", "", ""),
        ("declines", "true", "", ""),
        ("declines", "", "true", ""),
        ("kube-system", "", "", ""),
        ("kube-system", "true", "", ""),
        ("entrance", "true", "true", ""),
    ] {
        let came = to.create(&pod(within, label, annotation)).await;
        let what = format!("{within}, label {label:?}, annotation {annotation:?}");
        match came {
            Ok(_) => assert_eq!(asked, "", "{what} was not stopped"),
            Err(error) => {
                let wanted = format!("failed calling webhook \"{asked}.inject.entrance.dev\"");
                assert!(error.contains(&wanted), "{what}: {error}");
            }
        }
    }
    let mut mirror = pod("asks", "", "");
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "1"});
    mirror["spec"]["nodeName"] = json!("node");
    to.create(&mirror).await.unwrap();
}

fn resources() -> (Value, Value) {
    let resource = |kind: &str, spec: Value| {
        json!({"apiVersion": "entrance.dev/v1alpha1", "kind": kind, "spec": spec,
            "metadata": {"name": "orders", "namespace": "plain"}})
    };
    let application = resource(
        "EntraApplication",
        json!({"tenants": [{"id": "11111111-1111-4111-8111-111111111111", "name": "contoso"}],
            "clientId": "aaaaaaaa-0000-4000-8000-000000000001"}),
    );
    let policy = resource(
        "AccessPolicy",
        json!({"applicationRef": {"name": "orders"}, "hosts": ["orders.example.com"], "routes": []}),
    );
    (application, policy)
}

/// Of our own kinds, what concerns the webhook waits; statuses, labels and removals of policies do not.
async fn own(to: &Objects<'_>, (application, policy): (&Value, &Value)) {
    for (part, change, refused) in [
        ("", json!({"spec": {"mode": "Shadow"}}), true),
        ("", json!({"metadata": {"annotations": {"entrance.dev/allow-delete": "true"}}}), true),
        ("", json!({"metadata": {"labels": {"team": "shop"}}}), false),
        ("", json!({"metadata": {"finalizers": ["example.com/keep"]}}), false),
        ("status", json!({"status": {"observedGeneration": 1}}), false),
    ] {
        let came = to.merge(policy, (part, &change)).await;
        assert_eq!(came.is_err(), refused, "{part} {change}: {came:?}");
    }
    let refused = to.delete(application).await.unwrap_err();
    assert!(refused.contains("failed calling webhook \"resources.validate.entrance.dev\""), "{refused}");
    to.delete(policy).await.unwrap();
}
