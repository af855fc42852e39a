//! One resource as it came in: who it is, how old, and its text, not judged yet.
//!
//! Resources are kept as long as they stand, to tell what changed, and there may be ten thousand of them: what they say is
//! kept as text, a tenth of the tree that it is read into, and read again by whoever looks into it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::field_path::FieldPath;

/// The API group of our resources.
pub const GROUP: &str = "entrance.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
/// The group of the Gateway API.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// The group of Envoy Gateway.
pub const ENVOY_GATEWAY_GROUP: &str = "gateway.envoyproxy.io";
/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// The kinds that the compiler reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `entrance.dev/v1alpha1` `EntraApplication`.
    EntraApplication,
    /// `entrance.dev/v1alpha1` `AccessPolicy`.
    AccessPolicy,
    /// `entrance.dev/v1alpha1` `AccessGrant`.
    AccessGrant,
    /// `entrance.dev/v1alpha1` `TokenRevocation`.
    TokenRevocation,
    /// `v1` `ConfigMap`, for `keys.staticJwks.configMapRef`.
    ConfigMap,
    /// `gateway.networking.k8s.io` `ReferenceGrant`, for an `applicationRef` to another namespace.
    ReferenceGrant,
    /// `gateway.networking.k8s.io` `HTTPRoute`, for `targetRefs`.
    HttpRoute,
    /// `gateway.networking.k8s.io` `GRPCRoute`, for `targetRefs`.
    GrpcRoute,
    /// `gateway.networking.k8s.io` `Gateway`, for `targetRefs` and the routes that they name.
    Gateway,
    /// `v1` `Service`, for `targetRefs`.
    Service,
    /// `gateway.envoyproxy.io` `SecurityPolicy`, to see which routes are put to an authorizer.
    SecurityPolicy,
}

impl Kind {
    /// Those that decisions rest on, in the order in which they matter.
    pub const DECIDING: [Self; 10] = [
        Self::EntraApplication,
        Self::AccessPolicy,
        Self::AccessGrant,
        Self::TokenRevocation,
        Self::ConfigMap,
        Self::ReferenceGrant,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::Gateway,
        Self::Service,
    ];

    /// Reads `apiVersion` and `kind`. `Ok(None)` is a resource that does not concern us.
    ///
    /// # Errors
    /// One of ours, but of a kind or version that does not exist.
    pub fn of(api_version: &str, kind: &str) -> Result<Option<Self>, Box<str>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        match (group, kind) {
            (GROUP, _) if version != VERSION => {
                Err(format!("`{api_version}` is unknown; write `{GROUP}/{VERSION}`").into())
            }
            (GROUP, "EntraApplication") => Ok(Some(Self::EntraApplication)),
            (GROUP, "AccessPolicy") => Ok(Some(Self::AccessPolicy)),
            (GROUP, "AccessGrant") => Ok(Some(Self::AccessGrant)),
            (GROUP, "TokenRevocation") => Ok(Some(Self::TokenRevocation)),
            (GROUP, _) => Err(format!(
                "`{kind}` is unknown; there are EntraApplication, AccessPolicy, AccessGrant and TokenRevocation"
            )
            .into()),
            ("", "ConfigMap") => Ok(Some(Self::ConfigMap)),
            ("", "Service") => Ok(Some(Self::Service)),
            (GATEWAY_GROUP, "ReferenceGrant") => Ok(Some(Self::ReferenceGrant)),
            (GATEWAY_GROUP, "HTTPRoute") => Ok(Some(Self::HttpRoute)),
            (GATEWAY_GROUP, "GRPCRoute") => Ok(Some(Self::GrpcRoute)),
            (GATEWAY_GROUP, "Gateway") => Ok(Some(Self::Gateway)),
            (ENVOY_GATEWAY_GROUP, "SecurityPolicy") => Ok(Some(Self::SecurityPolicy)),
            (_, _) => Ok(None),
        }
    }

    /// The kind's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EntraApplication => "EntraApplication",
            Self::AccessPolicy => "AccessPolicy",
            Self::AccessGrant => "AccessGrant",
            Self::TokenRevocation => "TokenRevocation",
            Self::ConfigMap => "ConfigMap",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::Gateway => "Gateway",
            Self::Service => "Service",
            Self::SecurityPolicy => "SecurityPolicy",
        }
    }
}

