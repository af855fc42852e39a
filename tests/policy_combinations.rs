//! How entries combine, whatever is in them: each is replaced by one that holds, does not hold, fails, or depends on
//! groups that are not known.
//!
//! `cases/combinations.txt` is the truth for at most one entry of each kind. Then every combination of up to two
//! entries of each kind is tried: a list of entries says what its weightiest one says, and of equals the first.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use entrance::authorize::ports::Outcome;
use entrance::clock::UnixTime;
use entrance::identity::{ApplicationId, Caller, CallerKind, Claims, Groups, Guid};
use entrance::policy::condition::Condition;
use entrance::policy::decide::{Evidence, Verdict, decide};
use entrance::policy::host::HostPattern;
use entrance::policy::locate::locate;
use entrance::policy::rules::{
    Access, Entry, GroupOverage, Methods, Mode, Policy, PolicyId, Preflight, Route, Seniority,
};
use entrance::policy::snapshot::Snapshot;
use entrance::policy::table::HostTable;
use entrance::policy::template::PathTemplate;
use entrance::request::{Named, Request};

/// How an entry comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Abstract {
    Fails,
    Errs,
    Unknown,
    Holds,
}

use Abstract::{Errs, Fails, Holds, Unknown};

const EACH: [Abstract; 4] = [Fails, Errs, Unknown, Holds];
const APPLICATION: &str = "shop/api";

fn entry(says: Abstract) -> Entry {
    match says {
        Holds => Entry::default(),
        Fails => Entry { roles: Some(["Nobody".into()].into()), ..Entry::default() },
        Errs => Entry { when: Some(Box::new(Condition::compile("claims.missing == 1").unwrap())), ..Entry::default() },
        Unknown => Entry { groups: Some([Guid::NIL].into()), ..Entry::default() },
    }
}

/// Every list of up to so many entries.
fn lists(most: usize) -> Vec<Vec<Abstract>> {
    let mut all = vec![Vec::new()];
    let mut longest = all.clone();
    for _ in 0..most {
        longest = longest.iter().flat_map(|list| EACH.map(|one| [&list[..], &[one]].concat())).collect();
        all.extend(longest.iter().cloned());
    }
    all
}

fn path((deny, allow): (&[Abstract], &[Abstract])) -> String {
    let text = |list: &[Abstract]| list.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join("-");
    format!("/d-{}/a-{}", text(deny), text(allow))
}

/// One route for each pair of lists.
fn routes(lists: &[Vec<Abstract>]) -> Vec<Arc<Route>> {
    let entries = |list: &[Abstract]| list.iter().copied().map(entry).collect();
    let route = |deny: &Vec<Abstract>, allow: &Vec<Abstract>| {
        let template = PathTemplate::parse(&path((deny, allow))).unwrap();
        let access = Access::Entries { allow: entries(allow), deny: entries(deny) };
        Arc::new(Route { name: template.as_str().into(), template, methods: Methods::All, access })
    };
    lists.iter().flat_map(|deny| lists.iter().map(move |allow| route(deny, allow))).collect()
}

fn snapshot(guardrails: &[Abstract], overage: GroupOverage, routes: &[Arc<Route>]) -> Snapshot {
    let policy = Policy {
        grants: Vec::new(),
        seniority: Seniority { created: 0, id: PolicyId { namespace: "shop".into(), name: "orders".into() } },
        mode: Mode::Enforce,
        preflight: Preflight::Deny,
        application: Some(ApplicationId(APPLICATION.into())),
        group_overage: overage,
        deny: Ok(guardrails.iter().copied().map(entry).collect()),
        routes: routes.to_vec(),
        poison: None,
    };
    let table = Arc::new(HostTable::build(vec![Arc::new(policy)], None));
    Snapshot::new([(HostPattern::parse("orders.example.com").unwrap(), table)], None)
}

fn caller() -> Caller {
    Caller {
        tenant: Guid::NIL,
        subject: "alice".into(),
        client: "web".into(),
        kind: CallerKind::User,
        roles: [].into(),
        scopes: [].into(),
        groups: Groups::Overage,
        auth_contexts: [].into(),
        can_step_up: false,
        authenticated_at: None,
        token_id: None,
        session_id: None,
        issued_at: UnixTime(0),
        not_before: UnixTime(0),
        expires_at: UnixTime(3600),
        claims: Claims::default(),
    }
}

/// Outcome, reason, clause, and whether a failing `when` is told of.
type Said = (&'static str, &'static str, Option<String>, bool);

fn decided(snapshot: &Snapshot, caller: &Caller, path: &str) -> Said {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let (method, host, target) = (text("GET"), text("orders.example.com"), text(path));
    let request =
        Request { method: &method, host: &host, target: &target, headers: &Vec::new(), named: Named::default() };
    let application = ApplicationId(APPLICATION.into());
    let evidence = |_: &ApplicationId| Evidence::Caller { caller, application: &application };
    let verdict = decide(&locate(snapshot, &request), &evidence, UnixTime(1)).verdict;
    let (outcome, reason) = Outcome::of(&verdict);
    let clause = verdict.matched().and_then(|matched| matched.clause.as_deref().map(str::to_owned));
    let failed = match &verdict {
        Verdict::Deny(denial) => denial.detail().is_some_and(|detail| detail == "`when` could not be evaluated"),
        Verdict::Permit(_) | Verdict::Unavailable(_) => false,
    };
    (outcome.code(), reason, clause, failed)
}

