//! Listeners that end TLS: policies that are one listener's by its name, and requests that come in by the connection of one
//! host and ask for another, as HTTP/2 clients do that find both in a certificate (RFC 9113 §9.1.1).

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::children::until;
use super::plane::read;
use super::private_network::{ADDRESS, inside};
use super::raw_http::{Ask, Streams, probe};
use super::scene::{Scene, condition, gateway_policy, ours};
use super::tls::{Authority, Client};
use super::upstream::Upstream;

fn target(kind: &str, name: &str) -> Value {
    json!({"group": "gateway.networking.k8s.io", "kind": kind, "name": name})
}

/// A listener that shows the certificate of this Secret.
fn listener(name: &str, hostname: Option<&str>, secret: &str) -> Value {
    let mut listener = json!({"name": name, "protocol": "HTTPS", "port": 443,
        "tls": {"certificateRefs": [{"name": secret}]}, "allowedRoutes": {"namespaces": {"from": "All"}}});
    if let Some(hostname) = hostname {
        listener["hostname"] = json!(hostname);
    }
    listener
}

/// The Gateway of the examples with listeners of a test.
fn gateway(listeners: &[Value]) -> Value {
    let gateway = |object: &Value| object["kind"] == "Gateway";
    let mut gateway = read("gateway.yaml").into_iter().find(gateway).unwrap();
    gateway["spec"]["listeners"] = json!(listeners);
    gateway
}

/// The policy of one listener.
fn section(name: &str) -> Value {
    let mut policy = gateway_policy(|_| {});
    policy["spec"]["targetRefs"][0]["sectionName"] = json!(name);
    policy
}

#[test]
fn a_listener_that_ends_tls_puts_every_request_to_entrance() {
    inside(async || {
        let scene = Scene::new("https").await;
        let entrance = scene.entrance().await;
        let authority = Arc::new(Authority::new());
        scene.edit(&json!({"spec": {"hosts": null, "targetRefs": [target("HTTPRoute", "orders")]}})).await;
        scene.apply(authority.secret("example-com", &["*.example.com"])).await;
        for file in ["service.yaml", "https.yaml", "route.yaml"] {
            scene.ship(file).await;
        }
        scene.start().await;
        let client = Client::of(&scene, &authority, &scene.host).await;
        client.becomes(&scene.read(), "401 token_missing").await;
        let (bob, ada) = (scene.token("bob"), scene.token("ada"));
        let read = scene.read().bearer(&bob);
        client.becomes(&read, "200").await;
        let write = Ask::new("POST", &scene.host, "/orders").header("content-length", "0");
        for (ask, outcome) in [
            (write.clone().bearer(&bob), "403 role_missing"),
            (write.bearer(&ada), "200"),
            (Ask::get(&scene.host, "/elsewhere").bearer(&ada), "403 no_route"),
            (scene.read().bearer("none"), "401 token_malformed"),
            (Ask::get("elsewhere.example.com", "/orders/7").bearer(&ada), "404"),
        ] {
            assert_eq!(client.outcome(&ask).await, outcome, "{ask:?}");
        }
        // without TLS there is nothing but the way to it
        scene.becomes(&read, "301").await;
        assert_eq!(scene.outcome(&scene.read()).await, "301");

        let _controller = scene.controller("nobody/nobody").await;
        let attached = scene.sees(ours(), |policy| policy["status"]["ancestors"][0].is_object()).await;
        assert_eq!(condition(&attached, "Bypassed"), None, "{:#}", attached["status"]);
        assert_eq!(attached["status"]["ancestors"][0]["ancestorRef"]["kind"], "HTTPRoute");
        assert_eq!(scene.found("no-check").await, Vec::<String>::new());
        // a policy of the whole Gateway is one of the redirect, too
        scene.apply(gateway_policy(|_| {})).await;
        scene.becomes(&scene.read(), "401 token_missing").await;
        assert_eq!(client.outcome(&read).await, "200");
        drop(entrance);
        client.becomes(&read, "503").await;
        assert_eq!(client.outcome(&scene.read()).await, "503");
    });
}

/// Two listeners, `public` without a policy and `private` with one, an API behind each.
struct Two {
    scene: Scene,
    authority: Arc<Authority>,
    public: String,
    /// The API behind `public`; that of the scene is behind `private`.
    open: Upstream,
}

