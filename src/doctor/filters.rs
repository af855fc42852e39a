//! The HTTP filters of a connection manager: which of them checks, and what its neighbours can do.

use super::check;
use super::condition;
use super::config::Config;
use super::edge;
use super::headers;
use super::kinds::{self, Nature};
use super::matched;
use super::node::Node;
use super::pages;
use super::tables::Tables;
use super::tls::Peers;
use super::writers::{self, Side};
use super::{Findings, Place, Rule};

/// The filters of a connection manager, in their order.
pub(super) struct Chain<'a> {
    filters: Vec<Filter<'a>>,
    /// Who comes here.
    pub(super) peers: Peers,
    /// Changes of headers before the first filter.
    pub(super) early_mutations: Vec<Node<'a>>,
}

/// One filter.
pub(super) struct Filter<'a> {
    pub(super) node: Node<'a>,
    pub(super) name: &'a str,
    /// The message type of its configuration; empty if that is not known.
    kind: &'a str,
    /// The same as it was given, with the package.
    url: &'a str,
    pub(super) config: Node<'a>,
    /// It asks an external authorizer, and that is the one that counts.
    is_check: bool,
    /// It runs only where a matcher says so.
    is_matched: bool,
    /// Its configuration is delivered, and not here.
    is_unseen: bool,
}

impl<'a> Chain<'a> {
    /// The filters of a manager.
    pub(super) fn of(manager: &Node<'a>, config: &Config<'a>, peers: Peers) -> Self {
        let extensions = manager.list("early_header_mutation_extensions").into_iter();
        let early = extensions.filter_map(|extension| extension.typed("typed_config"));
        let early_mutations = early.flat_map(|(_, settings)| settings.list("mutations")).collect();
        Self { filters: read(&manager.list("http_filters"), config), peers, early_mutations }
    }

    /// The filters that upgraded connections of the same manager have instead.
    pub(super) fn upgraded(&self, filters: &[Node<'a>], config: &Config<'a>) -> Self {
        let early_mutations = self.early_mutations.clone();
        Self { filters: read(filters, config), peers: self.peers, early_mutations }
    }

    /// Whether clients may have shown certificates.
    pub(super) const fn has_certificates(&self) -> bool {
        matches!(self.peers, Peers::Claimed | Peers::Proven)
    }

    /// All of them.
    pub(super) fn filters(&self) -> &[Filter<'a>] {
        &self.filters
    }

    /// Whether a filter stands before the first check or behind it; `None` for checks, and where there is none.
    pub(super) fn side(&self, at: usize) -> Option<Side> {
        let first = self.filters.iter().position(Filter::is_check)?;
        let is_check = self.filters.get(at).is_some_and(Filter::is_check);
        (!is_check).then_some(if at < first { Side::Before } else { Side::After })
    }

    /// Those that ask an external authorizer.
    pub(super) fn checks(&self) -> impl Iterator<Item = &Filter<'a>> {
        self.filters.iter().filter(|filter| filter.is_check())
    }
}

fn read<'a>(filters: &[Node<'a>], config: &Config<'a>) -> Vec<Filter<'a>> {
    filters.iter().map(|filter| Filter::read(filter, config)).collect()
}

impl<'a> Filter<'a> {
    fn read(node: &Node<'a>, config: &Config<'a>) -> Self {
        let name = node.text("name");
        let any = config.given(node);
        let is_unseen = any.is_none() && node.field("config_discovery").is_some();
        let behind = any.as_ref().and_then(matched::behind);
        let is_matched = behind.is_some();
        let any = behind.or(any);
        let (kind, settings) = any.as_ref().map_or_else(|| ("", node.clone()), Node::unwrapped);
        let url = any.as_ref().map_or("", url);
        let asks =
            kinds::family(url) == Some("ext_authz") || (kind.is_empty() && name == "envoy.filters.http.ext_authz");
        let is_check = asks && (config.authorizer.is_empty() || asked(&settings) == config.authorizer);
        Self { node: node.clone(), name, kind, url, config: settings, is_check, is_matched, is_unseen }
    }

    const fn is_check(&self) -> bool {
        self.is_check
    }

