//! Who may lend roles: what is stamped on an `AccessGrant`, and who may approve which.
//!
//! Four eyes. A *request* is what a grant says beside `approved` and the stamps; its *requester* is whoever wrote it last.
//! An *approval* turns `approved` to true and changes nothing else; it needs the verb `approve` and another user than the
//! requester. From then on a grant stands as it is, except that it may end earlier. Where the installation asks for no
//! approval ([`Approval::None`]), whoever may approve may also grant.
//!
//! The names are the API server's. [`stamps`] puts them in on the way in, over whatever the client wrote; [`examine`] looks
//! again when nobody can change them any more, so that a stamp is true even if a later webhook tampers with it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::clock::UnixTime;

use super::review::{Change, Operation, Refusal, Request, User};

/// The RBAC verb that approvals need.
pub const APPROVE: &str = "approve";
const REQUESTED: &str = "requestedBy";
const APPROVED: &str = "approvedBy";

/// What the installation asks of grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The longest time that roles are lent for, in seconds.
    pub longest: i64,
    /// Whether somebody else must agree.
    pub approval: Approval,
}

/// Whether somebody else must agree to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    /// Somebody else who may approve.
    Required,
    /// Nobody; whoever grants must be one who may approve.
    None,
}

/// What came of a look at a grant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// What is wrong.
    pub faults: Vec<String>,
    /// What the user may not do.
    pub forbidden: Option<String>,
    /// The user needs the verb [`APPROVE`] for it.
    pub needs_verb: bool,
    /// For the person at the terminal.
    pub warnings: Vec<String>,
}

type Members = Map<String, Value>;

/// A grant before and after.
struct Step<'r> {
    request: &'r Request,
    old: Option<&'r Members>,
    new: &'r Members,
}

impl<'r> Step<'r> {
    /// `None`: there is nothing to look at.
    fn of(request: &'r Request) -> Option<Self> {
        let spec = |object: &'r Option<Members>| object.as_ref()?.get("spec")?.as_object();
        let new = spec(&request.object)?;
        match request.operation {
            Operation::Create => Some(Self { request, old: None, new }),
            Operation::Update if !request.leaves_spec() => Some(Self { request, old: spec(&request.old_object), new }),
            Operation::Update | Operation::Delete | Operation::Connect => None,
        }
    }

    /// Whether it was approved before.
    fn stood(&self) -> bool {
        self.old.is_some_and(approved)
    }

    /// Whether it becomes approved.
    fn approves(&self) -> bool {
        approved(self.new) && !self.stood()
    }

    /// Whether what is asked for is another thing than before.
    fn asks(&self) -> bool {
        self.old.is_none_or(|old| asked(old) != asked(self.new))
    }

    /// Whether the members of this name are equal.
    fn keeps(&self, name: &str) -> bool {
        self.old.is_some_and(|old| present(old, name) == present(self.new, name))
    }
}

fn present<'m>(members: &'m Members, name: &str) -> Option<&'m Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn approved(spec: &Members) -> bool {
    spec.get("approved").and_then(Value::as_bool).unwrap_or(false)
}

/// What a grant asks for: everything but the approval and the stamps.
fn asked(spec: &Members) -> Vec<(&String, &Value)> {
    let ours = ["approved", REQUESTED, APPROVED];
    spec.iter().filter(|(name, value)| !ours.contains(&name.as_str()) && !value.is_null()).collect()
}

/// What to change on the way in.
#[must_use]
pub fn stamps(request: &Request, rules: &Rules, now: UnixTime) -> Vec<Change> {
    let Some(step) = Step::of(request) else { return Vec::new() };
    let before = |name: &str| step.old.and_then(|old| present(old, name)).cloned();
    let mut changes = Vec::new();
    let granted = rules.approval == Approval::None && step.old.is_none() && present(step.new, "approved").is_none();
    if granted {
        changes.push(Change::add("/spec/approved", json!(true)));
    }
    let requested = if step.asks() && !step.stood() { Some(stamp(request, now)) } else { before(REQUESTED) };
    let approves = step.approves() || granted;
    let approved = if approves { Some(stamp(request, now)) } else { before(APPROVED) };
    for (name, wanted) in [(REQUESTED, requested), (APPROVED, approved)] {
        changes.extend(change(step.new, name, wanted));
    }
    changes
}

fn stamp(request: &Request, now: UnixTime) -> Value {
    let User { username, uid, .. } = &request.user_info;
    let at = Timestamp::from_second(now.0).unwrap_or_default().to_string();
    let mut stamp = json!({"username": username, "at": at});
    if let (Some(members), false) = (stamp.as_object_mut(), uid.is_empty()) {
        members.insert("uid".to_owned(), json!(uid));
    }
    stamp
}

/// The change that makes a member what it should be, if it is not.
fn change(spec: &Members, name: &str, wanted: Option<Value>) -> Option<Change> {
    let path = format!("/spec/{name}");
    match (spec.get(name), wanted) {
        (Some(is), Some(wanted)) if *is == wanted => None,
        (Some(_), Some(wanted)) => Some(Change::replace(path, wanted)),
        (None, Some(wanted)) => Some(Change::add(path, wanted)),
        (Some(_), None) => Some(Change::remove(path)),
        (None, None) => None,
    }
}

