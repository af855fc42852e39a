//! `entrance doctor` finds each fault of a corpus of configurations that Envoy accepts, finds none in those that we ship,
//! and sees the same in a running Envoy as in its bootstrap.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers of a test")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a value of another kind fails the test")]
#![expect(clippy::indexing_slicing, reason = "a missing element fails the test")]

#[path = "support/children.rs"]
#[expect(dead_code, reason = "more than these tests need")]
mod children;
#[path = "doctor/dumps.rs"]
mod dumps;
#[path = "support/envoy_process.rs"]
#[expect(dead_code, reason = "more than these tests need")]
mod envoy_process;
#[path = "support/free_port.rs"]
mod free_port;
#[path = "doctor/live.rs"]
mod live;
#[path = "support/permissive.rs"]
mod permissive;
#[path = "support/program.rs"]
#[expect(dead_code, reason = "no files of its own")]
mod program;
#[path = "support/upstream.rs"]
#[expect(dead_code, reason = "more than these tests need")]
mod upstream;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use entrance::doctor::{Finding, Rule, examine, examine_for};
use entrance::files::yaml;
use serde_json::{Value, json};

use envoy_process::{Bootstrap, Envoy, binary};
use program::{run, run_with};

const SHIPPED: &str = include_str!("../examples/envoy/envoy.yaml");

const HCM: &str = "static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
/// Places of the corpus, and what they stand for.
const ALIASES: [(&str, &str); 4] = [
    ("hcm", ""),
    ("filters", "/http_filters"),
    ("check", "/http_filters/0/typed_config"),
    ("host", "/route_config/virtual_hosts/0"),
];

fn read(text: &str) -> Value {
    yaml::parse_with_aliases(text.as_bytes()).unwrap().remove(0).body
}

fn pointer(place: &str) -> String {
    let (first, rest) =
        place.split_once('/').map_or((place, String::new()), |(first, rest)| (first, format!("/{rest}")));
    if first == "cluster" {
        return format!("/static_resources/clusters/0{rest}");
    }
    let alias = ALIASES.iter().find(|(name, _)| *name == first);
    alias.map_or_else(|| format!("/{place}"), |(_, below)| format!("/{HCM}{below}{rest}"))
}

/// Where a pointer ends: what holds it, and its last step.
fn parent<'v>(document: &'v mut Value, place: &str) -> (&'v mut Value, String) {
    let pointer = pointer(place);
    let (above, last) = pointer.rsplit_once('/').unwrap();
    (document.pointer_mut(above).unwrap_or_else(|| panic!("no {above}")), last.to_owned())
}

/// The bad configuration of a case.
fn made(case: &Value) -> Value {
    let mut document = read(SHIPPED);
    // cases count from the check: what takes trailers away stands before it
    parent(&mut document, "filters/0").0.as_array_mut().unwrap().remove(0);
    if case["istio"] == true {
        mark(&mut document);
    }
    for place in case["remove"].as_array().into_iter().flatten() {
        let (above, last) = parent(&mut document, place.as_str().unwrap());
        let removed = match above {
            Value::Array(items) => Some(items.remove(last.parse().unwrap())),
            other => other.as_object_mut().unwrap().remove(&last),
        };
        assert!(removed.is_some(), "{place} is there");
    }
    for (place, value) in case["set"].as_object().into_iter().flatten() {
        let (above, last) = parent(&mut document, place);
        match above {
            Value::Array(items) => {
                let at: usize = last.parse().unwrap();
                items.truncate(at);
                items.push(value.clone());
            }
            other => {
                other.as_object_mut().unwrap().insert(last, value.clone());
            }
        }
    }
    for (place, value) in case["insert"].as_object().into_iter().flatten() {
        let (above, last) = parent(&mut document, place);
        above.as_array_mut().unwrap().insert(last.parse().unwrap(), value.clone());
    }
    if case["wrap"] == true {
        let check = document.pointer_mut(&pointer("check")).unwrap();
        *check = matched(check.take());
    }
    document
}

