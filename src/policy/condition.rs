//! Conditions: one CEL expression of an entry, judged when it is compiled and evaluated on the request path.
//!
//! Variables: `request` (`method`, `host`, `path`, `query`, `headers`), `params` of the route, `caller` (`tenant`,
//! `oid`, `client`, `kind`, `roles`, `scopes`, `groups`, `authContexts`), `claims` and `now`. Credentials are withheld
//! from `headers`. Claims are named one by one, so that the compiler sees which are read and can refuse those that a
//! user can change (Entra's "validate claims": `email`, `upn`, …).
//!
//! The cost is bounded when the rule is compiled: 1024 bytes of text, 32 levels, no list macro inside another. The
//! parser is generated (ANTLR) and recurses deeply, a dozen functions for each level, so it gets a stack of its own.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::thread;

use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue};
use cel::objects::Key;
use cel::{Context, IdedExpr, Program, Value};

use crate::clock::UnixTime;
use crate::identity::{Caller, Groups};
use crate::request::Request;

use super::path::Canonical;
use super::template::PathTemplate;

/// Longest expression, in bytes.
pub const MAX_CONDITION: usize = 1024;
const MAX_DEPTH: usize = 32;
/// The deepest expressions take 8 MiB in an unoptimised build. Pages that are not touched cost nothing.
const PARSER_STACK: usize = 32 << 20;
const MAX_LIST: usize = 1024;
const ROOTS: [&str; 5] = ["request", "params", "caller", "claims", "now"];
const WITHHELD: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
/// Claims that users or administrators of another tenant can set to what they like, or that are opaque.
const FORBIDDEN: [&str; 12] = [
    "email",
    "upn",
    "unique_name",
    "preferred_username",
    "name",
    "given_name",
    "family_name",
    "verified_primary_email",
    "idp",
    "login_hint",
    "aio",
    "rh",
];

/// A condition that compiled.
pub struct Condition {
    source: Box<str>,
    program: Program,
    roots: BTreeSet<String>,
    claims: BTreeSet<String>,
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
    #[error("is too deep: at most 32 levels, and no list macro inside another")]
    TooDeep,
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
        with_deep_stack(|| {
            let program = Program::compile(source);
            let program = program.map_err(|error| ConditionFault::Syntax(one_line(&error.to_string())))?;
            let mut names = Names::default();
            names.visit(program.expression(), Scope { depth: 0, looping: false })?;
            Ok(Self { source: source.into(), roots: names.roots, claims: names.claims, program })
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
        let mut context = Context::default();
        for root in &self.roots {
            let value = match root.as_str() {
                "request" => request(facts),
                "params" => map(facts.template.params(facts.path.as_str()).map(|(name, value)| (name, value.into()))),
                "caller" => caller(facts.caller),
                "claims" => self.claims(facts.caller)?,
                "now" => now(facts.now)?,
                _ => return Err(ConditionError),
            };
            context.add_variable_from_value(root.clone(), value);
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) | Err(_) => Err(ConditionError),
        }
    }

    fn claims(&self, caller: &Caller) -> Result<Value, ConditionError> {
        let mut entries = Vec::new();
        for name in &self.claims {
            if let Some(value) = caller.claims.0.get(name) {
                entries.push((name.as_str(), json(value)?));
            }
        }
        Ok(map(entries))
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

/// Brackets inside brackets, and runs of unary operators: what makes a recursive parser recurse.
fn nesting(source: &str) -> usize {
    let (mut open, mut deepest, mut unary) = (0_usize, 0_usize, 0_usize);
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open = open.saturating_add(1),
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'!' | b'-' | b'?' => unary = unary.saturating_add(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    deepest.max(unary.saturating_sub(MAX_DEPTH))
}

#[derive(Clone, Copy)]
struct Scope {
    depth: usize,
    looping: bool,
}

#[derive(Default)]
struct Names {
    roots: BTreeSet<String>,
    claims: BTreeSet<String>,
    bound: Vec<String>,
}

impl Names {
    fn visit(&mut self, node: &IdedExpr, scope: Scope) -> Result<(), ConditionFault> {
        if scope.depth > MAX_DEPTH.saturating_mul(4) {
            return Err(ConditionFault::TooDeep);
        }
        let below = Scope { depth: scope.depth.saturating_add(1), ..scope };
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) if is_claims(&select.operand) => self.claim(&select.field),
            Expr::Select(select) => self.visit(&select.operand, below),
            Expr::Call(call) => self.call(call, below),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element, below)),
            Expr::Map(entries) => entries.entries.iter().try_for_each(|entry| self.entry(&entry.expr, below)),
            Expr::Struct(entries) => entries.entries.iter().try_for_each(|entry| self.entry(&entry.expr, below)),
            Expr::Comprehension(each) => {
                if scope.looping {
                    return Err(ConditionFault::TooDeep);
                }
                self.visit(&each.iter_range, below)?;
                let bound = self.bound.len();
                self.bound.push(each.iter_var.clone());
                self.bound.push(each.accu_var.clone());
                self.bound.extend(each.iter_var2.clone());
                if let Some(taken) = self.bound.iter().find(|name| ROOTS.contains(&name.as_str())) {
                    return Err(ConditionFault::UnknownName(taken.clone()));
                }
                let inside = Scope { looping: true, ..below };
                for part in [&each.accu_init, &each.loop_cond, &each.loop_step, &each.result] {
                    self.visit(part, inside)?;
                }
                self.bound.truncate(bound);
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr, scope: Scope) -> Result<(), ConditionFault> {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value, scope),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key, scope)?;
                self.visit(&entry.value, scope)
            }
        }
    }

    fn call(&mut self, call: &CallExpr, scope: Scope) -> Result<(), ConditionFault> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            ("_[_]", [of, name]) if is_claims(of) => return self.claim(literal(name)?),
            ("@in", [name, of]) if is_claims(of) => return self.claim(literal(name)?),
            _ => {}
        }
        call.target.iter().map(|target| &**target).chain(&call.args).try_for_each(|part| self.visit(part, scope))
    }

    fn ident(&mut self, name: &str) -> Result<(), ConditionFault> {
        if self.bound.iter().any(|bound| bound == name) {
            return Ok(());
        }
        if name == "claims" {
            return Err(ConditionFault::ClaimsAsWhole);
        }
        if !ROOTS.contains(&name) {
            return Err(ConditionFault::UnknownName(name.to_owned()));
        }
        self.roots.insert(name.to_owned());
        Ok(())
    }

    fn claim(&mut self, name: &str) -> Result<(), ConditionFault> {
        if FORBIDDEN.iter().any(|forbidden| forbidden.eq_ignore_ascii_case(name)) {
            return Err(ConditionFault::ClaimForbidden(name.to_owned()));
        }
        self.roots.insert("claims".to_owned());
        self.claims.insert(name.to_owned());
        Ok(())
    }
}

