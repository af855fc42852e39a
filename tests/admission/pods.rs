//! Pods of many shapes, and what they come to be. `ENTRANCE_UPDATE=1` rewrites the golden: look at the diff.

use std::path::Path;

use entrance::admission::inject::sidecar::Sidecar;
use entrance::admission::inject::{Ground, INJECTED, Version, inject};
use entrance::admission::review::Verdict;
use entrance::files::yaml;
use serde_json::{Value, json};

use super::{changed, refused, request};

const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";

fn sidecar() -> Sidecar {
    Sidecar::read(json!({
        "image": "registry.example.com/entrance:1", "imagePullPolicy": "IfNotPresent",
        "controller": "https://entrance-controller.entrance.svc:9193", "audit": "stdout", "args": ["--drain-timeout", "5"],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "env": [{"name": "RUST_LOG", "value": "info"}],
    }))
    .unwrap()
}

fn ground(sidecar: &Sidecar) -> Ground<'_> {
    let version = Some(Version { major: 1, minor: 33 });
    Ground { sidecar: Some(sidecar), authority: Some(AUTHORITY), version, namespace: "entrance" }
}

fn ask(pod: &Value) -> Verdict {
    inject(&request("Pod", "CREATE", (Value::Null, pod.clone())), &ground(&sidecar()))
}

fn pod(metadata: Value, spec: Value) -> Value {
    let mut whole = json!({"containers": [{"name": "app", "image": "app"}]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole})
}

/// Name and pod of each case.
fn cases() -> Vec<(String, Value)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/pods.yaml");
    let documents = yaml::parse(&std::fs::read(file).unwrap()).unwrap();
    let case = |body: &Value| (body["case"].as_str().unwrap().to_owned(), body["pod"].clone());
    documents.iter().map(|document| case(&document.body)).collect()
}

