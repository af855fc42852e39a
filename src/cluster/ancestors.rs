//! `status.ancestors` of a policy: how it is doing at each of its targets (Gateway API GEP-713). Pure.
//!
//! The list belongs to several controllers; each has the entries with its name. An entry is known by its controller and the
//! object that it is about, which here is the target itself: a policy comes to the same whichever Gateway leads there.
//! Entries and conditions of others stay as and where they are, what others learnt of a newer generation is not taken back,
//! and a list that is full gets no more.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::{Map, Value, json};

use crate::api::fault::{About, Fault};
use crate::api::field_path::Step;
use crate::api::target::Target;
use crate::clock::UnixTime;

use super::conditions::{Finding, Known, dated, told};

/// Our name among controllers.
pub const CONTROLLER: &str = "entrance.dev/controller";
/// Entries of one list.
const MOST: usize = 16;
/// Conditions of one entry.
const MOST_CONDITIONS: usize = 8;

/// What stands of ours, and what others leave free.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ancestors {
    entries: Vec<Entry>,
    /// Entries of others.
    others: usize,
    /// Targets that have no place.
    pub(super) unlisted: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    reference: Value,
    conditions: Vec<Condition>,
}

/// A list with our entries in it.
#[derive(Debug, PartialEq)]
pub(super) struct Merged {
    pub(super) list: Vec<Value>,
    /// There are places for more or fewer of ours than was thought.
    pub(super) surprising: bool,
}

