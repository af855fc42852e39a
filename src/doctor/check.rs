//! The settings of the external authorization filter.

use super::cluster::{self, Speech};
use super::config::Config;
use super::filters::Filter;
use super::node::Node;
use super::{Findings, Place, Rule};

/// The longest limit that is no waiting room, in seconds.
const LONG: f64 = 2.0;
/// The longest limit that is one, in seconds: as long as Envoy waits for an API unless its route says otherwise.
const LONGEST: f64 = 15.0;
/// Statuses below 400, by their names in Envoy.
const SUCCESSES: [&str; 19] = [
    "Continue",
    "OK",
    "Created",
    "Accepted",
    "NonAuthoritativeInformation",
    "NoContent",
    "ResetContent",
    "PartialContent",
    "MultiStatus",
    "AlreadyReported",
    "IMUsed",
    "MultipleChoices",
    "MovedPermanently",
    "Found",
    "SeeOther",
    "NotModified",
    "UseProxy",
    "TemporaryRedirect",
    "PermanentRedirect",
];

/// Looks at one filter.
pub(super) fn examine(filter: &Filter<'_>, (config, place): (&Config<'_>, &Place), findings: &mut Findings) {
    let check = &filter.config;
    share(check, place, findings);
    rest(check, place, findings);
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
    on_error(check, place, findings);
    mutations(check, place, findings);
    service(check, (config, place), findings);
}

/// Whether requests that the filter is not asked about are refused.
pub(super) fn refuses_the_rest(check: &Node<'_>) -> bool {
    check.field("deny_at_disable").is_some_and(|flag| flag.is_surely_on("default_value"))
}

/// Who may end that.
fn rest(check: &Node<'_>, place: &Place, findings: &mut Findings) {
    let is_partial = ["filter_enabled", "filter_enabled_metadata"].iter().any(|name| check.field(name).is_some());
    let Some(flag) = check.field("deny_at_disable").filter(|_| is_partial && refuses_the_rest(check)) else { return };
    let key = flag.text("runtime_key");
    if !key.is_empty() {
        let found = format!("whoever sets the runtime key `{key}` lets pass what is not checked");
        findings.add(Rule::FilterSampled, (place, &flag, "runtime_key"), found);
    }
}

/// Which requests are checked.
fn share(check: &Node<'_>, place: &Place, findings: &mut Findings) {
    let Some(enabled) = check.field("filter_enabled").filter(|_| !refuses_the_rest(check)) else { return };
    let share = enabled.field("default_value");
    let numerator = share.as_ref().and_then(|share| share.field("numerator")?.number()).unwrap_or(0.0);
    let denominators = ["HUNDRED", "TEN_THOUSAND", "MILLION"];
    let parts = match share.map_or("HUNDRED", |share| share.choice("denominator", &denominators)) {
        "HUNDRED" => 100.0,
        "TEN_THOUSAND" => 10_000.0,
        "MILLION" => 1_000_000.0,
        _ => {
            let found = "nobody can tell which share of the requests is checked";
            return findings.add(Rule::FilterSampled, (place, &enabled, ""), found);
        }
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

/// What an outage of the authorizer is answered.
fn on_error(check: &Node<'_>, place: &Place, findings: &mut Findings) {
    let Some(code) = check.at(&["status_on_error", "code"]) else {
        return findings.add(Rule::StatusOnError, (place, check, "status_on_error"), "an outage is answered 403");
    };
    let name = code.value.as_str().unwrap_or_default();
    let is_name = SUCCESSES.iter().any(|success| success.eq_ignore_ascii_case(name));
    if is_name || code.number().is_some_and(|number| number < 400.0) {
        findings.add(Rule::SuccessOnError, (place, &code, ""), format!("an outage is answered {}", code.value));
    }
}

/// What the authorizer may do to a request.
fn mutations(check: &Node<'_>, place: &Place, findings: &mut Findings) {
    if !check.is_surely_on("validate_mutations") {
        findings.add(Rule::MutationsUnchecked, (place, check, "validate_mutations"), "any name and value is put in");
    }
    let limited = check
        .field("decoder_header_mutation_rules")
        .is_some_and(|rules| rules.is_surely_on("disallow_all") || rules.is_surely_on("disallow_system"));
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
            cluster::examine(&uri, Speech::Http, (config, place), findings);
        }
        return;
    }
    let Some(grpc) = check.field("grpc_service") else {
        findings.add(Rule::ClusterMissing, (place, check, "grpc_service"), "nobody is asked");
        return;
    };
    if check.choice("transport_api_version", &["AUTO", "V2", "V3"]) != "V3" {
        findings.add(Rule::ApiVersion, (place, check, "transport_api_version"), "is not V3");
    }
    limit(&grpc, (place, 0.2), findings);
    if let Some(google) = grpc.field("google_grpc") {
        findings.add(Rule::GoogleGrpc, (place, &google, ""), format!("asks `{}`", google.text("target_uri")));
    }
    if let Some(envoy) = grpc.field("envoy_grpc") {
        cluster::examine(&envoy, Speech::Grpc, (config, place), findings);
    }
}

fn limit(service: &Node<'_>, (place, default): (&Place, f64), findings: &mut Findings) {
    let at = (place, service, "timeout");
    match service.field("timeout") {
        None => findings.add(Rule::Timeout, at, format!("is not set; Envoy takes {default} s")),
        Some(timeout) => match seconds(&timeout) {
            Some(seconds) if seconds <= 0.0 => findings.add(Rule::NoTimeout, at, "is zero, which means none"),
            Some(seconds) if seconds > LONGEST => {
                findings.add(Rule::NoTimeout, at, format!("is {seconds} s, and nobody waits that long"));
            }
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
