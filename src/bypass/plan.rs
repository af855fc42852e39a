//! What a run tries, and what it leaves out and why: a family that silently tries nothing would look like one that holds.

use super::Unfit;
use super::family::Family;
use super::settings::Settings;
use super::trick::{Ground, Sent, Trick};
use super::tricks;

/// Nothing of a family is tried.
pub const ALL: &str = "all";

/// What will be tried, and what will not.
#[derive(Debug)]
pub struct Plan {
    /// In this order.
    pub tricks: Vec<Trick>,
    /// Everything else that the suite knows.
    pub untried: Vec<Untried>,
}

/// Something that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untried {
    /// The family that it belongs to.
    pub family: Family,
    /// How much of the family: [`ALL`], or which part.
    pub what: String,
    /// Why.
    pub lack: Lack,
}

/// Why something is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// Others were asked for.
    Asked,
    /// Nobody said which headers tell who calls.
    IdentityHeader,
    /// There is no genuine token that must not do.
    DeniedToken,
    /// The right token is none from which others can be forged.
    Jwt,
    /// It was not wanted.
    Http1,
    /// The proxy does not know it.
    Http2,
}

impl Lack {
    /// For people.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Asked => "`--family` asks for others",
            Self::IdentityHeader => "no `--identity-header` names a header that tells the upstream who calls",
            Self::DeniedToken => "no `--denied-token` is a genuine token that must not do",
            Self::Jwt => "the permitted token is no JWT that others can be forged from",
            Self::Http1 => "`--http1` leaves HTTP/2 out",
            Self::Http2 => "the proxy does not speak HTTP/2 on this port",
        }
    }
}

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// HTTP/1 and HTTP/2.
    Both,
    /// HTTP/1 alone, for this reason.
    Http1(Lack),
}

impl Settings {
    /// What will be tried where these versions are spoken.
    ///
    /// # Errors
    /// If a family that was asked for by name has no tricks: such a run would pass without having tried anything.
    pub fn plan(&self, versions: Versions) -> Result<Plan, Unfit> {
        let mut plan = Plan { tricks: Vec::new(), untried: Vec::new() };
        for family in Family::ALL {
            if !self.families.is_empty() && !self.families.contains(&family) {
                plan.leave_out(family, ALL, Lack::Asked);
                continue;
            }
            let before = plan.tricks.len();
            plan.untried.extend(self.unarmed(family));
            plan.untried.extend(self.unforged(family));
            plan.add(family, &self.grounds, versions);
            if plan.tricks.len() == before && !self.families.is_empty() {
                let why = plan.untried.iter().rfind(|untried| untried.family == family);
                return Err(Unfit::NoTricks { family, why: why.map_or("", |untried| untried.lack.about()) });
            }
        }
        Ok(plan)
    }

    /// What the family would try if it had been given what it needs.
    fn unarmed(&self, family: Family) -> Option<Untried> {
        let lacks = |what: &str, lack| Some(Untried { family, what: what.to_owned(), lack });
        if family == Family::Identity && self.meaning.identity.is_empty() {
            return lacks(ALL, Lack::IdentityHeader);
        }
        if family != Family::Tokens {
            return None;
        }
        if self.tokens.denied().is_empty() { lacks("genuine tokens", Lack::DeniedToken) } else { None }
    }

    /// What it could forge from another token.
    fn unforged(&self, family: Family) -> Option<Untried> {
        let some = family == Family::Tokens && !self.tokens.is_jwt();
        some.then(|| Untried { family, what: "forged signatures".to_owned(), lack: Lack::Jwt })
    }
}

impl Plan {
    fn add(&mut self, family: Family, grounds: &[(String, Ground)], versions: Versions) {
        let all: Vec<Trick> = grounds.iter().flat_map(|(_, ground)| tricks::of(family, ground)).collect();
        let count = all.len();
        let spoken = |trick: &Trick| versions == Versions::Both || matches!(trick.sent, Sent::Http1(_));
        let spoken: Vec<Trick> = all.into_iter().filter(spoken).collect();
        if let Versions::Http1(lack) = versions
            && count > spoken.len()
        {
            let left = format!("{} tricks", count.saturating_sub(spoken.len()));
            self.leave_out(family, if spoken.is_empty() { ALL } else { &left }, lack);
        }
        self.tricks.extend(spoken);
    }

    fn leave_out(&mut self, family: Family, what: &str, lack: Lack) {
        self.untried.push(Untried { family, what: what.to_owned(), lack });
    }
}
