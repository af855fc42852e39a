//! What holds in every mode of the mesh, and how Entrance gets on with what else the mesh does.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::children::until;
use crate::edge::Edge;
use crate::helm::root;
use crate::modes::{Mode, client, gateway_pod, inbound, kind};
use crate::plane::documents;
use crate::private_network::inside;
use crate::proxy::{Proxy, Workload};
use crate::raw_http::Ask;
use crate::world::{HOST, World};

#[test]
fn every_mode_asks_before_it_lets_a_request_through() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        for mode in &world.modes {
            world.becomes(mode.at(), &world.allowed(), "200").await;
            let asked = [
                (Ask::get(HOST, "/healthz"), "200"),
                (Ask::get(HOST, "/orders/7"), "401 token_missing"),
                (Ask::get(HOST, "/nothing"), "403 no_route"),
            ];
            for (ask, outcome) in asked {
                assert_eq!(world.ask(mode.address, &ask).await, outcome, "{}", mode.name);
            }
            mode.proxy.accepted_everything().await;
        }
    });
}

#[test]
fn while_entrance_is_stopped_nothing_gets_through() {
    inside(async || {
        let world = World::shared().await;
        let _alone = world.running.write().await;
        world.lets_through().await;
        world.stop().await;
        for mode in &world.modes {
            for ask in [world.allowed(), Ask::get(HOST, "/orders/7"), Ask::get(HOST, "/healthz")] {
                assert_eq!(world.ask(mode.address, &ask).await, "503", "{}", mode.name);
            }
        }
        world.resume().await;
        world.lets_through().await;
    });
}

#[test]
fn while_istiod_is_away_proxies_go_on_asking() {
    inside(async || {
        let world = World::shared().await;
        let _alone = world.running.write().await;
        world.lets_through().await;
        world.plane.stop().await;
        let policy = documents("examples/orders/policy.yaml").remove(0);
        let mut closed = policy.clone();
        closed["spec"]["deny"] = json!([{"callers": "Any"}]);
        for (applied, outcome) in [(&closed, "403 deny_entry_matched"), (&policy, "200")] {
            world.plane.apply(applied).await;
            for mode in &world.modes {
                assert_eq!(world.ask(mode.address, &Ask::get(HOST, "/orders/7")).await, "401 token_missing");
                world.becomes(mode.at(), &world.allowed(), outcome).await;
            }
        }
        world.plane.resume().await;
        // They have its configuration again.
        let _edge = Edge::new("after", |_| {}).await;
    });
}

#[test]
fn what_is_applied_to_the_api_server_counts_in_every_mode() {
    inside(async || {
        let world = World::shared().await;
        let _alone = world.running.write().await;
        let policy = documents("examples/orders/policy.yaml").remove(0);
        let mut closed = policy.clone();
        closed["spec"]["deny"] = json!([{"callers": "Any"}]);
        for (applied, outcome) in [(&closed, "403 deny_entry_matched"), (&policy, "200")] {
            world.plane.apply(applied).await;
            for mode in &world.modes {
                world.becomes(mode.at(), &world.allowed(), outcome).await;
            }
        }
    });
}

#[test]
fn with_strict_mutual_tls_nobody_from_outside_the_mesh_gets_as_far_as_a_decision() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let direct: SocketAddr = "127.0.1.2:8080".parse().unwrap();
        assert_eq!(world.ask(direct, &world.allowed()).await, "closed");
        let stranger = &world.plane.secrets.stranger;
        let _proxy = client(("stranger", "127.0.1.6"), ("127.0.1.2", 8080), (stranger, None)).await;
        assert_eq!(world.ask("127.0.1.6:80".parse().unwrap(), &world.allowed()).await, "closed");
    });
}

/// A namespace of its own, and the example's mutual TLS for it.
fn mutual(namespace: &str) -> [Value; 2] {
    let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    let mut mutual = kind(&mut documents("examples/istio/sidecar.yaml"), "PeerAuthentication").clone();
    mutual["metadata"]["namespace"] = json!(namespace);
    [own, mutual]
}

