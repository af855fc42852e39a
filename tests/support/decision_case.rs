//! Tables of decisions, as YAML: resources, requests, and what becomes of them.
//!
//! `resources` is a text of YAML documents; `@JWKS@` in it stands for the key that signs. `pins` and `workload` are the
//! installation's settings; `context` is what the proxy's configuration names; `faults` are the beginnings of all that the compiler has to say, in order. A request is a `GET` of `orders.example.com` unless it says otherwise; `token` is a v2 token
//! of a user, changed by shorthands (`roles`, `scopes`, `groups`, `overage`, `kind: workload`, `azp`, `tid`, `oid`, `acrs`,
//! `xms_cc`, `auth_age`, `age`, `lives`, `version: 1`) and by `claims`. `expect` is compared member by member; what it does
//! not name is not looked at.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use entrance::api::compile::Compiler;
use entrance::api::settings::{Scope, Settings};
use entrance::authorize::Authorizer;
use entrance::authorize::decision::Decision;
use entrance::authorize::ports::{Decide as _, Keys, Outcome};
use entrance::authorize::world::World;
use entrance::clock::{FixedClock, UnixTime};
use entrance::files;
use entrance::policy::decide::{Challenge, Verdict};
use entrance::policy::host::HostPattern;
use entrance::request::{Named, Request};
use entrance::token::{Authority, Discovery};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

use crate::rules::{document, resources, yaml};
use crate::signer::TestKey;

/// The moment of every case.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

static KEY: LazyLock<TestKey> = LazyLock::new(|| TestKey::new("k1"));

/// One file.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) resources: Vec<Value>,
    pub(crate) cases: Vec<Case>,
    pub(crate) faults: Vec<String>,
    settings: Settings,
}

/// One request, and what becomes of it.
pub(crate) struct Case {
    name: String,
    method: Bytes,
    host: Bytes,
    target: Bytes,
    headers: Vec<(Bytes, Bytes)>,
    context: Vec<(Bytes, Bytes)>,
    pub(crate) expect: Map<String, Value>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?} {:?}{:?})", self.name, self.method, self.host, self.target)
    }
}

/// All tables, by name.
pub(crate) fn tables() -> Vec<Table> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/decisions");
    let mut paths: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| table(path)).collect()
}

fn table(path: &Path) -> Table {
    let table = yaml(&std::fs::read_to_string(path).unwrap());
    let known = ["resources", "cases", "pins", "workload", "faults"];
    assert!(members(&table).all(|(name, _)| known.contains(&name.as_str())), "{}: unknown member", path.display());
    let documents = files::yaml::parse(text(&table["resources"]).as_bytes()).unwrap();
    let pin = |(host, namespace): (&String, &Value)| (HostPattern::parse(host).unwrap(), text(namespace).into());
    let scope = match &table["workload"] {
        Value::Null => Scope::Gateway,
        workload => Scope::Workload {
            namespace: text(&workload["namespace"]).into(),
            labels: members(&workload["labels"]).map(|(key, value)| (key.clone(), text(value).to_owned())).collect(),
        },
    };
    Table {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        resources: documents.into_iter().map(|document| signed_by_us(document.body)).collect(),
        faults: table["faults"].as_array().into_iter().flatten().map(|fault| text(fault).to_owned()).collect(),
        cases: table["cases"].as_array().unwrap().iter().map(case).collect(),
        settings: Settings { scope, pins: members(&table["pins"]).map(pin).collect(), keys: None },
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Puts the signing key where it is asked for.
fn signed_by_us(value: Value) -> Value {
    match value {
        Value::String(text) if text == "@JWKS@" => json!({"keys": [KEY.jwk()]}).to_string().into(),
        Value::Array(items) => items.into_iter().map(signed_by_us).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, signed_by_us(value))).collect::<Map<_, _>>().into()
        }
        other => other,
    }
}

fn case(case: &Value) -> Case {
    let request = &case["request"];
    let known = ["method", "host", "path", "headers", "context", "token"];
    assert!(members(request).all(|(name, _)| known.contains(&name.as_str())), "{case}: unknown member");
    let or = |name: &str, default: &'static str| Bytes::from(request[name].as_str().unwrap_or(default).to_owned());
    let mut headers = Vec::new();
    for (name, values) in members(&request["headers"]) {
        let lines = values.as_array().cloned().unwrap_or_else(|| vec![values.clone()]);
        headers.extend(lines.iter().map(|value| (name.clone().into(), text(value).to_owned().into())));
    }
    if request["token"].is_object() {
        headers.push((Bytes::from_static(b"authorization"), format!("Bearer {}", token(&request["token"])).into()));
    }
    let context = members(&request["context"]);
    Case {
        name: text(&case["name"]).to_owned(),
        method: or("method", "GET"),
        host: or("host", "orders.example.com"),
        target: or("path", "/"),
        headers,
        context: context.map(|(key, value)| (key.clone().into(), text(value).to_owned().into())).collect(),
        expect: case["expect"].as_object().unwrap().clone(),
    }
}

