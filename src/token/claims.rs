//! The payload (RFC 7519 §4): required claims, their types, and values that are wrong whoever signed them.
//!
//! Nothing here is believed yet. Values may select a configured issuer, and nothing else, before the signature holds.

use serde_json::{Map, Value};

use crate::clock::UnixTime;
use crate::identity::{Groups, Guid, TenantId};
use crate::reason::ReasonCode;

use super::Version;
use super::json::{self, JsonFault};
use super::rejection::{Detail, TokenRejection};

const MAX_ITEMS: usize = 1024;
const MAX_ITEM: usize = 256;
const MAX_SCP: usize = 4 * 1024;
/// The largest integer that every JSON implementation keeps exact.
const MAX_TIME: i64 = 1 << 53;

/// The claims that must be there, in the order in which their absence is reported.
const REQUIRED: [&str; 9] = ["iss", "aud", "exp", "nbf", "iat", "ver", "tid", "sub", "oid"];

/// Every claim that is read: no other spelling of these may stand beside them.
const READ: [&str; 34] = [
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "ver",
    "tid",
    "sub",
    "oid",
    "azp",
    "appid",
    "azpacr",
    "appidacr",
    "idtyp",
    "scp",
    "roles",
    "groups",
    "wids",
    "acrs",
    "xms_cc",
    "amr",
    "auth_time",
    "uti",
    "sid",
    "cnf",
    "nonce",
    "c_hash",
    "at_hash",
    "_claim_names",
    "_claim_sources",
    "hasgroups",
    "acct",
    "tfp",
    "acr",
];

const STRINGS: [&str; 16] = [
    "iss", "aud", "ver", "tid", "sub", "oid", "azp", "appid", "idtyp", "scp", "uti", "sid", "azpacr", "appidacr",
    "tfp", "acr",
];
const LISTS: [&str; 6] = ["roles", "groups", "wids", "acrs", "xms_cc", "amr"];
const TIMES: [&str; 4] = ["exp", "nbf", "iat", "auth_time"];

fn no(reason: ReasonCode, detail: Detail) -> TokenRejection {
    TokenRejection::new(reason, detail)
}

/// A payload whose claims have the right types.
pub(super) struct Payload {
    claims: Map<String, Value>,
    pub(super) version: Version,
    pub(super) tenant: TenantId,
}

impl Payload {
    /// Reads a payload and checks shape, names, presence, types, `ver` and the form of `tid`, in this order.
    pub(super) fn parse(bytes: &[u8], versions: &[Version]) -> Result<Self, TokenRejection> {
        let claims = json::object(bytes).map_err(|fault| match fault {
            JsonFault::Duplicate => no(ReasonCode::ClaimDuplicate, "a name twice"),
            JsonFault::Syntax => no(ReasonCode::PayloadNotObject, "not JSON"),
            JsonFault::NotObject => no(ReasonCode::PayloadNotObject, "JSON, but not an object"),
            JsonFault::TooDeep => no(ReasonCode::PayloadNotObject, "nested too deep"),
        })?;
        // Microsoft's validator refuses a second `tid` in other case; so do we, for every claim that is read.
        if json::two_spellings(&claims, &READ) {
            return Err(no(ReasonCode::ClaimDuplicate, "a claim in two spellings"));
        }
        if let Some(missing) = REQUIRED.iter().find(|name| !claims.contains_key(**name)) {
            return Err(no(ReasonCode::ClaimMissing, missing));
        }
        types(&claims)?;
        let version = match claims.get("ver").and_then(Value::as_str) {
            Some("1.0") => Version::V1,
            Some("2.0") => Version::V2,
            Some(_) | None => {
                return Err(no(ReasonCode::VersionUnsupported, "`ver` is neither 1.0 nor 2.0"));
            }
        };
        if !versions.contains(&version) {
            return Err(no(ReasonCode::VersionUnsupported, "the application does not accept this token version"));
        }
        let tenant = claims
            .get("tid")
            .and_then(Value::as_str)
            .and_then(Guid::parse)
            .ok_or_else(|| no(ReasonCode::TenantInvalid, "`tid` is not a canonical GUID"))?;
        Ok(Self { claims, version, tenant })
    }

