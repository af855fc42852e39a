//! One stream at the controller's end: what the subscriber holds, what is on its way, and what it refused.
//!
//! One response is on its way at a time; what changes meanwhile is sent together, once it was acknowledged. A response
//! counts whole or not at all, so one resource that cannot be read keeps its companions out, too: after a refusal they are
//! sent again in halves, until the bad one stands alone. That version is not sent again; the next one is.
//!
//! A view that is larger than one message should be goes in several. With the last of it goes its end, which the subscriber
//! waits for ([`super::end`]); one that does not know ends gets each view in one message.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};

use super::claims::{self, Versions};
use super::end::End;
use super::wire::Parcel;
use super::{COMPLETE, RESOURCE_TYPE, WORKLOAD};

/// What was refused when it came alone; without a version, that it is gone.
type Refused = BTreeMap<Arc<str>, (Option<Arc<str>>, Arc<str>)>;
/// What shall become of each name: its new content, or none.
type Changes<'v> = BTreeMap<Arc<str>, Option<&'v Parcel>>;

/// The state of one stream.
#[derive(Debug, Default)]
pub struct Session {
    held: Versions,
    refused: Refused,
    /// Of what it held or refused, what it may not see: that it is to go is all that is kept of it.
    strange: BTreeSet<Arc<str>>,
    /// Of what was refused together: each part goes on its own.
    parts: Vec<BTreeSet<Arc<str>>>,
    on_its_way: Option<Response>,
    responses: u64,
    /// It wants to be told when a view is whole.
    ends: bool,
    /// The last end that it was told of.
    ended: Option<End>,
}

#[derive(Debug)]
struct Response {
    nonce: String,
    generation: u64,
    sent: BTreeMap<Arc<str>, Option<Arc<str>>>,
    end: Option<End>,
}

/// What a request of the subscriber meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It holds what was sent, and so the state of this generation.
    Acknowledged(u64),
    /// It refused what was sent, and why.
    Refused(String),
    /// Something else, or nothing new.
    Nothing,
}

/// A response grows to this, in bytes, unless one resource is larger.
const MAX_RESPONSE: usize = 8 << 20;

impl Session {
    /// Begins with the first request of a stream, which tells what the subscriber holds from an earlier one.
    #[must_use]
    pub fn begin(request: &DeltaDiscoveryRequest) -> Self {
        Self {
            held: claims::versions(request),
            ends: request.resource_names_subscribe.iter().any(|name| name == COMPLETE),
            ..Self::default()
        }
    }

    /// Takes a request in.
    pub fn hear(&mut self, request: &DeltaDiscoveryRequest) -> Heard {
        let Some(response) = self.on_its_way.take_if(|response| response.nonce == request.response_nonce) else {
            return Heard::Nothing;
        };
        if let Some(error) = &request.error_detail {
            let why = claims::legible(&error.message);
            if response.sent.is_empty() {
                // The same again would be refused again.
                self.ended = response.end;
            }
            self.refuse(response.sent, &why);
            return Heard::Refused(why);
        }
        for (name, version) in response.sent {
            self.refused.remove(&name);
            match version {
                Some(version) => self.held.insert(name, version),
                None => self.held.remove(&name),
            };
        }
        self.ended = response.end.or(self.ended.take());
        Heard::Acknowledged(response.generation)
    }

    fn refuse(&mut self, sent: BTreeMap<Arc<str>, Option<Arc<str>>>, why: &str) {
        if sent.len() <= 1 {
            self.refused.extend(sent.into_iter().map(|(name, version)| (name, (version, why.into()))));
            return;
        }
        let half = sent.len().div_ceil(2);
        let mut first: BTreeSet<Arc<str>> = sent.into_keys().collect();
        let middle = first.iter().nth(half).cloned();
        self.parts.extend(middle.map(|middle| first.split_off(&middle)));
        self.parts.push(first);
    }

