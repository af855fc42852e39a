//! How long an expression can take at most, estimated from its text before it is ever evaluated.
//!
//! Every part has a bound for the time that it takes and for the size of what it gives; sizes are those of the longest
//! values that `values` lets in. A loop takes its body's time as often as its list can have elements, of average size:
//! all times grow at most linearly with sizes, so that the average is the worst case, too. Estimates err upwards.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue};

use super::ConditionFault;
use super::values::{MAX_HEADERS, MAX_ITEMS, MAX_TEXT, MAX_VALUE, PER_ITEM};

/// Most time that one evaluation may take, in nanoseconds of a usual machine.
const BUDGET: u64 = 8_000_000;
/// One step of the interpreter.
const STEP: u64 = 150;
/// Looking for a text in another, or reading it with an automaton, for each byte.
const SCAN: u64 = 3;
/// Copying an element.
const COPY: u64 = 40;
/// Comparing an element.
const COMPARE: u64 = 15;
/// Bytes that are copied or compared in a nanosecond.
const AT_ONCE: u64 = 4;

/// Functions and operators, by what they cost.
const FUNCTIONS: [(&str, Kind); 44] = [
    ("_&&_", Kind::Scalar),
    ("_||_", Kind::Scalar),
    ("!_", Kind::Scalar),
    ("-_", Kind::Scalar),
    ("_-_", Kind::Scalar),
    ("_*_", Kind::Scalar),
    ("_/_", Kind::Scalar),
    ("_%_", Kind::Scalar),
    ("@not_strictly_false", Kind::Scalar),
    ("_?_:_", Kind::Either),
    ("dyn", Kind::Either),
    ("_[_]", Kind::Part),
    ("_+_", Kind::Sum),
    ("_==_", Kind::Compare),
    ("_!=_", Kind::Compare),
    ("_<_", Kind::Compare),
    ("_<=_", Kind::Compare),
    ("_>_", Kind::Compare),
    ("_>=_", Kind::Compare),
    ("@in", Kind::Member),
    ("startsWith", Kind::Compare),
    ("endsWith", Kind::Compare),
    ("contains", Kind::Scan),
    ("matches", Kind::Scan),
    ("size", Kind::Scan),
    ("type", Kind::Scalar),
    ("bool", Kind::Convert),
    ("bytes", Kind::Convert),
    ("double", Kind::Convert),
    ("duration", Kind::Convert),
    ("int", Kind::Convert),
    ("string", Kind::Convert),
    ("timestamp", Kind::Convert),
    ("uint", Kind::Convert),
    ("getFullYear", Kind::Convert),
    ("getMonth", Kind::Convert),
    ("getDayOfYear", Kind::Convert),
    ("getDayOfMonth", Kind::Convert),
    ("getDate", Kind::Convert),
    ("getDayOfWeek", Kind::Convert),
    ("getHours", Kind::Convert),
    ("getMinutes", Kind::Convert),
    ("getSeconds", Kind::Convert),
    ("getMilliseconds", Kind::Convert),
];

#[derive(Clone, Copy)]
enum Kind {
    /// Gives a number or a truth value.
    Scalar,
    /// Gives one of its arguments.
    Either,
    /// Gives a part of its first argument.
    Part,
    /// Gives both arguments, one after the other.
    Sum,
    /// Compares its arguments, element by element, as far as the shorter one goes.
    Compare,
    /// Compares each element of its last argument with the first.
    Member,
    /// Reads its arguments.
    Scan,
    /// Reads its arguments and writes something about as long.
    Convert,
}

/// Whether a function may be called.
pub(super) fn is_known(name: &str) -> bool {
    kind(name).is_some()
}

fn kind(name: &str) -> Option<Kind> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// Refuses an expression that could take too long.
pub(super) fn bounded(expression: &IdedExpr) -> Result<(), ConditionFault> {
    let bound = Estimate::default().of(expression);
    if bound.time > BUDGET { Err(ConditionFault::TooCostly) } else { Ok(()) }
}

/// What a part can come to at most.
#[derive(Clone, Copy, Default)]
struct Bound {
    time: u64,
    /// Bytes of all texts in it, and [`PER_ITEM`] for each element.
    size: u64,
    /// Elements at its top.
    items: u64,
}

impl Bound {
    const fn value(size: u64, items: u64) -> Self {
        Self { time: STEP, size, items }
    }

    /// One after the other.
    const fn and(self, other: Self) -> Self {
        Self {
            time: self.time.saturating_add(other.time),
            size: self.size.saturating_add(other.size),
            items: self.items.saturating_add(other.items),
        }
    }

    /// One or the other, after both.
    fn or(self, other: Self) -> Self {
        let time = self.time.saturating_add(other.time);
        Self { time, size: self.size.max(other.size), items: self.items.max(other.items) }
    }

    /// Time to copy or compare all of it.
    const fn touched(self, item: u64) -> u64 {
        (self.size / AT_ONCE).saturating_add(self.items.saturating_mul(item))
    }

    const fn after(self, time: u64) -> Self {
        Self { time: self.time.saturating_add(time), ..self }
    }
}

