//! The HTTP filters of a connection manager: which of them checks, and what its neighbours can do.

use super::check;
use super::condition;
use super::config::Config;
use super::headers;
use super::matched;
use super::node::Node;
use super::routes;
use super::{Findings, Place, Rule};

/// Filters that answer requests by themselves, from what earlier ones left behind or from settings.
const ANSWERS: [(&str, &str); 2] = [
    ("CacheConfig", "a response that was allowed to one caller is given to another"),
    ("CacheV2Config", "a response that was allowed to one caller is given to another"),
];
/// Filters that run somebody's code.
const CODE: [&str; 5] = ["Lua", "Wasm", "ExternalProcessor", "Config", "DynamicModuleFilter"];

/// The filters of a connection manager, in their order.
pub(super) struct Chain<'a> {
    filters: Vec<Filter<'a>>,
    /// Clients may have shown a certificate.
    pub(super) is_certified: bool,
    /// Changes of headers before the first filter.
    pub(super) early_mutations: Vec<Node<'a>>,
}

/// One filter.
pub(super) struct Filter<'a> {
    pub(super) node: Node<'a>,
    pub(super) name: &'a str,
    /// The message type of its configuration; empty if that is not known.
    kind: &'a str,
    pub(super) config: Node<'a>,
    /// It runs only where a matcher says so.
    is_matched: bool,
    /// Its configuration is delivered, and not here.
    is_unseen: bool,
}

impl<'a> Chain<'a> {
    /// The filters of a manager.
    pub(super) fn of(manager: &Node<'a>, config: &Config<'a>, is_certified: bool) -> Self {
        let extensions = manager.list("early_header_mutation_extensions").into_iter();
        let early = extensions.filter_map(|extension| extension.typed("typed_config"));
        let early_mutations = early.flat_map(|(_, settings)| settings.list("mutations")).collect();
        Self { filters: read(&manager.list("http_filters"), config), is_certified, early_mutations }
    }

    /// The filters that upgraded connections of the same manager have instead.
    pub(super) fn upgraded(&self, filters: &[Node<'a>], config: &Config<'a>) -> Self {
        let early_mutations = self.early_mutations.clone();
        Self { filters: read(filters, config), is_certified: self.is_certified, early_mutations }
    }

    /// All of them.
    pub(super) fn filters(&self) -> &[Filter<'a>] {
        &self.filters
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
        let delivered = config.filters.get(name).and_then(|filter| filter.typed("typed_config"));
        let is_unseen = node.field("config_discovery").is_some() && delivered.is_none();
        let typed = node.typed("typed_config").or(delivered);
        let (kind, settings) = typed.unwrap_or(("", node.clone()));
        let behind = matched::behind(kind, &settings);
        let is_matched = behind.is_some();
        let (kind, settings) = behind.unwrap_or((kind, settings));
        Self { node: node.clone(), name, kind, config: settings, is_matched, is_unseen }
    }

    fn is_check(&self) -> bool {
        self.kind == "ExtAuthz" || (self.kind.is_empty() && self.name == "envoy.filters.http.ext_authz")
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

    fn runs_code(&self) -> bool {
        // Go's message is called `Config`, as others are.
        CODE.contains(&self.kind) && (self.kind != "Config" || self.name.contains("golang"))
    }
}

/// Looks at all filters.
pub(super) fn examine(
    chain: &Chain<'_>,
    (manager, config, place): (&Node<'_>, &Config<'_>, &Place),
    findings: &mut Findings,
) {
    let Some(first) = chain.filters.iter().position(Filter::is_check) else {
        if !condition::refusals(chain, place, findings) && routes::lead_anywhere(manager, config) {
            let found = format!("{} filters, none of which asks an authorizer", chain.filters.len());
            findings.add(Rule::NoCheck, (place, manager, "http_filters"), found);
        }
        return;
    };
    let routes = routes::routes(manager, config);
    for (at, filter) in chain.filters.iter().enumerate() {
        let place = place.then(format!("filter `{}`", filter.name));
        if filter.is_check() {
            standing(filter, &place, findings);
            if !filter.is_unseen {
                condition::examine(filter, (chain, at, routes.as_ref(), &place), findings);
                headers::examine(filter, (chain, at, routes.as_ref(), &place), findings);
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
    if let Some((_, why)) = ANSWERS.iter().find(|(kind, _)| *kind == filter.kind) {
        findings.add(Rule::AnswersBefore, at, format!("{why}, before anybody was asked"));
    } else if filter.kind == "HealthCheck" && !filter.config.is_surely_on("pass_through_mode") {
        findings.add(
            Rule::AnswersBefore,
            at,
            "health checks are answered to everybody; harmless if that is all they say",
        );
    } else if filter.runs_code() {
        findings.add(Rule::CodeBefore, at, "it may answer or change requests");
    }
    identity(filter, place, findings);
}

fn after(filter: &Filter<'_>, place: &Place, findings: &mut Findings) {
    if filter.runs_code() {
        findings.add(Rule::CodeAfter, (place, &filter.node, ""), "it may change what was checked");
    }
    identity(filter, place, findings);
}

/// Whether a filter that mutates headers mutates those of the authorizer. Before the check that is overwritten again,
/// but on routes without the check it is not.
fn identity(filter: &Filter<'_>, place: &Place, findings: &mut Findings) {
    if !filter.mutates_headers() {
        return;
    }
    for change in filter.config.at(&["mutations", "request_mutations"]).iter().flat_map(Node::items) {
        let appended = change.at(&["append", "header"]).map(|header| header.text("key"));
        let name = appended.unwrap_or_else(|| change.text("remove"));
        if is_identity(name) {
            findings.add(Rule::IdentityOverwritten, (place, &change, ""), format!("changes `{name}`"));
        }
    }
}

/// Whether a header says who is there, in whatever spelling.
pub(super) fn is_identity(name: &str) -> bool {
    name.to_ascii_lowercase().replace('_', "-").starts_with("x-entrance-")
}
