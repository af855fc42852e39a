//! A second reader of tokens: header and payload as whole trees, asked by name. Slower and simpler than the one in the
//! product, which reads each claim into its place; they must agree about every text, to the detail of a refusal.

use std::cell::Cell;
use std::fmt;

use entrance::identity::{CallerKind, Groups, Guid};
use entrance::reason::ReasonCode;
use entrance::token::Version;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A reason with its detail.
pub(crate) type Refusal = (ReasonCode, &'static str);

const REQUIRED: [&str; 9] = ["iss", "aud", "exp", "nbf", "iat", "ver", "tid", "sub", "oid"];
const STRINGS: [&str; 16] = [
    "iss", "aud", "ver", "tid", "sub", "oid", "azp", "appid", "idtyp", "scp", "uti", "sid", "azpacr", "appidacr",
    "tfp", "acr",
];
const TIMES: [&str; 4] = ["exp", "nbf", "iat", "auth_time"];
const LISTS: [&str; 6] = ["roles", "groups", "wids", "acrs", "xms_cc", "amr"];
const MARKS: [&str; 8] = ["cnf", "nonce", "c_hash", "at_hash", "_claim_names", "_claim_sources", "hasgroups", "acct"];
const MEMBERS: [&str; 9] = ["alg", "typ", "kid", "crit", "b64", "enc", "zip", "cty", "nonce"];

/// The claims that are read, by name.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    STRINGS.into_iter().chain(TIMES).chain(LISTS).chain(MARKS)
}

/// Reads and judges a header; the `kid`.
pub(crate) fn header(bytes: &[u8], allow_missing_typ: bool) -> Result<String, Refusal> {
    let (twice, invalid) = (ReasonCode::HeaderDuplicate, ReasonCode::HeaderInvalid);
    let header = object(bytes).map_err(|fault| match fault {
        Fault::Duplicate => (twice, "a member twice"),
        Fault::Syntax => (invalid, "not JSON"),
        Fault::NotObject => (invalid, "not an object"),
        Fault::TooDeep => (invalid, "nested too deep"),
    })?;
    if two_spellings(&header, MEMBERS.into_iter()) {
        return Err((twice, "a member in two spellings"));
    }
    match header.get("alg") {
        Some(Value::String(alg)) if alg == "RS256" => {}
        Some(Value::String(_)) => return Err((ReasonCode::AlgNotAllowed, "`alg` is not RS256")),
        Some(_) => return Err((invalid, "`alg` is not a string")),
        None => return Err((ReasonCode::AlgNotAllowed, "no `alg`")),
    }
    let has = |name: &str| header.contains_key(name);
    if has("crit") || has("b64") {
        return Err((ReasonCode::HeaderCritUnsupported, "`crit` or `b64` in the header"));
    }
    if has("enc") || has("zip") {
        return Err((invalid, "`enc` or `zip` in a signed token"));
    }
    let short = |text: &str| {
        let lower = text.to_ascii_lowercase();
        lower.strip_prefix("application/").unwrap_or(&lower).to_owned()
    };
    if header.get("cty").is_some_and(|cty| cty.as_str().is_none_or(|cty| short(cty) == "jwt")) {
        return Err((invalid, "`cty` announces a nested token"));
    }
    match header.get("typ") {
        Some(Value::String(typ)) if ["jwt", "at+jwt"].contains(&short(typ).as_str()) => {}
        Some(Value::String(_)) => return Err((ReasonCode::TypNotAllowed, "`typ` is neither JWT nor at+jwt")),
        Some(_) => return Err((invalid, "`typ` is not a string")),
        None if allow_missing_typ => {}
        None => return Err((ReasonCode::TypNotAllowed, "no `typ`")),
    }
    let kid = match header.get("kid") {
        Some(Value::String(kid)) if kid.is_empty() => return Err((ReasonCode::KidMissing, "empty `kid`")),
        Some(Value::String(kid)) if kid.len() > 256 => return Err((invalid, "`kid` too long")),
        Some(Value::String(kid)) => kid.clone(),
        Some(_) => return Err((invalid, "`kid` is not a string")),
        None => return Err((ReasonCode::KidMissing, "no `kid`")),
    };
    if has("nonce") { Err((ReasonCode::TokenGraphNonce, "`nonce` in the header")) } else { Ok(kid) }
}