/// Has an RBAC filter mark every request for the check, as Istio does.
fn mark(document: &mut Value) {
    let marks = json!({
        "filter": "envoy.filters.http.rbac",
        "path": [{"key": "istio_ext_authz_shadow_effective_policy_id"}],
        "value": {"string_match": {"prefix": "istio-ext-authz-entrance"}},
    });
    document.pointer_mut(&pointer("check")).unwrap()["filter_enabled_metadata"] = marks;
    let policy = json!({"permissions": [{"any": true}], "principals": [{"any": true}]});
    let filter = json!({"name": "envoy.filters.http.rbac", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "shadow_rules_stat_prefix": "istio_ext_authz_",
        "shadow_rules": {
            "action": "DENY",
            "policies": {"istio-ext-authz-entrance-ns[shop]-policy[orders]-rule[0]": policy},
        },
    }});
    document.pointer_mut(&pointer("filters")).unwrap().as_array_mut().unwrap().insert(0, filter);
}

/// A filter that runs only for requests with a header.
fn matched(check: Value) -> Value {
    let kinds = "type.googleapis.com/envoy";
    json!({
        "@type": format!("{kinds}.extensions.common.matching.v3.ExtensionWithMatcher"),
        "extension_config": {"name": "check", "typed_config": check},
        "xds_matcher": {"matcher_tree": {
            "input": {"name": "header", "typed_config": {
                "@type": format!("{kinds}.type.matcher.v3.HttpRequestHeaderMatchInput"), "header_name": "x-skip",
            }},
            "exact_match_map": {"map": {"yes": {"action": {"name": "skip", "typed_config": {
                "@type": format!("{kinds}.extensions.filters.common.matcher.action.v3.SkipFilter"),
            }}}}},
        }},
    })
}

fn described(finding: &Finding) -> String {
    let steps = finding.path.steps().iter().map(|step| match step {
        entrance::api::field_path::Step::Field(name) => name.to_string(),
        entrance::api::field_path::Step::Index(at) => at.to_string(),
    });
    format!("{} /{}", finding.rule.id(), steps.collect::<Vec<_>>().join("/"))
}

fn expected(case: &Value) -> BTreeSet<String> {
    let found = case["found"].as_array().unwrap().iter().map(|line| {
        let (rule, place) = line.as_str().unwrap().split_once(' ').unwrap();
        // Behind the matcher the place is deeper.
        let deeper = if case["wrap"] == true { "/extension_config/typed_config" } else { "" };
        format!("{rule} {}{deeper}", pointer(place))
    });
    found.collect()
}

fn cases() -> Vec<Value> {
    let files = [
        include_str!("cases/doctor.yaml"),
        include_str!("cases/doctor_beside.yaml"),
        include_str!("cases/doctor_doors.yaml"),
        include_str!("cases/doctor_ways.yaml"),
    ];
    files.into_iter().flat_map(|file| read(file).as_array().unwrap().clone()).collect()
}

#[test]
fn every_fault_of_the_corpus_is_found_and_nothing_else() {
    let mut seen = BTreeSet::new();
    for case in cases() {
        let findings = examine(&made(&case)).unwrap();
        seen.extend(findings.iter().map(|finding| finding.rule));
        let found: BTreeSet<_> = findings.iter().map(described).collect();
        assert_eq!(found, expected(&case), "{}", case["name"]);
    }
    let unseen: Vec<_> = Rule::ALL.iter().filter(|rule| !seen.contains(rule)).collect();
    assert!(unseen.is_empty(), "no case shows {unseen:?}");
}

