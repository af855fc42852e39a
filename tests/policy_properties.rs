//! What no change of the rules and no request can do, on generated worlds: a smaller rule never admits more, damage
//! never widens, order never matters, what only records changes nothing.
//!
//! `PROPTEST_CASES` makes it more or fewer worlds; what was tried is printed with a failure.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "support/conditions.rs"]
mod conditions;
#[path = "support/generate.rs"]
mod generate;
#[path = "support/judged.rs"]
mod judged;
#[path = "support/world.rs"]
mod world;

use entrance::authorize::ports::Outcome;
use entrance::identity::Groups;
use entrance::policy::decide::{Cause, Decided, Verdict};
use entrance::policy::host::Host;
use entrance::policy::path::Canonical;
use entrance::policy::rules::{Methods, Mode};
use entrance::policy::snapshot::Snapshot;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use generate::NOW;
use judged::judged;
use world::{AccessPlan, Ask, EntryPlan, PolicyPlan, RoutePlan, Token, World};

type Asks = Vec<(Ask, Option<Index>)>;

fn asks() -> impl Strategy<Value = Asks> {
    vec(generate::ask(), 1..40)
}

fn snapshot(world: &World) -> Snapshot {
    world.rules().snapshot()
}

/// Whether the request passes, and what is said of it.
fn told(decided: &Decided) -> (bool, String) {
    let (outcome, reason) = Outcome::of(&decided.verdict);
    (outcome == Outcome::Allow, format!("{reason} by {:?}", decided.verdict.matched()))
}

/// Every request that passes in `changed` passes in `world`.
fn admits_no_more(world: &World, changed: &World, asks: Asks) -> Result<(), TestCaseError> {
    let (before, after) = (snapshot(world), snapshot(changed));
    for (ask, aim) in asks {
        let ask = ask.aimed(world, aim);
        let (before, after) = (told(&judged(&before, &ask)), told(&judged(&after, &ask)));
        prop_assert!(before.0 || !after.0, "{:?}\nwas {}\nis {}\nchanged to {:?}", ask, before.1, after.1, changed);
    }
    Ok(())
}

fn routes(world: &mut World) -> Vec<&mut RoutePlan> {
    world.policies.iter_mut().flat_map(|policy| &mut policy.routes).collect()
}

/// The lists of entries, of which `which` are wanted.
fn lists<'a>(world: &'a mut World, which: &dyn Fn(List) -> bool) -> Vec<&'a mut Vec<EntryPlan>> {
    let mut lists = Vec::new();
    for policy in &mut world.policies {
        lists.extend(policy.deny.as_mut().filter(|_| which(List::Guardrails)));
        for route in &mut policy.routes {
            if let AccessPlan::Entries { allow, deny } = &mut route.access {
                lists.extend([allow].into_iter().filter(|_| which(List::Allow)));
                lists.extend([deny].into_iter().filter(|_| which(List::Deny)));
            }
        }
    }
    lists
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum List {
    Guardrails,
    Deny,
    Allow,
}

/// One of these, if there are any.
fn one<T>(mut list: Vec<T>, at: Index) -> Option<T> {
    (!list.is_empty()).then(|| list.swap_remove(at.index(list.len())))
}

/// What can be broken.
#[derive(Clone, Copy, Debug)]
enum Part {
    Entries,
    Methods,
    Guardrails,
    Application,
    Policy,
    Host,
    Everything,
}

const PARTS: [Part; 7] =
    [Part::Entries, Part::Methods, Part::Guardrails, Part::Application, Part::Policy, Part::Host, Part::Everything];

/// Breaks a part, as the compiler would hand it over.
fn spoil(world: &mut World, part: Part, at: Index) {
    let policy = at.index(world.policies.len());
    match part {
        Part::Entries | Part::Methods => {
            if let Some(route) = one(routes(world), at) {
                route.access = AccessPlan::Poisoned;
                if matches!(part, Part::Methods) {
                    route.methods = Methods::Unknown;
                }
            }
        }
        Part::Guardrails => world.policies[policy].deny = None,
        Part::Application => world.policies[policy].application = None,
        Part::Policy => world.policies[policy].poison = true,
        Part::Host => world.poisoned.push(world.policies[policy].hosts[0]),
        Part::Everything => world.poison = true,
    }
}

