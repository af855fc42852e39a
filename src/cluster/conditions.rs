//! What a status says: conditions from what the compiler, the data planes and the key sources know.
//!
//! Pure. A condition's transition time changes with its status only; a message says what to change.

use crate::api::fault::{About, Fault};
use crate::api::target::Target;
use crate::clock::UnixTime;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Longest message, in bytes (Kubernetes' own bound is 32 KiB).
const MAX_MESSAGE: usize = 1024;

/// The condition of a policy that is not asked about requests which it is about. There only if it is so.
pub(super) const BYPASSED: &str = "Bypassed";

/// What is known of one object. Two that are equal make the same status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// `metadata.generation`.
    pub generation: i64,
    /// Its `metadata.uid`: another object of the same name is another object.
    pub uid: Option<Box<str>>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// How many data planes hold it; `None`: not known yet, and what stands is left.
    pub planes: Option<Planes>,
    /// How its signing keys are, if it is an application.
    pub keys: Option<KeysKnown>,
    /// What it is at the moment, if it begins and ends.
    pub timed: Option<Timed>,
    /// What it is attached to, if it is a policy.
    pub targets: Vec<Target>,
}

/// What a grant or a revocation is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// The phase.
    pub phase: Phase,
    /// Why it is in that phase, and what to do about it.
    pub message: String,
    /// The time that is left, for people.
    pub remaining: String,
}

/// How many data planes hold an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Planes {
    /// Those that acknowledged its present version.
    pub hold: usize,
    /// Those that should.
    pub all: usize,
    /// Why one of them refused it, if one did.
    pub refused: Option<String>,
}

/// How signing keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysKnown {
    /// Every source has keys.
    Ready(usize),
    /// This source has none, and why.
    Missing(String),
    /// Some source has not answered yet.
    Unasked,
}

/// A condition before it has a time.
pub(super) struct Finding {
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The conditions of a resource. `before` are those that stand; foreign ones among them are left alone. `unlisted`: so many
/// targets have no place among the ancestors.
#[must_use]
pub fn conditions(known: &Known, unlisted: usize, (before, now): (&[Condition], UnixTime)) -> Vec<Condition> {
    let mut findings = vec![accepted(known)];
    findings.extend(known.planes.as_ref().map(|planes| programmed(planes, known.generation)));
    findings.extend(known.keys.as_ref().and_then(keys));
    findings.extend(known.timed.as_ref().map(active));
    findings.extend(conflicted(known));
    findings.extend(bypassed(known));
    findings.extend((unlisted > 0).then(|| crowded(unlisted)));
    let dated = findings.into_iter().map(|finding| dated(finding, known.generation, (before, now)));
    let mut conditions: Vec<Condition> = dated.collect();
    // What cannot be told yet is left as it is: a replica that begins must not take back what another one found.
    let left = [("Programmed", known.planes.is_none()), ("KeysReady", known.keys == Some(KeysKnown::Unasked))];
    for (kind, _) in left.into_iter().filter(|(_, unknown)| *unknown) {
        conditions.extend(before.iter().find(|condition| condition.type_ == kind).cloned());
    }
    conditions
}

fn active(timed: &Timed) -> Finding {
    let status = if timed.phase == Phase::Active { "True" } else { "False" };
    Finding { kind: "Active", status, reason: timed.phase.as_str(), message: timed.message.clone() }
}

fn accepted(known: &Known) -> Finding {
    let of = |wanted: fn(&About) -> bool| known.faults.iter().filter(move |fault| wanted(&fault.about));
    let invalid: Vec<&Fault> = of(|about| *about == About::Invalid).collect();
    let references: Vec<&Fault> = of(|about| *about == About::Reference).collect();
    let targets: Vec<&Fault> = of(|about| *about == About::Target).collect();
    let hosts: Vec<&Fault> = of(|about| matches!(about, About::Host { .. })).collect();
    let worst = [
        ("Invalid", invalid),
        ("RefNotResolved", references),
        ("TargetNotFound", targets),
        ("HostOwnedElsewhere", hosts),
    ];
    match worst.into_iter().find(|(_, faults)| !faults.is_empty()) {
        Some((reason, faults)) => Finding { kind: "Accepted", status: "False", reason, message: told(&faults) },
        None => Finding { kind: "Accepted", status: "True", reason: "Accepted", message: "valid".to_owned() },
    }
}

fn crowded(unlisted: usize) -> Finding {
    let message = format!(
        "`status.ancestors` is full, and has no place for {unlisted} targets; take away what controllers left there \
         that are gone. What is enforced does not depend on it"
    );
    Finding { kind: "AncestorsListed", status: "False", reason: "ListFull", message }
}

fn conflicted(known: &Known) -> Option<Finding> {
    let winners: Vec<&Fault> = known.faults.iter().filter(|fault| matches!(fault.about, About::Host { .. })).collect();
    (!winners.is_empty()).then(|| Finding {
        kind: "Conflicted",
        status: "True",
        reason: "HostOwnedElsewhere",
        message: told(&winners),
    })
}

fn bypassed(known: &Known) -> Option<Finding> {
    let open: Vec<&Fault> = known.faults.iter().filter(|fault| fault.about == About::Bypass).collect();
    let told = || Finding { kind: BYPASSED, status: "True", reason: "RouteUnprotected", message: told(&open) };
    (!open.is_empty()).then(told)
}

fn programmed(planes: &Planes, generation: i64) -> Finding {
    let count = format!("{}/{} data planes at generation {generation}", planes.hold, planes.all);
    let (status, reason, message) = match (planes.all, &planes.refused) {
        (0, _) => ("Unknown", "NoDataPlane", "no data plane subscribes to it".to_owned()),
        (_, Some(why)) => ("False", "Refused", format!("{count}; one refused it: {why}")),
        (all, None) if planes.hold == all => ("True", "Programmed", count),
        (_, None) => ("False", "Pending", count),
    };
    Finding { kind: "Programmed", status, reason, message }
}

fn keys(keys: &KeysKnown) -> Option<Finding> {
    let (status, reason, message) = match keys {
        KeysKnown::Ready(count) => ("True", "Fetched", format!("{count} signing keys count")),
        KeysKnown::Missing(why) => ("False", "Unavailable", why.clone()),
        KeysKnown::Unasked => return None,
    };
    Some(Finding { kind: "KeysReady", status, reason, message })
}

/// Every fault with its field, as far as there is room.
pub(super) fn told(faults: &[&Fault]) -> String {
    let mut message = String::new();
    for (at, fault) in faults.iter().enumerate() {
        let part = format!("{}: {}", fault.path, fault.problem);
        if message.len().saturating_add(part.len()) > MAX_MESSAGE.saturating_sub(32) && at > 0 {
            message.push_str(&format!("; and {} more", faults.len().saturating_sub(at)));
            break;
        }
        if at > 0 {
            message.push_str("; ");
        }
        message.push_str(&part);
    }
    bounded(&message)
}

fn bounded(text: &str) -> String {
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= MAX_MESSAGE).last().unwrap_or(0);
    if text.len() <= MAX_MESSAGE { text.to_owned() } else { text.get(..end).unwrap_or_default().to_owned() }
}

