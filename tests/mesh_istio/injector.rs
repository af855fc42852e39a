//! What becomes of the pods of `examples/istio` when both inject: the real injector of Istio, and ours, in the orders in
//! which an API server may ask them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use entrance::admission::inject::sidecar::Sidecar;
use entrance::admission::inject::{Ground, Version, inject};
use entrance::admission::review;
use serde_json::{Value, json};

use crate::modes::kind;
use crate::plane::documents;
use crate::private_network::inside;
use crate::world::World;

/// The pod that a Deployment makes.
fn pod(file: &str, annotations: &Value) -> Value {
    let mut objects = documents(file);
    let template = kind(&mut objects, "Deployment")["spec"]["template"].take();
    let mut pod =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]});
    pod["metadata"]["generateName"] = json!("orders-");
    let metadata = pod["metadata"].as_object_mut().unwrap();
    let all = metadata.entry("annotations").or_insert_with(|| json!({}));
    all.as_object_mut().unwrap().extend(annotations.as_object().unwrap().clone());
    pod
}

fn asked(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "shop",
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE", "object": pod, "userInfo": {"username": "ada", "uid": "2", "groups": []},
        },
    })
}

/// After the injector of Entrance; and its warnings.
fn by_entrance(mut pod: Value) -> (Value, Vec<String>) {
    let sidecar = Sidecar::read(json!({
        "image": "registry.example.com/entrance:1", "controller": "http://entrance-controller.entrance.svc:9193",
    }));
    let sidecar = sidecar.unwrap();
    let version = Some(Version { major: 1, minor: 33 });
    let ground = Ground { sidecar: Some(&sidecar), authority: None, version, namespace: "entrance" };
    let verdict = inject(&review::read(asked(&pod).to_string().as_bytes()).unwrap(), &ground);
    let changes = verdict.outcome.unwrap();
    patch(&mut pod, &changes.iter().map(review::Change::render).collect::<Vec<_>>());
    (pod, verdict.warnings)
}

/// After the injector of Istio.
async fn by_istio(world: &World, mut pod: Value) -> Value {
    let answer = world.plane.inject(&asked(&pod)).await;
    assert_eq!(answer["response"]["allowed"], true, "{answer}");
    let bytes = STANDARD.decode(answer["response"]["patch"].as_str().unwrap()).unwrap();
    patch(&mut pod, &serde_json::from_slice::<Vec<Value>>(&bytes).unwrap());
    pod
}

/// Applies a JSON patch (RFC 6902), as far as the two use it.
fn patch(object: &mut Value, changes: &[Value]) {
    for change in changes {
        let (parent, name) = change["path"].as_str().unwrap().rsplit_once('/').unwrap();
        let name = name.replace("~1", "/").replace("~0", "~");
        let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("no place for {change}"));
        let value = change["value"].clone();
        match (change["op"].as_str().unwrap(), parent) {
            ("add" | "replace", Value::Object(members)) => drop(members.insert(name, value)),
            ("remove", Value::Object(members)) => assert!(members.remove(&name).is_some(), "{change}"),
            ("add", Value::Array(items)) if name == "-" => items.push(value),
            ("add", Value::Array(items)) => items.insert(name.parse().unwrap(), value),
            ("replace", Value::Array(items)) => items[name.parse::<usize>().unwrap()] = value,
            ("remove", Value::Array(items)) => drop(items.remove(name.parse().unwrap())),
            (other, _) => panic!("{other}"),
        }
    }
}

/// The container of a pod, in whichever list it is.
fn container<'p>(pod: &'p Value, name: &str) -> &'p Value {
    let lists = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array().unwrap());
    lists.into_iter().flatten().find(|container| container["name"] == name).unwrap_or_else(|| panic!("no {name}"))
}