/// A signed token, as the shorthands say.
fn token(short: &Value) -> String {
    let now = |seconds: i64| json!(NOW.plus(seconds).0);
    let or = |name: &str, default: &'static str| short[name].as_str().unwrap_or(default).to_owned();
    let (oid, azp) =
        (or("oid", "cccccccc-0000-4000-8000-000000000001"), or("azp", "bbbbbbbb-0000-4000-8000-000000000001"));
    let tid = or("tid", "11111111-1111-4111-8111-111111111111");
    let issued = short["age"].as_i64().unwrap_or(60);
    let mut claims = json!({
        "ver": "2.0", "iss": format!("https://login.microsoftonline.com/{tid}/v2.0"), "tid": tid, "azp": azp, "oid": oid,
        "aud": "aaaaaaaa-0000-4000-8000-000000000001", "sub": "pairwise", "idtyp": "user", "scp": "none",
        "iat": now(-issued), "nbf": now(-issued), "exp": now(short["lives"].as_i64().unwrap_or(3600) - issued),
    });
    for (name, value) in members(short) {
        let (claim, value) = match (name.as_str(), value) {
            ("oid" | "azp" | "tid" | "age" | "lives", _) => continue,
            ("roles" | "groups" | "acrs" | "xms_cc", _) => (name.as_str(), value.clone()),
            ("scopes", Value::Array(scopes)) => ("scp", scopes.iter().map(text).collect::<Vec<_>>().join(" ").into()),
            ("overage", Value::Bool(true)) => ("hasgroups", true.into()),
            ("auth_age", _) => ("auth_time", now(-value.as_i64().unwrap())),
            ("kind", Value::String(kind)) if kind == "workload" => {
                claims.as_object_mut().unwrap().remove("scp");
                claims["sub"] = oid.clone().into();
                ("idtyp", "app".into())
            }
            ("version", _) if *value == 1 => {
                claims["iss"] = format!("https://sts.windows.net/{tid}/").into();
                claims["appid"] = azp.clone().into();
                ("ver", "1.0".into())
            }
            ("claims", Value::Object(more)) => {
                claims.as_object_mut().unwrap().extend(more.clone());
                continue;
            }
            (name, value) => panic!("no token has {name}: {value}"),
        };
        claims[claim] = value;
    }
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": KEY.kid});
    KEY.token(header.to_string().as_bytes(), claims.to_string().as_bytes())
}

/// No keys but those that applications bring along.
struct NoKeys;

impl Keys for NoKeys {
    fn authority(&self, _: &Discovery) -> Option<Arc<Authority>> {
        None
    }

    fn refresh<'a>(&'a self, _: &'a Arc<Discovery>, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn is_current(&self, _: &Discovery) -> bool {
        true
    }
}

/// Compiled resources that requests can be put to.
pub(crate) struct Stage {
    authorizer: Authorizer,
    runtime: tokio::runtime::Runtime,
    /// What is wrong with the resources.
    pub(crate) faults: Vec<String>,
}

impl Stage {
    /// Compiles a table's resources, or a change of them.
    pub(crate) fn of(table: &Table, documents: &[Value]) -> Self {
        let resources = resources(documents.iter().cloned().map(document));
        let compiled = Compiler::default().compile(&resources, &table.settings);
        let authorizer = Authorizer::with_keys(Arc::new(NoKeys), 64, Arc::new(FixedClock(NOW)));
        authorizer
            .publish(Arc::new(World::new(1, compiled.snapshot, &compiled.profiles).revoking(compiled.revocations)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { authorizer, runtime, faults: compiled.faults.iter().map(ToString::to_string).collect() }
    }

    /// What becomes of a request, as far as the case wants to know.
    pub(crate) fn ends(&self, case: &Case) -> Map<String, Value> {
        let request = Request {
            method: &case.method,
            host: &case.host,
            target: &case.target,
            headers: &case.headers,
            named: Named::read(case.context.iter().map(|(key, value)| (key, value))),
        };
        let decision = match self.authorizer.try_decide(&request) {
            Ok(decision) => decision,
            Err(pending) => {
                self.runtime.block_on(self.authorizer.resume(request, pending, Some(Duration::from_millis(100))))
            }
        };
        let all = told(&decision);
        case.expect.keys().map(|name| (name.clone(), all.get(name.as_str()).cloned().unwrap_or(Value::Null))).collect()
    }
}

fn told(decision: &Decision) -> BTreeMap<&'static str, Value> {
    let (outcome, reason) = Outcome::of(&decision.verdict);
    let (status, challenge, detail) = match &decision.verdict {
        Verdict::Permit(_) => (Value::Null, Value::Null, Value::Null),
        Verdict::Unavailable(outage) => (json!(outage.reason().status().http()), Value::Null, Value::Null),
        Verdict::Deny(denial) => {
            let challenge = match denial.challenge() {
                None => Value::Null,
                Some(Challenge::Scopes(scopes)) => json!(scopes),
                Some(Challenge::AuthContext(id)) => json!([format!("acrs {id}")]),
            };
            (json!(denial.reason().status().http()), challenge, json!(denial.detail()))
        }
    };
    let matched = decision.verdict.matched();
    let shadow = decision.shadow.as_ref();
    BTreeMap::from([
        (if outcome == Outcome::Allow { "allow" } else { "deny" }, json!(reason)),
        ("status", status),
        ("challenge", challenge),
        ("detail", detail),
        ("policy", json!(matched.map(|matched| matched.policy.to_string()))),
        ("route", json!(matched.map(|matched| &*matched.route))),
        ("clause", json!(matched.and_then(|matched| matched.clause.as_deref()))),
        ("shadow", json!(shadow.map(|shadow| shadow.reason))),
        ("shadow_policy", json!(shadow.and_then(|shadow| shadow.policy.as_ref().map(ToString::to_string)))),
    ])
}