/// A payload as a tree.
pub(crate) struct Tree {
    pub(crate) claims: Map<String, Value>,
    pub(crate) version: Version,
    pub(crate) tenant: Guid,
}

impl Tree {
    /// Reads and judges a payload, up to the form of `tid`.
    pub(crate) fn read(bytes: &[u8], versions: &[Version]) -> Result<Self, Refusal> {
        let (twice, shape) = (ReasonCode::ClaimDuplicate, ReasonCode::PayloadNotObject);
        let claims = object(bytes).map_err(|fault| match fault {
            Fault::Duplicate => (twice, "a name twice"),
            Fault::Syntax => (shape, "not JSON"),
            Fault::NotObject => (shape, "JSON, but not an object"),
            Fault::TooDeep => (shape, "nested too deep"),
        })?;
        if two_spellings(&claims, names()) {
            return Err((twice, "a claim in two spellings"));
        }
        if let Some(missing) = REQUIRED.iter().find(|name| !claims.contains_key(**name)) {
            return Err((ReasonCode::ClaimMissing, missing));
        }
        if let Some(wrong) = wrong(&claims) {
            return Err((ReasonCode::ClaimTypeInvalid, wrong));
        }
        let unsupported = ReasonCode::VersionUnsupported;
        let version = match claims["ver"].as_str() {
            Some("1.0") => Version::V1,
            Some("2.0") => Version::V2,
            Some(_) | None => return Err((unsupported, "`ver` is neither 1.0 nor 2.0")),
        };
        if !versions.contains(&version) {
            return Err((unsupported, "the application does not accept this token version"));
        }
        let tenant = claims["tid"].as_str().and_then(Guid::parse);
        let tenant = tenant.ok_or((ReasonCode::TenantInvalid, "`tid` is not a canonical GUID"))?;
        Ok(Self { claims, version, tenant })
    }

    /// A claim of type string; empty if absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.optional(name).unwrap_or_default()
    }

    /// A claim of type string.
    pub(crate) fn optional(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// A whole number.
    pub(crate) fn whole(&self, name: &str) -> Option<i64> {
        self.claims.get(name).and_then(Value::as_i64)
    }

    /// A list of strings, sorted, without repetition.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let mut list: Vec<&str> =
            self.claims.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        list.sort_unstable();
        list.dedup();
        list
    }

    /// `scp`, split.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let mut list: Vec<&str> = self.text("scp").split(' ').filter(|scope| !scope.is_empty()).collect();
        list.sort_unstable();
        list.dedup();
        list
    }

    /// `groups`, or that they are not known.
    pub(crate) fn groups(&self) -> Groups {
        let named = self.claims.get("_claim_names").is_some_and(|names| names.get("groups").is_some());
        let marked = self.claims.get("hasgroups").is_some_and(|marker| *marker != Value::Bool(false));
        let ids: Option<Vec<Guid>> =
            self.list("groups").iter().map(|id| Guid::parse(&id.to_ascii_lowercase())).collect();
        match ids {
            Some(mut ids) if !named && !marked => {
                ids.sort_unstable();
                ids.dedup();
                Groups::Known(ids.into())
            }
            Some(_) | None => Groups::Overage,
        }
    }

    /// The client and the kind of the caller.
    pub(crate) fn tell(&self) -> Result<(&str, CallerKind), Refusal> {
        let (none, conflict) = (ReasonCode::TokenNotAccessToken, ReasonCode::TokenTypeConflict);
        if self.claims.contains_key("cnf") {
            return Err((ReasonCode::TokenPopUnsupported, "`cnf` binds the token to a key"));
        }
        if ["nonce", "c_hash", "at_hash"].iter().any(|name| self.claims.contains_key(*name)) {
            return Err((none, "a claim that only ID tokens have"));
        }
        let (azp, appid) = (self.optional("azp"), self.optional("appid"));
        if azp.is_some() && appid.is_some() && azp != appid {
            return Err((conflict, "`azp` and `appid` differ"));
        }
        let client = if self.version == Version::V1 { appid } else { azp };
        let client = client.filter(|client| !client.is_empty());
        let client = client.ok_or((none, "no client (`azp` in v2, `appid` in v1)"))?;
        let (scopes, own) = (!self.scopes().is_empty(), self.text("oid") == self.text("sub"));
        let kind = match (self.optional("idtyp"), scopes, own) {
            (Some("app"), true, _) => Err((conflict, "an app token with scopes")),
            (Some("app"), false, _) | (None, false, true) => Ok(CallerKind::Workload),
            (Some("user"), _, true) | (None, true, true) => Err((conflict, "a user token whose `oid` is its `sub`")),
            (Some("user") | None, true, false) => Ok(CallerKind::User),
            (Some("user") | None, false, false) => Err((none, "neither scopes nor the mark of an app")),
            (Some(_), _, _) => Err((ReasonCode::PrincipalTypeDenied, "`idtyp` is neither user nor app")),
        };
        Ok((client, kind?))
    }
}