/// Looks at a grant that is stamped.
#[must_use]
pub fn examine(request: &Request, rules: &Rules, now: UnixTime) -> Examined {
    let mut found = Examined::default();
    let Some(step) = Step::of(request) else { return found };
    if step.stood() {
        standing(&step, &mut found);
        return found;
    }
    forged(&step, &mut found);
    if step.asks() {
        bounded(step.new, (rules, now), &mut found);
    }
    let creates = step.old.is_none();
    match rules.approval {
        Approval::Required if creates && approved(step.new) => {
            found.forbidden = Some(
                "spec.approved: a grant cannot be approved by whoever asks for it; leave it out, and let another user \
                 approve it afterwards"
                    .to_owned(),
            );
        }
        Approval::Required if step.approves() => {
            found.needs_verb = true;
            others(&step, &mut found);
        }
        Approval::Required => {}
        Approval::None => found.needs_verb = creates || step.approves(),
    }
    found
}

/// Nothing of an approved grant changes, except that it may end earlier.
fn standing(step: &Step<'_>, found: &mut Examined) {
    let Some(old) = step.old else { return };
    for name in old.keys().chain(step.new.keys().filter(|name| !old.contains_key(*name))) {
        if name != "expiresAt" && !step.keeps(name) {
            found.faults.push(format!("spec.{name}: cannot change, because the grant is approved; make another one"));
        }
    }
    let end = |spec: &Members| time(spec, "expiresAt");
    match (end(old), end(step.new)) {
        (Some(before), Some(after)) if after > before => found.faults.push(
            "spec.expiresAt: can only become earlier, because the grant is approved; make another one".to_owned(),
        ),
        (_, _) => {}
    }
}

/// Stamps that are not true. They are set on the way in: another webhook tampered with them, or that one was not asked.
fn forged(step: &Step<'_>, found: &mut Examined) {
    let user = |name: &str| present(step.new, name).is_some_and(|stamp| is(stamp, &step.request.user_info));
    let absent =
        |name: &str| present(step.new, name).is_none() && step.old.is_none_or(|old| present(old, name).is_none());
    let requested = if step.asks() { user(REQUESTED) } else { step.keeps(REQUESTED) };
    let approved = if step.approves() { user(APPROVED) } else { step.keeps(APPROVED) || absent(APPROVED) };
    for (name, _) in [(REQUESTED, requested), (APPROVED, approved)].into_iter().filter(|(_, good)| !good) {
        found.faults.push(format!(
            "spec.{name}: is not what admission stamped; the mutating webhook for accessgrants must be installed, and no \
             other webhook may change it"
        ));
    }
}

/// Whether a stamp is of this user, whenever it was made.
fn is(stamp: &Value, user: &User) -> bool {
    let text = |name: &str| stamp.get(name).and_then(Value::as_str).unwrap_or_default();
    text("username") == user.username && text("uid") == user.uid
}

/// Nobody approves what he asked for, and nobody approves one thing and writes another.
fn others(step: &Step<'_>, found: &mut Examined) {
    if step.asks() {
        let problem = "spec.approved: an approval changes nothing else; approve what was asked for, or ask anew";
        found.faults.push(problem.to_owned());
    }
    let Some(requester) = step.old.and_then(|old| present(old, REQUESTED)) else {
        let problem =
            "spec.approved: nobody knows who asked for this grant, since it came in without admission; ask anew";
        found.faults.push(problem.to_owned());
        return;
    };
    let text = |name: &str| requester.get(name).and_then(Value::as_str).unwrap_or_default();
    let User { username, uid, .. } = &step.request.user_info;
    if text("username") == username || (!uid.is_empty() && text("uid") == uid) {
        found.forbidden =
            Some(format!("spec.approved: `{username}` asked for this grant, so another user must approve it"));
    }
}

fn time(spec: &Members, name: &str) -> Option<Timestamp> {
    spec.get(name)?.as_str()?.parse().ok()
}

/// It does not last too long.
fn bounded(spec: &Members, (rules, now): (&Rules, UnixTime), found: &mut Examined) {
    let Some(end) = time(spec, "expiresAt").map(Timestamp::as_second) else { return };
    let start = time(spec, "notBefore").map_or(now.0, |start| start.as_second().max(now.0));
    let length = end.saturating_sub(start);
    if length > rules.longest {
        let (is, most) = (length_of_time(length), length_of_time(rules.longest));
        found.faults.push(format!("spec.expiresAt: lends the roles for {is}, but {most} is the longest here"));
    }
    if end <= now.0 {
        found.warnings.push("spec.expiresAt: is over already; nothing is lent".to_owned());
    }
}

/// `12h30m`, for people.
fn length_of_time(seconds: i64) -> String {
    let mut text = String::new();
    let mut left = seconds;
    for (worth, unit) in [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")] {
        let count = left.checked_div(worth).unwrap_or(0);
        left = left.checked_rem(worth).unwrap_or(0);
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    text
}

impl Examined {
    /// What to refuse it for, whoever asks.
    #[must_use]
    pub fn refusal(&self, request: &Request) -> Option<Refusal> {
        let of = format!("AccessGrant {}/{}", request.namespace, request.name);
        if let Some(why) = &self.forbidden {
            return Some(Refusal::forbidden(format!("{of}: {why}")));
        }
        (!self.faults.is_empty()).then(|| Refusal::invalid(format!("{of} is invalid: {}", self.faults.join("; "))))
    }
}

/// The answer to a user without the verb.
#[must_use]
pub fn without_verb(request: &Request) -> Refusal {
    let User { username, .. } = &request.user_info;
    Refusal::forbidden(format!(
        "AccessGrant {}/{}: `{username}` may not approve; it takes the verb `{APPROVE}` on `accessgrants` of `entrance.dev` \
         in the namespace `{}`",
        request.namespace, request.name, request.namespace
    ))
}
