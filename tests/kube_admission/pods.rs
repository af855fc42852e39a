//! Pods at a real API server: injected, kept, left alone; and the very command line of an injected container at work.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::api_server::{ADA, ADMIN};
use super::scene::{Answer, DEADLINE, Scene, application, policy};
use super::server::Server;

fn pod(name: &str, metadata: Value, spec: Value) -> Value {
    let mut pod = json!({
        "metadata": {"name": name, "labels": {"entrance.dev/inject": "true", "app": "orders"}},
        "spec": {"containers": [{"name": "app", "image": "app"}]},
    });
    for (of, more) in [("metadata", metadata), ("spec", spec)] {
        pod[of].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    pod
}

async fn make(scene: &Scene, pod: &Value) -> Answer {
    scene.send(("POST", &scene.core("pods"), ADA), pod).await
}

fn sidecar_file(directory: &std::path::Path, controller: &str) -> String {
    let file = directory.join("sidecar.yaml");
    let text = json!({"image": "registry.example.com/entrance:1", "controller": controller, "audit": "off",
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}});
    std::fs::write(&file, text.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_labelled_pod_comes_back_with_the_sidecar_once_and_first() {
    let directory = tempfile::tempdir().unwrap();
    let file = sidecar_file(directory.path(), "http://127.0.0.1:9193");
    let scene = Scene::new("pods", &["--sidecar", &file]).await;
    // restricted: the API server itself refuses what is not
    let strict = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    scene.send(("PATCH", &format!("/api/v1/namespaces/{}", scene.namespace), ADMIN), &strict).await.taken();
    let context = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": true,
        "seccompProfile": {"type": "RuntimeDefault"}});
    let containers = json!({"containers": [{"name": "app", "image": "app", "securityContext": context}]});
    let made = make(&scene, &pod("one", json!({}), containers.clone())).await.taken().body;
    let container = &made["spec"]["initContainers"][0];
    assert_eq!((&container["name"], &container["restartPolicy"]), (&json!("entrance"), &json!("Always")));
    assert_eq!(made["metadata"]["annotations"]["entrance.dev/injected"], env!("CARGO_PKG_VERSION"));
    // what came back is what would come back
    let mut again = json!({"metadata": {"name": "two"}, "spec": made["spec"]});
    for member in ["labels", "annotations"] {
        again["metadata"][member] = made["metadata"][member].clone();
    }
    let twice = make(&scene, &again).await.taken().body;
    assert_eq!(twice["spec"], made["spec"]);
    let unix = pod("three", json!({"annotations": {"entrance.dev/listen": "unix"}}), containers.clone());
    let made = make(&scene, &unix).await.taken().body;
    assert_eq!(made["spec"]["securityContext"]["supplementalGroups"], json!([65532]));
    let out = pod("four", json!({"annotations": {"entrance.dev/inject": "false"}}), containers.clone());
    assert!(make(&scene, &out).await.taken().body["spec"]["initContainers"].is_null());
    let wrong = pod("five", json!({"annotations": {"entrance.dev/listen": "udp"}}), containers.clone());
    make(&scene, &wrong)
        .await
        .refused(422, &["the Entrance sidecar cannot be injected", "must be `tcp` or `unix`, not `udp`"]);
    let (at, six) = (format!("{}?dryRun=All", scene.core("pods")), pod("six", json!({}), containers));
    let dry = scene.send(("POST", &at, ADA), &six).await.taken().body;
    assert_eq!(dry["spec"]["initContainers"][0]["name"], "entrance");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_is_injected_as_soon_as_the_file_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = sidecar_file(directory.path(), "http://127.0.0.1:9193");
    let scene = Scene::new("images", &["--sidecar", &file]).await;
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("entrance:1", "entrance:2")).unwrap();
    let at = format!("{}?dryRun=All", scene.core("pods"));
    let wait = async {
        loop {
            let made = scene.send(("POST", &at, ADA), &pod("one", json!({}), json!({}))).await.taken().body;
            if made["spec"]["initContainers"][0]["image"] == "registry.example.com/entrance:2" {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap();
}

/// The flags of an injected container with what this machine has for what a node would have.
fn flags(container: &Value, replaced: &[(&str, String)]) -> Vec<String> {
    let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap().to_owned());
    args.skip(1).map(|arg| replaced.iter().fold(arg, |arg, (from, to)| arg.replace(from, to))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_injected_sidecar_trusts_the_controller_by_the_authority_that_it_was_given() {
    let directory = tempfile::tempdir().unwrap();
    let scene = Scene::keeping("work", "2160h").await;
    let kubeconfig = scene.server.kubeconfig(ADMIN);
    let base = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--lease-namespace", &scene.system];
    let controller = Server::run("controller", &[&base[..], &["--cert-secret", "certificates"]].concat(), "xds").await;
    controller.becomes(|status, _| status == 200).await;
    let file = sidecar_file(directory.path(), &format!("https://{}", controller.listen));
    let more = Scene::keeping_flags(&scene.system, &scene.namespace, "2160h");
    let more: Vec<&str> = more.iter().map(String::as_str).chain(["--sidecar", &file]).collect();
    let webhook = Scene::webhook(&more).await;
    webhook.becomes(|status, _| status == 200).await;
    scene.repoint(&webhook).await;
    scene.create(ADA, &application()).await.taken();
    scene.create(ADA, &policy("work.example.com")).await.taken();
    let account = json!({"metadata": {"name": "orders"}});
    scene.send(("POST", &scene.core("serviceaccounts"), ADMIN), &account).await.taken();
    let wanted = pod("one", json!({}), json!({"serviceAccountName": "orders"}));
    // the second webhook is asked a little later than it is named
    let at = scene.core("pods");
    let wait = async {
        loop {
            let made = scene.send(("POST", &format!("{at}?dryRun=All"), ADA), &wanted).await.taken().body;
            if !made["spec"]["initContainers"].is_null() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(DEADLINE, wait).await.unwrap();
    let made = make(&scene, &wanted).await.taken().body;
    let container = &made["spec"]["initContainers"][0];
    let bound: Pod = serde_json::from_value(made.clone()).unwrap();
    let token = scene.server.pod_token(&scene.namespace, ("orders", &bound), &["entrance"]).await;
    std::fs::write(directory.path().join("token"), token).unwrap();
    let here = directory.path().to_str().unwrap().to_owned();
    let replaced = [
        ("/var/run/secrets/entrance", here.clone()),
        ("/var/lib/entrance", here),
        ("127.0.0.1:9191", "127.0.0.1:0".to_owned()),
        ("0.0.0.0:9901", "127.0.0.1:0".to_owned()),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_entrance"));
    command.arg("serve").args(flags(container, &replaced)).env_clear();
    for variable in container["env"].as_array().unwrap() {
        command.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
    }
    let sidecar = Server::of(command, "ext_authz").await;
    let ready = sidecar.becomes(|_, page| page.to_string().contains("\"connected\"")).await;
    assert!(ready.to_string().contains("connected"), "{ready}");
}