pub(super) fn dated(finding: Finding, generation: i64, (before, now): (&[Condition], UnixTime)) -> Condition {
    let same = before.iter().find(|known| known.type_ == finding.kind && known.status == finding.status);
    let at = k8s_openapi::jiff::Timestamp::from_second(now.0).unwrap_or_default();
    Condition {
        type_: finding.kind.to_owned(),
        status: finding.status.to_owned(),
        reason: finding.reason.to_owned(),
        message: bounded(&finding.message),
        observed_generation: Some(generation),
        last_transition_time: same.map_or(Time(at), |known| known.last_transition_time.clone()),
    }
}

/// What a grant or a revocation is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It does not count yet: not approved, or too early.
    Pending,
    /// It counts.
    Active,
    /// It is over.
    Expired,
    /// It is broken.
    Invalid,
}

impl Phase {
    /// The spelling in a status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Active => "Active",
            Self::Expired => "Expired",
            Self::Invalid => "Invalid",
        }
    }
}

/// The time that is left, in its largest unit; rounded down, so that a status seldom changes.
#[must_use]
pub fn remaining(seconds: i64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    let fits = units.iter().find(|(worth, _)| seconds >= *worth);
    match fits {
        Some((worth, unit)) => format!("{}{unit}", seconds.checked_div(*worth).unwrap_or(0)),
        None if seconds > 0 => "<1m".to_owned(),
        None => String::new(),
    }
}