impl Two {
    async fn new() -> Self {
        let scene = Scene::new("two").await;
        let public = format!("public.{}", scene.host);
        let open = Upstream::start_on(ADDRESS).await;
        scene.service(("shop", "open", 8000), open.address).await;
        let two = Self { scene, authority: Arc::new(Authority::new()), public, open };
        let scene = &two.scene;
        scene.apply(two.authority.secret("both", &[&two.public, &scene.host])).await;
        scene.apply(two.authority.secret("public", &[&two.public])).await;
        scene.apply(two.authority.secret("private", &[&scene.host])).await;
        two.attach().await;
        two.show(["both", "both"]).await;
        scene.ship("service.yaml").await;
        scene.apply(section("private")).await;
        scene.ship("route.yaml").await;
        let mut route = read("route.yaml").remove(0);
        route["metadata"]["name"] = json!("open");
        route["spec"]["hostnames"] = json!([two.public]);
        route["spec"]["rules"][0]["backendRefs"][0]["name"] = json!("open");
        scene.apply(route).await;
        two
    }

    /// Attaches the rules to the listener `private`.
    async fn attach(&self) {
        let policy = self.scene.sees(ours(), |_| true).await;
        self.scene.delete(ours()).await;
        let mut spec = policy["spec"].clone();
        spec.as_object_mut().unwrap().remove("hosts");
        spec["applicationRef"]["namespace"] = json!("shop");
        spec["targetRefs"] = json!([target("Gateway", "edge")]);
        spec["targetRefs"][0]["sectionName"] = json!("private");
        self.scene
            .apply(json!({"apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
                "metadata": {"name": "private", "namespace": "edge"}, "spec": spec}))
            .await;
        self.scene
            .apply(json!({"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
                "metadata": {"name": "edge", "namespace": "shop"}, "spec": {
                    "from": [{"group": "entrance.dev", "kind": "AccessPolicy", "namespace": "edge"}],
                    "to": [{"group": "entrance.dev", "kind": "EntraApplication"}]}}))
            .await;
    }

    /// Lets `public` and `private` show these certificates.
    async fn show(&self, [public, private]: [&str; 2]) {
        let listeners =
            [listener("public", Some(&self.public), public), listener("private", Some(&self.scene.host), private)];
        self.scene.apply(gateway(&listeners)).await;
    }

    /// What both sides agree to speak.
    async fn protocol(&self, host: &str) -> Option<String> {
        let opened = self.authority.dial(self.scene.secured(), (host, &["h2", "http/1.1"])).await.ok()?;
        Some(String::from_utf8(opened.get_ref().1.alpn_protocol()?.to_vec()).unwrap())
    }

    /// Whatever is asked for: the private API sees what comes in by its own listener, with a token, and nothing else.
    async fn holds(&self) {
        let Self { scene, authority, public, .. } = self;
        let bob = scene.token("bob");
        let at = scene.secured().port();
        let by_public = Client::of(scene, authority, public).await;
        let by_private = Client::of(scene, authority, &scene.host).await;
        let private = &scene.host;
        for host in [private.clone(), private.to_uppercase(), format!("{private}:{at}"), format!("{private}:443")] {
            let read = Ask::get(&host, "/orders/7");
            assert_eq!(by_private.outcome(&read).await, "401 token_missing", "{host}");
            assert_eq!(by_private.outcome(&read.clone().bearer(&bob)).await, "200", "{host}");
            for read in [read.clone(), read.bearer(&bob)] {
                assert_eq!(by_public.outcome(&read).await, "404", "{host}");
            }
        }
        let write = Ask::new("POST", private, "/orders").header("content-length", "0").bearer(&bob);
        assert_eq!(by_private.outcome(&write).await, "403 role_missing");
        for by in [&by_public, &by_private] {
            for (authority, host, target) in [
                (public, private, "/orders/7".to_owned()),
                (private, public, "/orders/7".to_owned()),
                (public, public, format!("https://{private}/orders/7")),
                (private, private, format!("https://{public}/orders/7")),
            ] {
                let ask = Ask::get(authority, &target).header("host", host);
                by.reaches_nothing(&ask).await;
            }
        }
        let open = Ask::get(public, "/orders/7");
        assert_eq!(by_private.outcome(&open.clone().bearer(&bob)).await, "404");
        assert_eq!(by_private.outcome(&open).await, "404");
        self.coalesced(by_public.http2).await;
    }

    /// A connection that is in use for the public host already.
    async fn coalesced(&self, public: SocketAddr) {
        let streams = Streams::connect(public).await;
        let open = Ask::get(&self.public, "/orders/7");
        assert_eq!(streams.ask(&open).await.status, 200);
        assert_eq!(self.open.received(&open.probe).len(), 1);
        for ask in [self.scene.read(), self.scene.read().bearer(&self.scene.token("bob"))] {
            assert_eq!(streams.ask(&ask).await.status, 404);
            assert!(self.scene.upstream.received(&ask.probe).is_empty());
        }
        let again = Ask { probe: probe(), ..open };
        assert_eq!(streams.ask(&again).await.status, 200, "the connection still serves its own host");
    }
}

