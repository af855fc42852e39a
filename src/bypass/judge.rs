//! The verdict: what arrived against what was permitted.

use std::collections::BTreeMap;

use super::arrivals::{Arrival, folded};
use super::family::Family;
use super::plan::Untried;
use super::reply::Reply;
use super::script::permit;
use super::trick::Trick;
use super::tricks::SPOOF;

/// What the upstream's handlers and headers mean.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// Resources that nobody may reach without a permit.
    pub protected: Vec<String>,
    /// Headers that only the authorizer sets.
    pub identity: Vec<String>,
    /// A text that the authorizer's refusals contain and nothing else does; empty if there is none.
    pub refusal: String,
    /// The name of a header, in lower case, that the proxy puts on answers of the upstream and on no others; empty if
    /// there is none.
    pub relayed: String,
}

/// A trick that was tried.
pub(super) struct Attempt {
    pub(super) trick: Trick,
    pub(super) nonce: String,
    pub(super) reply: Reply,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// A request without a permit arrived at something protected.
    Reached,
    /// A permitted request arrived more than once.
    Repeated,
    /// A made-up identity header arrived.
    Spoofed,
    /// Something arrived at something protected, and nobody knows how.
    Stray,
}

impl Breach {
    /// Its name in reports.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Repeated => "repeated",
            Self::Spoofed => "spoofed",
            Self::Stray => "stray",
        }
    }

    /// What it means.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Reached => "a request without a permit arrived at a protected resource",
            Self::Repeated => "a permitted request arrived more than once",
            Self::Spoofed => "an identity header that the client made up arrived",
            Self::Stray => "a request that no trick sent in this form arrived at a protected resource",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Reached, Self::Repeated, Self::Spoofed, Self::Stray];
}

/// One bypass.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What went wrong.
    pub breach: Breach,
    /// The trick, and its family; nothing if nobody knows.
    pub trick: Option<(Family, String)>,
    /// What was sent, without tokens.
    pub sent: String,
    /// What was answered.
    pub answered: String,
    /// Where it arrived, and as what.
    pub arrival: Arrival,
}

/// What became of the tricks of a family. Each trick counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub sent: usize,
    /// Those of which the authorizer refused a request.
    pub by_authorizer: usize,
    /// Those that nobody else refused: by the proxy, in words or by closing the connection.
    pub by_proxy: usize,
    /// Those that the upstream's server refused before any handler ran.
    pub by_upstream: usize,
    /// Those that arrived where everybody may.
    pub open: usize,
    /// Those of which only permitted requests arrived.
    pub permitted: usize,
    /// Bypasses.
    pub bypassed: usize,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// All bypasses, in the order of their tricks.
    pub findings: Vec<Finding>,
    /// What became of the tricks, by family.
    pub counts: BTreeMap<Family, Counts>,
    /// What was not tried.
    pub untried: Vec<Untried>,
    /// Why there may be more than was found; what was found is true nevertheless.
    pub doubt: Option<String>,
}

/// Compares what was tried with what arrived.
pub(super) fn judge(attempts: &[Attempt], arrivals: &[Arrival], meaning: &Meaning) -> Verdict {
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (at, attempt) in attempts.iter().enumerate() {
        known.insert(attempt.nonce.clone(), at);
        known.insert(permit(&attempt.nonce), at);
    }
    let mut of_attempt: BTreeMap<usize, Vec<&Arrival>> = BTreeMap::new();
    let mut verdict = Verdict::default();
    for arrival in arrivals {
        match arrival.nonces().find_map(|nonce| known.get(nonce)) {
            Some(at) => of_attempt.entry(*at).or_default().push(arrival),
            None if meaning.protects(arrival) => verdict.findings.push(stray(arrival)),
            None => {}
        }
    }
    for (at, attempt) in attempts.iter().enumerate() {
        let arrived = of_attempt.remove(&at).unwrap_or_default();
        let found = breaches(attempt, &arrived, meaning);
        verdict.counts.entry(attempt.trick.family).or_default().add(attempt, &arrived, (meaning, !found.is_empty()));
        verdict.findings.extend(found);
    }
    verdict
}

impl Meaning {
    fn protects(&self, arrival: &Arrival) -> bool {
        self.protected.contains(&arrival.resource)
    }

    fn is_spoofed(&self, arrival: &Arrival) -> bool {
        let ours = |name: &str| self.identity.iter().any(|known| folded(known) == folded(name));
        arrival.headers.iter().any(|(name, value)| ours(name) && value.contains(SPOOF))
    }
}

/// Whether the arrival is one of a permitted request alone.
fn is_permitted(attempt: &Attempt, arrival: &Arrival) -> bool {
    arrival.nonces().all(|nonce| nonce == permit(&attempt.nonce))
}

fn breaches(attempt: &Attempt, arrived: &[&Arrival], meaning: &Meaning) -> Vec<Finding> {
    let finding = |breach, arrival: &Arrival| Finding {
        breach,
        trick: Some((attempt.trick.family, attempt.trick.name.clone())),
        sent: attempt.trick.sent.shown(),
        answered: attempt.reply.shown(),
        arrival: arrival.clone(),
    };
    let mut found = Vec::new();
    let mut permitted = 0_usize;
    for arrival in arrived {
        if meaning.protects(arrival) {
            if is_permitted(attempt, arrival) {
                permitted = permitted.saturating_add(1);
                if permitted > 1 {
                    found.push(finding(Breach::Repeated, arrival));
                }
            } else {
                found.push(finding(Breach::Reached, arrival));
            }
        }
        if meaning.is_spoofed(arrival) {
            found.push(finding(Breach::Spoofed, arrival));
        }
    }
    found
}

