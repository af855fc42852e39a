//! What is known of every object that has a status, and when time alone changes that. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::api::compile::Compiled;
use crate::api::fault::{About, Fault};
use crate::api::object::{Kind, Object, ObjectId, Resources};
use crate::api::{revocation, target};
use crate::clock::UnixTime;
use crate::cluster::conditions::{KeysKnown, Known, Phase, Planes, Timed, remaining, until_change};
use crate::cluster::statuses::KINDS;
use crate::delivery::view::Catalogue;
use crate::entra::SourceStatus;
use crate::token::{KeySource, Profile};

use super::super::instant;
use super::extent::Extent;
use super::peers::Peers;
use super::planes::Counter;

/// What judgements rest on.
pub(super) struct Ground<'g> {
    pub(super) resources: &'g Resources,
    pub(super) compiled: &'g Compiled,
    pub(super) keys: &'g [SourceStatus],
    /// `None`: data planes had no time to come yet.
    pub(super) planes: Option<Counter<'g>>,
    /// Those of other replicas.
    pub(super) peers: (&'g Peers, &'g Catalogue),
    pub(super) now: UnixTime,
}

/// What is known, and when that changes by time alone.
pub(super) struct Judgement {
    pub(super) known: Vec<(ObjectId, Known)>,
    pub(super) until: Option<UnixTime>,
}

impl Ground<'_> {
    /// Judges every object that this extent covers.
    pub(super) fn judge(&self, extent: &Extent) -> Judgement {
        let mut faults: HashMap<&ObjectId, Vec<Fault>> = HashMap::new();
        for fault in &self.compiled.faults {
            faults.entry(&fault.object).or_default().push(fault.clone());
        }
        let profiles: HashMap<&str, &Arc<Profile>> =
            self.compiled.profiles.iter().map(|profile| (&*profile.id.0, profile)).collect();
        let mut judgement = Judgement { known: Vec::new(), until: None };
        for object in self.covered(extent) {
            let faults = faults.remove(&object.id).unwrap_or_default();
            let timed = self.timed(object, &faults, &profiles);
            if let Some((_, Some(until))) = timed {
                judgement.until = Some(judgement.until.map_or(until, |other| other.min(until)));
            }
            let known = Known {
                generation: object.generation.unwrap_or_default(),
                uid: object.uid.clone(),
                planes: self.planes.as_ref().map(|planes| self.count(planes, &object.id)),
                keys: self.keys(object, &profiles),
                timed: timed.map(|(timed, _)| timed),
                targets: if object.id.kind == Kind::AccessPolicy { target::of(object) } else { Vec::new() },
                faults,
            };
            judgement.known.push((object.id.clone(), known));
        }
        judgement
    }

    fn covered<'s>(&'s self, extent: &'s Extent) -> Box<dyn Iterator<Item = &'s Arc<Object>> + 's> {
        match extent {
            Extent::All => Box::new(KINDS.into_iter().flat_map(|kind| self.resources.of(kind))),
            Extent::Only(policies) => {
                let others = KINDS.into_iter().filter(|kind| *kind != Kind::AccessPolicy);
                let policies = policies.iter().filter(|id| id.kind == Kind::AccessPolicy);
                let policies = policies.filter_map(|id| self.resources.get(id));
                Box::new(others.flat_map(|kind| self.resources.of(kind)).chain(policies))
            }
        }
    }

    fn count(&self, planes: &Counter<'_>, id: &ObjectId) -> Planes {
        let mut counted = planes.count(id);
        let (peers, catalogue) = self.peers;
        peers.count(catalogue, id, &mut counted);
        counted
    }

    fn keys(&self, object: &Object, profiles: &HashMap<&str, &Arc<Profile>>) -> Option<KeysKnown> {
        if object.id.kind != Kind::EntraApplication {
            return None;
        }
        let Some(profile) = profiles.get(&*full_name(&object.id)) else {
            return Some(KeysKnown::Missing("the application is invalid; mend what `Accepted` says".to_owned()));
        };
        let (mut count, mut unasked) = (0_usize, false);
        for source in profile.tenants.values().flat_map(|keys| [&keys.v1, &keys.v2]).flatten() {
            match source {
                KeySource::Static(authority) => count = count.saturating_add(authority.keys.len()),
                KeySource::Discovered(discovery) => {
                    let same = |status: &&SourceStatus| {
                        (&status.url, status.tenant, status.version)
                            == (&discovery.metadata_url, discovery.tenant, discovery.version)
                    };
                    match self.keys.iter().find(same) {
                        Some(status) if status.keys > 0 => count = count.saturating_add(status.keys),
                        Some(SourceStatus { url, last_error: Some(code), .. }) => {
                            return Some(KeysKnown::Missing(format!("no signing keys from {url}: {}", code.code())));
                        }
                        Some(_) | None => unasked = true,
                    }
                }
            }
        }
        Some(if unasked { KeysKnown::Unasked } else { KeysKnown::Ready(count) })
    }

    /// The phase of what begins and ends, and when it changes.
    fn timed(
        &self,
        object: &Object,
        faults: &[Fault],
        profiles: &HashMap<&str, &Arc<Profile>>,
    ) -> Option<(Timed, Option<UnixTime>)> {
        let period = match object.id.kind {
            Kind::AccessGrant if !faults.is_empty() => return Some((BROKEN_GRANT.timed(), None)),
            Kind::AccessGrant => Period::of_grant(object),
            // One that refers to nothing is sound, and waits for its application.
            Kind::TokenRevocation if faults.iter().any(|fault| fault.about != About::Reference) => {
                let names = revocation::read(object).application.is_some();
                let broken = if names { BROKEN_REVOCATION } else { NAMELESS_REVOCATION };
                return Some((broken.timed(), None));
            }
            Kind::TokenRevocation => Period::of_revocation(object, profiles),
            Kind::EntraApplication
            | Kind::AccessPolicy
            | Kind::ConfigMap
            | Kind::ReferenceGrant
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::Gateway
            | Kind::Service
            | Kind::SecurityPolicy => return None,
        };
        Some(period.at(self.now))
    }
}