#[test]
fn nothing_reaches_a_protected_api_by_the_connection_of_a_public_host() {
    inside(async || {
        let two = Two::new().await;
        let _entrance = two.scene.entrance().await;
        two.scene.start().await;
        let client = Client::of(&two.scene, &two.authority, &two.scene.host).await;
        client.becomes(&two.scene.read(), "401 token_missing").await;
        let open = Ask::get(&two.public, "/orders/7");
        let public = two.authority.tunnel(two.scene.secured(), &two.public, "h2").await;
        until("the public route is there", async || {
            let ask = Ask { probe: probe(), ..open.clone() };
            (Streams::connect(public).await.ask(&ask).await.status == 200).then_some(())
        })
        .await;
        // with one certificate for both, clients are not told of HTTP/2, and get it if they speak it
        for (secrets, protocol) in [(["both", "both"], "http/1.1"), (["public", "private"], "h2")] {
            two.show(secrets).await;
            until("the certificate is shown", async || {
                (two.protocol(&two.scene.host).await? == protocol).then_some(())
            })
            .await;
            two.holds().await;
        }
        for host in ["elsewhere.example.com", "two.example.org"] {
            assert!(two.authority.dial(two.scene.secured(), (host, &["h2"])).await.is_err(), "{host} has no listener");
        }
    });
}

/// A listener for what is open to all, and one with a policy, for which a route names no listener.
async fn beside(scene: &Scene, hostname: &str) -> Arc<Authority> {
    let authority = Arc::new(Authority::new());
    scene.apply(authority.secret("all", &["*.example.com", "elsewhere.example.org"])).await;
    let listeners = [listener("open", None, "all"), listener("private", Some(hostname), "all")];
    scene.apply(gateway(&listeners)).await;
    scene.ship("service.yaml").await;
    scene.apply(section("private")).await;
    scene.ship("route.yaml").await;
    authority
}

#[test]
fn a_route_on_two_listeners_is_open_by_the_one_without_a_policy() {
    inside(async || {
        let scene = Scene::new("beside").await;
        let _entrance = scene.entrance().await;
        let authority = beside(&scene, "*.example.com").await;
        scene.start().await;
        let own = Client::of(&scene, &authority, &scene.host).await;
        own.becomes(&scene.read(), "401 token_missing").await;
        let other = Client::of(&scene, &authority, "elsewhere.example.org").await;
        other.becomes(&scene.read(), "200").await;
        let _controller = scene.controller("nobody/nobody").await;
        let told = |policy: &Value| condition(policy, "Bypassed").cloned();
        let bypassed = scene.sees(ours(), |policy| told(policy).is_some()).await;
        let message = told(&bypassed).unwrap()["message"].as_str().unwrap().to_owned();
        assert!(message.contains("listener `open`"), "{message}");
        assert_eq!(scene.found("no-check").await.len(), 1);

        let mut route = read("route.yaml").remove(0);
        route["spec"]["parentRefs"][0]["sectionName"] = json!("private");
        scene.apply(route).await;
        other.becomes(&scene.read(), "404").await;
        assert_eq!(own.outcome(&scene.read()).await, "401 token_missing");
        scene.sees(ours(), |policy| told(policy).is_none()).await;
        assert_eq!(scene.found("no-check").await, Vec::<String>::new());
    });
}

/// Envoy Gateway gives a host that is one listener's very own to no other listener of the port.
#[test]
fn a_route_for_the_very_host_of_a_listener_is_on_that_one_alone() {
    inside(async || {
        let scene = Scene::new("alone").await;
        let _entrance = scene.entrance().await;
        let authority = beside(&scene, "orders.example.com").await;
        scene.start().await;
        let own = Client::of(&scene, &authority, &scene.host).await;
        own.becomes(&scene.read(), "401 token_missing").await;
        let other = Client::of(&scene, &authority, "elsewhere.example.org").await;
        other.becomes(&scene.read(), "404").await;
        let _controller = scene.controller("nobody/nobody").await;
        let policy = scene.sees(ours(), |policy| condition(policy, "Accepted").is_some()).await;
        assert_eq!(condition(&policy, "Bypassed"), None, "{:#}", policy["status"]);
    });
}