#[derive(Default)]
struct Estimate {
    bound: Vec<(String, Bound)>,
}

impl Estimate {
    fn of(&mut self, node: &IdedExpr) -> Bound {
        match &node.expr {
            Expr::Unspecified => Bound::value(0, 0),
            Expr::Literal(LiteralValue::String(text)) => Bound::value(long(text.inner().len()), 0),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Bound::value(long(bytes.inner().len()), 0),
            Expr::Literal(_) => Bound::value(PER_ITEM, 0),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) if is_text(&select.operand, &select.field) => Bound::value(MAX_TEXT, 0),
            Expr::Select(select) => part(self.of(&select.operand)),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.list(list.elements.iter(), list.elements.len()),
            Expr::Map(map) => {
                let parts = map.entries.iter().flat_map(|entry| parts(&entry.expr));
                self.list(parts, map.entries.len())
            }
            Expr::Struct(made) => {
                let parts = made.entries.iter().flat_map(|entry| parts(&entry.expr));
                self.list(parts, made.entries.len())
            }
            Expr::Comprehension(each) => self.comprehension(each),
        }
    }

    fn ident(&self, name: &str) -> Bound {
        let known = self.bound.iter().rev().find(|(bound, _)| bound == name);
        let size = if name == "request" { MAX_HEADERS } else { MAX_VALUE };
        known.map_or(Bound::value(size, MAX_ITEMS), |(_, bound)| *bound)
    }

    fn list<'e>(&mut self, parts: impl Iterator<Item = &'e IdedExpr>, items: usize) -> Bound {
        let items = long(items);
        let all = parts.fold(Bound::default(), |all, part| all.and(self.of(part)));
        let size = all.size.saturating_add(items.saturating_mul(PER_ITEM));
        Bound { size, items, ..all }.after(STEP.saturating_add(size))
    }

    fn call(&mut self, call: &CallExpr) -> Bound {
        let parts = call.target.iter().map(|target| &**target).chain(&call.args);
        let parts: Vec<Bound> = parts.map(|part| self.of(part)).collect();
        let all = parts.iter().fold(Bound::default(), |all, part| all.and(*part));
        let scalar = Bound::value(PER_ITEM, 0);
        let (time, gives) = match kind(&call.func_name) {
            Some(Kind::Scalar) | None => (0, scalar),
            Some(Kind::Either) => (0, parts.iter().fold(Bound::default(), |either, part| either.or(*part))),
            Some(Kind::Part) if call.args.first().is_some_and(is_headers) => (0, Bound::value(MAX_TEXT, 0)),
            Some(Kind::Part) => return part(Bound { time: all.time, ..parts.first().copied().unwrap_or_default() }),
            Some(Kind::Sum) => (all.touched(COPY), all),
            Some(Kind::Compare) => (parts.iter().map(|part| part.touched(COMPARE)).min().unwrap_or(0), scalar),
            Some(Kind::Member) => (parts.iter().map(|part| part.touched(COMPARE)).sum(), scalar),
            Some(Kind::Scan) => (all.size.saturating_mul(SCAN), scalar),
            Some(Kind::Convert) => (all.size, Bound::value(all.size.max(64), 0)),
        };
        Bound { time: all.time, ..gives }.after(STEP.saturating_add(time))
    }

    fn comprehension(&mut self, each: &ComprehensionExpr) -> Bound {
        let range = self.of(&each.iter_range);
        let times = range.items.max(1);
        let size = range.size.div_ceil(times);
        // An element can have no more elements than fit into its size.
        let element = Bound::value(size, size.div_ceil(PER_ITEM));
        let outside = self.bound.len();
        self.bound.push((each.accu_var.clone(), Bound::value(0, 0)));
        self.bound.push((each.iter_var.clone(), element));
        self.bound.extend(each.iter_var2.clone().map(|name| (name, element)));
        let start = self.of(&each.accu_init).and(self.of(&each.result));
        let turn = self.of(&each.loop_cond).and(self.of(&each.loop_step));
        self.bound.truncate(outside);
        let turns = turn.time.saturating_add(STEP).saturating_add(size).saturating_mul(times);
        let gathered = turn.size.saturating_add(PER_ITEM).saturating_mul(times);
        Bound { time: range.time, size: gathered, items: times }.after(start.time).after(turns)
    }
}

/// A part of a value, itself perhaps as large.
const fn part(of: Bound) -> Bound {
    let items = if of.items > MAX_ITEMS { of.items } else { MAX_ITEMS };
    Bound { items, ..of }.after(STEP)
}

/// Whether a member of this is a text.
fn is_text(of: &IdedExpr, member: &str) -> bool {
    let request = matches!(&of.expr, Expr::Ident(name) if name == "request");
    is_headers(of) || (request && member != "headers")
}

/// Whether this is `request.headers`, any member of which is a text.
fn is_headers(node: &IdedExpr) -> bool {
    let Expr::Select(select) = &node.expr else { return false };
    select.field == "headers" && matches!(&select.operand.expr, Expr::Ident(name) if name == "request")
}

fn parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

fn long(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}
