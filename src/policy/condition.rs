//! Conditions: one CEL expression of an entry, judged when it is compiled and evaluated on the request path.
//!
//! Variables: `request` (`method`, `host`, `path`, `query`, `headers`), `params` of the route, `caller` (`tenant`,
//! `oid`, `client`, `kind`, `roles`, `scopes`, `groups`, `authContexts`), `claims` and `now`. Members of `request`,
//! `caller` and `claims` are named one by one, so that the compiler sees which are read, builds no others, and can
//! refuse claims that a user can change (Entra's "validate claims": `email`, `upn`, …). Credentials are withheld from
//! `headers`, and so are identity headers: on a request they are a stranger's.
//!
//! The cost is bounded when the rule is compiled: 1024 bytes of text, 32 levels, no list macro inside another, and an
//! estimate of the time that the longest accepted values would take (`cost`). Longer values fail the condition
//! (`values`). Regular expressions are constants and become automata that read each byte once (`pattern`); `\d`, `\w`
//! and `\s` are ASCII, as in RE2.

mod cost;
mod names;
mod pattern;
mod values;

use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Program, Value};

use crate::clock::UnixTime;
use crate::identity::Caller;
use crate::request::Request;

use super::path::Canonical;
use super::template::PathTemplate;

use names::Names;
use pattern::Patterns;

/// Longest expression, in bytes.
pub const MAX_CONDITION: usize = 1024;
const MAX_DEPTH: usize = 32;

/// The functions of CEL. Made once: it takes longer than most conditions.
static FUNCTIONS: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A condition that compiled.
pub struct Condition {
    source: Box<str>,
    program: Program,
    names: Names,
    patterns: Option<Arc<Patterns>>,
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
    /// A member that is not there.
    #[error("`{0}` is unknown; there are {1}")]
    UnknownMember(String, String),
    /// A function that is not there, or not for conditions.
    #[error("`{0}()` is not a function of conditions")]
    UnknownFunction(String),
    /// A claim that must not decide. Code `config_claim_forbidden`.
    #[error("`claims.{0}` can be changed by users and must not decide; use caller.oid, caller.roles or groups")]
    ClaimForbidden(String),
    /// `request`, `caller` or `claims` used as a whole.
    #[error("`{0}` must be used with a literal name, as in {0}.{1} or \"{1}\" in {0}")]
    AsWhole(&'static str, &'static str),
    /// Too deep, or list macros inside each other.
    #[error("is too deep: at most 32 levels, and no list macro inside another")]
    TooDeep,
    /// Could take too long.
    #[error("could take too long to evaluate; use fewer or shorter lists, and add strings outside of list macros")]
    TooCostly,
    /// A regular expression that is none, not a constant, or too large.
    #[error("needs a constant regular expression that makes a small automaton: {0}")]
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
        if nesting(source) > MAX_DEPTH {
            return Err(ConditionFault::TooDeep);
        }
        let program = Program::compile(source).map_err(|error| ConditionFault::Syntax(one_line(&error.to_string())))?;
        let names = Names::of(program.expression())?;
        cost::bounded(program.expression())?;
        let patterns = Patterns::compile(names.patterns())?;
        Ok(Self { source: source.into(), patterns: patterns.map(Arc::new), names, program })
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
        let mut context = Context::with_env(Arc::clone(&FUNCTIONS));
        for (root, value) in values::of(&self.names, facts)? {
            context.add_variable_from_value(root, value);
        }
        if let Some(patterns) = &self.patterns {
            pattern::provide(&mut context, patterns)?;
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) | Err(_) => Err(ConditionError),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Brackets inside brackets and alternatives inside alternatives, outside of texts: what makes a recursive parser
/// recurse. Escapes and raw or triple quotes are not understood; where they confuse the count, the parser's own limit
/// holds.
fn nesting(source: &str) -> usize {
    let (mut open, mut deepest, mut alternatives, mut quote) = (0_usize, 0_usize, 0_usize, None);
    for byte in source.bytes() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(end), _) if end == byte => quote = None,
            (None, b'(' | b'[' | b'{') => open = open.saturating_add(1),
            (None, b')' | b']' | b'}') => open = open.saturating_sub(1),
            (None, b'?') => alternatives = alternatives.saturating_add(1),
            (None | Some(_), _) => {}
        }
        deepest = deepest.max(open);
    }
    deepest.max(alternatives)
}
