//! Statuses at the API server: what stands there, and what is put there.
//!
//! A status is applied by our own field manager, so that conditions of others stay. `ancestors` is one list for everybody,
//! which cannot be applied in part: it is read, changed and put back, if nobody changed it in between. A change that people
//! may want to hear of becomes an Event as well.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Error, Resource as _};
use serde_json::{Value, json};

use crate::api::object::{GROUP, Kind, ObjectId, VERSION};
use crate::clock::UnixTime;

use super::ancestors::{self, Ancestors};
use super::conditions::{BYPASSED, Known, Phase, conditions};
use super::document;

/// Who owns the fields of a status.
pub const FIELD_MANAGER: &str = "entrance-controller";
/// The kinds that have a status of ours.
pub const KINDS: [Kind; 4] = [Kind::EntraApplication, Kind::AccessPolicy, Kind::AccessGrant, Kind::TokenRevocation];
/// The conditions that are ours.
const OURS: [&str; 7] = ["Accepted", "Programmed", "KeysReady", "Active", "Conflicted", "AncestorsListed", BYPASSED];
const PAGE: u32 = 500;
/// To change a list that others change, too.
const ATTEMPTS: usize = 8;
/// Longest note of an event, in bytes.
const NOTE: usize = 1000;

/// A status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// The generation that it is about.
    pub observed: Option<i64>,
    /// The conditions of ours.
    pub conditions: Vec<Condition>,
    /// The phase, of what begins and ends.
    pub phase: Option<String>,
    /// The time that is left.
    pub remaining: Option<String>,
    /// How a policy is doing at its targets.
    pub ancestors: Ancestors,
}

impl Standing {
    /// The status of an object, given the one that stands.
    #[must_use]
    pub fn next(&self, known: &Known, now: UnixTime) -> Self {
        let timed = known.timed.as_ref();
        let ancestors = self.ancestors.next(known, now);
        Self {
            observed: Some(known.generation),
            conditions: conditions(known, ancestors.unlisted, (&self.conditions, now)),
            phase: timed.map(|timed| timed.phase.as_str().to_owned()),
            remaining: timed.map(|timed| timed.remaining.clone()),
            ancestors,
        }
    }

    /// A status as it came from the API server. Others' conditions do not count.
    #[must_use]
    pub fn read(status: &Value) -> Self {
        let text = |name: &str| status.get(name).and_then(Value::as_str).map(str::to_owned);
        let conditions = status.get("conditions").and_then(Value::as_array).into_iter().flatten();
        let conditions = conditions.filter_map(|condition| serde_json::from_value::<Condition>(condition.clone()).ok());
        Self {
            observed: status.get("observedGeneration").and_then(Value::as_i64),
            conditions: conditions.filter(|condition| OURS.contains(&&*condition.type_)).collect(),
            phase: text("phase"),
            remaining: text("remaining"),
            ancestors: Ancestors::read(ancestors::list(status)),
        }
    }

    /// The same with other ancestors.
    #[must_use]
    pub fn with(self, ancestors: Ancestors) -> Self {
        Self { ancestors, ..self }
    }

    fn render(&self) -> Value {
        let mut status = json!({"observedGeneration": self.observed, "conditions": self.conditions});
        if let (Some(members), Some(phase)) = (status.as_object_mut(), &self.phase) {
            members.insert("phase".to_owned(), json!(phase));
            members.insert("remaining".to_owned(), json!(self.remaining.clone().unwrap_or_default()));
        }
        status
    }

    fn accepted(&self) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == "Accepted")
    }
}

/// What people may want to hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    warning: bool,
    reason: String,
    note: String,
}

/// What to tell of a change: that something is not accepted or accepted again, and each phase but the first if that is
/// only waiting.
#[must_use]
pub fn news(before: &Standing, after: &Standing) -> Vec<News> {
    let mut news = Vec::new();
    if let Some(now) = after.accepted() {
        let then = before.accepted();
        let changed = then.is_some_and(|then| then.status != now.status || then.reason != now.reason);
        if changed || (then.is_none() && now.status != "True") {
            let warning = now.status != "True";
            news.push(News { warning, reason: now.reason.clone(), note: now.message.clone() });
        }
    }
    let open = |of: &Standing| of.conditions.iter().find(|condition| condition.type_ == BYPASSED).cloned();
    if let (None, Some(now)) = (open(before), open(after)) {
        news.push(News { warning: true, reason: now.reason, note: now.message });
    }
    if let Some(phase) = after.phase.as_ref().filter(|phase| before.phase.as_ref() != Some(*phase)) {
        let waiting = before.phase.is_none() && phase == Phase::Pending.as_str();
        let active = after.conditions.iter().find(|condition| condition.type_ == "Active");
        if let (Some(active), false) = (active, waiting || phase == Phase::Invalid.as_str()) {
            news.push(News { warning: false, reason: phase.clone(), note: active.message.clone() });
        }
    }
    news
}

/// What became of a status that was applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// It stands.
    Stands,
    /// The object is gone.
    Gone,
    /// It stands, but with these ancestors: there are places for more or fewer of ours than was thought.
    Crowded(Ancestors),
}

/// The statuses of all objects.
pub struct Statuses {
    client: Client,
    recorder: Recorder,
}