/// Where only the edge asks, an API believes `x-entrance-` headers, and whatever runs in the mesh has a certificate.
#[test]
fn behind_an_edge_that_asks_only_its_service_account_reaches_the_api() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let namespace = "behind";
        let [own, strict] = mutual(namespace);
        let workload = Workload::new("sidecar", (namespace, "orders"), json!({"app": "orders"}));
        let port = inbound(&workload, ("127.0.1.8", world.upstream.address), "entrance-sidecar");
        world.plane.apply_all(&[own, strict, port]).await;
        let proxy = Proxy::start(&workload, &world.plane).await;
        let secrets = &world.plane.secrets;
        let from = async |address: &'static str, identity| {
            client((address, address), ("127.0.1.8", 8080), (identity, None)).await
        };
        let _proxies = (
            from("127.0.1.9", &secrets.client).await,
            from("127.0.1.10", &secrets.edges[0]).await,
            from("127.0.1.11", &secrets.edges[1]).await,
        );
        let at = |address: &'static str| (address, format!("{address}:80").parse().unwrap());
        let forged = Ask::get(HOST, "/orders/7").header("x-entrance-subject", "anybody");
        world.becomes(at("127.0.1.9"), &forged, "200").await;
        assert!(is_open(&proxy).await);
        for (file, edge, other) in [
            ("examples/istio/ingress.yaml", "127.0.1.10", "127.0.1.11"),
            ("examples/istio/gateway-api.yaml", "127.0.1.11", "127.0.1.10"),
        ] {
            let mut policies = documents(file);
            policies.retain(|object| object["spec"]["action"] == "ALLOW");
            policies[0]["metadata"]["namespace"] = json!(namespace);
            world.plane.apply_all(&policies).await;
            world.becomes(at("127.0.1.9"), &forged, "403").await;
            world.becomes(at(other), &world.allowed(), "403").await;
            world.becomes(at(edge), &world.allowed(), "200").await;
            assert_eq!(proxy.doctor().await, Vec::<String>::new());
            let account = &policies[0]["spec"]["rules"][0]["from"][0]["source"]["principals"][0];
            let only = format!("lets through only `spiffe://{}`, by certificate", account.as_str().unwrap());
            let notes = proxy.notes().await;
            assert!(notes.iter().all(|note| note.starts_with("edge-only") && note.ends_with(&only)), "{notes:#?}");
            // Everybody who has a certificate.
            policies[0]["spec"]["rules"][0]["from"][0]["source"]["principals"][0] = json!("cluster.local/*");
            world.plane.apply(&policies[0]).await;
            world.becomes(at("127.0.1.9"), &forged, "200").await;
            assert!(is_open(&proxy).await);
            world.plane.delete(&policies[0]).await;
            world.becomes(at("127.0.1.9"), &forged, "200").await;
            assert!(is_open(&proxy).await);
        }
    });
}

/// Whether the doctor says that nobody is asked, and nothing makes up for that.
async fn is_open(proxy: &Proxy) -> bool {
    let [found, notes] = [proxy.doctor().await, proxy.notes().await];
    found.iter().any(|found| found.starts_with("no-check")) && !notes.iter().any(|note| note.starts_with("edge-only"))
}

/// As in a cluster, where traffic is redirected: chains in clear and with mutual TLS, for requests and for connections.
#[test]
fn the_doctor_sees_the_policy_of_a_redirected_sidecar_behind_an_edge() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let namespace = "redirected-behind";
        let [own, mut mutual] = mutual(namespace);
        world.plane.apply_all(&[own, mutual.clone()]).await;
        let mut workload = Workload::new("sidecar", (namespace, "api"), json!({"app": "orders"}));
        workload.interception = "REDIRECT";
        gateway_pod(&world.plane, &workload, ("http", 8080)).await;
        let proxy = Proxy::start(&workload, &world.plane).await;
        proxy.sees("virtualInbound").await;
        let mut policies = documents("examples/istio/ingress.yaml");
        policies.retain(|object| object["spec"]["action"] == "ALLOW");
        policies[0]["metadata"]["namespace"] = json!(namespace);
        for mode in ["STRICT", "PERMISSIVE"] {
            mutual["spec"]["mtls"]["mode"] = json!(mode);
            world.plane.apply(&mutual).await;
            until("the doctor sees an open door", async || is_open(&proxy).await.then_some(())).await;
            world.plane.apply(&policies[0]).await;
            until("the doctor sees that it is shut", async || proxy.doctor().await.is_empty().then_some(())).await;
            world.plane.delete(&policies[0]).await;
        }
    });
}

