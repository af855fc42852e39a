//! What the chart renders, and what it refuses to render.

use std::collections::BTreeSet;

use entrance::files::yaml;
use serde_json::{Value, json};

use super::api_server::{ADMIN, ApiServer};
use super::golden::golden;
use super::helm::{Helm, object, objects, root};
use super::objects::Objects;
use super::sets;

#[test]
fn each_set_of_values_renders_as_committed_and_the_same_each_time() {
    let helm = Helm::offline();
    for (name, file) in sets() {
        let rendered = helm.renders(&["-f", &file]);
        assert_eq!(rendered, helm.renders(&["-f", &file]), "{name}");
        golden(&format!("tests/goldens/chart/{name}.yaml"), &rendered);
        let linted = helm.prints(&["lint", "--strict", "charts/entrance", "-f", &file]);
        assert!(linted.contains("0 chart(s) failed"), "{linted}");
    }
    let committed = std::fs::read_dir(root().join("tests/goldens/chart")).unwrap().count();
    assert_eq!(committed, sets().len(), "a file for each, and no other");
    helm.prints(&["lint", "--strict", "charts/entrance-crds"]);
}

#[test]
fn values_that_make_no_sense_are_refused_with_their_name() {
    let helm = Helm::offline();
    let refused = [
        ("controller.replcas=3", "at '/controller': additional properties 'replcas' not allowed"),
        ("controler.replicas=3", "additional properties 'controler' not allowed"),
        ("controller.replicas=none", "at '/controller/replicas': got string, want integer"),
        ("controller.replicas=0", "at '/controller/replicas': minimum: got 0, want 1"),
        ("image.digest=sha256:short", "at '/image/digest': 'sha256:short' does not match pattern"),
        ("image.repository=", "at '/image/repository': minLength"),
        ("clouds={Germany}", "at '/clouds/0': value must be one of 'Public', 'USGovernment', 'China'"),
        ("hostPins[0].host=orders.example.com", "at '/hostPins/0': missing property 'namespace'"),
        ("gateway.audit=syslog", "at '/gateway/audit': 'syslog' does not match pattern"),
        ("gateway.drainDelay=601", "at '/gateway/drainDelay': maximum: got 601, want 600"),
        ("webhook.url=http://webhook.example.com", "at '/webhook/url': 'http://webhook.example.com' does not match"),
        ("webhook.longestGrant=tomorrow", "at '/webhook/longestGrant': 'tomorrow' does not match pattern"),
        ("webhook.timeoutSeconds=31", "at '/webhook/timeoutSeconds': maximum: got 31, want 30"),
        ("injection.failurePolicy=Maybe", "at '/injection/failurePolicy': value must be one of 'Fail', 'Ignore'"),
        ("certificates.provider=vault", "at '/certificates/provider': value must be one of"),
        ("certificates.provider=secret", "at '/certificates/secretName': minLength: got 0, want 1"),
        ("webhook.enabled=false", "at '/certificates/provider': value must be one of 'cert-manager', 'secret'"),
        ("gateway.forwardAuth.dialect=haproxy", "at '/gateway/forwardAuth/dialect': value must be one of"),
        ("gateway.forwardAuth.dialect=nginx", "at '/gateway/forwardAuth/peers': minItems: got 0, want 1"),
        ("mesh=linkerd", "at '/mesh': value must be one of '', 'istio', 'envoy-gateway'"),
        ("istio.policies[0].namespace=shop", "at '/istio/policies/0': missing property 'name'"),
        ("envoyGateway.targets[0].namespace=edge", "at '/envoyGateway/targets/0': missing property 'name'"),
        ("envoyGateway.timeout=0s", "at '/envoyGateway/timeout': '0s' does not match pattern"),
        ("envoyGateway.statusOnError=200", "at '/envoyGateway/statusOnError': value must be one of"),
        ("mesh=envoy-gateway,envoyGateway.targets[0].name=edge", "`edge` shall ask the gateway: set gateway.enabled"),
        (
            "gateway.enabled=true,istio.policies[0].name=edge",
            "istio.policies: without `mesh: istio` none of them is made",
        ),
        (
            "gateway.enabled=true,envoyGateway.targets[0].name=edge",
            "envoyGateway.targets: without `mesh: envoy-gateway` no SecurityPolicy is made",
        ),
        (
            "gateway.enabled=true,mesh=istio,istio.policies[0].name=all",
            "`all` concerns every proxy of `default`, that of the gateway too",
        ),
        ("mesh=istio,istio.policies[0].name=a,istio.policies[1].name=a", "istio.policies: `default/a` is there twice"),
        (
            "gateway.enabled=true,mesh=envoy-gateway,envoyGateway.targets[0].name=edge,\
             envoyGateway.targets[0].sectionName=http,envoyGateway.targets[1].name=edge-http",
            "two of them come to the SecurityPolicy `default/entrance-edge-http`",
        ),
        ("controller.resources.request.cpu=1", "additional properties 'request' not allowed"),
    ];
    for (value, complaint) in refused {
        let found = helm.complains(&["template", "entrance", "charts/entrance", "--set", value]);
        assert!(found.contains(complaint), "{value}: {found}");
    }
}