/// Whether servers that believe the header take the whole path from it: one may be sent that says the same as the request.
fn repeats_the_path(name: &[u8]) -> bool {
    let letters = |byte: &u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    let folded: Vec<u8> = name.iter().map(letters).collect();
    [&b"x-original-url"[..], b"x-rewrite-url"].contains(&&*folded)
}

/// A condition that fails, whoever asks.
const FAILING: &str = "caller.oid";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_allow_entry_less_admits_no_more(world in generate::world(), at: Index, asks in asks()) {
        let mut changed = world.clone();
        if let Some(list) = one(lists(&mut changed, &|list| list == List::Allow), at) && !list.is_empty() {
            list.remove(at.index(list.len()));
        }
        admits_no_more(&world, &changed, asks)?;
    }

    #[test]
    fn a_refusal_more_admits_no_more(
        world in generate::world(), entry in generate::entry(), at: Index, asks in asks(),
    ) {
        let mut changed = world.clone();
        if let Some(list) = one(lists(&mut changed, &|list| list != List::Allow), at) {
            list.insert(at.index(list.len() + 1), entry);
        }
        admits_no_more(&world, &changed, asks)?;
    }

    #[test]
    fn damage_admits_no_more(world in generate::world(), part in prop::sample::select(&PARTS[..]), at: Index, asks in asks()) {
        let mut changed = world.clone();
        spoil(&mut changed, part, at);
        admits_no_more(&world, &changed, asks)?;
    }

    #[test]
    fn conditions_that_fail_admit_no_more(world in generate::world(), at: Index, all: bool, asks in asks()) {
        let mut changed = world.clone();
        let mut entries: Vec<_> = lists(&mut changed, &|_| true).into_iter().flatten().collect();
        if all {
            entries.iter_mut().for_each(|entry| entry.when = Some(FAILING));
        } else if let Some(entry) = one(entries, at) {
            entry.when = Some(FAILING);
        }
        admits_no_more(&world, &changed, asks)?;
    }

    #[test]
    fn grants_deny_nothing_that_was_allowed(world in generate::world(), asks in asks()) {
        let mut without = world.clone();
        without.policies.iter_mut().for_each(|policy| policy.grants.clear());
        admits_no_more(&world, &without, asks)?;
    }

    #[test]
    fn grants_that_are_over_or_not_yet_there_change_nothing(world in generate::world(), early: bool, asks in asks()) {
        let (mut without, mut idle) = (world.clone(), world);
        without.policies.iter_mut().for_each(|policy| policy.grants.clear());
        for grant in idle.policies.iter_mut().flat_map(|policy| &mut policy.grants) {
            let (from, until) = if early { (NOW.plus(1), NOW.plus(2)) } else { (NOW.plus(-2), NOW) };
            (grant.not_before, grant.expires_at) = (from, until);
        }
        let (one, other) = (snapshot(&without), snapshot(&idle));
        for (ask, aim) in asks {
            let ask = ask.aimed(&without, aim);
            prop_assert_eq!(format!("{:?}", judged(&one, &ask)), format!("{:?}", judged(&other, &ask)), "{:?}", ask);
        }
    }

    #[test]
    fn groups_that_are_not_known_admit_no_more(mut world in generate::world(), asks in asks()) {
        // A grant to a group lends a role that a deny entry may name.
        world.policies.iter_mut().for_each(|policy| policy.grants.clear());
        let snapshot = snapshot(&world);
        for (ask, aim) in asks {
            let ask = ask.aimed(&world, aim);
            let mut unknown = ask.clone();
            if let Token::Caller(caller, _) = &mut unknown.token {
                caller.groups = Groups::Overage;
            }
            let (known, unknown) = (told(&judged(&snapshot, &ask)), told(&judged(&snapshot, &unknown)));
            prop_assert!(known.0 || !unknown.0, "{:?}\nknown: {}\nunknown: {}", ask, known.1, unknown.1);
        }
    }

    #[test]
    fn another_spelling_of_host_and_path_is_decided_alike(world in generate::world(), asks in asks()) {
        let snapshot = snapshot(&world);
        for (ask, aim) in asks {
            let mut ask = ask.aimed(&world, aim);
            // A header that repeats the path agrees with one spelling of it only.
            ask.headers.retain(|(name, _)| !repeats_the_path(name));
            let mut folded = ask.clone();
            if let Ok(path) = Canonical::parse(&ask.target) {
                let query = path.query().map(|query| [b"?", query].concat()).unwrap_or_default();
                folded.target = [path.as_str().as_bytes(), &query].concat().into();
            }
            if let Ok(host) = Host::parse(&ask.host) {
                folded.host = host.as_str().to_owned().into();
            }
            let (sent, folded) = (judged(&snapshot, &ask), judged(&snapshot, &folded));
            prop_assert_eq!(format!("{:?}", sent), format!("{:?}", folded), "{:?}", ask);
        }
    }

    #[test]
    fn the_order_of_policies_does_not_matter(
        (world, shuffled) in generate::world().prop_flat_map(|world| {
            let policies = Just(world.policies.clone()).prop_shuffle();
            policies.prop_map(move |policies| (world.clone(), World { policies, ..world.clone() }))
        }),
        asks in asks(),
    ) {
        let (one, other) = (snapshot(&world), snapshot(&shuffled));
        for (ask, aim) in asks {
            let ask = ask.aimed(&world, aim);
            prop_assert_eq!(format!("{:?}", judged(&one, &ask)), format!("{:?}", judged(&other, &ask)), "{:?}", ask);
        }
    }

    #[test]
    fn what_only_records_changes_nothing(mut world in generate::world(), asks in asks()) {
        // A host is broken by a policy that enforces there: what else breaks it is not about recording.
        let enforced = |host: &&str| {
            world.policies.iter().any(|policy| policy.mode == Mode::Enforce && policy.hosts.contains(host))
        };
        world.poisoned = world.poisoned.iter().copied().filter(enforced).collect();
        let mut without = world.clone();
        without.policies.retain(|policy| policy.mode == Mode::Enforce);
        let (with, without) = (snapshot(&world), snapshot(&without));
        for (ask, aim) in asks {
            let ask = ask.aimed(&world, aim);
            let (with, without) = (judged(&with, &ask), judged(&without, &ask));
            let only = matches!(&with.verdict, Verdict::Permit(permit) if permit.cause() == Cause::ShadowOnly);
            if only {
                // Nothing decides: the host is not protected, and without those who watch it would be nobody's.
                prop_assert_eq!(told(&without), (false, "no_policy_for_host by None".to_owned()));
                prop_assert!(with.shadow.is_some());
            } else if !world.poisoned.is_empty() && told(&with).1.starts_with("policy_invalid") {
                prop_assert!(!told(&without).0);
            } else {
                prop_assert_eq!(format!("{:?}", with.verdict), format!("{:?}", without.verdict), "{:?}", ask);
            }
        }
    }

    #[test]
    fn what_is_recorded_is_what_would_be_decided(world in generate::world(), asks in asks()) {
        let mut enforced = World { poisoned: Vec::new(), ..world.clone() };
        enforced.policies.retain(|policy| policy.mode == Mode::Shadow);
        enforced.policies.iter_mut().for_each(|policy| policy.mode = Mode::Enforce);
        let (shadow, enforced) = (snapshot(&world), snapshot(&enforced));
        for (ask, aim) in asks {
            let ask = ask.aimed(&world, aim);
            if let Some(recorded) = judged(&shadow, &ask).shadow {
                let verdict = judged(&enforced, &ask).verdict;
                let (outcome, reason) = Outcome::of(&verdict);
                prop_assert_eq!((recorded.outcome, recorded.reason), (outcome.code(), reason), "{:?}", ask);
                prop_assert_eq!(recorded.matched.as_ref(), verdict.matched(), "{:?}", ask);
            }
        }
    }

    #[test]
    fn only_a_caller_of_the_right_application_is_admitted_by_an_entry(world in generate::world(), asks in asks()) {
        let snapshot = snapshot(&world);
        for (ask, aim) in asks {
            let ask = ask.aimed(&world, aim);
            let decided = judged(&snapshot, &ask);
            let Verdict::Permit(permit) = &decided.verdict else { continue };
            let Cause::AllowEntry { index } = permit.cause() else { continue };
            let matched = decided.verdict.matched().unwrap();
            let named = |policy: &&PolicyPlan| format!("{}/{}", policy.id.0, policy.id.1) == matched.policy.to_string();
            let policy = world.policies.iter().find(named).unwrap();
            let right = matches!(&ask.token, Token::Caller(_, for_whom) if for_whom.is_none() || *for_whom == policy.application);
            prop_assert!(right, "{:?}", ask);
            prop_assert_eq!(matched.clause.as_deref(), Some(&*format!("allow[{index}]")));
        }
    }
}