fn stray(arrival: &Arrival) -> Finding {
    let nobody_knows = String::new;
    Finding {
        breach: Breach::Stray,
        trick: None,
        sent: nobody_knows(),
        answered: nobody_knows(),
        arrival: arrival.clone(),
    }
}

impl Counts {
    fn add(&mut self, attempt: &Attempt, arrived: &[&Arrival], (meaning, bypassed): (&Meaning, bool)) {
        let place = if bypassed {
            &mut self.bypassed
        } else if attempt.reply.contains(&meaning.refusal) {
            &mut self.by_authorizer
        } else if arrived.iter().any(|arrival| !is_permitted(attempt, arrival)) {
            &mut self.open
        } else if !arrived.is_empty() {
            &mut self.permitted
        } else if attempt.reply.has_header(&meaning.relayed) {
            &mut self.by_upstream
        } else {
            &mut self.by_proxy
        };
        *place = place.saturating_add(1);
        self.sent = self.sent.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::Script;
    use super::super::trick::{Sent, Step};
    use super::{Arrival, Attempt, Breach, Counts, Family, Meaning, Reply, Trick, Verdict, judge};

    fn meaning() -> Meaning {
        Meaning {
            protected: vec!["admin".into()],
            identity: vec!["x-user".into()],
            refusal: "refused".into(),
            relayed: "x-relayed".into(),
        }
    }

    fn attempt(nonce: &str, answer: &str) -> Attempt {
        let sent = Sent::Http1(vec![Step { script: Script::of("x"), answers: 1 }]);
        let trick = Trick { family: Family::Query, name: nonce.into(), sent };
        Attempt { trick, nonce: nonce.into(), reply: Reply { statuses: vec![403], bytes: answer.into() } }
    }

    fn arrival(resource: &str, headers: &[(&str, &str)]) -> Arrival {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Arrival { resource: resource.into(), shown: String::new(), headers }
    }

    fn nonce(resource: &str, nonce: &str) -> Arrival {
        arrival(resource, &[("x-bypass-nonce", nonce)])
    }

    fn breaches(verdict: &Verdict) -> Vec<Breach> {
        verdict.findings.iter().map(|finding| finding.breach).collect()
    }

    #[test]
    fn a_bare_arrival_at_something_protected_is_a_bypass_whatever_was_answered() {
        let verdict = judge(&[attempt("a", "refused")], &[nonce("admin", "a")], &meaning());
        assert_eq!(breaches(&verdict), [Breach::Reached]);
        assert_eq!(verdict.counts[&Family::Query].bypassed, 1);
    }

    #[test]
    fn a_permitted_request_may_arrive_once() {
        let verdict = judge(&[attempt("a", "")], &[nonce("admin", "ap")], &meaning());
        assert_eq!(breaches(&verdict), []);
        let twice = [nonce("admin", "ap"), nonce("admin", "ap")];
        assert_eq!(breaches(&judge(&[attempt("a", "")], &twice, &meaning())), [Breach::Repeated]);
        let joined = [nonce("admin", "ap, a")];
        assert_eq!(breaches(&judge(&[attempt("a", "")], &joined, &meaning())), [Breach::Reached]);
    }

    #[test]
    fn what_nobody_sent_is_a_bypass_if_it_is_protected() {
        let arrivals = [arrival("admin", &[]), nonce("admin", "other"), arrival("public", &[])];
        assert_eq!(breaches(&judge(&[attempt("a", "")], &arrivals, &meaning())), [Breach::Stray, Breach::Stray]);
    }

    #[test]
    fn made_up_identities_are_found_in_every_spelling() {
        for name in ["x-user", "X_User", "X-USER ", "X~User", "x.user"] {
            let arrivals = [arrival("public", &[("x-bypass-nonce", "a"), (name, "x, bypass-spoof")])];
            assert_eq!(breaches(&judge(&[attempt("a", "")], &arrivals, &meaning())), [Breach::Spoofed], "{name}");
        }
        let true_one = [arrival("public", &[("x-bypass-nonce", "a"), ("x-user", "ada")])];
        assert_eq!(breaches(&judge(&[attempt("a", "")], &true_one, &meaning())), []);
    }

    #[test]
    fn each_trick_counts_once() {
        let relayed = "HTTP/1.1 404 x\r\nx-relayed: 1\r\n";
        let attempts = [("a", ""), ("b", "is refused"), ("c", ""), ("d", ""), ("e", relayed)];
        let attempts = attempts.map(|(nonce, answer)| attempt(nonce, answer));
        let arrivals = [nonce("public", "a"), nonce("public", "a"), nonce("public", "b"), nonce("admin", "cp")];
        let counts = judge(&attempts, &arrivals, &meaning()).counts[&Family::Query];
        let wanted =
            Counts { sent: 5, by_authorizer: 1, by_proxy: 1, by_upstream: 1, open: 1, permitted: 1, bypassed: 0 };
        assert_eq!(counts, wanted);
    }
}