/// `kubectl apply` goes from top to bottom: what a policy is about must not be there before it.
#[test]
fn in_every_example_policies_come_before_what_they_are_about() {
    const ABOUT: [&str; 5] = ["Gateway", "VirtualService", "HTTPRoute", "Deployment", "Service"];
    for name in ["ingress", "gateway-api", "sidecar", "sidecar-unix", "waypoint"] {
        let objects = documents(&format!("examples/istio/{name}.yaml"));
        let kinds: Vec<&str> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
        let policy = kinds.iter().rposition(|kind| *kind == "AuthorizationPolicy").unwrap();
        let first = kinds.iter().position(|kind| ABOUT.contains(kind)).unwrap();
        assert!(policy < first, "{name}: {kinds:?}");
    }
}

/// Nobody runs ztunnel here, so that words are looked at: without the label the rest of the example does nothing. The
/// namespace itself is in no file: `kubectl delete` of that file would take all with it.
#[test]
fn the_namespace_of_the_waypoint_is_said_to_be_labelled_and_is_not_in_the_file() {
    let command = "kubectl label namespace shop istio.io/dataplane-mode=ambient";
    for file in ["examples/istio/waypoint.yaml", "docs/istio.md"] {
        assert!(std::fs::read_to_string(root().join(file)).unwrap().contains(command), "{file}");
    }
    for object in documents("examples/istio/waypoint.yaml") {
        assert_eq!(object["metadata"]["namespace"], "shop", "{object:#}");
    }
}

/// CUSTOM, then DENY, then ALLOW: each may refuse what the others let through.
#[test]
fn a_permit_of_entrance_is_one_of_several_that_the_mesh_wants() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let edge = Edge::new("order", |_| {}).await;
        let allowed = world.allowed();
        assert_eq!(edge.ask(&allowed).await, "200");
        let to = |path: &str| json!([{"to": [{"operation": {"paths": [path]}}]}]);
        edge.policy("deny", json!({"action": "DENY", "rules": to("/orders/8")})).await;
        let eight = Ask { target: "/orders/8".to_owned(), ..allowed.clone() };
        assert_eq!(edge.ask(&eight).await, "403");
        assert_eq!(edge.ask(&Ask::get(HOST, "/orders/8")).await, "401 token_missing");
        assert_eq!(edge.ask(&allowed).await, "200");
        edge.policy("allow", json!({"action": "ALLOW", "rules": to("/orders/*")})).await;
        assert_eq!(edge.ask(&allowed).await, "200");
        assert_eq!(edge.ask(&Ask::get(HOST, "/orders/7")).await, "401 token_missing");
        assert_eq!(edge.ask(&Ask::get(HOST, "/healthz")).await, "403");
        // Claims are there for what comes after Entrance.
        let (issuer, keys) = world.issuer().await;
        let tokens = json!({"jwtRules": [{"issuer": issuer, "jwks": keys, "forwardOriginalToken": true}]});
        edge.apply("RequestAuthentication", ("tokens", tokens)).await;
        let by = |principal: String| json!({"action": "ALLOW", "rules": [{"from": [{"source": {"requestPrincipals": [principal]}}]}]});
        edge.policy("allow", by(format!("{issuer}/*"))).await;
        assert_eq!(edge.ask(&allowed).await, "200");
        edge.policy("allow", by("https://example.com/*".to_owned())).await;
        assert_eq!(edge.ask(&allowed).await, "403");
    });
}

