//! Every case of `cases/decisions`: from resources through compiler, token and rules to the decision.
//!
//! And that the tables cover what there is: every reason that rules can give, and every field of the resources, each of
//! which must matter to some case.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]
#![expect(clippy::panic, reason = "a test that cannot go on fails")]
#![expect(clippy::arithmetic_side_effects, reason = "small numbers")]
#![expect(clippy::wildcard_enum_match_arm, reason = "the other kinds of values are one case")]

#[path = "support/decision_case.rs"]
mod decision_case;
#[path = "support/fields.rs"]
mod fields;
#[expect(dead_code, reason = "other tests ask for single reasons")]
#[path = "support/rules.rs"]
mod rules;
#[path = "support/signer.rs"]
mod signer;

use std::collections::BTreeSet;

use entrance::policy::decide::Cause;
use entrance::reason::ReasonCode;
use serde_json::Value;

use decision_case::{Stage, Table, tables};
use fields::Field;

#[test]
fn every_case_ends_as_it_says() {
    let mut wrong = Vec::new();
    for table in tables() {
        let stage = Stage::of(&table, &table.resources);
        let told = |(found, wanted): (&String, &String)| found.starts_with(wanted);
        if stage.faults.len() != table.faults.len() || !stage.faults.iter().zip(&table.faults).all(told) {
            wrong.push(format!("{}: faults {:#?}", table.name, stage.faults));
        }
        for case in &table.cases {
            let ends = stage.ends(case);
            if ends != case.expect {
                wrong.push(format!("{}: {case}\n    expected {:?}\n    but it is {ends:?}", table.name, case.expect));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Fields that change no decision, and why.
const NOT_DECIDING: [(&str, &str); 2] = [
    ("EntraApplication spec.roles", "a catalogue, for `lint`"),
    ("EntraApplication spec.scopes", "a catalogue, for `lint`"),
];

/// Whether some case ends otherwise without the field.
fn matters(field: &Field, tables: &[Table]) -> bool {
    tables.iter().any(|table| {
        field.without(&table.resources).is_some_and(|documents| {
            let stage = Stage::of(table, &documents);
            table.cases.iter().any(|case| stage.ends(case) != case.expect)
        })
    })
}

#[test]
fn every_field_matters_to_some_case() {
    let tables = tables();
    let mut wrong = Vec::new();
    for field in fields::all() {
        let exempt = NOT_DECIDING.iter().any(|(name, _)| *name == field.to_string());
        match (matters(&field, &tables), exempt) {
            (true, false) | (false, true) => {}
            (false, false) => wrong.push(format!("{field}: no case ends otherwise without it")),
            (true, true) => wrong.push(format!("{field}: matters, and needs no exemption")),
        }
    }
    let names: Vec<String> = fields::all().iter().map(ToString::to_string).collect();
    wrong.extend(
        NOT_DECIDING
            .iter()
            .filter(|(name, _)| !names.iter().any(|known| known == name))
            .map(|(name, _)| format!("{name}: is no field")),
    );
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Reasons that rules cannot give, and who proves them.
const ELSEWHERE: [(&str, &str); 4] = [
    ("guest_denied", "no field of the resources asks for it"),
    ("request_malformed", "the adapters refuse what they cannot read"),
    ("policy_unavailable", "nothing is published yet"),
    ("internal_error", "the code contradicts itself, or panics"),
];

#[test]
fn every_reason_is_given_in_some_case() {
    let tables = tables();
    let of = |name: &str| {
        tables.iter().flat_map(|table| &table.cases).filter_map(|case| case.expect.get(name)).map(text).collect()
    };
    let (allowed, denied): (BTreeSet<String>, BTreeSet<String>) = (of("allow"), of("deny"));
    let tokens = rules::yaml(include_str!("cases/tokens.yaml"));
    let rows = tokens.as_array().unwrap().iter();
    let rows = rows.flat_map(|row| row["variants"].as_array().into_iter().flatten().chain([row]));
    let tokens: BTreeSet<String> = rows.filter_map(|row| row["expect"].as_str()).map(str::to_owned).collect();
    let mut wrong = Vec::new();
    for reason in ReasonCode::ALL.iter().map(|reason| reason.code()) {
        let exempt = ELSEWHERE.iter().any(|(name, _)| *name == reason);
        match (denied.contains(reason) || tokens.contains(reason), exempt) {
            (true, false) | (false, true) => {}
            (false, false) => wrong.push(format!("{reason}: no case is refused for it")),
            (true, true) => wrong.push(format!("{reason}: occurs, and needs no exemption")),
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let causes = [Cause::AllowEntry { index: 0 }, Cause::AnonymousRoute, Cause::Preflight, Cause::ShadowOnly];
    let causes: BTreeSet<String> = causes.map(|cause| cause.code().to_owned()).into();
    assert_eq!(allowed, causes);
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