/// The first claim of a wrong type.
fn wrong(claims: &Map<String, Value>) -> Option<&'static str> {
    let unlike = |name: &&str, is: &dyn Fn(&Value) -> bool| claims.get(*name).is_some_and(|value| !is(value));
    let limit = |name: &str| if name == "scp" { 4096 } else { 256 };
    let text = |value: &Value, limit| {
        value.as_str().is_some_and(|text| text.len() <= limit && !text.chars().any(char::is_control))
    };
    let time = |value: &Value| value.as_i64().is_some_and(|time| (0..1 << 53).contains(&time));
    let list = |value: &Value| {
        value.as_array().is_some_and(|list| list.len() <= 1024 && list.iter().all(|item| text(item, 256)))
    };
    let strings = STRINGS.into_iter().find(|name| unlike(name, &|value| text(value, limit(name))));
    let whole = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
    strings
        .or_else(|| TIMES.into_iter().find(|name| unlike(name, &time)))
        .or_else(|| LISTS.into_iter().find(|name| unlike(name, &list)))
        .or_else(|| unlike(&"_claim_names", &Value::is_object).then_some("_claim_names"))
        .or_else(|| unlike(&"hasgroups", &Value::is_boolean).then_some("hasgroups"))
        .or_else(|| ["sub", "oid"].into_iter().find(|name| unlike(name, &|value| value != "")))
        .or_else(|| (whole("exp") <= whole("nbf")).then_some("exp"))
}

fn two_spellings(members: &Map<String, Value>, names: impl Iterator<Item = &'static str> + Clone) -> bool {
    members.keys().filter(|name| names.clone().any(|read| read.eq_ignore_ascii_case(name))).any(|name| {
        let same = |other: &&String| other.eq_ignore_ascii_case(name);
        members.keys().filter(same).nth(1).is_some()
    })
}

#[derive(Clone, Copy)]
enum Fault {
    Syntax,
    NotObject,
    Duplicate,
    TooDeep,
}

/// Reads one object whole.
fn object(bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    let fault = Cell::new(Fault::Syntax);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Level { depth: 1, fault: &fault }.deserialize(&mut json).map_err(|_| fault.get())?;
    json.end().map_err(|_| Fault::Syntax)?;
    if let Value::Object(map) = value { Ok(map) } else { Err(Fault::NotObject) }
}

#[derive(Clone, Copy)]
struct Level<'a> {
    depth: u8,
    fault: &'a Cell<Fault>,
}

impl Level<'_> {
    fn below<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth > 16 {
            self.fault.set(Fault::TooDeep);
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth + 1, fault: self.fault })
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(below)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                self.fault.set(Fault::Duplicate);
                return Err(A::Error::custom("duplicate name"));
            }
            let value = members.next_value_seed(below)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}
