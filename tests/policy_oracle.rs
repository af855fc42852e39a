//! Every decision on generated worlds agrees with the oracle: outcome, reason, policy, route, clause, challenge, and
//! what shadow policies would have said.
//!
//! `PROPTEST_CASES` makes it more or fewer (six worlds for each), `PROPTEST_RNG_SEED` repeats a run. A failure prints
//! its seed and the smallest world found.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "shows how often each reason was met")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::string_slice, reason = "templates are ASCII")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]

#[path = "support/conditions.rs"]
mod conditions;
#[path = "support/generate.rs"]
mod generate;
#[path = "support/judged.rs"]
mod judged;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/oracle_text.rs"]
mod oracle_text;
#[path = "support/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};

use entrance::authorize::ports::Outcome;
use entrance::policy::decide::{Challenge, Decided, Matched, Recorded, Verdict};
use entrance::policy::snapshot::Snapshot;
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use generate::NOW;
use judged::judged;
use oracle::Said;
use world::Ask;

/// Worlds for each case that `PROPTEST_CASES` asks for (256 by default).
const WORLDS: u32 = 6;
/// Requests to each world, on average.
const ASKS: usize = 16;

/// Decisions of a run that nobody shortened.
const USUAL: usize = 20_000;

/// Everything that rules can say.
const SAID: [&str; 29] = [
    "allow_entry_matched",
    "anonymous_route",
    "client_not_allowed",
    "condition_not_met",
    "deny_entry_matched",
    "group_missing",
    "groups_overage",
    "groups_unavailable",
    "host_invalid",
    "internal_error",
    "keys_unavailable",
    "method_invalid",
    "method_override_refused",
    "no_policy_for_host",
    "no_route",
    "nobody_allowed",
    "path_ambiguous",
    "path_override_refused",
    "policy_invalid",
    "preflight_allowed",
    "principal_type_denied",
    "role_missing",
    "scope_missing",
    "session_too_old",
    "shadow_only",
    "step_up_not_possible",
    "step_up_required",
    "tenant_denied",
    "token_missing",
];

fn said(outcome: &'static str, reason: &'static str, matched: Option<&Matched>) -> Said {
    Said {
        outcome,
        reason,
        policy: matched.map(|matched| matched.policy.to_string()),
        route: matched.map(|matched| matched.route.to_string()),
        clause: matched.and_then(|matched| matched.clause.as_ref().map(ToString::to_string)),
        challenge: Vec::new(),
        grants: matched.and_then(|matched| matched.grants.as_ref().map(ToString::to_string)),
    }
}

/// What the code under test says.
fn decided(snapshot: &Snapshot, ask: &Ask) -> (Said, Option<Said>) {
    let Decided { verdict, shadow } = judged(snapshot, ask);
    let (outcome, reason) = Outcome::of(&verdict);
    let challenge = match &verdict {
        Verdict::Deny(denial) => denial.challenge(),
        Verdict::Permit(_) | Verdict::Unavailable(_) => None,
    };
    let challenge = match challenge {
        Some(Challenge::Scopes(scopes)) => scopes.iter().map(ToString::to_string).collect(),
        Some(Challenge::AuthContext(id)) => vec![format!("acrs {id}")],
        None => Vec::new(),
    };
    let recorded = |recorded: Recorded| said(recorded.outcome, recorded.reason, recorded.matched.as_ref());
    (Said { challenge, ..said(outcome.code(), reason, verdict.matched()) }, shadow.map(recorded))
}

/// The seed of this run, and a configuration that uses it.
fn seeded() -> (u64, Config) {
    let config = Config { failure_persistence: None, ..Config::default() };
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(0),
    };
    let cases = config.cases.saturating_mul(WORLDS);
    (seed, Config { rng_seed: RngSeed::Fixed(seed), cases, max_shrink_iters: 20_000, ..config })
}

#[test]
fn every_decision_agrees_with_the_oracle() {
    let (seed, config) = seeded();
    let seen = std::cell::RefCell::new(BTreeMap::<&str, usize>::new());
    let outcome =
        TestRunner::new(config).run(&(generate::world(), vec(generate::ask(), 1..2 * ASKS)), |(world, asks)| {
            let rules = world.rules();
            let snapshot = rules.snapshot();
            for (ask, aim) in asks {
                let ask = ask.aimed(&world, aim);
                let (found, found_shadow) = decided(&snapshot, &ask);
                let (wanted, wanted_shadow) = oracle::decide(&rules, &ask, NOW);
                // Nobody is challenged by a rule that only records.
                let wanted_shadow = wanted_shadow.map(|said| Said { challenge: Vec::new(), ..said });
                *seen.borrow_mut().entry(wanted.reason).or_default() += 1;
                if (&found, &found_shadow) != (&wanted, &wanted_shadow) {
                    let wanted = format!("the oracle says\n{wanted:?}\nshadow {wanted_shadow:?}");
                    let found = format!("the code says\n{found:?}\nshadow {found_shadow:?}");
                    return Err(TestCaseError::fail(format!("{ask:?}\n{wanted}\n{found}")));
                }
            }
            Ok(())
        });
    if let Err(error) = outcome {
        panic!("PROPTEST_RNG_SEED={seed}: {error}");
    }
    let seen = seen.into_inner();
    let decisions = seen.values().sum::<usize>();
    println!("PROPTEST_RNG_SEED={seed}: {decisions} decisions: {seen:?}");
    // Worlds and requests must meet: in a run of the usual length everything that rules can say is said.
    if decisions < USUAL {
        return;
    }
    let missing: Vec<&str> = SAID.iter().copied().filter(|reason| !seen.contains_key(reason)).collect();
    assert!(missing.is_empty(), "PROPTEST_RNG_SEED={seed}: never said: {missing:?}");
}
