//! What HTTP filters can do to a request, by the type of their configuration. The list is that of Envoy 1.40 with Istio's
//! own; what is not on it may do anything.

/// What a filter can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// Nothing but to refuse a request, to wait, or to note something about it; redirects to a login are refusals, too.
    Passes,
    /// It makes another request of one, by the rules of some protocol.
    Converts,
    /// It answers requests by itself, from what earlier ones left behind or from settings.
    Answers(&'static str),
    /// It runs somebody's code, or filters that are chosen at run time.
    Code,
    /// Nobody knows.
    Unknown,
}

/// What filters are called between `envoy.extensions.filters.http.` and the version.
const PASSING: [&str; 55] = [
    "a2a",
    "adaptive_concurrency",
    "admission_control",
    "alternate_protocols_cache",
    "api_key_auth",
    "aws_eventstream_parser",
    "aws_request_signing",
    "bandwidth_limit",
    "bandwidth_share",
    "basic_auth",
    "body_size_limit",
    "buffer",
    "cdn_loop",
    "compressor",
    "cors",
    "credential_injector",
    "csrf",
    "custom_response",
    "decompressor",
    "dynamic_forward_proxy",
    "ext_authz",
    "fault",
    "file_system_buffer",
    "gcp_authn",
    "geoip",
    "grpc_field_extraction",
    "grpc_http1_bridge",
    "grpc_http1_reverse_bridge",
    "grpc_stats",
    "grpc_web",
    "header_mutation",
    "header_to_metadata",
    "health_check",
    "ip_tagging",
    "json_to_metadata",
    "jwt_authn",
    "kill_request",
    "local_ratelimit",
    "mcp",
    "oauth2",
    "on_demand",
    "original_src",
    "proto_api_scrubber",
    "proto_message_extraction",
    "rate_limit_quota",
    "ratelimit",
    "rbac",
    "router",
    "set_filter_state",
    "set_metadata",
    "sse_to_metadata",
    "stateful_session",
    "tap",
    "thrift_to_metadata",
    "upstream_codec",
];
const CONVERTING: [&str; 5] = [
    "aws_lambda",
    "connect_grpc_bridge",
    "grpc_json_reverse_transcoder",
    "grpc_json_transcoder",
    "mcp_json_rest_bridge",
];
const ANSWERING: [(&str, &str); 3] = [
    ("cache", "a response that was allowed to one caller is given to another"),
    ("cache_v2", "a response that was allowed to one caller is given to another"),
    ("file_server", "files are given to everybody"),
];
const CODE: [&str; 9] =
    ["composite", "dynamic_modules", "ext_proc", "filter_chain", "golang", "lua", "mcp_router", "transform", "wasm"];
/// Those of Istio, which only tell proxies apart and count.
const OF_ISTIO: [&str; 4] = [
    "stats.PluginConfig",
    "io.istio.http.peer_metadata.Config",
    "io.istio.http.connect_authority.Config",
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
];

/// What a filter with a configuration of this type can do.
pub(super) fn nature(url: &str) -> Nature {
    if OF_ISTIO.contains(&message(url)) {
        return Nature::Passes;
    }
    let Some(family) = family(url) else { return Nature::Unknown };
    if let Some((_, why)) = ANSWERING.iter().find(|(name, _)| *name == family) {
        return Nature::Answers(why);
    }
    [(&PASSING[..], Nature::Passes), (&CONVERTING, Nature::Converts), (&CODE, Nature::Code)]
        .into_iter()
        .find_map(|(names, nature)| names.contains(&family).then_some(nature))
        .unwrap_or(Nature::Unknown)
}

/// What Envoy calls the filter that has a configuration of this type.
pub(super) fn family(url: &str) -> Option<&str> {
    message(url).strip_prefix("envoy.extensions.filters.http.")?.split('.').next()
}

/// The name of a message type without what stands before it in a URL.
pub(super) fn message(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Nature, nature};

    #[test]
    fn filters_are_told_apart_by_more_than_the_name_of_their_message() {
        let of = |name: &str| nature(&format!("type.googleapis.com/{name}"));
        assert_eq!(of("envoy.extensions.filters.http.header_to_metadata.v3.Config"), Nature::Passes);
        assert_eq!(of("envoy.extensions.filters.http.golang.v3alpha.Config"), Nature::Code);
        assert_eq!(of("io.istio.http.peer_metadata.Config"), Nature::Passes);
        for unknown in ["acme.filters.v1.Config", "acme.envoy.extensions.filters.http.buffer.v3.Buffer", ""] {
            assert_eq!(of(unknown), Nature::Unknown, "{unknown}");
        }
        assert!(matches!(of("envoy.extensions.filters.http.cache_v2.v3.CacheV2Config"), Nature::Answers(_)));
    }
}