    /// A claim of type string; empty if absent.
    pub(super) fn text(&self, name: &str) -> &str {
        self.claims.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// An optional claim of type string.
    pub(super) fn optional(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    /// The user flow of a B2C token: `tfp`, or `acr` as custom policies name it.
    pub(super) fn user_flow(&self) -> Option<&str> {
        self.optional("tfp").or_else(|| self.optional("acr"))
    }

    /// Whether the claim is there, with whatever value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.claims.contains_key(name)
    }

    /// A time; `exp`, `nbf` and `iat` are always there.
    pub(super) fn time(&self, name: &str) -> Option<UnixTime> {
        self.claims.get(name).and_then(Value::as_i64).map(UnixTime)
    }

    /// A list of strings, sorted, without repetition.
    pub(super) fn list(&self, name: &str) -> Box<[Box<str>]> {
        sorted(self.items(name).map(Box::from).collect())
    }

    fn items(&self, name: &str) -> impl Iterator<Item = &str> {
        self.claims.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// `scp`, split on spaces.
    pub(super) fn scopes(&self) -> Box<[Box<str>]> {
        sorted(self.text("scp").split(' ').filter(|scope| !scope.is_empty()).map(Box::from).collect())
    }

    /// `groups`. Too many to list, or listed by name instead of id, and membership is not known.
    pub(super) fn groups(&self) -> Groups {
        let named = self.claims.get("_claim_names").is_some_and(|names| names.get("groups").is_some());
        let marked = self.claims.get("hasgroups").is_some_and(|marker| *marker != Value::Bool(false));
        if named || marked {
            return Groups::Overage;
        }
        let ids: Option<Vec<Guid>> = self.items("groups").map(|id| Guid::parse(&id.to_ascii_lowercase())).collect();
        match ids {
            Some(mut ids) => {
                ids.sort_unstable();
                ids.dedup();
                Groups::Known(ids.into())
            }
            None => Groups::Overage,
        }
    }

    /// The whole payload.
    pub(super) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

fn sorted(mut list: Vec<Box<str>>) -> Box<[Box<str>]> {
    list.sort_unstable();
    list.dedup();
    list.into()
}

fn types(claims: &Map<String, Value>) -> Result<(), TokenRejection> {
    let wrong = |name: Detail| no(ReasonCode::ClaimTypeInvalid, name);
    for name in STRINGS {
        let limit = if name == "scp" { MAX_SCP } else { MAX_ITEM };
        if claims.get(name).is_some_and(|value| !is_text(value, limit)) {
            return Err(wrong(name));
        }
    }
    for name in TIMES {
        let whole = |value: &Value| value.as_i64().is_some_and(|time| (0..MAX_TIME).contains(&time));
        if claims.get(name).is_some_and(|value| !whole(value)) {
            return Err(wrong(name));
        }
    }
    for name in LISTS {
        if claims.get(name).is_some_and(|value| !is_list(value)) {
            return Err(wrong(name));
        }
    }
    if claims.get("_claim_names").is_some_and(|names| !names.is_object()) {
        return Err(wrong("_claim_names"));
    }
    if claims.get("hasgroups").is_some_and(|marker| !marker.is_boolean()) {
        return Err(wrong("hasgroups"));
    }
    // Two empty ones would be equal, and equality is the mark of an app.
    for name in ["sub", "oid"] {
        if claims.get(name).is_some_and(|value| value == "") {
            return Err(wrong(name));
        }
    }
    let time = |name| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
    if time("exp") <= time("nbf") {
        return Err(wrong("exp"));
    }
    Ok(())
}

/// A string of bounded length without control characters.
fn is_text(value: &Value, limit: usize) -> bool {
    value.as_str().is_some_and(|text| text.len() <= limit && !text.chars().any(char::is_control))
}

fn is_list(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.len() <= MAX_ITEMS && list.iter().all(|item| is_text(item, MAX_ITEM)))
}
