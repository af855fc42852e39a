//! The doctor: reads what an Envoy is told and finds where a request could pass unchecked, or be read in two ways.
//!
//! Pure: a configuration as JSON goes in, findings come out. *Nodes* (`node`) are values that know their place;
//! *configurations* (`config`) are found in bootstraps and in the dumps of the admin port; the rest walks down as a
//! request does: listener and connection manager (`listener`), what is no request (`connections`), proxies to which only
//! those come that have asked (`edge`), the check and its neighbours (`check`, `filters`: what they can do is in `kinds` and
//! `writers`), routes that switch it off (`routes`: where they stand is in `tables`, which of them lead to no API in
//! `pages`), what the check depends on in Istio (`condition`), which headers travel (`headers`, by `matcher`), the way to the
//! authorizer (`cluster`, `tls`), and what is behind the check (`upstreams`). [`Rule`] lists what is looked for.
//!
//! # What is promised
//! - **Nothing is taken for granted.** A setting that is absent counts as what Envoy makes of it. What cannot be seen,
//!   such as routes that a server would deliver, is said to be unseen.
//!   What can be read in two ways (`unclear`) counts as the worse one.
//! - **Any external authorizer.** Nothing but the names of identity headers is particular to Entrance.
//!
//! What it does not do: ask upstreams what they make of a path, and judge what a Lua, Wasm or external filter does.

mod check;
mod cluster;
mod condition;
mod config;
mod connections;
mod edge;
mod filters;
mod headers;
mod kinds;
mod listener;
mod matched;
mod matcher;
mod node;
mod pages;
mod routes;
mod rule;
mod spelling;
mod tables;
mod tls;
mod unclear;
mod upstreams;
mod writers;

use serde_json::Value;

use crate::api::field_path::FieldPath;

pub use rule::{Rule, Severity};

use config::Config;
use node::Node;

/// One thing that is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule is broken.
    pub rule: Rule,
    /// For people: listener, filter chain, virtual host, route.
    pub place: String,
    /// The field of the document, or the one that should be there.
    pub path: FieldPath,
    /// What was found.
    pub found: String,
}

/// Why a document cannot be examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Neither a bootstrap nor a dump.
    #[error(
        "is no Envoy configuration: neither `static_resources` nor `configs` is there; give a bootstrap or the answer of `/config_dump`"
    )]
    Foreign,
    /// There is nothing that takes requests.
    #[error("has no listener; give the bootstrap of the proxy, or the dump of one that has received its listeners")]
    NoListener,
}

/// What is wrong with a configuration, in its order.
///
/// # Errors
/// [`Unfit`].
pub fn examine(document: &Value) -> Result<Vec<Finding>, Unfit> {
    examine_for(document, "")
}

/// The same where only the checks that ask one cluster count, or one target of Envoy's second gRPC stack.
///
/// # Errors
/// [`Unfit`].
pub fn examine_for<'a>(document: &'a Value, authorizer: &'a str) -> Result<Vec<Finding>, Unfit> {
    let mut config = Config::read(document)?;
    config.authorizer = authorizer;
    config.upstreams = upstreams::of(&config);
    let mut findings = Findings::default();
    unclear::examine(&Node::root(document), &mut findings);
    connections::unseen(&config, &mut findings);
    listener::runtime(&config, &mut findings);
    if let Some(admin) = &config.admin {
        listener::admin(admin, &mut findings);
    }
    for listener in config.listeners.iter().filter(|listener| !config.is_own_way_out(listener)) {
        listener::examine(listener, &config, &mut findings);
    }
    upstreams::examine(&config, &mut findings);
    Ok(findings.0)
}

/// Findings while they are collected.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// A finding at a node, or at a field of it that may be missing.
    fn add(&mut self, rule: Rule, (place, node, field): (&Place, &Node<'_>, &str), found: impl Into<String>) {
        let path = if field.is_empty() { node.path.clone() } else { node.child_path(field) };
        self.0.push(Finding { rule, place: place.0.clone(), path, found: found.into() });
    }
}

/// Where in the proxy, for people.
#[derive(Clone, Debug)]
struct Place(String);

impl Place {
    fn of(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    fn then(&self, text: impl AsRef<str>) -> Self {
        Self(format!("{}, {}", self.0, text.as_ref()))
    }
}
