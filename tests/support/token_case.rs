//! A row of `cases/tokens.yaml`: how it is read, and how it becomes a request.
//!
//! A row names its base (`U2`, `A2`, `U1`) and its changes; a row with `variants` stands for one case per variant, each
//! of which is the row with further changes. Values may say `now+60`, and texts `<tenant>`, `<api>` and the like.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use entrance::clock::UnixTime;
use entrance::token::cloud::{Cloud, CustomAuthority, Issuer};
use entrance::token::{Authority, KeySet, Profile, RawToken, Version, credential, jwks};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

use crate::signer::TestKey;
use crate::token_world::{self, Draft, Judged, KEY, NOW};

/// A good key that is listed beside the one that signs.
static DECOY: LazyLock<TestKey> = LazyLock::new(|| TestKey::new("k0"));
/// A key that is listed nowhere.
static STRANGER: LazyLock<TestKey> = LazyLock::new(|| TestKey::new("k1"));

/// What is done to a token once header and payload stand.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Trick {
    None,
    FlipSignature,
    ChangeSubject,
    SignByStranger,
    SignByHmac,
    NoSignature,
    TrailingBits,
    Pad,
    InnerSpace,
    StandardAlphabet,
    EmptyHeader,
    EmptyPayload,
    TwoSegments,
    FourSegments,
    FiveSegments,
    SixSegments,
    TooLarge,
    HeaderTooLarge,
}

/// Changes of the key set.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    set: Map<String, Value>,
    twice: bool,
    text_among_them: bool,
    decoy: bool,
    none: bool,
    valid_until: Option<i64>,
    cloud_instance: Option<Box<str>>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            set: Map::new(),
            twice: false,
            text_among_them: false,
            decoy: true,
            none: false,
            valid_until: None,
            cloud_instance: None,
        }
    }
}

/// Changes of the profile.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Application {
    versions: Option<Vec<String>>,
    audiences: Option<Vec<Box<str>>>,
    client_id: Option<Box<str>>,
    allowed_clients: Option<Vec<Box<str>>>,
    allow_missing_typ: bool,
    clock_skew: Option<i64>,
    max_lifetime: Option<i64>,
    authority: Option<String>,
}

/// One case.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) id: String,
    name: String,
    base: String,
    #[serde(default)]
    header: Map<String, Value>,
    #[serde(default)]
    drop_header: Vec<String>,
    header_text: Option<String>,
    append_header: Option<String>,
    #[serde(default)]
    claims: Map<String, Value>,
    #[serde(default)]
    drop: Vec<String>,
    payload_text: Option<String>,
    append_claims: Option<String>,
    #[serde(default = "no_trick")]
    trick: Trick,
    lines: Option<Vec<String>>,
    #[serde(default)]
    keys: Keys,
    #[serde(default)]
    application: Application,
    pub(crate) expect: String,
    #[serde(default = "unauthorized")]
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) caller: Map<String, Value>,
    #[serde(default)]
    pub(crate) asks_for_keys: bool,
}

fn no_trick() -> Trick {
    Trick::None
}

fn unauthorized() -> u16 {
    401
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.name)?;
        for (name, value) in self.header.iter().chain(&self.claims) {
            write!(f, " {name}={value}")?;
        }
        for name in self.drop.iter().chain(&self.drop_header) {
            write!(f, " -{name}")?;
        }
        Ok(())
    }
}

/// What became of a case.
pub(crate) struct Outcome {
    pub(crate) judged: Judged,
    pub(crate) signed_claims: Value,
}

impl Case {
    /// Takes the case the whole way, from the header lines on.
    pub(crate) fn run(&self) -> Outcome {
        let (header, payload) = self.texts();
        let token = self.tricked(header, &payload);
        let lines = self.lines.clone();
        let lines = lines.unwrap_or_else(|| vec!["Bearer <token>".into()]);
        let headers: Vec<(Bytes, Bytes)> = lines
            .iter()
            .map(|line| line.replace("<token>", &token))
            .map(|line| ("authorization".into(), line.into()))
            .collect();
        let judge = |raw: RawToken| token_world::judge(&raw, &self.profile(), NOW);
        Outcome {
            judged: credential(&headers)
                .map_or_else(|rejection| Judged { outcome: Err(rejection), needs_key: false }, judge),
            signed_claims: serde_json::from_str(&payload).unwrap_or_default(),
        }
    }