#[test]
fn a_policy_of_istio_always_has_rules_and_asks_a_provider_that_there_is() {
    let helm = Helm::offline();
    let rendered = |more: &[&str]| {
        let policies = "istio.policies=[{\"name\": \"all\", \"namespace\": \"shop\"}]";
        let objects = objects(&helm.renders(&[&["--set", "mesh=istio", "--set-json", policies], more].concat()));
        object(&objects, "AuthorizationPolicy", "all")["spec"].clone()
    };
    let alone = json!({"action": "CUSTOM", "provider": {"name": "entrance-sidecar"}, "rules": [{}]});
    assert_eq!(rendered(&[]), alone);
    assert_eq!(rendered(&["--set", "gateway.enabled=true"])["provider"]["name"], "entrance");
    let refused = [
        ("[{\"name\": \"a\", \"rules\": []}]", "at '/istio/policies/0/rules': minItems: got 0, want 1"),
        (
            "[{\"name\": \"a\", \"selector\": {\"b\": \"c\"}, \"targetRefs\": [{\"kind\": \"D\", \"name\": \"e\"}]}]",
            "'not' failed",
        ),
    ];
    for (policies, complaint) in refused {
        let policies = format!("istio.policies={policies}");
        let found = helm.complains(&["template", "entrance", "charts/entrance", "--set-json", &policies]);
        assert!(found.contains(complaint), "{policies}: {found}");
    }
}

#[test]
fn the_guard_before_envoy_gateway_is_that_of_the_example() {
    let values = r#"envoyGateway={"guard": true, "targets": [{"name": "edge", "namespace": "edge", "socket": true}]}"#;
    let chart = objects(&Helm::offline().renders(&["--set", "mesh=envoy-gateway", "--set-json", values]));
    let example = std::fs::read_to_string(root().join("examples/envoy-gateway/guard.yaml")).unwrap();
    for wanted in objects(&example) {
        let kind = wanted["kind"].as_str().unwrap();
        assert_eq!(object(&chart, kind, "entrance-security-policies")["spec"], wanted["spec"], "{kind}");
    }
}

/// Wherever a Gateway may be that asks; its Envoys are to ask a sidecar where the values say so, and only there.
#[test]
fn the_guard_knows_the_namespaces_of_all_gateways() {
    let values = r#"envoyGateway={"guard": true, "grants": ["shop"],
        "targets": [{"name": "edge", "namespace": "infra"}, {"name": "edge", "namespace": "edge", "socket": true}]}"#;
    let values = ["--set", "mesh=envoy-gateway", "--set", "gateway.enabled=true", "--set-json", values];
    let chart = objects(&Helm::offline().renders(&values));
    let variables = &object(&chart, "ValidatingAdmissionPolicy", "entrance-security-policies")["spec"]["variables"];
    let named = |name: &str| {
        let mut all = variables.as_array().unwrap().iter();
        all.find(|variable| variable["name"] == name).unwrap()["expression"].clone()
    };
    assert_eq!(named("here"), "namespaceObject.metadata.name in ['edge', 'entrance', 'infra', 'shop']");
    assert_eq!(named("sockets"), "namespaceObject.metadata.name in ['edge']");
}

#[test]
fn its_notes_say_that_nothing_is_decided_until_a_proxy_asks() {
    let told = |more: &[&str]| {
        let install = ["install", "entrance", "charts/entrance", "--namespace", "entrance", "--dry-run=client"];
        Helm::offline().prints(&[&install, more].concat())
    };
    let gateway = ["--set", "gateway.enabled=true", "--set"];
    for (mesh, nothing, how) in [
        ("mesh=", true, "HTTP/2 without TLS"),
        ("mesh=envoy-gateway", false, "HTTP/2 without TLS"),
        ("mesh=istio", false, "by mutual TLS of the mesh alone"),
        ("mesh=istio,istio.dataPlane=none", false, "HTTP/2 without TLS"),
    ] {
        let notes = told(&[&gateway[..], &[mesh]].concat());
        assert!(notes.contains("decides nothing until one does"), "{mesh}: {notes}");
        assert_eq!(notes.contains("makes no object by which anything asks"), nothing, "{mesh}: {notes}");
        assert!(notes.contains(&format!("(gRPC, {how})")), "{mesh}: {notes}");
    }
}

