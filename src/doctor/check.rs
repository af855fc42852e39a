//! The settings of the external authorization filter.

use super::cluster;
use super::config::Config;
use super::filters::Filter;
use super::node::Node;
use super::{Findings, Place, Rule};

/// Headers without which there is no decision.
const NEEDED: [&str; 1] = ["authorization"];
/// Headers by which a client asks for another method or path: the authorizer refuses them where it sees them.
const OVERRIDES: [&str; 5] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"];
/// The longest limit that is no waiting room.
const LONG: f64 = 2.0;

/// Looks at one filter.
pub(super) fn examine(filter: &Filter<'_>, (config, place): (&Config<'_>, &Place), findings: &mut Findings) {
    let check = &filter.config;
    share(check, place, findings);
    if check.is_on("failure_mode_allow") {
        findings.add(Rule::FailureModeAllow, (place, check, "failure_mode_allow"), "an error is as good as a permit");
    }
    if check.is_on("shadow_mode") {
        findings.add(Rule::ShadowMode, (place, check, "shadow_mode"), "refusals are not enforced");
    }
    if check.is_on("clear_route_cache") {
        findings.add(
            Rule::RouteCacheCleared,
            (place, check, "clear_route_cache"),
            "the request may take another route afterwards",
        );
    }
    if check.field("with_request_body").is_some() {
        findings.add(Rule::BodySent, (place, check, "with_request_body"), "bodies are buffered");
    }
    if check.at(&["status_on_error", "code"]).is_none() {
        findings.add(Rule::StatusOnError, (place, check, "status_on_error"), "an outage is answered 403");
    }
    headers(check, place, findings);
    mutations(check, place, findings);
    service(check, (config, place), findings);
}

/// Which requests are checked.
fn share(check: &Node<'_>, place: &Place, findings: &mut Findings) {
    if let Some(enabled) = check.field("filter_enabled") {
        let share = enabled.field("default_value");
        let numerator = share.as_ref().and_then(|share| share.field("numerator")?.value.as_f64()).unwrap_or(0.0);
        let parts = match share.as_ref().map_or("", |share| share.text("denominator")) {
            "TEN_THOUSAND" => 10_000.0,
            "MILLION" => 1_000_000.0,
            _ => 100.0,
        };
        let key = enabled.text("runtime_key");
        if numerator < parts {
            let found = format!("{} % of the requests are checked", numerator / parts * 100.0);
            findings.add(Rule::FilterSampled, (place, &enabled, ""), found);
        } else if !key.is_empty() {
            let found = format!("whoever sets the runtime key `{key}` switches the check off");
            findings.add(Rule::FilterSampled, (place, &enabled, "runtime_key"), found);
        }
    }
}

/// Which headers the authorizer gets to see.
fn headers(check: &Node<'_>, place: &Place, findings: &mut Findings) {
    let (allowed, disallowed) = (check.field("allowed_headers"), check.field("disallowed_headers"));
    let lists = [(&allowed, false, "not among them"), (&disallowed, true, "among them")];
    for (list, withheld, found) in lists {
        let Some(list) = list else { continue };
        for name in NEEDED.into_iter().filter(|name| matches(list, name) == withheld) {
            findings.add(Rule::HeadersWithheld, (place, list, ""), format!("`{name}` is {found}"));
        }
        let overrides: Vec<&str> = OVERRIDES.into_iter().filter(|name| matches(list, name) == withheld).collect();
        if !overrides.is_empty() {
            let found = format!("{found}: `{}`", overrides.join("`, `"));
            findings.add(Rule::OverridesWithheld, (place, list, ""), found);
        }
    }
    if allowed.is_none() && check.field("http_service").is_some() {
        let found = "over HTTP only `authorization` is sent";
        findings.add(Rule::OverridesWithheld, (place, check, "allowed_headers"), found);
    }
}

/// Whether a list of string matchers covers a name. A regular expression is given the benefit of the doubt if it holds
/// the name.
fn matches(list: &Node<'_>, name: &str) -> bool {
    list.list("patterns").iter().any(|pattern| {
        let is = |kind: &str, test: &dyn Fn(&str) -> bool| {
            pattern
                .field(kind)
                .and_then(|text| text.value.as_str())
                .is_some_and(|text| test(&text.to_ascii_lowercase()))
        };
        is("exact", &|text| text == name)
            || is("prefix", &|text| name.starts_with(text))
            || is("suffix", &|text| name.ends_with(text))
            || is("contains", &|text| name.contains(text))
            || pattern.field("safe_regex").is_some_and(|regex| {
                let text = regex.text("regex");
                text == ".*" || text.to_ascii_lowercase().contains(name)
            })
    })
}

/// What the authorizer may do to a request.
fn mutations(check: &Node<'_>, place: &Place, findings: &mut Findings) {
    if !check.is_on("validate_mutations") {
        findings.add(Rule::MutationsUnchecked, (place, check, "validate_mutations"), "any name and value is put in");
    }
    let limited = check
        .field("decoder_header_mutation_rules")
        .is_some_and(|rules| rules.is_on("disallow_all") || rules.is_on("disallow_system"));
    if !limited {
        findings.add(
            Rule::MutationsUnlimited,
            (place, check, "decoder_header_mutation_rules"),
            "even `:path` may be set",
        );
    }
}

/// Whom it asks, and for how long.
fn service(check: &Node<'_>, (config, place): (&Config<'_>, &Place), findings: &mut Findings) {
    if let Some(http) = check.field("http_service") {
        let uri = http.field("server_uri");
        limit(uri.as_ref().unwrap_or(&http), (place, 0.2), findings);
        if let Some(uri) = uri {
            cluster::examine(&uri, ("cluster", false), (config, place), findings);
        }
        return;
    }
    let Some(grpc) = check.field("grpc_service") else {
        findings.add(Rule::ClusterMissing, (place, check, "grpc_service"), "nobody is asked");
        return;
    };
    if check.text("transport_api_version") != "V3" {
        findings.add(Rule::ApiVersion, (place, check, "transport_api_version"), "is not V3");
    }
    limit(&grpc, (place, 0.2), findings);
    if let Some(google) = grpc.field("google_grpc") {
        findings.add(Rule::GoogleGrpc, (place, &google, ""), format!("asks `{}`", google.text("target_uri")));
    }
    if let Some(envoy) = grpc.field("envoy_grpc") {
        cluster::examine(&envoy, ("cluster_name", true), (config, place), findings);
    }
}

fn limit(service: &Node<'_>, (place, default): (&Place, f64), findings: &mut Findings) {
    let at = (place, service, "timeout");
    match service.field("timeout") {
        None => findings.add(Rule::Timeout, at, format!("is not set; Envoy takes {default} s")),
        Some(timeout) => match seconds(&timeout) {
            Some(seconds) if seconds <= 0.0 => findings.add(Rule::NoTimeout, at, "is zero, which means none"),
            Some(seconds) if seconds > LONG => findings.add(Rule::Timeout, at, format!("is {seconds} s")),
            Some(_) => {}
            None => findings.add(Rule::Timeout, at, format!("`{}` is no duration", timeout.value)),
        },
    }
}

/// A `Duration`, as protobuf's JSON has it.
fn seconds(timeout: &Node<'_>) -> Option<f64> {
    timeout.value.as_str()?.strip_suffix('s')?.parse().ok()
}