type Row = (Option<Abstract>, Option<Abstract>, Option<Abstract>);

/// The table: guardrail, deny and allow entry, and the letter of what comes of them.
fn table() -> BTreeMap<Row, char> {
    let state = |text: &str| match text {
        "-" => None,
        "F" => Some(Fails),
        "E" => Some(Errs),
        "U" => Some(Unknown),
        "H" => Some(Holds),
        other => panic!("no state {other}"),
    };
    let lines = include_str!("cases/combinations.txt").lines().filter(|line| !line.starts_with('#'));
    let mut lines = lines.filter_map(|line| line.split_once('|'));
    let (_, heads) = lines.next().unwrap();
    let heads: Vec<_> = heads.split_whitespace().map(state).collect();
    let mut table = BTreeMap::new();
    for (row, cells) in lines {
        let row: Vec<_> = row.split_whitespace().map(state).collect();
        let cells: Vec<_> = cells.split_whitespace().collect();
        assert_eq!((row.len(), cells.len()), (2, heads.len()));
        for (head, cell) in heads.iter().zip(cells) {
            assert!(
                table.insert((row[0], row[1], *head), cell.chars().next().unwrap()).is_none(),
                "a row occurs twice"
            );
        }
    }
    assert_eq!(table.len(), 125, "five states of three kinds of entries");
    table
}

/// What a letter stands for, given the weightiest entry of each kind and its position.
fn meaning(letter: char, overage: GroupOverage, weightiest: [(Option<Abstract>, usize); 3]) -> Said {
    let clause = |list: &str, at: usize| {
        let (says, position) = weightiest[at];
        (Some(format!("{list}[{position}]")), says == Some(Errs))
    };
    let (guardrail, deny, allow) = (clause("spec.deny", 0), clause("deny", 1), clause("allow", 2));
    let unknown = match overage {
        GroupOverage::Deny => ("deny", "groups_overage"),
        GroupOverage::Graph => ("unavailable", "groups_unavailable"),
    };
    match letter {
        '+' => ("allow", "allow_entry_matched", allow.0, false),
        'g' => ("deny", "deny_entry_matched", guardrail.0, guardrail.1),
        'd' => ("deny", "deny_entry_matched", deny.0, deny.1),
        'G' => (unknown.0, unknown.1, guardrail.0, false),
        'D' => (unknown.0, unknown.1, deny.0, false),
        'A' => (unknown.0, unknown.1, allow.0, false),
        'n' => ("deny", "nobody_allowed", None, false),
        'r' => ("deny", "role_missing", allow.0, false),
        'c' => ("deny", "condition_not_met", allow.0, true),
        other => panic!("no cell {other}"),
    }
}

/// The first of the weightiest entries. Among refusals an error is as good as holding.
fn weightiest(list: &[Abstract], weight: fn(Abstract) -> u8) -> (Option<Abstract>, usize) {
    let mut best = (None, 0);
    for (at, one) in list.iter().copied().enumerate() {
        if best.0.is_none_or(|best| weight(one) > weight(best)) {
            best = (Some(one), at);
        }
    }
    best
}

fn refusing(one: Abstract) -> u8 {
    match one {
        Fails => 0,
        Unknown => 1,
        Errs | Holds => 2,
    }
}

fn admitting(one: Abstract) -> u8 {
    match one {
        Fails => 0,
        Errs => 1,
        Unknown => 2,
        Holds => 3,
    }
}

/// Compares every combination of lists with the table; how many there were.
fn compare(lists: &[Vec<Abstract>]) -> usize {
    let (table, routes, caller) = (table(), routes(lists), caller());
    let mut count = 0;
    for overage in [GroupOverage::Deny, GroupOverage::Graph] {
        for guardrails in lists {
            let snapshot = snapshot(guardrails, overage, &routes);
            let guardrail = weightiest(guardrails, refusing);
            for (deny, allow) in lists.iter().flat_map(|deny| lists.iter().map(move |allow| (deny, allow))) {
                let (refusal, admission) = (weightiest(deny, refusing), weightiest(allow, admitting));
                let letter = table[&(guardrail.0, refusal.0, admission.0)];
                let wanted = meaning(letter, overage, [guardrail, refusal, admission]);
                let found = decided(&snapshot, &caller, &path((deny, allow)));
                assert_eq!(found, wanted, "{overage:?}: guardrails {guardrails:?}, deny {deny:?}, allow {allow:?}");
                count += 1;
            }
        }
    }
    count
}

#[test]
fn one_entry_of_each_kind_as_the_table_says() {
    assert_eq!(compare(&lists(1)), 250);
}

#[test]
fn several_entries_as_the_weightiest_of_them() {
    assert_eq!(compare(&lists(2)), 2 * 21 * 21 * 21);
}