/// The stand-ins for definitions of others.
async fn definitions(server: &ApiServer) {
    let client = server.client(ADMIN).await;
    let to = Objects { client: &client, namespace: "", manager: "test", dry_run: false };
    for entry in std::fs::read_dir(root().join("tests/chart/crds")).unwrap() {
        let definition = yaml::parse(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap().remove(0).body;
        to.apply(&definition).await.unwrap();
        let name = definition["metadata"]["name"].as_str().unwrap();
        let all = kube::Api::all(client.clone());
        let established = kube::runtime::conditions::is_crd_established();
        kube::runtime::wait::await_condition(all, name, established).await.unwrap();
    }
}

#[tokio::test]
async fn the_api_server_accepts_every_object_and_the_restricted_profile_every_pod() {
    let server = ApiServer::shared().await;
    definitions(server).await;
    let client = server.client(ADMIN).await;
    let restricted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "entrance", "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    }});
    let to = Objects { client: &client, namespace: "entrance", manager: "test", dry_run: true };
    let kept = Objects { dry_run: false, ..to };
    kept.apply(&restricted).await.unwrap();
    for name in ["istio-ingress", "shop", "orders", "edge"] {
        let others = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        kept.apply(&others).await.unwrap();
    }
    let helm = Helm::offline();
    for (name, file) in sets() {
        let mut kinds = BTreeSet::new();
        for object in objects(&helm.renders(&["-f", &file])) {
            let kind = object["kind"].as_str().unwrap().to_owned();
            to.apply(&object).await.unwrap_or_else(|error| panic!("{name}: {kind}: {error}"));
            if kind == "Deployment" && name != "outside" {
                let template = &object["spec"]["template"];
                let mut metadata = template["metadata"].clone();
                metadata["name"] = json!("pod");
                // Nobody has made the class yet.
                let mut pod =
                    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]});
                pod["spec"].as_object_mut().unwrap().remove("priorityClassName");
                to.create(&pod).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            kinds.insert(kind);
        }
        assert!(kinds.contains("Deployment") && kinds.contains("ClusterRole"), "{name}: {kinds:?}");
    }
    // The proof that the profile is enforced here.
    let bare = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": {
        "containers": [{"name": "app", "image": "app"}]}});
    let refused = to.create(&bare).await.unwrap_err();
    assert!(refused.contains("violates PodSecurity \"restricted:latest\""), "{refused}");
}

/// What each account may do: the scope of a binding, and a rule.
fn permissions(objects: &[Value]) -> BTreeSet<(String, String, String)> {
    let mut found = BTreeSet::new();
    for binding in objects.iter().filter(|object| object["kind"].as_str().unwrap().ends_with("RoleBinding")) {
        let role = &binding["roleRef"];
        let role = object(objects, role["kind"].as_str().unwrap(), role["name"].as_str().unwrap());
        for subject in binding["subjects"].as_array().unwrap() {
            let account = subject["name"].as_str().unwrap().to_owned();
            object(objects, "ServiceAccount", &account);
            let scope = binding["metadata"]["namespace"].as_str().unwrap_or("everywhere");
            for rule in role["rules"].as_array().unwrap() {
                let mut rule = rule.clone();
                rule["verbs"].as_array_mut().unwrap().sort_by_key(Value::to_string);
                found.insert((account.clone(), scope.to_owned(), rule.to_string()));
            }
        }
    }
    found
}

#[test]
fn its_roles_are_those_of_the_example() {
    let chart = objects(&Helm::offline().renders(&["--set", "gateway.enabled=true"]));
    let example = std::fs::read_to_string(root().join("examples/kubernetes/rbac.yaml")).unwrap();
    let wanted = permissions(&objects(&example));
    assert!(wanted.len() > 15, "{wanted:?}");
    assert_eq!(permissions(&chart), wanted);
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard = std::fs::read_to_string(root().join("charts/entrance/files/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let page = std::fs::read_to_string(root().join("docs/reference/metrics.md")).unwrap();
    let expressions =
        dashboard["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let mut asked = BTreeSet::new();
    for target in expressions {
        let expression = target["expr"].as_str().unwrap();
        let words = expression.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
        asked.extend(words.filter(|word| word.starts_with("entrance_")).map(|word| word.trim_end_matches("_bucket")));
    }
    assert!(asked.len() > 8, "{asked:?}");
    for metric in asked {
        assert!(page.contains(&format!("| `{metric}` |")), "{metric}");
    }
}