/// What the doctor may say of a sound mesh: what Istio has no field for, and the hardening mends.
#[test]
fn the_doctor_finds_nothing_in_the_examples_but_what_the_hardening_mends() {
    inside(async || {
        let world = World::shared().await;
        let _alone = world.running.write().await;
        let rules = async |mode: &Mode| {
            let found = mode.proxy.doctor().await;
            let rules = found.iter().map(|finding| finding.split(':').next().unwrap().to_owned());
            // Sidecars and waypoints believe the proxy before them.
            rules.filter(|rule| rule != "remote-address" || mode.is_edge()).collect::<BTreeSet<_>>()
        };
        let softer = ["escaped-slashes", "mutations-unchecked", "underscores"].map(str::to_owned);
        // The shared gateway is out of the mesh here: see `mutual`.
        let always = |mode: &Mode| (!mode.name.starts_with("sidecar")).then(|| "cluster-plaintext".to_owned());
        for mode in &world.modes {
            world.becomes(mode.at(), &world.allowed(), "200").await;
            let wanted: BTreeSet<_> = softer.clone().into_iter().chain(always(mode)).collect();
            assert_eq!(rules(mode).await, wanted, "{}", mode.name);
        }
        let hardening = documents("examples/istio/hardening.yaml");
        world.plane.apply_all(&hardening).await;
        let sly = Ask::get(HOST, "/healthz").header("x_user", "root");
        for mode in &world.modes {
            world.becomes(mode.at(), &sly, "400").await;
            world.becomes(mode.at(), &world.allowed(), "200").await;
            mode.proxy.accepted_everything().await;
            assert_eq!(rules(mode).await, always(mode).into_iter().collect(), "{}", mode.name);
        }
        for object in &hardening {
            world.plane.delete(object).await;
        }
        for mode in &world.modes {
            world.becomes(mode.at(), &sly, "200").await;
        }
    });
}

/// As in a cluster, where traffic is redirected. Nobody does that here, so no request is sent.
#[test]
fn the_doctor_finds_no_more_in_a_sidecar_as_it_is_in_a_cluster() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let namespace = "redirected";
        let own = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        world.plane.apply(&own).await;
        for mut object in documents("examples/istio/sidecar.yaml") {
            object["metadata"]["namespace"] = json!(namespace);
            world.plane.apply(&object).await;
        }
        let mut workload = Workload::new("sidecar", (namespace, "api"), json!({"app": "orders"}));
        workload.interception = "REDIRECT";
        gateway_pod(&world.plane, &workload, ("http", 8080)).await;
        let proxy = Proxy::start(&workload, &world.plane).await;
        proxy.sees("virtualInbound").await;
        proxy.accepted_everything().await;
        let found = proxy.doctor().await;
        let rules: BTreeSet<_> = found.iter().map(|finding| finding.split(':').next().unwrap()).collect();
        assert_eq!(rules, BTreeSet::from(["escaped-slashes", "mutations-unchecked", "remote-address", "underscores"]));
    });
}

/// A port that is declared as TCP: what comes there is no request to Istio, so Entrance is told of no request, and refuses.
#[test]
fn a_port_whose_requests_istio_does_not_read_stays_shut() {
    inside(async || {
        let world = World::shared().await;
        let _running = world.running.read().await;
        let workload = Workload::new("sidecar", ("shop", "raw"), json!({"app": "raw"}));
        let mut port = inbound(&workload, ("127.0.1.7", world.upstream.address), "entrance-sidecar");
        let address = "127.0.1.7:8080".parse().unwrap();
        port["spec"]["ingress"][0]["port"] = json!({"number": 8080, "name": "tcp", "protocol": "TCP"});
        world.plane.apply(&port).await;
        let proxy = Proxy::start(&workload, &world.plane).await;
        world.becomes(("nobody is asked", address), &Ask::get(HOST, "/orders/7"), "200").await;
        let found = proxy.doctor().await;
        assert!(found.iter().any(|finding| finding.starts_with("not-http")), "{found:#?}");
        let mut policy = kind(&mut documents("examples/istio/sidecar.yaml"), "AuthorizationPolicy").clone();
        policy["metadata"]["name"] = json!("raw");
        policy["spec"]["selector"]["matchLabels"] = workload.labels;
        world.plane.apply(&policy).await;
        world.becomes(("Entrance is asked", address), &world.allowed(), "closed").await;
        assert_eq!(proxy.doctor().await, Vec::<String>::new());
    });
}