fn is_claims(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Ident(name) if name == "claims")
}

fn literal(node: &IdedExpr) -> Result<&str, ConditionFault> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(name)) => Ok(name.inner()),
        Expr::Unspecified
        | Expr::Literal(_)
        | Expr::Ident(_)
        | Expr::Select(_)
        | Expr::Call(_)
        | Expr::List(_)
        | Expr::Map(_)
        | Expr::Struct(_)
        | Expr::Comprehension(_) => Err(ConditionFault::ClaimsAsWhole),
    }
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let entries: HashMap<Key, Value> =
        entries.into_iter().map(|(name, value)| (Key::String(Arc::new(name.to_owned())), value)).collect();
    Value::Map(cel::objects::Map { map: Arc::new(entries) })
}

fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> Value {
    Value::List(Arc::new(items.into_iter().map(Value::from).collect()))
}

fn text(bytes: &[u8]) -> Value {
    Value::from(&*String::from_utf8_lossy(bytes))
}

fn request(facts: &Facts<'_>) -> Value {
    let mut headers: HashMap<String, String> = HashMap::new();
    facts.request.headers.each(&mut |name, value| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if !WITHHELD.contains(&name.as_str()) && !name.starts_with(':') {
            let value = String::from_utf8_lossy(value);
            headers.entry(name).and_modify(|all| *all = format!("{all},{value}")).or_insert_with(|| value.into_owned());
        }
    });
    map([
        ("method", text(facts.request.method)),
        ("host", facts.host.into()),
        ("path", facts.path.as_str().into()),
        ("query", text(facts.path.query().unwrap_or_default())),
        ("headers", map(headers.iter().map(|(name, value)| (name.as_str(), value.as_str().into())))),
    ])
}

fn caller(caller: &Caller) -> Value {
    let texts = |list: &[Box<str>]| self::list(list.iter().map(|item| &**item));
    let mut entries = vec![
        ("tenant", Value::from(caller.tenant.to_string())),
        ("oid", (&*caller.subject).into()),
        ("client", (&*caller.client).into()),
        ("kind", caller.kind.as_str().into()),
        ("roles", texts(&caller.roles)),
        ("scopes", texts(&caller.scopes)),
        ("authContexts", texts(&caller.auth_contexts)),
    ];
    // Too many groups to list: the name is absent, so that whatever asks for it fails instead of seeing none.
    if let Groups::Known(groups) = &caller.groups {
        entries.push(("groups", Value::List(Arc::new(groups.iter().map(|id| id.to_string().into()).collect()))));
    }
    map(entries)
}

fn now(now: UnixTime) -> Result<Value, ConditionError> {
    let at = chrono::DateTime::from_timestamp(now.0, 0).ok_or(ConditionError)?;
    Ok(Value::Timestamp(at.fixed_offset()))
}

fn json(value: &serde_json::Value) -> Result<Value, ConditionError> {
    Ok(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().ok_or(ConditionError)?),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) if items.len() > MAX_LIST => return Err(ConditionError),
        serde_json::Value::Array(items) => {
            Value::List(Arc::new(items.iter().map(json).collect::<Result<Vec<_>, _>>()?))
        }
        serde_json::Value::Object(members) => {
            let members = members.iter().map(|(name, value)| json(value).map(|value| (name.as_str(), value)));
            map(members.collect::<Result<Vec<_>, _>>()?)
        }
    })
}