/// Entrance starts before everything else, is watched by its node directly, and is at hand for `istio-proxy`.
fn is_sound(pod: &Value, unix: bool) {
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "entrance", "{pod:#}");
    let entrance = container(pod, "entrance");
    for (probe, path) in [("startupProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let get = &entrance[probe]["httpGet"];
        assert_eq!((&get["path"], &get["port"]), (&json!(path), &json!(9901)), "{entrance:#}");
    }
    let mounts = container(pod, "istio-proxy")["volumeMounts"].as_array().unwrap();
    let socket = json!({"name": "entrance-socket", "mountPath": "/run/entrance"});
    assert_eq!(mounts.contains(&socket), unix, "{mounts:#?}");
}

/// What Istio leaves alone, as it told the container that sets up interception.
fn left_alone(pod: &Value, flag: &str) -> Vec<String> {
    let args = container(pod, "istio-init")["args"].as_array().unwrap();
    let at = args.iter().position(|arg| arg == flag).unwrap();
    args[at + 1].as_str().unwrap().split(',').map(str::to_owned).collect()
}

const EXAMPLES: [(&str, bool); 2] =
    [("examples/istio/sidecar.yaml", false), ("examples/istio/sidecar-unix.yaml", true)];

/// An API server asks in the order of names, and ours comes first; then it asks us again, because Istio changed the pod.
#[test]
fn where_istio_injects_later_the_sidecar_is_first_again_and_its_probes_are_its_own() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        for (file, unix) in EXAMPLES {
            for native in ["true", "false"] {
                let pod = pod(file, &json!({"sidecar.istio.io/nativeSidecar": native}));
                let both = by_istio(world, by_entrance(pod).0).await;
                // Istio leads every probe through its agent, which starts after us.
                let probe = &container(&both, "entrance")["startupProbe"]["httpGet"];
                assert_eq!(probe["path"], "/app-health/entrance/startupz", "{both:#}");
                let (again, warnings) = by_entrance(both);
                is_sound(&again, unix);
                assert_eq!(warnings, Vec::<String>::new());
                let (inbound, outbound) = (left_alone(&again, "-d"), left_alone(&again, "-o"));
                assert!(inbound.contains(&"9901".to_owned()), "{inbound:?}");
                assert_eq!(inbound.contains(&"9191".to_owned()), !unix, "{inbound:?}");
                assert!(outbound.contains(&"9193".to_owned()), "{outbound:?}");
                assert_eq!(by_entrance(again.clone()).0, again, "asked once more");
            }
        }
    });
}

#[test]
fn where_istio_injected_before_somebody_is_told_that_ports_are_intercepted() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        for (file, unix) in EXAMPLES {
            let (both, warnings) = by_entrance(by_istio(world, pod(file, &json!({}))).await);
            is_sound(&both, unix);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains("Istio injected first and intercepts port 9901"), "{warnings:?}");
        }
    });
}

/// Whoever writes pods can take the check away from them: Istio's injector does as they say.
#[test]
fn annotations_of_a_pod_lead_requests_past_its_proxy() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let file = "examples/istio/sidecar.yaml";
        let excluded = json!({"traffic.sidecar.istio.io/excludeInboundPorts": "8080"});
        let (past, _) = by_entrance(by_istio(world, by_entrance(pod(file, &excluded)).0).await);
        assert!(left_alone(&past, "-d").contains(&"8080".to_owned()));
        let injected = async |how: &dyn Fn(&mut Value)| {
            let mut pod = pod(file, &json!({}));
            pod["metadata"]["labels"].as_object_mut().unwrap().remove("sidecar.istio.io/inject");
            how(&mut pod["metadata"]);
            world.plane.inject(&asked(&pod)).await["response"]["patch"].is_string()
        };
        assert!(injected(&|_| {}).await);
        assert!(!injected(&|metadata| metadata["labels"]["sidecar.istio.io/inject"] = json!("false")).await);
        assert!(!injected(&|metadata| metadata["annotations"] = json!({"sidecar.istio.io/inject": "false"})).await);
    });
}