    fn texts(&self) -> (String, String) {
        let mut draft = Draft::of(&self.base);
        draft.header.extend(self.header.clone());
        draft.header.retain(|name, _| !self.drop_header.contains(name));
        draft.claims.extend(self.claims.clone());
        draft.claims.retain(|name, _| !self.drop.contains(name));
        let (header, payload) = draft.texts();
        let text = |text: String, replaced: &Option<String>, appended: &Option<String>| {
            let text = replaced.clone().unwrap_or(text);
            match appended {
                Some(more) => format!("{},{more}}}", text.strip_suffix('}').unwrap()),
                None => text,
            }
        };
        (text(header, &self.header_text, &self.append_header), text(payload, &self.payload_text, &self.append_claims))
    }

    fn tricked(&self, header: String, payload: &str) -> String {
        let sign = |key: &TestKey, payload: &str| key.token(header.as_bytes(), payload.as_bytes());
        let token = sign(&KEY, payload);
        let parts: Vec<&str> = token.split('.').collect();
        let (head, body, signature) = (parts[0], parts[1], parts[2]);
        match self.trick {
            Trick::None => token,
            Trick::FlipSignature => {
                let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(bytes))
            }
            Trick::ChangeSubject => {
                let other = sign(&KEY, &payload.replace("pairwise", "another!"));
                format!("{head}.{}.{signature}", other.split('.').nth(1).unwrap())
            }
            Trick::SignByStranger => sign(&STRANGER, payload),
            Trick::SignByHmac => {
                let secret = hmac::Key::new(hmac::HMAC_SHA256, KEY.modulus().as_bytes());
                let tag = hmac::sign(&secret, format!("{head}.{body}").as_bytes());
                format!("{head}.{body}.{}", URL_SAFE_NO_PAD.encode(tag))
            }
            Trick::NoSignature => format!("{head}.{body}."),
            // 256 bytes leave four bits of the last letter unused; A, Q, g and w have them zero.
            Trick::TrailingBits => match token.split_at(token.len() - 1) {
                (rest, "A") => format!("{rest}B"),
                (rest, "Q") => format!("{rest}R"),
                (rest, "g") => format!("{rest}h"),
                (rest, _) => format!("{rest}x"),
            },
            Trick::Pad => format!("{head}.{body}.{signature}=="),
            Trick::InnerSpace => format!("{head}. {body}.{signature}"),
            Trick::StandardAlphabet => format!("{head}.{body}.+/{}", signature.get(2..).unwrap()),
            Trick::EmptyHeader => format!(".{body}.{signature}"),
            Trick::EmptyPayload => format!("{head}..{signature}"),
            Trick::TwoSegments => format!("{head}.{body}"),
            Trick::FourSegments => format!("{token}.{body}"),
            Trick::FiveSegments => format!("{token}..{body}"),
            Trick::SixSegments => format!("{token}...{body}"),
            Trick::TooLarge => "A".repeat(16 * 1024 + 1),
            Trick::HeaderTooLarge => format!("{}.{body}.{signature}", "A".repeat(4 * 1024 + 1)),
        }
    }

    fn profile(&self) -> Profile {
        let change = &self.application;
        let issuer = match change.authority.as_deref() {
            None => Issuer::Cloud(Cloud::Public),
            Some("USGovernment") => Issuer::Cloud(Cloud::UsGovernment),
            Some("China") => Issuer::Cloud(Cloud::China),
            Some(url) => Issuer::Custom(CustomAuthority::parse(url).unwrap()),
        };
        let mut profile = token_world::profile(|version| self.authority(&issuer, version));
        if let Some(versions) = &change.versions {
            let version = |text: &String| match text.as_str() {
                "V1" => Version::V1,
                "V2" => Version::V2,
                other => panic!("no version {other}"),
            };
            profile.versions = versions.iter().map(version).collect();
        }
        profile.audiences = change.audiences.clone().unwrap_or(profile.audiences);
        profile.client_id = change.client_id.clone().unwrap_or(profile.client_id);
        profile.allowed_clients = change.allowed_clients.clone();
        profile.allow_missing_typ = change.allow_missing_typ;
        profile.clock_skew = change.clock_skew.unwrap_or(profile.clock_skew);
        profile.max_lifetime = change.max_lifetime.unwrap_or(profile.max_lifetime);
        profile
    }

    fn authority(&self, issuer: &Issuer, version: Version) -> Authority {
        if self.keys.none {
            return issuer.published(version, KeySet::default());
        }
        let mut own = KEY.jwk();
        own.as_object_mut().unwrap().extend(self.keys.set.clone());
        let mut list = vec![own.clone()];
        if self.keys.decoy {
            list.insert(0, DECOY.jwk());
        }
        if self.keys.twice {
            list.push(own);
        }
        if self.keys.text_among_them {
            list.push(json!("not a key"));
        }
        let document = json!({ "keys": list }).to_string();
        let keys = jwks::parse(document.as_bytes()).unwrap().keys;
        let keys = KeySet::new(keys.iter().map(|(kid, key)| {
            let mut key = key.clone();
            if let Some(end) = self.keys.valid_until.filter(|_| kid == KEY.kid) {
                key.valid_until = UnixTime(end);
            }
            (kid.into(), key)
        }));
        let mut authority = issuer.published(version, keys);
        if let Some(instance) = &self.keys.cloud_instance {
            authority.cloud_instance = Some(instance.clone());
        }
        authority
    }
}