    /// The policy of Envoy Gateway that it was made for, as `namespace/name`: such a filter is off but for the routes that
    /// the policy covers.
    pub(super) fn policy(&self) -> Option<&'a str> {
        let name = self.name.strip_prefix("envoy.filters.http.ext_authz/securitypolicy/")?;
        self.node.is_on("disabled").then_some(name)
    }

    /// Whether it runs for every request, but for what routes say.
    pub(super) fn is_always_on(&self) -> bool {
        !self.is_matched && !self.node.is_on("disabled")
    }

    /// Whether a route, or what holds routes, switches it off.
    pub(super) fn is_switched_off(&self, routes: &Node<'_>) -> bool {
        let mut is_off = false;
        routes.walk(&mut |node| {
            let settings = node.field("typed_per_filter_config").and_then(|configs| configs.typed(self.name));
            is_off |= settings.is_some_and(|(_, settings)| settings.is_on("disabled"));
        });
        is_off
    }

    /// Whether routes, or what holds them, say anything to it.
    pub(super) fn is_mentioned(&self, routes: &Node<'_>) -> bool {
        let mut is_mentioned = false;
        routes.walk(&mut |node| {
            let settings = node.field("typed_per_filter_config");
            is_mentioned |= settings.is_some_and(|configs| configs.field(self.name).is_some());
        });
        is_mentioned
    }

    /// Whether it answers nothing that an API would, as far as is known.
    pub(super) fn leaves_answers_to_others(&self) -> bool {
        matches!(kinds::nature(self.url), Nature::Passes | Nature::Converts)
    }

    pub(super) fn mutates_headers(&self) -> bool {
        self.kind == "HeaderMutation"
    }

    pub(super) fn is_rbac(&self) -> bool {
        self.kind == "RBAC"
    }

    /// Whether it verifies tokens, and leaves their claims to those behind it.
    pub(super) fn reads_tokens(&self) -> bool {
        self.kind == "JwtAuthentication"
    }

    /// What is known of it, in words, if it can do more than refuse.
    fn doubts(&self, side: Side) -> Option<String> {
        let doubt = match (kinds::nature(self.url), side) {
            (Nature::Passes | Nature::Answers(_), _) | (Nature::Converts, Side::Before) => return None,
            (Nature::Converts, Side::After) => "it makes another request of the one that was checked".to_owned(),
            (Nature::Code, Side::Before) => "it may answer or change requests".to_owned(),
            (Nature::Code, Side::After) => "it may change what was checked".to_owned(),
            (Nature::Unknown, _) if self.is_unseen => "its configuration is not in the document".to_owned(),
            (Nature::Unknown, _) => format!("nothing is known of `{}`", kinds::message(self.url)),
        };
        Some(doubt)
    }
}

/// Whom a check asks.
fn asked<'a>(check: &Node<'a>) -> &'a str {
    const NAMES: [&[&str]; 3] = [
        &["grpc_service", "envoy_grpc", "cluster_name"],
        &["grpc_service", "google_grpc", "target_uri"],
        &["http_service", "server_uri", "cluster"],
    ];
    NAMES.iter().find_map(|names| check.at(names)?.value.as_str()).unwrap_or_default()
}

/// The type in an `Any`, through `TypedStruct`.
fn url<'a>(any: &Node<'a>) -> &'a str {
    let url = any.text("@type");
    if url.ends_with(".TypedStruct") { any.text("type_url") } else { url }
}

/// Looks at all filters.
pub(super) fn examine(
    chain: &Chain<'_>,
    (manager, config, place): (&Node<'_>, &Config<'_>, &Place),
    findings: &mut Findings,
) {
    let Some(first) = chain.filters.iter().position(Filter::is_check) else {
        let is_refused = condition::refusals(chain, place, findings) || !pages::lead_anywhere(manager, config);
        if !is_refused && !edge::requests((chain, &Tables::of(manager, config)), place, findings) {
            let found = format!("{} filters, none of which asks an authorizer", chain.filters.len());
            findings.add(Rule::NoCheck, (place, manager, "http_filters"), found);
        }
        return;
    };
    let routes = Tables::of(manager, config).seen;
    for (at, filter) in chain.filters.iter().enumerate() {
        let place = place.then(format!("filter `{}`", filter.name));
        if filter.is_check() {
            standing(filter, &place, findings);
            if !filter.is_unseen {
                condition::examine(filter, (chain, at, &routes, &place), findings);
                headers::examine(filter, (chain, at, &routes, &place), findings);
                check::examine(filter, (config, &place), findings);
            }
        } else if at < first {
            before(filter, &place, findings);
        } else {
            after(filter, &place, findings);
        }
    }
}