impl Statuses {
    /// Statuses that are written by `identity`.
    #[must_use]
    pub fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(identity.to_owned()) };
        Self { recorder: Recorder::new(client.clone(), reporter), client }
    }

    /// All that stands.
    ///
    /// # Errors
    /// The API server does not answer, or does not permit it.
    pub async fn load(&self) -> Result<HashMap<ObjectId, Standing>, Error> {
        let mut all = HashMap::new();
        for kind in KINDS {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource(kind));
            let mut page = ListParams::default().limit(PAGE);
            loop {
                let list = api.list(&page).await?;
                let standing = |object: &DynamicObject| {
                    let status = object.data.get("status").map(Standing::read);
                    document::identity(kind, object).zip(status)
                };
                all.extend(list.items.iter().filter_map(standing));
                match list.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => page = page.continue_token(&token),
                    None => break,
                }
            }
        }
        Ok(all)
    }

    /// Puts a status where it belongs, and tells the news.
    ///
    /// # Errors
    /// The API server does not answer, or does not take it.
    pub async fn apply(&self, id: &ObjectId, (before, after): (&Standing, &Standing)) -> Result<Applied, Error> {
        let resource = resource(id.kind);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &id.namespace, &resource);
        let patch = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": id.kind.as_str(),
            "metadata": {"name": &*id.name, "namespace": &*id.namespace},
            "status": after.render(),
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let object = match api.patch_status(&id.name, &params, &Patch::Apply(&patch)).await {
            Ok(object) => object,
            Err(Error::Api(status)) if status.code == 404 => return Ok(Applied::Gone),
            Err(error) => return Err(error),
        };
        for news in news(before, after) {
            self.tell(&object.object_ref(&resource), news).await;
        }
        if id.kind == Kind::AccessPolicy { list(&api, object, &after.ancestors).await } else { Ok(Applied::Stands) }
    }

    /// An event that cannot be told is not worth a second attempt.
    async fn tell(&self, about: &ObjectReference, news: News) {
        let event = Event {
            type_: if news.warning { EventType::Warning } else { EventType::Normal },
            reason: news.reason,
            note: Some(news.note.chars().take(NOTE / 4).collect()),
            action: "Evaluate".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(code = "event_lost", %error, "an event could not be recorded");
        }
    }
}

/// Lists ancestors beside those of others. The list is one value to the API server: whoever changes it must have seen the
/// newest one, and is refused otherwise.
async fn list(api: &Api<DynamicObject>, mut object: DynamicObject, wanted: &Ancestors) -> Result<Applied, Error> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let current = object.data.get("status").map(ancestors::list).unwrap_or_default();
        let merged = wanted.merged(current);
        let found = Ancestors::read(&merged.list);
        let applied = if merged.surprising { Applied::Crowded(found) } else { Applied::Stands };
        if merged.list == current {
            return Ok(applied);
        }
        let metadata = json!({"resourceVersion": object.metadata.resource_version});
        let patch = json!({"metadata": metadata, "status": {"ancestors": merged.list}});
        match api.patch_status(&name, &params, &Patch::Merge(&patch)).await {
            Ok(_) => return Ok(applied),
            Err(Error::Api(status)) if status.code == 404 => return Ok(Applied::Gone),
            Err(Error::Api(status)) if status.code == 409 && attempts.next().is_some() => {
                let Some(newer) = api.get_opt(&name).await? else { return Ok(Applied::Gone) };
                object = newer;
            }
            Err(error) => return Err(error),
        }
    }
}

fn resource(kind: Kind) -> ApiResource {
    let (group, version, plural) = document::coordinates(kind);
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.as_str()), plural)
}

#[cfg(test)]
mod tests {
    use super::{Standing, news};
    use serde_json::{Value, json};

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({"type": kind, "status": status, "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn standing(conditions: &[Value], phase: Option<&str>) -> Standing {
        Standing::read(&json!({"observedGeneration": 1, "conditions": conditions, "phase": phase, "remaining": phase}))
    }

    #[test]
    fn a_status_survives_the_api_server_without_what_others_wrote() {
        let ours = [condition("Accepted", "True", "Accepted")];
        let mixed =
            standing(&[ours[0].clone(), condition("Synced", "True", "GitOps"), json!("broken")], Some("Active"));
        assert_eq!(mixed, standing(&ours, Some("Active")));
        assert_eq!(Standing::read(&mixed.render()), mixed);
    }

    #[test]
    fn events_tell_of_transitions_only() {
        let yes = || condition("Accepted", "True", "Accepted");
        let no = |reason| condition("Accepted", "False", reason);
        let active = |status| condition("Active", status, "x");
        let nothing = Standing::default();
        let good = standing(&[yes()], None);
        let bad = standing(&[no("Invalid")], None);
        let pending = standing(&[yes(), active("False")], Some("Pending"));
        let running = standing(&[yes(), active("True")], Some("Active"));
        let over = standing(&[yes(), active("False")], Some("Expired"));
        let open = standing(&[yes(), condition("Bypassed", "True", "RouteUnprotected")], None);
        for (before, after, told) in [
            (&nothing, &good, &[][..]),
            (&nothing, &bad, &["Invalid"]),
            (&good, &bad, &["Invalid"]),
            (&bad, &good, &["Accepted"]),
            (&bad, &standing(&[no("RefNotResolved")], None), &["RefNotResolved"]),
            (&bad, &bad, &[]),
            (&good, &open, &["RouteUnprotected"]),
            (&open, &open, &[]),
            (&open, &good, &[]),
            (&nothing, &pending, &[]),
            (&nothing, &running, &["Active"]),
            (&pending, &running, &["Active"]),
            (&running, &over, &["Expired"]),
            (&running, &running, &[]),
        ] {
            let reasons: Vec<String> = news(before, after).into_iter().map(|news| news.reason).collect();
            assert_eq!(reasons, told, "{before:?} {after:?}");
        }
    }
}