#[test]
fn only_the_authorizer_that_decides_counts_where_it_is_named() {
    let case = cases().into_iter().find(|case| case["name"] == "one-of-two-checks-switched-off").unwrap();
    let mut document = made(&case);
    let rules = |document: &Value, authorizer: &str| {
        let findings = examine_for(document, authorizer).unwrap();
        findings.iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    let asked = pointer("filters/0/typed_config/grpc_service/envoy_grpc/cluster_name");
    *document.pointer_mut(&asked).unwrap() = json!("api");
    assert_eq!(rules(&document, "entrance"), [Rule::RouteUnprotected]);
    assert_eq!(rules(&document, "api"), [Rule::ClusterNotHttp2]);
    assert_eq!(rules(&document, "nobody"), [Rule::NoCheck]);
    let ran = run_with(["doctor", "-", "--authorizer", "entrance"], &document.to_string());
    assert!(ran.code == 1 && ran.out.contains("route-unprotected"), "{}{}", ran.out, ran.err);
}

#[test]
fn envoy_accepts_what_is_found_to_be_bad() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("envoy.json");
    let mut wrong = Vec::new();
    for case in cases() {
        std::fs::write(&file, made(&case).to_string()).unwrap();
        let ran = Command::new(binary()).args(["--mode", "validate", "-l", "error", "-c"]).arg(&file).output().unwrap();
        if ran.status.success() == (case["envoy"] == "refuses") {
            wrong.push(format!("{}: {}", case["name"], String::from_utf8_lossy(&ran.stderr)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_we_ship_is_sound() {
    for name in ["envoy.yaml", "envoy-uds.yaml", "envoy-pair.yaml", "envoy-http.yaml"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/envoy").join(name);
        let ran = run(["doctor", "--strict", file.to_str().unwrap()]);
        assert_eq!((ran.code, ran.out.lines().count()), (0, 1), "{}{}", ran.out, ran.err);
    }
}

#[tokio::test]
async fn a_running_envoy_tells_what_its_bootstrap_does() {
    for (bootstrap, code, rules) in [
        (Bootstrap::tcp("127.0.0.1:1"), 0, vec![]),
        (
            Bootstrap::tcp("127.0.0.1:1").careless_paths().lax_underscores(),
            1,
            vec!["path-not-normalized", "slashes-not-merged", "escaped-slashes", "underscores"],
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let envoy = Envoy::start(bootstrap, directory.path()).await;
        let url = format!("http://{}", envoy.admin);
        let ran = tokio::task::spawn_blocking(move || run(["doctor", &url, "-o", "json"])).await.unwrap();
        let found = ran.json();
        let found: Vec<_> = found["findings"].as_array().unwrap().iter().map(|finding| &finding["rule"]).collect();
        assert_eq!(
            (ran.code, found),
            (code, rules.iter().map(|rule| json!(rule)).collect::<Vec<_>>().iter().collect())
        );
    }
}

#[test]
fn findings_name_line_field_and_remedy() {
    let bad = SHIPPED.replace("failure_mode_allow: false", "failure_mode_allow: true");
    let ran = run_with(["doctor", "-"], &bad);
    let line = bad.lines().position(|line| line.contains("failure_mode_allow")).unwrap() + 1;
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains(&format!("at standard input:{line}:15 static_resources.listeners[0]")), "{}", ran.out);
    assert!(
        ran.out.contains("filter `envoy.filters.http.ext_authz`")
            && ran.out.contains("set `failure_mode_allow: false`")
    );
    assert!(ran.out.ends_with("1 errors, 0 warnings, 0 notes in standard input\n"), "{}", ran.out);
    assert_eq!(run_with(["doctor", "-", "--ignore", "failure-mode-allow"], &bad).code, 0);
}

/// Envoy takes aliases, and no merge keys.
#[test]
fn aliases_of_a_bootstrap_are_followed() {
    let anchor = SHIPPED.replace("normalize_path: true", "normalize_path: &yes true");
    let bad = anchor.replace("failure_mode_allow: false", "failure_mode_allow: *yes");
    let ran = run_with(["doctor", "-"], &bad);
    assert!(ran.code == 1 && ran.out.contains("failure-mode-allow"), "{}{}", ran.out, ran.err);
}

#[test]
fn sarif_holds_every_rule_and_the_place() {
    let bad = SHIPPED.replace("merge_slashes: true", "merge_slashes: false");
    assert_eq!(run_with(["doctor", "-", "-o", "sarif"], &bad).code, 0, "a warning is no fault");
    let ran = run_with(["doctor", "-", "-o", "sarif", "--strict"], &bad);
    let sarif = ran.json();
    let driver = &sarif["runs"][0]["tool"]["driver"];
    assert_eq!((ran.code, &sarif["version"]), (1, &json!("2.1.0")));
    assert_eq!(driver["rules"].as_array().unwrap().len(), Rule::ALL.len());
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((&result["ruleId"], &result["level"]), (&json!("slashes-not-merged"), &json!("warning")));
    assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startColumn"], 11);
}

#[test]
fn what_cannot_be_examined_is_said() {
    for (input, complaint) in [
        ("a: 1\n", "is no Envoy configuration"),
        ("static_resources: {}\n", "has no listener"),
        ("", "is empty"),
        ("a: [\n", "standard input:"),
    ] {
        let ran = run_with(["doctor", "-"], input);
        assert!(ran.code == 2 && ran.err.contains(complaint), "{input}: {}", ran.err);
    }
    let ran = run(["doctor", "http://127.0.0.1:1"]);
    assert!(ran.code == 2 && ran.err.contains("is this the admin port of an Envoy?"), "{}", ran.err);
    assert!(ran.err.contains("9901 is that of Entrance itself"), "{}", ran.err);
    let ran = run(["doctor", "-", "--ignore", "nothing"]);
    assert!(ran.code == 2 && ran.err.contains("there is no rule `nothing`; there are no-check,"), "{}", ran.err);
}

/// A dump with these listeners of a proxy of Istio, and a listener within it.
fn istio(role: &str, listeners: &[Value]) -> Value {
    let kind = |name: &str| format!("type.googleapis.com/envoy.admin.v3.{name}");
    let active = |listener: &Value| json!({"active_state": {"listener": listener}});
    let within = json!({"name": "main", "load_assignment": {"endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "main"}}}}]}]}});
    let agent = json!({"name": "agent", "type": "STATIC", "load_assignment": {"endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 15020}}}}]}]}});
    json!({"configs": [
        {"@type": kind("BootstrapConfigDump"), "bootstrap": {"node": {"id": format!("{role}~10.0.0.1~orders.shop")}}},
        {"@type": kind("ClustersConfigDump"), "dynamic_active_clusters": [{"cluster": within}, {"cluster": agent},
            {"cluster": {"name": "BlackHoleCluster", "connect_timeout": "10s"}}]},
        {"@type": kind("ListenersConfigDump"), "dynamic_listeners": listeners.iter().map(active).collect::<Vec<_>>()},
    ]})
}

/// A listener whose requests go to a cluster without being checked.
fn unchecked(more: Value, cluster: &str) -> Value {
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "route_config": {"virtual_hosts": [{"routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]},
    });
    let mut listener = json!({"filter_chains": [{"filters": [{"typed_config": manager}]}]});
    listener.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    listener
}

/// The rules that a listener of a proxy of Istio breaks.
fn broken(role: &str, listener: Value) -> Vec<Rule> {
    examine(&istio(role, &[listener])).unwrap().iter().map(|finding| finding.rule).collect()
}

#[test]
fn the_pages_of_istios_agent_are_no_api() {
    let listener = |prefix: &str, cluster: &str| {
        let mut listener = unchecked(json!({}), cluster);
        let route = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0/match";
        *listener.pointer_mut(route).unwrap() = json!({"prefix": prefix});
        listener
    };
    assert_eq!(broken("sidecar", listener("/healthz/ready", "agent")), []);
    assert_eq!(broken("sidecar", listener("/", "agent")), [Rule::NoCheck]);
    assert_eq!(broken("sidecar", listener("/healthz/ready", "api")), [Rule::NoCheck]);
    assert_eq!(broken("~", listener("/healthz/ready", "agent")), [Rule::NoCheck]);
}

#[test]
fn connections_that_somebody_is_asked_about_or_that_lead_nowhere_are_no_way_in() {
    let chain = |cluster: &str, before: Value| {
        let kind = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.network.{name}");
        let proxy = json!({"typed_config": {"@type": kind("tcp_proxy.v3.TcpProxy"), "cluster": cluster}});
        let mut check = json!({"@type": kind("ext_authz.v3.ExtAuthz")});
        check.as_object_mut().unwrap().extend(before.as_object().cloned().unwrap_or_default());
        let check = before.is_object().then(|| json!({"typed_config": check}));
        let filters: Vec<Value> = check.into_iter().chain([proxy]).collect();
        json!({"filter_chains": [{"filters": filters}]})
    };
    assert_eq!(broken("sidecar", chain("api", Value::Null)), [Rule::NotHttp]);
    assert_eq!(broken("sidecar", chain("BlackHoleCluster", Value::Null)), []);
    assert_eq!(broken("sidecar", chain("api", json!({}))), []);
    assert_eq!(broken("sidecar", chain("api", json!({"failure_mode_allow": true}))), [Rule::NotHttp]);
}

#[test]
fn what_a_workload_of_istio_sends_is_checked_where_it_arrives() {
    let rules = |role: &str, more: Value, cluster: &str| broken(role, unchecked(more, cluster));
    let outbound = json!({"traffic_direction": "OUTBOUND"});
    assert_eq!(rules("sidecar", outbound.clone(), "api"), []);
    assert_eq!(rules("sidecar", json!({"traffic_direction": "INBOUND"}), "api"), [Rule::NoCheck]);
    // So are the listeners of gateways called.
    assert_eq!(rules("router", outbound, "api"), [Rule::NoCheck]);
}

#[test]
fn a_way_from_one_listener_to_another_of_the_same_proxy_is_no_way_in() {
    let rules = |listener: Value| broken("waypoint", listener);
    assert_eq!(rules(unchecked(json!({}), "main")), []);
    assert_eq!(rules(unchecked(json!({"internal_listener": {}}), "api")), [Rule::NoCheck]);
    let tcp = json!({"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"});
    let mut chain = json!({"filter_chains": [{"filters": [{"typed_config": tcp}]}]});
    assert_eq!(rules(chain.clone()), [Rule::NotHttp]);
    chain["internal_listener"] = json!({});
    assert_eq!(rules(chain), []);
}

/// Two scopes, one of which has its routes in another part of the dump; what is being warmed comes into service next.
#[test]
fn dumps_hold_scopes_and_listeners_to_come() {
    let kind = |name: &str| format!("type.googleapis.com/envoy.admin.v3.{name}");
    let dump = istio("router", &[]);
    let mut manager = unchecked(json!({}), "api")["filter_chains"][0]["filters"][0]["typed_config"].take();
    let routes = manager.as_object_mut().unwrap().remove("route_config").unwrap();
    manager["scoped_routes"] = json!({"name": "scopes", "scoped_rds": {}});
    let listener = json!({"filter_chains": [{"filters": [{"typed_config": manager}]}]});
    let with = |parts: &[Value]| {
        let mut dump = dump.clone();
        dump["configs"].as_array_mut().unwrap().extend_from_slice(parts);
        examine(&dump).unwrap().iter().map(|finding| finding.rule).collect::<Vec<_>>()
    };
    let warming = json!({"@type": kind("ListenersConfigDump"), "dynamic_listeners": [
        {"name": "edge", "warming_state": {"listener": listener}}]});
    assert_eq!(with(std::slice::from_ref(&warming)), [Rule::NoCheck, Rule::UnseenRoutes]);
    let scopes = json!({"@type": kind("ScopedRoutesConfigDump"), "dynamic_scoped_route_configs": [
        {"name": "scopes", "scoped_route_configs": [{"name": "a", "route_configuration_name": "a"}]}]});
    assert_eq!(with(&[warming.clone(), scopes.clone()]), [Rule::NoCheck, Rule::UnseenRoutes]);
    let mut table = routes;
    table["name"] = json!("a");
    let delivered =
        |table: &Value| json!({"@type": kind("RoutesConfigDump"), "dynamic_route_configs": [{"route_config": table}]});
    assert_eq!(with(&[warming.clone(), scopes.clone(), delivered(&table)]), [Rule::NoCheck]);
    table["virtual_hosts"][0]["routes"] = json!([{"match": {"prefix": "/"}, "direct_response": {"status": 404}}]);
    assert_eq!(with(&[warming, scopes, delivered(&table)]), []);
}

/// The page lists each rule with its severity.
#[test]
fn every_rule_is_documented() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doctor.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `")).collect::<Vec<_>>();
    let row = |rule: &Rule| {
        format!("| `{}` | {} | {} | {} |", rule.id(), rule.severity().as_str(), rule.summary(), rule.remedy())
    };
    let wanted: Vec<_> = Rule::ALL.iter().map(row).collect();
    assert_eq!(rows, wanted, "\n{}", wanted.join("\n"));
}
