//! The chart with `mesh: istio`: what it renders is what the examples say, and what Istio's own definitions accept.

use entrance::files::yaml;
use serde_json::Value;

use crate::api_server::ADMIN;
use crate::helm::{Helm, object, objects, root};
use crate::objects::Objects;
use crate::plane::documents;
use crate::private_network::inside;
use crate::world::World;

const SETS: [&str; 2] = ["tests/chart/values/istio.yaml", "tests/chart/values/ambient.yaml"];

#[test]
fn istio_accepts_what_the_chart_renders() {
    inside(async || {
        let world = World::shared().await;
        let client = world.plane.server.client(ADMIN).await;
        let to = Objects { client: &client, namespace: "entrance", manager: "test", dry_run: true };
        let mut kinds = Vec::new();
        for set in SETS {
            for mut rendered in objects(&Helm::offline().renders(&["-f", set])) {
                if rendered["apiVersion"].as_str().unwrap().contains("istio.io/") {
                    kinds.push(rendered["kind"].as_str().unwrap().to_owned());
                    rendered["metadata"]["namespace"] = "entrance".into();
                    to.apply(&rendered).await.unwrap_or_else(|error| panic!("{set}: {error}: {rendered:#}"));
                }
            }
        }
        kinds.sort();
        kinds.dedup();
        assert_eq!(kinds, ["AuthorizationPolicy", "DestinationRule", "PeerAuthentication", "ServiceEntry"]);
    });
}

/// The YAML of the page.
fn blocks() -> Vec<Value> {
    let page = std::fs::read_to_string(root().join("docs/istio.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split_once("```").unwrap().0);
    blocks.map(|block| yaml::parse(block.as_bytes()).unwrap().remove(0).body).collect()
}

#[test]
fn istio_accepts_what_the_page_shows() {
    inside(async || {
        let world = World::shared().await;
        let client = world.plane.server.client(ADMIN).await;
        let to = Objects { client: &client, namespace: "shop", manager: "page", dry_run: true };
        let (objects, rest): (Vec<_>, Vec<_>) = blocks().into_iter().partition(|block| block["kind"].is_string());
        assert!(objects.len() >= 4, "{objects:#?}");
        for block in objects {
            // As an object it would take the place of the whole mesh configuration.
            assert_ne!(block["kind"], "ConfigMap", "{block:#}");
            to.apply(&block).await.unwrap_or_else(|error| panic!("{error}: {block:#}"));
        }
        let mut mesh = documents("examples/istio/mesh.yaml").remove(0);
        mesh["meshConfig"]["extensionProviders"].as_array_mut().unwrap().truncate(1);
        assert_eq!(rest, [mesh]);
    });
}

#[test]
fn the_chart_makes_the_services_of_the_examples_and_tells_of_their_providers() {
    let helm = Helm::offline();
    let rendered = objects(&helm.renders(&["-f", SETS[0]]));
    for example in documents("examples/istio/services.yaml") {
        let name = example["metadata"]["name"].as_str().unwrap();
        let mut made = object(&rendered, "ServiceEntry", name)["spec"].clone();
        // The default, said aloud.
        assert_eq!(made.as_object_mut().unwrap().remove("exportTo"), Some(Value::from(vec!["*"])));
        assert_eq!(made, example["spec"], "{name}");
    }
    let install = ["install", "entrance", "charts/entrance", "--namespace", "entrance", "--dry-run=client"];
    let notes = helm.prints(&[&install[..], &["-f", SETS[0]]].concat());
    let (_, told) = notes.split_once("refuses what its rules match:\n").unwrap();
    let told: Vec<&str> = told.lines().skip(1).take_while(|line| line.starts_with("     ")).collect();
    let told = yaml::parse(told.join("\n").as_bytes()).unwrap().remove(0).body;
    assert_eq!(told, documents("examples/istio/mesh.yaml")[0]["meshConfig"]);
}
