//! The chart is installed, upgraded, rolled back and removed in a real API server; what others have written meanwhile stays.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope, verbs};
use serde_json::{Value, json};

use super::api_server::{ADMIN, ApiServer};
use super::helm::{Helm, object, objects, root};
use super::objects::Objects;

const NAMESPACE: &str = "entrance";

/// The chart of the previous commit, in this directory; the present one if there was none.
fn previous(directory: &Path) -> String {
    let script = "git archive HEAD~1 charts/entrance | tar -x -C \"$0\"";
    let ran = Command::new("bash").args(["-o", "pipefail", "-c", script]).arg(directory).current_dir(root()).output();
    let chart = directory.join("charts/entrance");
    let whole = ran.unwrap().status.success() && chart.join("Chart.yaml").is_file();
    let chart = if whole { chart } else { root().join("charts/entrance") };
    chart.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn it_is_installed_upgraded_rolled_back_and_removed() {
    let server = ApiServer::start().await;
    let client = server.client(ADMIN).await;
    let helm = Helm::of(server.kubeconfig(ADMIN));
    let directory = tempfile::tempdir().unwrap();
    let before = previous(directory.path());
    helm.prints(&["install", "entrance-crds", "charts/entrance-crds", "--take-ownership"]);
    let notes = helm.prints(&["install", "entrance", &before, "--namespace", NAMESPACE, "--create-namespace"]);
    assert!(notes.contains("helm test entrance --namespace entrance"), "{notes}");
    assert!(!notes.contains("definitions were not there"), "{notes}");

    let installed = manifest(&helm);
    others_write(&client, &installed).await;
    let values = root().join("tests/chart/values/gateway.yaml");
    let upgrade = ["upgrade", "entrance", "charts/entrance", "--namespace", NAMESPACE, "-f", values.to_str().unwrap()];
    helm.prints(&upgrade);
    others_find_what_they_wrote(&client, &installed).await;
    let upgraded = manifest(&helm);
    object(&upgraded, "HorizontalPodAutoscaler", "entrance-gateway");
    nothing_drifts(&client, &upgraded).await;

    helm.prints(&["rollback", "entrance", "1", "--namespace", NAMESPACE]);
    others_find_what_they_wrote(&client, &installed).await;
    let gateway = object(&upgraded, "Deployment", "entrance-gateway");
    assert!(as_others(&client, "test").read(gateway).await.is_none(), "the first revision had no gateway");
    nothing_drifts(&client, &installed).await;

    helm.prints(&["uninstall", "entrance", "--namespace", NAMESPACE]);
    helm.prints(&["uninstall", "entrance-crds"]);
    assert_eq!(remains(&client).await, Vec::<String>::new());
    let kept = helm_definitions(&client).await;
    assert_eq!(kept, ["accessgrants", "accesspolicies", "entraapplications", "tokenrevocations"]);
}

fn manifest(helm: &Helm) -> Vec<Value> {
    objects(&helm.prints(&["get", "manifest", "entrance", "--namespace", NAMESPACE]))
}

fn as_others<'c>(client: &'c Client, manager: &'c str) -> Objects<'c> {
    Objects { client, namespace: NAMESPACE, manager, dry_run: false }
}

fn bundle() -> Value {
    json!(STANDARD.encode(include_bytes!("authority.pem")))
}

/// What the programs write at run time: the certificate, whom to trust, who leads.
async fn others_write(client: &Client, installed: &[Value]) {
    let webhook = as_others(client, "entrance-webhook");
    let secret = object(installed, "Secret", "entrance-certificates");
    webhook.merge(secret, ("", &json!({"data": {"tls.crt": "Y2VydA=="}}))).await.unwrap();
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let configuration = object(installed, kind, "entrance");
        let names = configuration["webhooks"].as_array().unwrap().iter().map(|webhook| &webhook["name"]);
        let trusting: Vec<_> =
            names.map(|name| json!({"name": name, "clientConfig": {"caBundle": bundle()}})).collect();
        let patch = json!({"apiVersion": configuration["apiVersion"], "kind": kind,
            "metadata": {"name": "entrance"}, "webhooks": trusting});
        webhook.apply(&patch).await.unwrap();
    }
    let lease = object(installed, "Lease", "entrance-controller");
    let holder = json!({"spec": {"holderIdentity": "entrance-controller-0", "leaseDurationSeconds": 15}});
    as_others(client, "entrance").merge(lease, ("", &holder)).await.unwrap();
}

async fn others_find_what_they_wrote(client: &Client, installed: &[Value]) {
    let to = as_others(client, "test");
    let secret = to.read(object(installed, "Secret", "entrance-certificates")).await.unwrap();
    assert_eq!(secret["data"]["tls.crt"], "Y2VydA==");
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        let configuration = to.read(object(installed, kind, "entrance")).await.unwrap();
        let webhooks = configuration["webhooks"].as_array().unwrap();
        assert!(!webhooks.is_empty());
        for webhook in webhooks {
            assert_eq!(webhook["clientConfig"]["caBundle"], bundle(), "{kind}");
        }
    }
    let lease = to.read(object(installed, "Lease", "entrance-controller")).await.unwrap();
    assert_eq!(lease["spec"]["holderIdentity"], "entrance-controller-0");
}

/// Whoever applies the same objects again, as Argo CD and Flux do all the time, would change nothing.
async fn nothing_drifts(client: &Client, rendered: &[Value]) {
    let again = Objects { dry_run: true, ..as_others(client, "gitops") };
    for object in rendered {
        let plain = |mut object: Value| {
            let metadata = object["metadata"].as_object_mut().unwrap();
            metadata.remove("managedFields");
            metadata.remove("resourceVersion");
            object
        };
        let live = plain(again.read(object).await.unwrap());
        let applied = again.apply(object).await.unwrap();
        assert_eq!(plain(applied), live);
    }
}

/// Everything that is left of the release: in its namespace, or with its label.
async fn remains(client: &Client) -> Vec<String> {
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let mut found = Vec::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            if !capabilities.supports_operation(verbs::LIST) {
                continue;
            }
            let api: Api<DynamicObject> = match capabilities.scope {
                Scope::Namespaced => Api::namespaced_with(client.clone(), NAMESPACE, &resource),
                Scope::Cluster => Api::all_with(client.clone(), &resource),
            };
            let labelled = ListParams::default().labels("app.kubernetes.io/instance=entrance");
            let asked = if capabilities.scope == Scope::Cluster { labelled } else { ListParams::default() };
            let list = api.list(&asked).await.unwrap();
            found.extend(list.items.iter().map(|item| format!("{} {:?}", resource.kind, item.metadata.name)));
        }
    }
    found
}

async fn helm_definitions(client: &Client) -> Vec<String> {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let all: Api<CustomResourceDefinition> = Api::all(client.clone());
    let all = all.list(&ListParams::default()).await.unwrap().items.into_iter();
    all.map(|definition| definition.spec.names.plural).collect()
}
