//! Conditions: one CEL expression of an entry, judged when it is compiled and evaluated on the request path.
//!
//! Variables: `request` (`method`, `host`, `path`, `query`, `headers`), `params` of the route, `caller` (`tenant`,
//! `oid`, `client`, `kind`, `roles`, `scopes`, `groups`, `authContexts`), `claims` and `now`. Credentials are withheld
//! from `headers`. Claims are named one by one, so that the compiler sees which are read and can refuse those that a
//! user can change (Entra's "validate claims": `email`, `upn`, …).
//!
//! The cost is bounded when the rule is compiled: 1024 bytes of text, 24 levels, no list macro inside another and no `+`
//! inside one, patterns of `matches` literal and small. The parser is generated (ANTLR) and recurses deeply, a dozen
//! functions for each level, so it gets a stack of its own.

mod names;
mod pattern;
mod values;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::{Context, Env, Program, Value};

use crate::clock::UnixTime;
use crate::identity::Caller;
use crate::request::Request;

use names::Names;
use pattern::Patterns;

use super::path::Canonical;
use super::template::PathTemplate;

/// Longest expression, in bytes.
pub const MAX_CONDITION: usize = 1024;
/// The deepest expressions take 8 MiB in an unoptimised build. Pages that are not touched cost nothing.
const PARSER_STACK: usize = 32 << 20;

/// Functions and operators of CEL, declared once; `matches` is declared for each condition.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A condition that compiled.
pub struct Condition {
    source: Box<str>,
    program: Program,
    roots: BTreeSet<String>,
    claims: BTreeSet<String>,
    patterns: Arc<Patterns>,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Condition({})", self.source)
    }
}

/// Why an expression is not a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionFault {
    /// Longer than 1024 bytes, or empty.
    #[error("must have 1 to 1024 bytes")]
    Length,
    /// Not CEL.
    #[error("is not CEL: {0}")]
    Syntax(String),
    /// A name that is not there.
    #[error("`{0}` is unknown; there are request, params, caller, claims and now")]
    UnknownName(String),
    /// A claim that must not decide. Code `config_claim_forbidden`.
    #[error("`claims.{0}` can be changed by users and must not decide; use caller.oid, caller.roles or groups")]
    ClaimForbidden(String),
    /// `claims` used as a whole.
    #[error("`claims` must be used with a literal name, as in claims.acct or \"acct\" in claims")]
    ClaimsAsWhole,
    /// Too deep, or list macros inside each other.
    #[error("is too deep: at most 24 levels, and no list macro inside another")]
    TooDeep,
    /// Something that grows with every element of a list.
    #[error("uses `+` inside a list macro, where every element would make something longer")]
    Grows,
    /// The pattern of a `matches`.
    #[error("`matches` needs a literal pattern that is a regular expression of moderate size: {0}")]
    Pattern(String),
}

/// Evaluation failed, or gave something else than a truth value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConditionError;

/// What a condition may look at.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// Its path.
    pub path: &'a Canonical<'a>,
    /// Its host, folded.
    pub host: &'a str,
    /// The route's template, for `params`.
    pub template: &'a PathTemplate,
    /// The caller.
    pub caller: &'a Caller,
    /// The time.
    pub now: UnixTime,
}

impl Condition {
    /// Compiles an expression.
    ///
    /// # Errors
    /// [`ConditionFault`].
    pub fn compile(source: &str) -> Result<Self, ConditionFault> {
        if source.trim().is_empty() || source.len() > MAX_CONDITION {
            return Err(ConditionFault::Length);
        }
        if names::nests_too_deep(source) {
            return Err(ConditionFault::TooDeep);
        }
        with_deep_stack(|| {
            let program = Program::compile(source);
            let program = program.map_err(|error| ConditionFault::Syntax(one_line(&error.to_string())))?;
            let Names { roots, claims, patterns, .. } = Names::of(program.expression())?;
            Ok(Self { source: source.into(), program, roots, claims, patterns: Arc::new(patterns) })
        })
    }

    /// As written.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Evaluates.
    ///
    /// # Errors
    /// [`ConditionError`]; what it means depends on whether the entry allows or denies.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, ConditionError> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        Patterns::declare(&self.patterns, &mut context).map_err(|_| ConditionError)?;
        for root in &self.roots {
            let value = match root.as_str() {
                "request" => values::request(facts),
                "params" => values::params(facts),
                "caller" => values::caller(facts.caller),
                "claims" => values::claims(facts.caller, &self.claims)?,
                "now" => values::now(facts.now)?,
                _ => return Err(ConditionError),
            };
            context.add_variable_from_value(root.clone(), value);
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) | Err(_) => Err(ConditionError),
        }
    }
}

/// Runs the parser on a thread of its own. If it gives up there, the expression is not CEL to us.
fn with_deep_stack(
    parse: impl FnOnce() -> Result<Condition, ConditionFault> + Send,
) -> Result<Condition, ConditionFault> {
    let gave_up = |why: &str| Err(ConditionFault::Syntax(why.to_owned()));
    thread::scope(|scope| match thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, parse) {
        Ok(parsing) => parsing.join().unwrap_or_else(|_| gave_up("the parser gave up")),
        Err(error) => gave_up(&format!("the parser could not be started: {error}")),
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