/// Who a resource is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The kind.
    pub kind: Kind,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// One resource. Two are the same state if and only if they are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Who it is.
    pub id: ObjectId,
    /// Nanoseconds since 1970 of `metadata.creationTimestamp`, if it has one.
    pub created: Option<i128>,
    /// `metadata.uid`, if it has one: another object of the same name has another. No part of the text.
    pub uid: Option<Box<str>>,
    /// `metadata.generation`: counts the changes of the spec, if somebody counts them.
    pub generation: Option<i64>,
    /// The whole resource as JSON. INVARIANT: members stand in the order of their names and without white space, so that
    /// equal resources have equal texts.
    text: Box<str>,
}

/// Why a document is not a resource that can be told from others: nobody knows then whose rules it would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unidentified {
    /// The field.
    pub path: FieldPath,
    /// What is wrong with it.
    pub problem: Box<str>,
}

impl Object {
    /// Takes a document. `Ok(None)` is a resource that does not concern us.
    ///
    /// # Errors
    /// [`Unidentified`].
    pub fn new(mut body: Map<String, Value>) -> Result<Option<Self>, Unidentified> {
        let uid = body.get_mut("metadata").and_then(Value::as_object_mut).and_then(|metadata| metadata.remove("uid"));
        let fault = |path: &[&str], problem: &str| Unidentified {
            path: path.iter().fold(FieldPath::root(), |path, name| path.field(name)),
            problem: problem.into(),
        };
        let text = |name: &str| match body.get(name) {
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(fault(&[name], "must be a string")),
            None => Err(fault(&[name], "is missing")),
        };
        let kind = Kind::of(text("apiVersion")?, text("kind")?).map_err(|why| fault(&["kind"], &why))?;
        let Some(kind) = kind else { return Ok(None) };
        let Some(Value::Object(metadata)) = body.get("metadata") else {
            return Err(fault(&["metadata"], "must be an object with a name"));
        };
        let name = match metadata.get("name") {
            Some(Value::String(name)) if is_name(name) => name.as_str().into(),
            Some(_) | None => {
                let rule = "must be 1 to 253 lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit";
                return Err(fault(&["metadata", "name"], rule));
            }
        };
        let namespace = match metadata.get("namespace") {
            None => DEFAULT_NAMESPACE.into(),
            Some(Value::String(namespace)) if is_name(namespace) => namespace.as_str().into(),
            Some(_) => return Err(fault(&["metadata", "namespace"], "must be the name of a namespace")),
        };
        let created = match metadata.get("creationTimestamp") {
            None | Some(Value::Null) => None,
            Some(Value::String(at)) => match at.parse::<jiff::Timestamp>() {
                Ok(at) => Some(at.as_nanosecond()),
                Err(_) => return Err(fault(&["metadata", "creationTimestamp"], "must be an RFC 3339 time")),
            },
            Some(_) => return Err(fault(&["metadata", "creationTimestamp"], "must be an RFC 3339 time")),
        };
        let generation = metadata.get("generation").and_then(Value::as_i64);
        let text = Value::Object(body).to_string().into();
        let uid = uid.as_ref().and_then(Value::as_str).map(Into::into);
        Ok(Some(Self { id: ObjectId { kind, namespace, name }, created, uid, generation, text }))
    }

    /// The whole resource, as JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole resource, to look into. It is read anew each time.
    #[must_use]
    pub fn body(&self) -> Map<String, Value> {
        // It was written from a body. If it could not be read all the same, it would be a resource that lacks everything,
        // which denies.
        serde_json::from_str(&self.text).unwrap_or_default()
    }
}

/// RFC 1123 subdomain, as Kubernetes asks of names.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= 253 && edge(text.bytes().next()) && edge(text.bytes().last()) && text.bytes().all(inner)
}

type Shelf = BTreeMap<Arc<str>, Arc<Object>>;