/// Whether the check is made at all.
fn standing(filter: &Filter<'_>, place: &Place, findings: &mut Findings) {
    match filter.policy() {
        Some(policy) => {
            let found = format!("only routes of SecurityPolicy `{policy}` are checked");
            findings.add(Rule::FilterOfPolicy, (place, &filter.node, "disabled"), found);
        }
        None if filter.node.is_on("disabled") => findings.add(
            Rule::FilterDisabled,
            (place, &filter.node, "disabled"),
            "only routes that switch it on are checked",
        ),
        None => {}
    }
    if filter.node.is_on("is_optional") {
        findings.add(
            Rule::OptionalFilter,
            (place, &filter.node, "is_optional"),
            "an Envoy that does not know it goes on without",
        );
    }
    if filter.is_matched {
        findings.add(
            Rule::ConditionUnknown,
            (place, &filter.config, ""),
            "a matcher decides which requests are checked",
        );
    }
    if filter.is_unseen {
        findings.add(
            Rule::UnseenFilter,
            (place, &filter.node, "config_discovery"),
            "its configuration is not in the document",
        );
    }
}

fn before(filter: &Filter<'_>, place: &Place, findings: &mut Findings) {
    let at = (place, &filter.node, "");
    if let Nature::Answers(why) = kinds::nature(filter.url) {
        findings.add(Rule::AnswersBefore, at, format!("{why}, before anybody was asked"));
    } else if filter.kind == "HealthCheck" && !filter.config.is_surely_on("pass_through_mode") {
        findings.add(
            Rule::AnswersBefore,
            at,
            "health checks are answered to everybody; harmless if that is all they say",
        );
    } else if !aborts((filter.kind, &filter.config), place, findings)
        && let Some(doubt) = filter.doubts(Side::Before)
    {
        findings.add(Rule::CodeBefore, at, doubt);
    }
    writers::examine((filter.url, &filter.config), (Side::Before, place), findings);
}

/// Faults that are put in on purpose, before anybody is asked; whether there are any.
fn aborts((kind, settings): (&str, &Node<'_>), place: &Place, findings: &mut Findings) -> bool {
    let some = kind == "HTTPFault" && settings.field("abort").is_some();
    if some {
        findings.add(Rule::CodeBefore, (place, settings, "abort"), "requests are answered at random");
    }
    some
}

fn after(filter: &Filter<'_>, place: &Place, findings: &mut Findings) {
    if let Some(doubt) = filter.doubts(Side::After) {
        findings.add(Rule::CodeAfter, (place, &filter.node, ""), doubt);
    }
    writers::examine((filter.url, &filter.config), (Side::After, place), findings);
    for own in filter.config.list("upstream_http_filters") {
        behind(&own, place, findings);
    }
}

/// A filter on the way to an upstream, which has its own list of them.
pub(super) fn behind(node: &Node<'_>, place: &Place, findings: &mut Findings) {
    let filter = Filter::read(node, &Config::default());
    after(&filter, &place.then(format!("filter `{}`", filter.name)), findings);
}

/// What a route, virtual host or weighted cluster says to the filters of a chain other than the checks.
pub(super) fn overrides(node: &Node<'_>, (chain, place): (&Chain<'_>, &Place), findings: &mut Findings) {
    let Some(configs) = node.field("typed_per_filter_config") else { return };
    for (at, filter) in chain.filters.iter().enumerate() {
        let (Some(side), Some(any)) = (chain.side(at), configs.field(filter.name)) else { continue };
        let place = place.then(format!("filter `{}`", filter.name));
        // Through `FilterConfig`.
        let any = any.field("config").filter(|_| any.unwrapped().0 == "FilterConfig").unwrap_or(any);
        let (kind, settings) = any.unwrapped();
        writers::examine((url(&any), &settings), (side, &place), findings);
        if side == Side::Before {
            aborts((kind, &settings), &place, findings);
        }
        let header = settings.text("host_rewrite_header");
        if kinds::family(url(&any)) == Some("dynamic_forward_proxy") && !header.is_empty() {
            findings.add(
                Rule::ClientChooses,
                (&place, &settings, "host_rewrite_header"),
                format!("`{header}` names the host"),
            );
        }
    }
}
