//! `entrance bypass` as its users run it, with tokens in files.

use std::net::SocketAddr;

use entrance::bypass::family::Family;
use entrance::emulator::defaults::{FABRIKAM, WEB_CLIENT};
use entrance::emulator::{Emulator, MintRequest};
use serde_json::{Value, json};

use crate::children::scratch;
use crate::program::{Ran, file, run};

/// The headers that Entrance sets.
pub(crate) const IDENTITY: [&str; 7] = [
    "x-entrance-tenant",
    "x-entrance-subject",
    "x-entrance-client",
    "x-entrance-caller",
    "x-entrance-roles",
    "x-entrance-scopes",
    "x-entrance-decision",
];

/// Tokens in files.
pub(crate) struct Tokens {
    permitted: String,
    denied: Vec<String>,
    /// Their texts, which nobody may print.
    secrets: Vec<String>,
}

impl Tokens {
    /// An administrator's, and genuine ones that must not do.
    pub(crate) fn of(emulator: &Emulator) -> Self {
        let user = |name: &str| MintRequest { user: Some(name.into()), ..MintRequest::default() };
        let claim = |name: &str, value: Value| {
            let set_claims = [(name.to_owned(), value)].into_iter().collect();
            MintRequest { set_claims, ..user("ada") }
        };
        let orders = [
            user("ada"),
            // without the role, expired, for another audience, of another tenant
            user("bob"),
            MintRequest { expires_in: Some(-7200), ..user("ada") },
            claim("aud", json!(WEB_CLIENT)),
            claim("tid", json!(FABRIKAM)),
        ];
        let secrets: Vec<String> = orders.iter().map(|order| emulator.mint(order).unwrap()).collect();
        let directory = scratch("tokens");
        let keep = |(at, token): (usize, &String)| file(&directory, &format!("token-{at}"), token);
        let mut files: Vec<String> = secrets.iter().enumerate().map(keep).collect();
        Self { permitted: files.remove(0), denied: files, secrets }
    }

    /// The token that opens what is protected.
    pub(crate) fn permitted(&self) -> &str {
        &self.secrets[0]
    }
}

/// What one run says.
pub(crate) struct Verdict {
    pub(crate) code: i32,
    pub(crate) told: Value,
}

impl Verdict {
    /// The families in which something got past.
    pub(crate) fn caught(&self) -> Vec<&str> {
        let families = self.told["families"].as_object().unwrap();
        let bypassed = families.iter().filter(|(_, counts)| counts["bypassed"] != 0);
        bypassed.map(|(family, _)| family.as_str()).collect()
    }

    /// Whether anything of a family was tried.
    pub(crate) fn tried(&self, family: Family) -> bool {
        self.told["families"].get(family.id()).is_some()
    }

    /// A count of a family.
    pub(crate) fn count(&self, family: &str, column: &str) -> u64 {
        self.told["families"][family][column].as_u64().unwrap()
    }
}

/// The arguments of a run.
pub(crate) fn arguments<'a>(
    (target, report): (&'a str, &'a str),
    tokens: &'a Tokens,
    more: &[&'a str],
) -> Vec<&'a str> {
    let mut all = vec!["bypass", "--target", target, "--report", report, "--host", crate::HOST];
    all.extend(["--permitted-token", &tokens.permitted, "--refusal", "decision_id", "--connections", "160"]);
    all.extend(tokens.denied.iter().flat_map(|file| ["--denied-token", file]));
    all.extend(IDENTITY.iter().flat_map(|name| ["--identity-header", name]));
    all.extend(more);
    if !more.contains(&"--timeout") {
        // that a machine is busy must not look like a refusal
        all.extend(["--timeout", "20000"]);
    }
    all
}

/// Runs the suite. No token may be in what it prints.
pub(crate) async fn told((target, report): (SocketAddr, &str), tokens: &Tokens, more: &[&str]) -> Ran {
    told_by((&format!("http://{target}"), report), tokens, more).await
}

/// The same of a URL.
pub(crate) async fn told_by((target, report): (&str, &str), tokens: &Tokens, more: &[&str]) -> Ran {
    let all: Vec<String> = arguments((target, report), tokens, more).into_iter().map(str::to_owned).collect();
    let ran = tokio::task::spawn_blocking(move || run(all.iter().map(String::as_str))).await.unwrap();
    for secret in &tokens.secrets {
        let leaked = [&ran.out, &ran.err].into_iter().any(|text| text.contains(secret.as_str()));
        assert!(!leaked, "a token was printed");
    }
    ran
}

/// Runs the suite to a verdict.
pub(crate) async fn verdict(place: (SocketAddr, &str), tokens: &Tokens, more: &[&str]) -> Verdict {
    let ran = told(place, tokens, &[&["-o", "json"], more].concat()).await;
    assert!(matches!(ran.code, 0 | 1), "{}", ran.err);
    Verdict { code: ran.code, told: ran.json() }
}