/// A set of resources; of one identity there is at most one. What two sets share is compared by its address: a copy of a
/// set shares every namespace of every kind with it, until one of them changes there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources(BTreeMap<(Kind, Arc<str>), Arc<Shelf>>);

impl Resources {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Puts an object in, in place of the one with the same identity, which comes back.
    pub fn put(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let ObjectId { kind, namespace, name } = object.id.clone();
        Arc::make_mut(self.0.entry((kind, namespace)).or_default()).insert(name, object)
    }

    /// Takes an object out.
    pub fn remove(&mut self, id: &ObjectId) -> Option<Arc<Object>> {
        let at = (id.kind, Arc::clone(&id.namespace));
        let shelf = self.0.get_mut(&at).filter(|shelf| shelf.contains_key(&id.name))?;
        let gone = Arc::make_mut(shelf).remove(&id.name);
        if shelf.is_empty() {
            self.0.remove(&at);
        }
        gone
    }

    /// The object of this identity.
    #[must_use]
    pub fn get(&self, id: &ObjectId) -> Option<&Arc<Object>> {
        self.0.get(&(id.kind, Arc::clone(&id.namespace)))?.get(&id.name)
    }

    /// All objects of a kind, ordered by namespace and name.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Arc<Object>> {
        let shelves = self.0.range((kind, "".into())..).take_while(move |((of, _), _)| *of == kind);
        shelves.flat_map(|(_, shelf)| shelf.values())
    }

    /// All objects, ordered by kind, namespace and name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.0.values().flat_map(|shelf| shelf.values())
    }

    /// What is new, changed or gone since `before`. What the two share is not looked at.
    #[must_use]
    pub fn since(&self, before: &Self) -> Vec<ObjectId> {
        let mut news = Vec::new();
        for (at, shelf) in &self.0 {
            let former = before.0.get(at);
            if former.is_some_and(|former| Arc::ptr_eq(former, shelf)) {
                continue;
            }
            let known = |object: &Arc<Object>| former.and_then(|former| former.get(&object.id.name));
            let other = shelf.values().filter(|object| known(object).is_none_or(|known| !Arc::ptr_eq(known, object)));
            news.extend(other.map(|object| object.id.clone()));
        }
        for (at, former) in &before.0 {
            let shelf = self.0.get(at);
            if shelf.is_none_or(|shelf| !Arc::ptr_eq(former, shelf)) {
                let gone = |object: &&Arc<Object>| shelf.is_none_or(|shelf| !shelf.contains_key(&object.id.name));
                news.extend(former.values().filter(gone).map(|object| object.id.clone()));
            }
        }
        news
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().fold(0, |sum, shelf| sum.saturating_add(shelf.len()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::{Object, Resources};

    fn policy(namespace: &str, name: &str, generation: i64) -> Arc<Object> {
        let body = json!({
            "apiVersion": "entrance.dev/v1alpha1", "kind": "AccessPolicy",
            "metadata": {"namespace": namespace, "name": name, "generation": generation},
        });
        Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap())
    }

    #[test]
    fn a_copy_stands_and_the_difference_is_what_changed() {
        let mut now = Resources::new();
        for (namespace, name) in [("a", "x"), ("a", "y"), ("b", "x"), ("c", "x")] {
            now.put(policy(namespace, name, 1));
        }
        let before = now.clone();
        assert!(now.since(&before).is_empty());
        now.put(policy("a", "y", 2));
        now.put(policy("d", "x", 1));
        now.remove(&policy("b", "x", 1).id);
        assert!(now.remove(&policy("c", "nothing", 1).id).is_none());
        let names = |ids: Vec<super::ObjectId>| -> Vec<String> {
            ids.iter().map(|id| format!("{}/{}", id.namespace, id.name)).collect()
        };
        assert_eq!(names(now.since(&before)), ["a/y", "d/x", "b/x"]);
        assert_eq!(names(before.since(&now)), ["a/y", "b/x", "d/x"]);
        assert_eq!((before.len(), now.len(), now.all().count()), (4, 4, 4));
        assert_eq!(before.get(&policy("a", "y", 1).id).and_then(|object| object.generation), Some(1));
    }
}
