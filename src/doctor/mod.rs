//! The doctor: reads what an Envoy is told and finds where a request could pass unchecked, or be read in two ways.
//!
//! Pure: a configuration as JSON goes in, findings come out. *Nodes* (`node`) are values that know their place;
//! *configurations* (`config`) are found in bootstraps and in the dumps of the admin port; the rest walks down as a
//! request does: listener and connection manager (`listener`), the check and its neighbours (`check`, `filters`), routes
//! that switch it off (`routes`), what the check depends on in Istio (`condition`), which headers travel (`headers`, by
//! `matcher`), and the way to the authorizer (`cluster`). [`Rule`] lists what is looked for.
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
mod filters;
mod headers;
mod listener;
mod matched;
mod matcher;
mod node;
mod routes;
mod rule;
mod unclear;

use serde_json::Value;

use crate::api::fault::FieldPath;

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
    let config = Config::read(document)?;
    let mut findings = Findings::default();
    unclear::examine(&Node::root(document), &mut findings);
    if let Some(admin) = &config.admin {
        listener::admin(admin, &mut findings);
    }
    for listener in config.listeners.iter().filter(|listener| !config.is_own_way_out(listener)) {
        listener::examine(listener, &config, &mut findings);
    }
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