/// `now`, `now+60`, `now-60`.
fn moment(text: &str) -> Option<i64> {
    match text.strip_prefix("now")? {
        "" => Some(NOW.0),
        offset => offset.parse::<i64>().ok().map(|offset| NOW.plus(offset).0),
    }
}

/// Reads the table.
pub(crate) fn load(text: &str) -> Vec<Case> {
    let documents = Yaml::load_from_str(text).unwrap();
    let Value::Array(rows) = value(&documents[0]) else {
        panic!("the table is a list");
    };
    let case = |row: Value| match serde_json::from_value(row.clone()) {
        Ok(case) => case,
        Err(error) => panic!("{error} in {row}"),
    };
    rows.into_iter().flat_map(variants).map(case).collect()
}

fn variants(mut row: Value) -> Vec<Value> {
    let Some(Value::Array(variants)) = row.as_object_mut().unwrap().remove("variants") else {
        return vec![row];
    };
    let merged = |variant| {
        let mut case = row.clone();
        merge(&mut case, variant);
        case
    };
    variants.into_iter().map(merged).collect()
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                match into.get_mut(&name) {
                    Some(there) => merge(there, value),
                    None => {
                        into.insert(name, value);
                    }
                }
            }
        }
        (into, from) => *into = from,
    }
}

fn value(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(flag)) => json!(flag),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
        Yaml::Value(Scalar::String(text)) => moment(text).map_or_else(|| placed(text), Value::from),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(members) => members
            .iter()
            .map(|(name, member)| (name.as_str().unwrap().to_owned(), value(member)))
            .collect::<Map<_, _>>()
            .into(),
        other @ (Yaml::Representation(..) | Yaml::Tagged(..) | Yaml::Alias(_) | Yaml::BadValue) => {
            panic!("no such thing in a table: {other:?}")
        }
    }
}

/// A text with its placeholders filled; `<text:N>` and `<list:N>` stand for long ones.
fn placed(text: &str) -> Value {
    if let Some(length) = text.strip_prefix("<text:").and_then(|rest| rest.strip_suffix('>')) {
        return json!("x".repeat(length.parse().unwrap()));
    }
    if let Some(length) = text.strip_prefix("<list:").and_then(|rest| rest.strip_suffix('>')) {
        return json!(vec!["x"; length.parse().unwrap()]);
    }
    let modulus = || URL_SAFE_NO_PAD.decode(KEY.modulus()).unwrap();
    match text {
        "<modulus of 1024 bits>" => return json!(URL_SAFE_NO_PAD.encode(&modulus()[..128])),
        "<modulus of 8192 bits>" => return json!(URL_SAFE_NO_PAD.encode(modulus().repeat(4))),
        "<stranger's jwk>" => return STRANGER.jwk(),
        _ => {}
    }
    let filled = text
        .replace("<tenant>", token_world::TENANT)
        .replace("<other-tenant>", "22222222-2222-4222-8222-222222222222")
        .replace("<personal>", "9188040d-6c67-4c5b-b112-36a304b66dad")
        .replace("<graph>", "00000003-0000-0000-c000-000000000000")
        .replace("<client>", token_world::CLIENT)
        .replace("<api>", token_world::API);
    json!(filled)
}
