//! What is looked for: the name of each rule, how grave it is, and what to do about it.

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something to know. Nothing need be wrong.
    Note,
    /// One safeguard less, or an outage waiting to happen.
    Warning,
    /// A fault: requests pass unchecked, or are checked for something else than what the upstream gets.
    Error,
}

impl Severity {
    /// The word for it, that of SARIF's `level`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident = ($id:literal, $severity:ident, $remedy:literal);)+) => {
        /// What can be wrong with a proxy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name, in kebab-case; never changed.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// How grave it is.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }

            /// What it is, in a sentence.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

rules! {
    /// A connection manager has no external authorization at all.
    NoCheck = ("no-check", Error, "add `envoy.filters.http.ext_authz` before every filter that relies on it, or take the listener away; behind an edge that asks, let nobody else through (in Istio an AuthorizationPolicy with `action: ALLOW` and `principals`)");
    /// Nobody is asked, and only principals that are named get through, by their certificates.
    EdgeOnly = ("edge-only", Note, "make sure that each of these is the account of proxies that ask, and of nothing else: whoever has it reaches the API, with identity headers of its choice");
    /// A filter chain forwards connections without looking at requests.
    NotHttp = ("not-http", Warning, "use the HTTP connection manager with ext_authz, or make sure that nothing protected is behind this chain");
    /// A filter chain forwards connections to an upstream whose requests are checked elsewhere.
    TcpBeside = ("tcp-beside", Error, "take the filter chain away, or give it the HTTP connection manager with ext_authz: whoever connects there goes around the check");
    /// Listeners come from a server and are not in the document.
    UnseenListeners = ("unseen-listeners", Warning, "give the answer of `/config_dump` of a running proxy, which holds the listeners it has received");
    /// The proxy has rejected an update, and goes on with what it had.
    UpdateRejected = ("update-rejected", Warning, "mend what the proxy complains about: until then it may serve without the check that the update brings");
    /// Errors of the authorizer count as permits.
    FailureModeAllow = ("failure-mode-allow", Error, "set `failure_mode_allow: false`: otherwise a stopped authorizer means that everybody passes");
    /// The filter is off unless a route switches it on.
    FilterDisabled = ("filter-disabled", Warning, "remove `disabled: true` from the filter, so that a route added later is protected, too");
    /// The filter belongs to a policy of Envoy Gateway, and is off for routes that the policy does not cover.
    FilterOfPolicy = ("filter-of-policy", Note, "nothing if the SecurityPolicy targets the Gateway: each route of it is switched on, also one added later; if it targets routes, let it target the Gateway");
    /// The filter is asked for a share of the requests only.
    FilterSampled = ("filter-sampled", Error, "remove `filter_enabled`, or set it to 100 % without a runtime key that can lower it; `deny_at_disable: {default_value: true}` refuses the rest");
    /// The filter is asked only for requests that other filters mark.
    FilterConditional = ("filter-conditional", Warning, "make sure that the condition covers everything protected; requests that do not meet it pass unchecked");
    /// A matcher or metadata that the client may have a say in decide whether a request is checked.
    ConditionUnknown = ("condition-unknown", Error, "remove the matcher or `filter_enabled_metadata`, or set `deny_at_disable: {default_value: true}`, which refuses what is not checked: a header is enough to get around the check");
    /// No request meets the condition of the check.
    ConditionUnmet = ("condition-unmet", Error, "let an AuthorizationPolicy with `action: CUSTOM` have `rules: [{}]`; it is asked before tokens are read, and principals take mutual TLS");
    /// A policy of Istio names a provider that cannot be asked.
    ProviderUnusable = ("provider-unusable", Error, "let `extensionProviders` of the mesh configuration hold the provider with a service that exists, and all policies of a workload name the same one");
    /// Decisions are recorded, and not enforced.
    ShadowMode = ("shadow-mode", Error, "remove `shadow_mode`; use `mode: Shadow` in a policy to try one out");
    /// A filter that cannot be loaded is left out in silence.
    OptionalFilter = ("optional-filter", Error, "remove `is_optional: true` from the filter");
    /// A filter comes from a server, and what it does until it has come or if it fails is not a refusal.
    UnseenFilter = ("unseen-filter", Warning, "give the dump of a proxy that has received the filter (`/config_dump`), and no default configuration that lets requests pass");
    /// A route, virtual host or weighted cluster switches the check off.
    RouteUnprotected = ("route-unprotected", Error, "remove the override and let a policy say `anonymous: true` for that path, so that identity headers are stripped and the access is recorded");
    /// A route switches off one of several checks.
    RouteLessChecked = ("route-less-checked", Warning, "make sure that the check that stays is the one that decides who gets in, or remove the override");
    /// No policy of Envoy Gateway puts a route to the authorizer.
    RouteWithoutPolicy = ("route-without-policy", Error, "let a SecurityPolicy with `extAuth` target the Gateway; a policy of the route takes its place unless it has an `extAuth` of its own or `mergeType: StrategicMerge`");
    /// A route asks another authorizer, or none that is known.
    RouteElsewhere = ("route-elsewhere", Warning, "remove the override of the service, or make sure that this authorizer has the same policies");
    /// Routes come from a server and are not in the document.
    UnseenRoutes = ("unseen-routes", Warning, "give the answer of `/config_dump` of a running proxy, which holds the routes it has received");
    /// A header of the client chooses the upstream, or the host that the upstream sees.
    ClientChooses = ("client-chooses", Error, "name cluster and host in the route: the check knows of neither, and a client may name any");
    /// After one check of a CONNECT request any bytes go to the upstream.
    ConnectTerminated = ("connect-terminated", Error, "remove `connect_config`, or let the cluster be a listener of this proxy that checks what arrives");
    /// An upgraded connection has filters of its own, without the check.
    UpgradeUnchecked = ("upgrade-unchecked", Error, "remove `filters` from the upgrade, or put ext_authz first there, too");
    /// A filter before the check can answer by itself.
    AnswersBefore = ("answers-before", Error, "put the filter behind ext_authz");
    /// A filter before the check may change a request, or answer it.
    CodeBefore = ("code-before", Warning, "put the filter behind ext_authz unless the check needs what it does; nobody checks what it answers itself");
    /// A filter before the check puts credentials of the proxy's own into requests.
    CredentialsBefore = ("credentials-before", Error, "put the filter behind ext_authz: otherwise whoever sends no token is checked as the proxy");
    /// A filter behind the check may change what was checked.
    CodeAfter = ("code-after", Warning, "make sure that it changes neither path, method, host nor identity headers, or put it before ext_authz");
    /// Something beside the authorizer writes identity headers.
    IdentityOverwritten = ("identity-overwritten", Error, "do not add, set or remove `x-entrance-` headers: only the authorizer knows who is there");
    /// Identity headers of the client reach the upstream, since over HTTP the authorizer cannot take them away.
    IdentityKept = ("identity-kept", Error, "let a `header_mutation` filter before the check, on for every route, say `remove_on_match: {key_matcher: {safe_regex: {regex: \"x[^a-z0-9]entrance[^a-z0-9].*\"}}}`; `http_service.authorization_response.allowed_upstream_headers` with `{prefix: x-entrance-}` replaces only what the answer holds");
    /// A route is chosen by an identity header, before the check can have set it.
    IdentityRoutes = ("identity-routes", Error, "do not match `x-entrance-` headers: routes are chosen before the check, by what the client sent");
    /// The path is not normalised.
    PathNotNormalized = ("path-not-normalized", Error, "set `normalize_path: true`: otherwise `/public/../admin` may be one path to the check and another to the upstream");
    /// Repeated slashes are kept.
    SlashesNotMerged = ("slashes-not-merged", Warning, "set `merge_slashes: true`: many servers take `//admin` for `/admin`");
    /// Escaped slashes are kept or resolved.
    EscapedSlashes = ("escaped-slashes", Warning, "set `path_with_escaped_slashes_action: REJECT_REQUEST`: servers disagree about `%2F` and `%5C`");
    /// Header names with underscores pass.
    Underscores = ("underscores", Warning, "set `common_http_protocol_options.headers_with_underscores_action: REJECT_REQUEST`: many servers take `x_user` for `x-user`");
    /// A name with a port leads to another virtual host than the name alone, which is what is checked.
    HostSpelling = ("host-spelling", Warning, "set `strip_any_host_port: true`, or `ignore_port_in_host_matching: true` in the routes: `Host: open.example.com:81` is checked by the rules of `open.example.com`, and leads to the virtual host for what has no other");
    /// Forwarded headers of clients are believed.
    RemoteAddress = ("remote-address", Warning, "at the edge set `use_remote_address: true`; behind another proxy that you trust, leave it");
    /// The check has no time limit of its own, or a long one.
    Timeout = ("timeout", Warning, "set `grpc_service.timeout` to a fraction of a second, such as `0.25s`: defaults are between 200 ms and minutes");
    /// The check has no time limit, or one of more than 15 seconds.
    NoTimeout = ("no-timeout", Error, "set `grpc_service.timeout` to a fraction of a second: `0s` waits for ever, and behind an authorizer that hangs requests pile up until the proxy has no room for more");
    /// An outage of the authorizer is answered as if it were a success.
    SuccessOnError = ("success-on-error", Error, "set `status_on_error: {code: ServiceUnavailable}`: caches and clients believe a status below 400");
    /// No answer of the authorizer looks like a refusal.
    StatusOnError = ("status-on-error", Note, "set `status_on_error: {code: ServiceUnavailable}`, so that clients and dashboards tell an outage from a refusal");
    /// Header changes are not validated.
    MutationsUnchecked = ("mutations-unchecked", Warning, "set `validate_mutations: true`: a value with a line break would split a header in two");
    /// The authorizer may change any header.
    MutationsUnlimited = ("mutations-unlimited", Note, "set `decoder_header_mutation_rules` with `disallow_all: true` and `allow_expression: {regex: \"x[^a-z0-9]entrance[^a-z0-9].*\"}`");
    /// The authorizer may not change all identity headers, and what a client sends under their names stays.
    MutationsWithheld = ("mutations-withheld", Error, "let `decoder_header_mutation_rules.allow_expression` be `{regex: \"x[^a-z0-9]entrance[^a-z0-9].*\"}`, and no `disallow_expression` cover such names");
    /// The route is chosen anew after the check.
    RouteCacheCleared = ("route-cache-cleared", Error, "remove `clear_route_cache`: the new route would not be checked");
    /// The protocol version is not V3.
    ApiVersion = ("api-version", Error, "set `transport_api_version: V3`");
    /// Envoy's second gRPC stack is used.
    GoogleGrpc = ("google-grpc", Warning, "use `envoy_grpc` with a cluster: it has statistics, health checks and circuit breakers");
    /// Headers that the authorizer needs are not sent to it.
    HeadersWithheld = ("headers-withheld", Error, "let the header reach the authorizer, or leave `allowed_headers` and `disallowed_headers` out");
    /// The authorizer does not see headers that ask for another method or path.
    OverridesWithheld = ("overrides-withheld", Warning, "send `x-http-method-override`, `x-http-method`, `x-method-override`, `x-original-url`, `x-rewrite-url`, `x-script-name`, `script_name`, `script-name`, `path_info` and `path-info`, too: a server may believe them, and what the authorizer does not see it cannot refuse");
    /// Request bodies are sent to the authorizer.
    BodySent = ("body-sent", Note, "remove `with_request_body` unless the authorizer reads bodies: each request waits for its body, and larger ones are refused");
    /// The authorizer's cluster is not there.
    ClusterMissing = ("cluster-missing", Error, "name a cluster that exists: every check fails");
    /// The authorizer's cluster does not speak HTTP/2.
    ClusterNotHttp2 = ("cluster-not-http2", Error, "set `explicit_http_config: {http2_protocol_options: {}}` in the cluster: gRPC is HTTP/2, and every check fails");
    /// The authorizer is asked by statuses of HTTP where a gRPC server is likely to listen.
    HttpToGrpc = ("http-to-grpc", Error, "ask with `grpc_service`, or ask the port of `--listen-http` over HTTP/1.1, without `http2_protocol_options` in the cluster: gRPC servers answer 200 to calls that they do not know, and `http_service` takes each 200 for a permit");
    /// Tokens travel to another machine in clear.
    ClusterPlaintext = ("cluster-plaintext", Warning, "put TLS around it, or bring the authorizer to the same machine: the connection carries tokens");
    /// The authorizer's certificate is not verified.
    ClusterUnverified = ("cluster-unverified", Warning, "set `validation_context` with `trusted_ca` and `match_typed_subject_alt_names`: otherwise whoever is in between can permit");
    /// The admin port is open to others.
    AdminOpen = ("admin-open", Warning, "let `admin.address` be a loopback address or a Unix socket: whoever reaches it can end the proxy and read its configuration");
    /// A field can be read in two ways, and counts as the one that is unsafe.
    Unclear = ("unclear", Error, "write each field once, in one spelling, and switches as `true` or `false`, without quotes");
}