/// When something counts.
struct Period {
    /// Why it does not count whatever the time, if so.
    hindered: Option<&'static str>,
    from: Option<UnixTime>,
    until: Option<UnixTime>,
    /// What ends then.
    end: &'static str,
}

/// A phase that has no end.
struct Lasting(Phase, &'static str);

const BROKEN_GRANT: Lasting = Lasting(Phase::Invalid, "it is broken and lends nothing; mend what `Accepted` says");
const BROKEN_REVOCATION: Lasting = Lasting(
    Phase::Invalid,
    "it is broken, and nobody knows whom it was meant for: the application that it names accepts no token; mend what \
     `Accepted` says, or delete it",
);
const NAMELESS_REVOCATION: Lasting = Lasting(
    Phase::Invalid,
    "it is broken, and nobody knows what it was meant for: no application of this namespace accepts a token; mend what \
     `Accepted` says, or delete it",
);

impl Lasting {
    fn timed(&self) -> Timed {
        Timed { phase: self.0, message: self.1.to_owned(), remaining: String::new() }
    }
}

impl Period {
    fn of_grant(object: &Object) -> Self {
        let approved = object.body().get("spec").and_then(|spec| spec.get("approved")) == Some(&Value::Bool(true));
        let hindered = (!approved).then_some("nothing is lent before `approved` is true");
        Self { hindered, from: moment(object, "notBefore"), until: moment(object, "expiresAt"), end: "the roles end" }
    }

    /// A revocation has done its work when the last token that it is about has ended by itself.
    fn of_revocation(object: &Object, profiles: &HashMap<&str, &Arc<Profile>>) -> Self {
        let body = object.body();
        let reference = body.get("spec").and_then(|spec| spec.pointer("/applicationRef/name"));
        let name = format!("{}/{}", object.id.namespace, reference.and_then(Value::as_str).unwrap_or_default());
        let profile = profiles.get(&*name);
        let hindered = profile.is_none().then_some("there is no such application, or it is invalid");
        let longest = profile.map_or(0, |profile| profile.max_lifetime.saturating_add(profile.clock_skew));
        let until = moment(object, "issuedBefore").map(|before| before.plus(longest));
        Self { hindered, from: None, until, end: "the last such token ends by itself" }
    }

    fn at(&self, now: UnixTime) -> (Timed, Option<UnixTime>) {
        let left = self.until.map(|until| until.since(now));
        if left.is_some_and(|left| left <= 0) {
            let over = self.until.map(instant).unwrap_or_default();
            let message = format!("over since {over}; the object may be deleted");
            return (Timed { phase: Phase::Expired, message, remaining: String::new() }, None);
        }
        if let Some(why) = self.hindered {
            return (Lasting(Phase::Pending, why).timed(), self.until);
        }
        if let Some(from) = self.from.filter(|from| now < *from) {
            let message = format!("begins at {}", instant(from));
            return (Timed { phase: Phase::Pending, message, remaining: String::new() }, Some(from));
        }
        let end = self.until.map_or_else(|| "never".to_owned(), instant);
        let message = format!("{} at {end}", self.end);
        let change = left.map(|left| now.plus(until_change(left)));
        (Timed { phase: Phase::Active, message, remaining: left.map(remaining).unwrap_or_default() }, change)
    }
}

fn moment(object: &Object, field: &str) -> Option<UnixTime> {
    let at: jiff::Timestamp = object.body().get("spec")?.get(field)?.as_str()?.parse().ok()?;
    Some(UnixTime(at.as_second()))
}

fn full_name(id: &ObjectId) -> String {
    format!("{}/{}", id.namespace, id.name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{Ground, Period};
    use crate::api::compile::Compiler;
    use crate::api::object::{Object, Resources};
    use crate::api::settings::Settings;
    use crate::cli::controller::extent::Extent;
    use crate::cli::controller::peers::Peers;
    use crate::clock::UnixTime;
    use crate::cluster::conditions::{Phase, Timed};
    use crate::delivery::view::Catalogue;

    fn period(from: Option<i64>, until: i64, hindered: bool) -> Period {
        let hindered = hindered.then_some("not approved");
        Period { hindered, from: from.map(UnixTime), until: Some(UnixTime(until)), end: "it ends" }
    }

    #[test]
    fn a_phase_follows_from_the_time_and_says_when_it_changes() {
        for (period, now, phase, change) in [
            (period(None, 1000, false), 0, Phase::Active, Some(41)), // 16m, then 15m
            (period(None, 1000, false), 999, Phase::Active, Some(1000)),
            (period(None, 1000, false), 1000, Phase::Expired, None),
            (period(Some(10), 1000, false), 9, Phase::Pending, Some(10)),
            (period(Some(10), 1000, false), 10, Phase::Active, Some(41)),
            (period(None, 1000, true), 0, Phase::Pending, Some(1000)),
            (period(None, 1000, true), 2000, Phase::Expired, None),
        ] {
            let (timed, until) = period.at(UnixTime(now));
            assert_eq!((timed.phase, until), (phase, change.map(UnixTime)), "{now}: {}", timed.message);
        }
    }

    /// What is said of the one object of this kind and spec, beside a sound application.
    fn timed(kind: &str, spec: &Value) -> Timed {
        let id = "11111111-1111-1111-1111-111111111111";
        let application = json!({"tenants": [{"id": id, "name": "contoso"}], "clientId": id});
        let mut resources = Resources::new();
        for (kind, name, spec) in [("EntraApplication", "app", &application), (kind, "it", spec)] {
            let body = json!({
                "apiVersion": "entrance.dev/v1alpha1", "kind": kind,
                "metadata": {"namespace": "shop", "name": name}, "spec": spec,
            });
            resources.put(Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap()));
        }
        let (peers, catalogue) = (Peers::default(), Catalogue::default());
        let compiled = Compiler::default().compile(&resources, &Settings::default());
        let ground = Ground {
            resources: &resources,
            compiled: &compiled,
            keys: &[],
            planes: None,
            peers: (&peers, &catalogue),
            now: UnixTime(0),
        };
        let found = ground.judge(&Extent::All).known.into_iter().find(|(id, _)| &*id.name == "it");
        found.unwrap().1.timed.unwrap()
    }

    #[test]
    fn what_is_broken_says_what_that_means() {
        let before = "1970-01-02T00:00:00Z";
        let of = |application: &str, oid: &str| json!({"applicationRef": {"name": application}, "match": {"oid": oid}, "issuedBefore": before});
        let oid = "22222222-2222-2222-2222-222222222222";
        for (kind, spec, phase, part) in [
            ("TokenRevocation", of("app", oid), Phase::Active, "the last such token ends by itself at"),
            ("TokenRevocation", of("app", "nobody"), Phase::Invalid, "the application that it names accepts no token"),
            (
                "TokenRevocation",
                json!({"match": {"oid": oid}}),
                Phase::Invalid,
                "no application of this namespace accepts a token",
            ),
            ("TokenRevocation", of("other", oid), Phase::Pending, "there is no such application"),
            ("AccessGrant", json!({"roles": []}), Phase::Invalid, "lends nothing"),
        ] {
            let timed = timed(kind, &spec);
            assert_eq!(timed.phase, phase, "{spec}: {}", timed.message);
            assert!(timed.message.contains(part), "{spec}: {}", timed.message);
        }
    }
}