/// The list of a status.
pub(super) fn list(status: &Value) -> &[Value] {
    status.get("ancestors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

impl Ancestors {
    /// What a list holds.
    pub(super) fn read(list: &[Value]) -> Self {
        let (ours, others): (Vec<&Value>, Vec<&Value>) = list.iter().partition(|entry| is_ours(entry));
        Self { entries: ours.into_iter().map(Entry::read).collect(), others: others.len(), unlisted: 0 }
    }

    /// What is to stand of ours.
    pub(super) fn next(&self, known: &Known, now: UnixTime) -> Self {
        let stands = |entry: &Entry| self.entries.iter().find(|other| other.reference == entry.reference);
        let mut entries: Vec<Entry> = Vec::with_capacity(known.targets.len());
        for (at, target) in known.targets.iter().enumerate() {
            let entry = Entry { reference: reference(target), conditions: Vec::new() };
            let before = stands(&entry).map(|entry| entry.conditions.as_slice()).unwrap_or_default();
            let found = [accepted(known, at), resolved(known)];
            let conditions = found.map(|finding| dated(finding, known.generation, (before, now)));
            entries.push(Entry { conditions: beside(&conditions, before), ..entry });
        }
        let kept = entries.iter().filter(|entry| stands(entry).is_some()).count();
        let mut free = MOST.saturating_sub(self.others).saturating_sub(kept);
        entries.retain(|entry| {
            let place = stands(entry).is_some() || free > 0;
            if stands(entry).is_none() {
                free = free.saturating_sub(1);
            }
            place
        });
        let unlisted = known.targets.len().saturating_sub(entries.len());
        Self { entries, others: self.others, unlisted }
    }

    /// The list that stands, with ours as they are to be.
    pub(super) fn merged(&self, current: &[Value]) -> Merged {
        let (mut list, mut left) = (Vec::with_capacity(MOST), self.entries.iter().collect::<Vec<_>>());
        for value in current {
            if !is_ours(value) {
                list.push(value.clone());
                continue;
            }
            let standing = Entry::read(value);
            // What is not found is no target any more.
            if let Some(at) = left.iter().position(|entry| entry.reference == standing.reference) {
                let entry = left.remove(at);
                let conditions = beside(&entry.conditions, &standing.conditions);
                list.push(Entry { conditions, ..standing }.render());
            }
        }
        let others = current.iter().filter(|entry| !is_ours(entry)).count();
        let free = MOST.saturating_sub(list.len());
        let surprising = left.len() > free || (self.unlisted > 0 && others != self.others);
        list.extend(left.into_iter().take(free).map(Entry::render));
        Merged { list, surprising }
    }
}

impl Entry {
    fn read(value: &Value) -> Self {
        let conditions = value.get("conditions").and_then(Value::as_array).into_iter().flatten();
        Self {
            reference: value.get("ancestorRef").cloned().unwrap_or_default(),
            conditions: conditions.filter_map(|condition| serde_json::from_value(condition.clone()).ok()).collect(),
        }
    }

    fn render(&self) -> Value {
        json!({"ancestorRef": self.reference, "controllerName": CONTROLLER, "conditions": self.conditions})
    }
}

fn is_ours(entry: &Value) -> bool {
    entry.get("controllerName").and_then(Value::as_str) == Some(CONTROLLER)
}

fn reference(target: &Target) -> Value {
    let id = &target.object;
    let mut reference = Map::new();
    let texts =
        [("group", target.group()), ("kind", id.kind.as_str()), ("namespace", &*id.namespace), ("name", &*id.name)];
    let section = target.section.as_deref().map(|section| ("sectionName", section));
    reference.extend(texts.into_iter().chain(section).map(|(name, text)| (name.to_owned(), json!(text))));
    Value::Object(reference)
}

/// Conditions of ours in the place of those that stand, unless that was said of a newer generation; others' stay.
fn beside(ours: &[Condition], standing: &[Condition]) -> Vec<Condition> {
    let is = |one: &Condition, other: &Condition| one.type_ == other.type_;
    let newer = |standing: &&Condition, ours: &Condition| standing.observed_generation > ours.observed_generation;
    let kept = standing.iter().map(|standing| {
        let ours = ours.iter().find(|ours| is(ours, standing));
        ours.filter(|ours| !newer(&standing, ours)).unwrap_or(standing)
    });
    let new = ours.iter().filter(|ours| !standing.iter().any(|standing| is(ours, standing)));
    kept.chain(new).take(MOST_CONDITIONS).cloned().collect()
}

/// Whether the policy counts at its target of this position.
fn accepted(known: &Known, at: usize) -> Finding {
    let invalid: Vec<&Fault> = known.faults.iter().filter(|fault| fault.about == About::Invalid).collect();
    let here = || known.faults.iter().filter(|fault| is_of(fault, at));
    let absent: Vec<&Fault> = here().filter(|fault| fault.about == About::Target).collect();
    let lost: Vec<&Fault> = here().filter(|fault| matches!(fault.about, About::Host { .. })).collect();
    let worst = [("Invalid", invalid), ("TargetNotFound", absent), ("Conflicted", lost)];
    match worst.into_iter().find(|(_, faults)| !faults.is_empty()) {
        Some((reason, faults)) => Finding { kind: "Accepted", status: "False", reason, message: told(&faults) },
        None => Finding { kind: "Accepted", status: "True", reason: "Accepted", message: "valid".to_owned() },
    }
}

/// Whether there is what the policy refers to beside its targets.
fn resolved(known: &Known) -> Finding {
    let faults: Vec<&Fault> = known.faults.iter().filter(|fault| fault.about == About::Reference).collect();
    let (status, reason) = if faults.is_empty() { ("True", "ResolvedRefs") } else { ("False", "RefNotResolved") };
    Finding { kind: "ResolvedRefs", status, reason, message: told(&faults) }
}

/// Whether a fault is about the target of this position.
fn is_of(fault: &Fault, at: usize) -> bool {
    let [Step::Field(spec), Step::Field(list), Step::Index(index), ..] = fault.path.steps() else { return false };
    (&**spec, &**list, *index) == ("spec", "targetRefs", at)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Ancestors, CONTROLLER, MOST};
    use crate::api::fault::{About, Fault};
    use crate::api::field_path::FieldPath;
    use crate::api::object::{Kind, ObjectId};
    use crate::api::target::Target;
    use crate::clock::UnixTime;
    use crate::cluster::conditions::Known;

    fn id(kind: Kind, name: &str) -> ObjectId {
        ObjectId { kind, namespace: "shop".into(), name: name.into() }
    }

    fn known(generation: i64, targets: &[&str], faults: Vec<Fault>) -> Known {
        let targets = targets.iter().map(|name| Target { object: id(Kind::HttpRoute, name), section: None }).collect();
        Known { generation, targets, faults, ..Known::default() }
    }

    fn fault(field: &str, about: About) -> Fault {
        let spec = FieldPath::root().field("spec");
        let path = if field == "target" { spec.field("targetRefs").index(1).field("name") } else { spec.field(field) };
        Fault { object: id(Kind::AccessPolicy, "p"), path, problem: "is wrong".into(), about }
    }

    fn foreign(name: &str) -> Value {
        json!({"ancestorRef": {"name": name}, "controllerName": "example.com/other", "conditions": [{"type": "Accepted"}]})
    }

    /// The list that comes of `known` where `current` stands.
    fn put(known: &Known, current: &[Value], now: i64) -> Vec<Value> {
        Ancestors::read(current).next(known, UnixTime(now)).merged(current).list
    }

    /// Each entry as `controller name: Accepted reason, ResolvedRefs status`.
    fn told(list: &[Value]) -> Vec<String> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let of = |entry: &Value| {
            let (name, controller) = (entry.pointer("/ancestorRef/name"), entry.get("controllerName"));
            let (reason, status) = (entry.pointer("/conditions/0/reason"), entry.pointer("/conditions/1/status"));
            format!("{} {}: {} {}", text(controller), text(name), text(reason), text(status))
        };
        list.iter().map(of).collect()
    }

    #[test]
    fn each_target_has_its_entry_with_what_concerns_it() {
        let told = |faults: Vec<Fault>| told(&put(&known(1, &["a", "b"], faults), &[], 0));
        let ours = |one: &str, other: &str, resolved: &str| {
            [format!("{CONTROLLER} a: {one} {resolved}"), format!("{CONTROLLER} b: {other} {resolved}")]
        };
        let host = || About::Host { winner: None };
        for (faults, wanted) in [
            (vec![], ours("Accepted", "Accepted", "True")),
            (vec![fault("target", About::Target)], ours("Accepted", "TargetNotFound", "True")),
            (vec![fault("target", host())], ours("Accepted", "Conflicted", "True")),
            (vec![fault("target", host()), fault("target", About::Target)], ours("Accepted", "TargetNotFound", "True")),
            (vec![fault("hosts", host())], ours("Accepted", "Accepted", "True")),
            (vec![fault("routes", About::Invalid), fault("target", About::Target)], ours("Invalid", "Invalid", "True")),
            (vec![fault("applicationRef", About::Reference)], ours("Accepted", "Accepted", "False")),
        ] {
            assert_eq!(told(faults.clone()), wanted, "{faults:?}");
        }
    }

    #[test]
    fn entries_of_others_stay_where_they_are_and_ours_go_with_their_targets() {
        let first = put(&known(1, &["a", "b"], vec![]), &[foreign("x")], 0);
        let mixed = [first[1].clone(), foreign("y"), first[0].clone(), first[2].clone()];
        let names = |list: &[Value]| -> Vec<String> {
            told(list).iter().map(|entry| entry.split(':').next().unwrap_or_default().to_owned()).collect()
        };
        let ours = |name: &str| format!("{CONTROLLER} {name}");
        let theirs = |name: &str| format!("example.com/other {name}");
        let list = put(&known(2, &["b", "c"], vec![]), &mixed, 0);
        assert_eq!(names(&list), [theirs("y"), theirs("x"), ours("b"), ours("c")]);
        assert_eq!([&list[0], &list[1]], [&mixed[1], &mixed[2]]);
        assert_eq!(names(&put(&known(3, &[], vec![]), &list, 0)), [theirs("y"), theirs("x")]);
        // One that stands twice is one.
        assert_eq!(names(&put(&known(1, &["a"], vec![]), &[first[1].clone(), first[1].clone()], 0)), [ours("a")]);
    }

    #[test]
    fn a_full_list_gets_no_more_and_says_so() {
        let others: Vec<Value> = (0..MOST - 1).map(|at| foreign(&format!("x{at}"))).collect();
        let both = known(1, &["a", "b"], vec![]);
        let next = Ancestors::read(&others).next(&both, UnixTime(0));
        let list = next.merged(&others).list;
        assert_eq!((list.len(), next.unlisted), (MOST, 1));
        // What stands keeps its place, whatever comes before it.
        let swapped = known(2, &["b", "a"], vec![]);
        let next = Ancestors::read(&list).next(&swapped, UnixTime(0));
        assert_eq!(
            (next.unlisted, told(&next.merged(&list).list).pop()),
            (1, Some(format!("{CONTROLLER} a: Accepted True")))
        );
        // Others came since that was thought out.
        let full: Vec<Value> = (0..MOST).map(|at| foreign(&format!("x{at}"))).collect();
        let merged = next.merged(&full);
        assert_eq!((&merged.list, merged.surprising), (&full, true));
        let again = Ancestors::read(&merged.list).next(&both, UnixTime(0));
        assert!(again.unlisted == 2 && !again.merged(&full).surprising);
        // There is room again.
        assert!(next.merged(&list[1..]).surprising && !next.merged(&list).surprising);
    }

    #[test]
    fn what_was_said_of_a_newer_generation_and_conditions_of_others_stay() {
        let mut list = put(&known(7, &["a"], vec![]), &[], 10);
        let own = json!({"type": "Own", "status": "True", "reason": "x", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        list[0]["conditions"].as_array_mut().unwrap().insert(0, own.clone());
        let at = |list: &[Value], name: &str, member: &str| {
            let all = list[0]["conditions"].as_array().unwrap();
            all.iter().find(|one| one["type"] == name).unwrap()[member].clone()
        };
        let broken = |generation| known(generation, &["a"], vec![fault("routes", About::Invalid)]);
        let older = put(&broken(6), &list, 20);
        assert_eq!(older, list);
        let newer = put(&broken(8), &list, 20);
        assert_eq!(at(&newer, "Own", "reason"), own["reason"]);
        assert_eq!(
            (at(&newer, "Accepted", "status"), at(&newer, "Accepted", "observedGeneration")),
            (json!("False"), json!(8))
        );
        assert_eq!(at(&newer, "Accepted", "lastTransitionTime"), json!("1970-01-01T00:00:20Z"));
        assert_eq!(at(&newer, "ResolvedRefs", "lastTransitionTime"), json!("1970-01-01T00:00:10Z"));
    }
}