#[test]
fn every_shape_comes_back_as_it_must_and_twice_the_same() {
    let mut text = String::new();
    for (name, pod) in cases() {
        let verdict = ask(&pod);
        text.push_str(&format!("=== {name}\n"));
        if verdict.outcome.is_err() {
            text.push_str(&format!("refused: {}\n", refused(&verdict)));
            continue;
        }
        let after = changed(&pod, &verdict);
        assert_eq!(ask(&after).outcome, Ok(vec![]), "{name}: asked again");
        text.push_str(&if after == pod { "left alone\n".to_owned() } else { format!("{after:#}\n") });
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/pods.txt");
    if std::env::var_os("ENTRANCE_UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    for (at, (found, wanted)) in found.lines().zip(text.lines()).enumerate() {
        assert_eq!(found, wanted, "line {} of tests/cases/pods.txt", at.saturating_add(1));
    }
    assert_eq!(found.len(), text.len(), "tests/cases/pods.txt");
}

#[test]
fn whatever_is_injected_is_restricted() {
    for (name, pod) in cases() {
        let verdict = ask(&pod);
        let Ok(changes) = &verdict.outcome else { continue };
        if changes.is_empty() || pod["metadata"]["annotations"][INJECTED].is_string() {
            continue;
        }
        let after = changed(&pod, &verdict);
        let container = &after["spec"]["initContainers"][0];
        assert_eq!(container["name"], "entrance", "{name}: first");
        let wanted = json!({
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
            "runAsGroup": 65532, "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
        });
        assert_eq!(container["securityContext"], wanted, "{name}");
        assert_eq!(container["restartPolicy"], "Always", "{name}");
    }
}

#[test]
fn a_pod_that_istio_changed_later_gets_us_back_to_the_front() {
    let pod = pod(json!({"name": "orders"}), json!({}));
    let mut after = changed(&pod, &ask(&pod));
    let init = after["spec"]["initContainers"].as_array_mut().unwrap();
    init.insert(0, json!({"name": "istio-proxy", "image": "proxy", "restartPolicy": "Always"}));
    init.insert(0, json!({"name": "istio-init", "image": "proxy"}));
    after["spec"]["initContainers"][2]["image"] = json!("mirror.example.com/entrance:1");
    let again = changed(&after, &ask(&after));
    let names: Vec<&str> =
        again["spec"]["initContainers"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["entrance", "istio-init", "istio-proxy"]);
    assert_eq!(again["spec"]["initContainers"][0]["image"], "mirror.example.com/entrance:1", "others' changes stay");
    assert_eq!(ask(&again).outcome, Ok(vec![]));
}

#[test]
fn what_is_not_known_or_too_old_is_refused_and_what_is_ours_is_left() {
    let wants = pod(json!({"name": "orders"}), json!({}));
    let asked = request("Pod", "CREATE", (Value::Null, wants));
    let settings = sidecar();
    let old = Ground { version: Some(Version { major: 1, minor: 32 }), ..ground(&settings) };
    let verdict = inject(&asked, &old);
    assert!(refused(&verdict).contains("native sidecar, which needs Kubernetes 1.33; this is 1.32"), "{verdict:?}");
    let unknown = inject(&asked, &Ground { version: None, ..ground(&settings) });
    assert!(refused(&unknown).contains("not known yet; try again"));
    let stranger = inject(&asked, &Ground { authority: None, ..ground(&settings) });
    assert!(refused(&stranger).contains("the authority of the controller is not known yet"));
    let nothing = inject(&asked, &Ground { sidecar: None, ..ground(&settings) });
    assert_eq!(nothing.outcome, Ok(vec![]));
    assert!(nothing.warnings[0].contains("without --sidecar"));
    for namespace in ["entrance", "kube-system"] {
        let mut asked = asked.clone();
        asked.namespace = namespace.to_owned();
        assert_eq!(inject(&asked, &ground(&settings)), Verdict::pass(), "{namespace}");
    }
}

#[test]
fn a_file_that_does_not_say_what_to_inject_is_refused() {
    let good = json!({"image": "x", "controller": "https://c:1"});
    assert_eq!(Sidecar::read(good.clone()).unwrap().port(), Some(1));
    for (member, value, part) in [
        ("image", json!(""), "image: is empty"),
        ("controller", json!("c:9193"), "must be https://host:port"),
        ("controller", json!("unix:/run/x"), "must be https://host:port"),
        ("resources", json!({"request": {}}), "unknown field `request`"),
        ("arg", json!([]), "unknown field `arg`"),
    ] {
        let mut broken = good.clone();
        broken.as_object_mut().unwrap().insert(member.to_owned(), value);
        let fault = Sidecar::read(broken).unwrap_err().to_string();
        assert!(fault.contains(part), "{fault}");
    }
}

#[test]
fn further_authorities_reach_the_sidecar() {
    let mut settings = sidecar();
    settings.extra_ca = Some("-----BEGIN CERTIFICATE-----".to_owned());
    let plain = pod(json!({"labels": {"entrance.dev/inject": "true"}}), json!({}));
    let verdict = inject(&request("Pod", "CREATE", (Value::Null, plain.clone())), &ground(&settings));
    let env = &changed(&plain, &verdict)["spec"]["initContainers"][0]["env"];
    let names: Vec<&str> = env.as_array().unwrap().iter().map(|each| each["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ENTRANCE_CONTROLLER_CA_PEM", "ENTRANCE_EXTRA_CA_PEM", "RUST_LOG"]);
    assert_eq!(env[1]["value"], "-----BEGIN CERTIFICATE-----");
}

#[test]
fn flags_that_a_sidecar_could_not_start_with_are_refused() {
    for flag in ["--pin-host=a.example.com=shop", "--pin-host", "--listen=0.0.0.0:9191", "--policies"] {
        let file = json!({"image": "entrance", "controller": "https://controller:9193", "args": [flag]});
        let fault = Sidecar::read(file).unwrap_err().to_string();
        assert!(fault.starts_with("args: `--") && fault.ends_with("leave it out"), "{fault}");
    }
}