    /// What to send so that the subscriber holds this view. `None`: nothing is missing, or something is on its way.
    pub fn send(&mut self, view: &BTreeMap<Arc<str>, Parcel>, generation: u64) -> Option<DeltaDiscoveryResponse> {
        if self.on_its_way.is_some() {
            return None;
        }
        self.estrange(view);
        let mut changes = self.changes(view);
        let missing = changes.len();
        let suspects: BTreeSet<&Arc<str>> = self.parts.iter().flatten().collect();
        let (doubtful, sound): (Changes<'_>, Changes<'_>) =
            std::mem::take(&mut changes).into_iter().partition(|(name, _)| suspects.contains(name));
        let chosen = if sound.is_empty() { self.part(doubtful) } else { self.portion(sound) };
        let end = (self.ends && chosen.len() == missing).then(|| self.end(view, &chosen));
        let end = end.filter(|end| self.ended.as_ref() != Some(end));
        if chosen.is_empty() && end.is_none() && self.responses > 0 {
            return None;
        }
        Some(self.dispatch((&chosen, end), generation))
    }

    /// As much of this as one message should hold.
    fn portion<'v>(&self, changes: Changes<'v>) -> Changes<'v> {
        if !self.ends {
            return changes;
        }
        let mut size = 0_usize;
        let fits = |(_, parcel): &(Arc<str>, Option<&Parcel>)| {
            let first = size == 0;
            size = size.saturating_add(parcel.map_or(1024, Parcel::size));
            first || size <= MAX_RESPONSE
        };
        changes.into_iter().take_while(fits).collect()
    }

    /// What the subscriber holds when it has taken the last changes in.
    fn end(&self, view: &BTreeMap<Arc<str>, Parcel>, last: &Changes<'_>) -> End {
        let kept = self.held.iter().filter(|(name, _)| !last.contains_key(*name)).map(|(_, version)| &**version);
        let new = last.values().flatten().map(|parcel| &*parcel.version);
        let stands = |name: &Arc<str>, version: &Option<Arc<str>>| {
            version.is_some() && view.get(name).map(|parcel| &parcel.version) == version.as_ref()
        };
        let lacking = self.refused.iter().filter(|(name, (version, _))| stands(name, version));
        let lacking = lacking.map(|(name, _)| name.to_string()).collect();
        End::new(kept.chain(new), (!view.contains_key(WORKLOAD), lacking))
    }

    /// Sorts out what the subscriber told of although it may not see it. Beyond the first ten thousand it is forgotten.
    fn estrange(&mut self, view: &BTreeMap<Arc<str>, Parcel>) {
        let told = self.held.keys().chain(self.refused.keys()).filter(|name| !view.contains_key(*name));
        self.strange = told.take(claims::MAX_STRANGE).cloned().collect();
        let strange = &self.strange;
        self.held.retain(|name, _| view.contains_key(name) || strange.contains(name));
    }

    /// What the subscriber lacks, and did not refuse.
    fn changes<'v>(&self, view: &'v BTreeMap<Arc<str>, Parcel>) -> Changes<'v> {
        let news = view.iter().filter(|(name, parcel)| self.held.get(*name) != Some(&parcel.version));
        let gone = self.held.keys().filter(|name| !view.contains_key(*name));
        let all = news.map(|(name, parcel)| (name, Some(parcel))).chain(gone.map(|name| (name, None)));
        let refused = |(name, parcel): &(&Arc<str>, Option<&Parcel>)| {
            self.refused.get(*name).is_some_and(|(version, _)| version.as_ref() == parcel.map(|parcel| &parcel.version))
        };
        all.filter(|change| !refused(change)).map(|(name, parcel)| (Arc::clone(name), parcel)).collect()
    }

    /// The next part of what was refused together that is still missing.
    fn part<'v>(&mut self, mut doubtful: Changes<'v>) -> Changes<'v> {
        while let Some(names) = self.parts.pop() {
            let chosen: Changes<'v> = names.iter().filter_map(|name| doubtful.remove_entry(name)).collect();
            if !chosen.is_empty() {
                return chosen;
            }
        }
        Changes::new()
    }

    fn dispatch(&mut self, (chosen, end): (&Changes<'_>, Option<End>), generation: u64) -> DeltaDiscoveryResponse {
        self.responses = self.responses.saturating_add(1);
        let nonce = self.responses.to_string();
        let removed = chosen.iter().filter(|(_, parcel)| parcel.is_none());
        let last = end.iter().map(End::envelope);
        let response = DeltaDiscoveryResponse {
            system_version_info: generation.to_string(),
            resources: chosen.values().flatten().map(|parcel| parcel.envelope()).chain(last).collect(),
            type_url: RESOURCE_TYPE.to_owned(),
            removed_resources: removed.map(|(name, _)| name.to_string()).collect(),
            nonce: nonce.clone(),
            ..DeltaDiscoveryResponse::default()
        };
        let version = |parcel: &Option<&Parcel>| parcel.map(|parcel| Arc::clone(&parcel.version));
        let sent = chosen.iter().map(|(name, parcel)| (Arc::clone(name), version(parcel))).collect();
        self.on_its_way = Some(Response { nonce, generation, sent, end });
        response
    }

    /// What the subscriber acknowledged, of what it may see.
    pub fn held(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.held.iter().filter(|(name, _)| !self.strange.contains(*name))
    }

    /// What it refused of that, and why.
    pub fn refused(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        let refused = self.refused.iter().filter(|(name, _)| !self.strange.contains(*name));
        refused.map(|(name, (_, why))| (name, why))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use envoy_types::pb::google::rpc::Status;
    use proptest::prelude::*;
    use serde_json::json;

    use super::Session;
    use crate::api::object::Object;
    use crate::api::settings::Scope;
    use crate::delivery::subscription::Subscription;
    use crate::delivery::wire::Parcel;

    type View = BTreeMap<Arc<str>, Parcel>;

    /// One step of a stream's life.
    #[derive(Clone, Debug)]
    enum Step {
        /// The controller's state becomes this: a version for each name that is there.
        Change(Vec<Option<u8>>),
        /// These names are refused from here on.
        Refuse(BTreeSet<usize>),
        /// So many responses reach the subscriber and are answered.
        Exchange(usize),
        /// A response reaches the subscriber, and the stream breaks before the answer comes back.
        LoseAnswer,
        /// The stream breaks.
        Reconnect,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => prop::collection::vec(prop::option::of(0_u8..3), 6).prop_map(Step::Change),
            1 => prop::collection::btree_set(0_usize..6, 0..3).prop_map(Step::Refuse),
            3 => (1_usize..4).prop_map(Step::Exchange),
            1 => Just(Step::LoseAnswer),
            1 => Just(Step::Reconnect),
        ]
    }

    /// What a workload may see.
    fn view(versions: &[Option<u8>]) -> View {
        let parcel = |(at, version): (usize, &Option<u8>)| {
            let body = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{at}")},
                "data": {"version": version.as_ref()?},
            });
            let object = Object::new(body.as_object()?.clone()).ok()??;
            let parcel = Parcel::resource(&Arc::new(object));
            Some((Arc::clone(&parcel.name), parcel))
        };
        let workload = Parcel::workload("shop", &BTreeMap::new());
        let workload = (Arc::clone(&workload.name), workload);
        versions.iter().enumerate().filter_map(parcel).chain([workload]).collect()
    }

    type Versions = BTreeMap<String, String>;

    fn named(all: &BTreeSet<usize>) -> BTreeSet<String> {
        all.iter().map(|at| format!("ConfigMap/default/m{at}")).collect()
    }

    /// All but these.
    fn without(all: &Versions, names: &BTreeSet<String>) -> Versions {
        all.iter().filter(|(name, _)| !names.contains(*name)).map(|(name, of)| (name.clone(), of.clone())).collect()
    }

    struct World {
        view: View,
        /// What there ever was to see.
        views: Vec<Versions>,
        refuse: BTreeSet<usize>,
        /// What was ever refused on this stream.
        doubted: BTreeSet<usize>,
        /// What was ever refused.
        ever: BTreeSet<usize>,
        session: Session,
        subscription: Subscription,
    }

    impl World {
        /// One response and its answer; `false` if there is nothing to send.
        fn exchange(&mut self, answered: bool) -> bool {
            let Some(response) = self.session.send(&self.view, 1) else { return false };
            let bad = named(&self.refuse);
            let mut touched = response.resources.iter().map(|one| &one.name).chain(&response.removed_resources);
            let answer = if touched.any(|name| bad.contains(name)) {
                let mut answer = Subscription::default().take(&response).answer;
                answer.error_detail = Some(Status { code: 3, message: "no".to_owned(), ..Status::default() });
                answer
            } else {
                let taken = self.subscription.take(&response);
                self.looks();
                taken.answer
            };
            if answered {
                self.session.hear(&answer);
            }
            true
        }

        /// What stands is one of the views, but for what was refused, and of the workload that it is for.
        fn looks(&self) {
            let Some(scope) = self.subscription.scope() else { return };
            assert_eq!(scope, Scope::Workload { namespace: "shop".into(), labels: BTreeMap::new() });
            let (held, doubted) = (self.held(), named(&self.ever));
            let held = without(&held, &doubted);
            assert!(self.views.iter().any(|view| without(view, &doubted) == held), "{held:?} was never there");
        }

        fn reconnect(&mut self) {
            self.session = Session::begin(&self.subscription.subscribe());
            self.doubted.clone_from(&self.refuse);
        }

        fn apply(&mut self, step: Step) {
            match step {
                Step::Change(versions) => {
                    self.view = view(&versions);
                    self.views.push(self.wanted());
                }
                Step::Refuse(names) => {
                    self.doubted.extend(&names);
                    self.ever.extend(&names);
                    self.refuse = names;
                }
                Step::Exchange(count) => assert!((0..count).filter(|_| self.exchange(true)).count() <= count),
                Step::LoseAnswer => {
                    self.exchange(false);
                    self.reconnect();
                }
                Step::Reconnect => self.reconnect(),
            }
        }

        fn held(&self) -> Versions {
            self.subscription.entries().map(|(name, version, _)| (name.to_owned(), version.to_owned())).collect()
        }

        fn wanted(&self) -> Versions {
            self.view.iter().map(|(name, parcel)| (name.to_string(), parcel.version.to_string())).collect()
        }
    }

    proptest! {
        #[test]
        fn whatever_happened_the_subscriber_ends_with_what_it_may_see(steps in prop::collection::vec(step(), 0..24)) {
            let mut world = World {
                view: view(&[]),
                views: Vec::new(),
                refuse: BTreeSet::new(),
                doubted: BTreeSet::new(),
                ever: BTreeSet::new(),
                session: Session::default(),
                subscription: Subscription::default(),
            };
            world.views.push(world.wanted());
            world.reconnect();
            steps.into_iter().for_each(|step| world.apply(step));
            // It comes to rest although something may be refused, and then lacks nothing but that.
            let responses = (0..64).take_while(|_| world.exchange(true)).count();
            prop_assert!(responses < 64, "never at rest");
            let refused: BTreeSet<String> = world.session.refused.keys().map(ToString::to_string).collect();
            prop_assert!(refused.is_subset(&named(&world.doubted)), "a companion of what was refused stays out: {:?}", refused);
            prop_assert_eq!(without(&world.subscription.coming(), &refused), without(&world.wanted(), &refused));
            prop_assert!(!refused.is_empty() || world.held() == world.wanted(), "{:?}", world.held());
            // A new stream, and nobody refuses any more.
            world.refuse.clear();
            world.reconnect();
            while world.exchange(true) {}
            prop_assert_eq!(world.held(), world.wanted());
            let acknowledged: BTreeMap<String, String> =
                world.session.held().map(|(name, version)| (name.to_string(), version.to_string())).collect();
            prop_assert_eq!(acknowledged, world.wanted());
        }
    }
}