/// After how many seconds less what [`remaining`] says changes.
#[must_use]
pub fn until_change(seconds: i64) -> i64 {
    match [86_400, 3600, 60].into_iter().find(|unit| seconds >= *unit) {
        Some(unit) => seconds.checked_rem(unit).unwrap_or(0).saturating_add(1),
        None => seconds.max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::{KeysKnown, Known, Phase, Planes, Timed, conditions, remaining, until_change};
    use crate::api::fault::{About, Fault};
    use crate::api::field_path::FieldPath;
    use crate::api::object::{Kind, ObjectId};
    use crate::clock::UnixTime;

    fn fault(about: About) -> Fault {
        let object = ObjectId { kind: Kind::AccessPolicy, namespace: "shop".into(), name: "orders".into() };
        Fault { object, path: FieldPath::root().field("spec"), problem: "is wrong".into(), about }
    }

    fn planes(hold: usize, all: usize, refused: Option<&str>) -> Option<Planes> {
        Some(Planes { hold, all, refused: refused.map(str::to_owned) })
    }

    #[test]
    fn each_finding_has_its_status_reason_and_message() {
        let known = |faults: Vec<Fault>| Known { generation: 7, faults, ..Known::default() };
        let timed = Timed { phase: Phase::Expired, message: "over".to_owned(), remaining: String::new() };
        let host = || fault(About::Host { winner: None });
        for (known, wanted) in [
            (known(vec![]), "Accepted True Accepted valid"),
            (known(vec![fault(About::Reference), fault(About::Invalid)]), "Accepted False Invalid spec: is wrong"),
            (known(vec![host(), fault(About::Reference)]), "Accepted False RefNotResolved spec: is wrong"),
            (known(vec![host(), fault(About::Target)]), "Accepted False TargetNotFound spec: is wrong"),
            (known(vec![host()]), "Conflicted True HostOwnedElsewhere spec: is wrong"),
            (known(vec![fault(About::Bypass)]), "Bypassed True RouteUnprotected spec: is wrong"),
            (known(vec![fault(About::Bypass)]), "Accepted True Accepted valid"),
            (
                Known { planes: planes(3, 3, None), ..known(vec![]) },
                "Programmed True Programmed 3/3 data planes at generation 7",
            ),
            (
                Known { planes: planes(2, 3, None), ..known(vec![]) },
                "Programmed False Pending 2/3 data planes at generation 7",
            ),
            (
                Known { planes: planes(2, 3, Some("pod a: no")), ..known(vec![]) },
                "Programmed False Refused 2/3 data planes at generation 7; one refused it: pod a: no",
            ),
            (
                Known { planes: planes(0, 0, None), ..known(vec![]) },
                "Programmed Unknown NoDataPlane no data plane subscribes to it",
            ),
            (Known { keys: Some(KeysKnown::Ready(2)), ..known(vec![]) }, "KeysReady True Fetched 2 signing keys count"),
            (
                Known { keys: Some(KeysKnown::Missing("none".to_owned())), ..known(vec![]) },
                "KeysReady False Unavailable none",
            ),
            (Known { timed: Some(timed), ..known(vec![]) }, "Active False Expired over"),
        ] {
            let all = conditions(&known, 0, (&[], UnixTime(0)));
            let told: Vec<String> =
                all.iter().map(|one| format!("{} {} {} {}", one.type_, one.status, one.reason, one.message)).collect();
            assert!(told.iter().any(|one| one == wanted), "{wanted}: {told:?}");
            assert!(all.iter().all(|one| one.observed_generation == Some(7)));
        }
    }

    #[test]
    fn a_transition_time_changes_with_the_status_only_and_what_is_unknown_is_left() {
        let at = |known: &Known, before: &[_], now| conditions(known, 0, (before, UnixTime(now)));
        let ready = Known { planes: planes(1, 1, None), keys: Some(KeysKnown::Ready(1)), ..Known::default() };
        let first = at(&ready, &[], 10);
        let same = at(&Known { generation: 2, ..ready.clone() }, &first, 20);
        assert!(
            same.iter().all(|one| one.last_transition_time.0.as_second() == 10 && one.observed_generation == Some(2))
        );
        let fewer = at(&Known { planes: planes(0, 1, None), ..ready.clone() }, &same, 30);
        let times = |all: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition]| -> Vec<(String, i64)> {
            all.iter().map(|one| (one.type_.clone(), one.last_transition_time.0.as_second())).collect()
        };
        let wanted = [("Accepted", 10), ("Programmed", 30), ("KeysReady", 10)];
        assert_eq!(times(&fewer), wanted.map(|(kind, time)| (kind.to_owned(), time)));
        let unknown = at(&Known { keys: Some(KeysKnown::Unasked), ..Known::default() }, &fewer, 40);
        assert_eq!(times(&unknown), wanted.map(|(kind, time)| (kind.to_owned(), time)));
    }

    #[test]
    fn the_time_left_is_told_roughly_and_looked_at_again_when_it_changes() {
        for (seconds, told) in [
            (200_000, "2d"),
            (86_400, "1d"),
            (86_399, "23h"),
            (3600, "1h"),
            (3599, "59m"),
            (60, "1m"),
            (59, "<1m"),
            (1, "<1m"),
            (0, ""),
        ] {
            assert_eq!(remaining(seconds), told, "{seconds}");
        }
        for seconds in (1_i64..4000).chain([86_399, 86_400, 200_000]) {
            let later = seconds.saturating_sub(until_change(seconds));
            assert_ne!(remaining(later), remaining(seconds), "{seconds}");
            if seconds >= 60 {
                assert_eq!(remaining(later.saturating_add(1)), remaining(seconds), "{seconds}");
            }
        }
    }
}
