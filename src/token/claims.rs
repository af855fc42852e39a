//! The payload (RFC 7519 §4): required claims, their types, and values that are wrong whoever signed them.
//!
//! Nothing here is believed yet. Values may select a configured issuer, and nothing else, before the signature holds.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::identity::{Groups, Guid, TenantId, Text};
use crate::reason::ReasonCode;

use super::Version;
use super::fields::{Field, Fields, whole};
use super::json::{self, Json, JsonFault};
use super::rejection::{Detail, TokenRejection};

/// Every claim that is read or tells of another: no other spelling of these may stand beside them.
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

fn no(reason: ReasonCode, detail: Detail) -> TokenRejection {
    TokenRejection::new(reason, detail)
}

/// What a payload says, of the right types.
pub(super) struct Payload {
    /// All of it, as it was signed. The texts are parts of it.
    pub(super) whole: Arc<str>,
    pub(super) version: Version,
    pub(super) tenant: TenantId,
    /// `iss`.
    pub(super) issuer: Text,
    /// `aud`.
    pub(super) audience: Text,
    /// `oid`.
    pub(super) object: Text,
    /// Whether `sub` is `oid`.
    pub(super) own_subject: bool,
    pub(super) azp: Option<Text>,
    pub(super) appid: Option<Text>,
    pub(super) idtyp: Option<Idtyp>,
    /// `scp`, split on spaces, sorted, without repetition.
    pub(super) scopes: Box<[Text]>,
    /// Sorted, without repetition, as all lists.
    pub(super) roles: Box<[Text]>,
    pub(super) groups: Groups,
    /// `acrs`.
    pub(super) auth_contexts: Box<[Text]>,
    /// `xms_cc` holds `cp1`.
    pub(super) can_step_up: bool,
    /// `auth_time`.
    pub(super) authenticated_at: Option<UnixTime>,
    pub(super) times: Times,
    /// `uti`.
    pub(super) token_id: Option<Text>,
    /// `sid`.
    pub(super) session_id: Option<Text>,
    /// The user flow of a B2C token: `tfp`, or `acr` as custom policies name it.
    pub(super) user_flow: Option<Text>,
    /// `cnf` is there.
    pub(super) bound_to_key: bool,
    /// A claim is there that only ID tokens have.
    pub(super) of_id_token: bool,
}

/// `idtyp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idtyp {
    App,
    User,
    Other,
}

/// `iat`, `nbf` and `exp`.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) issued: UnixTime,
    pub(super) not_before: UnixTime,
    pub(super) expires: UnixTime,
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
        if claims.two_spellings(&READ) {
            return Err(no(ReasonCode::ClaimDuplicate, "a claim in two spellings"));
        }
        let fields = Fields::of(claims);
        fields.check()?;
        let version = match text(&fields.ver) {
            "1.0" => Version::V1,
            "2.0" => Version::V2,
            _ => return Err(no(ReasonCode::VersionUnsupported, "`ver` is neither 1.0 nor 2.0")),
        };
        if !versions.contains(&version) {
            return Err(no(ReasonCode::VersionUnsupported, "the application does not accept this token version"));
        }
        let tenant = Guid::parse(text(&fields.tid))
            .ok_or_else(|| no(ReasonCode::TenantInvalid, "`tid` is not a canonical GUID"))?;
        let whole = std::str::from_utf8(bytes).map_err(|_| no(ReasonCode::PayloadNotObject, "not JSON"))?;
        Ok(Self::of(&fields, &Source { bytes, whole: whole.into() }, (version, tenant)))
    }

    fn of(fields: &Fields<'_>, source: &Source<'_>, (version, tenant): (Version, TenantId)) -> Self {
        let time = |field| UnixTime(whole(field));
        let optional = |field| source.optional(field);
        Self {
            whole: Arc::clone(&source.whole),
            version,
            tenant,
            issuer: source.text(text(&fields.iss)),
            audience: source.text(text(&fields.aud)),
            object: source.text(text(&fields.oid)),
            own_subject: text(&fields.oid) == text(&fields.sub),
            azp: optional(&fields.azp),
            appid: optional(&fields.appid),
            idtyp: fields.idtyp.as_ref().and_then(Json::text).map(Idtyp::of),
            scopes: source.sorted(text(&fields.scp).split(' ').filter(|scope| !scope.is_empty())),
            roles: source.sorted(items(&fields.roles)),
            groups: groups(fields),
            auth_contexts: source.sorted(items(&fields.acrs)),
            can_step_up: items(&fields.xms_cc).any(|capability| capability.eq_ignore_ascii_case("cp1")),
            authenticated_at: fields.auth_time.as_ref().and_then(Json::whole).map(UnixTime),
            times: Times { issued: time(&fields.iat), not_before: time(&fields.nbf), expires: time(&fields.exp) },
            token_id: optional(&fields.uti),
            session_id: optional(&fields.sid),
            user_flow: optional(&fields.tfp).or_else(|| optional(&fields.acr)),
            bound_to_key: fields.cnf.is_some(),
            of_id_token: [&fields.nonce, &fields.c_hash, &fields.at_hash].iter().any(|field| field.is_some()),
        }
    }
}

impl Idtyp {
    fn of(text: &str) -> Self {
        match text {
            "app" => Self::App,
            "user" => Self::User,
            _ => Self::Other,
        }
    }
}

/// A payload as it was read, and the copy of it that is kept.
struct Source<'a> {
    bytes: &'a [u8],
    whole: Arc<str>,
}

impl Source<'_> {
    /// A text that was read from the bytes: the same part of the copy, unless it has escapes.
    fn text(&self, text: &str) -> Text {
        let start = text.as_ptr().addr().checked_sub(self.bytes.as_ptr().addr());
        Text::at(&self.whole, start.unwrap_or(usize::MAX), text)
    }

    /// An optional claim of type string.
    fn optional(&self, field: &Field<'_>) -> Option<Text> {
        field.as_ref().and_then(Json::text).map(|text| self.text(text))
    }

    /// Counts first: what is kept should take no more room than it needs.
    fn sorted<'f>(&self, items: impl Iterator<Item = &'f str> + Clone) -> Box<[Text]> {
        let mut list = Vec::with_capacity(items.clone().count());
        list.extend(items.map(|item| self.text(item)));
        list.sort_unstable();
        list.dedup();
        list.into()
    }
}

/// A claim of type string; empty if absent.
fn text<'f>(field: &'f Field<'_>) -> &'f str {
    field.as_ref().and_then(Json::text).unwrap_or_default()
}

fn items<'f>(field: &'f Field<'_>) -> impl Iterator<Item = &'f str> + Clone {
    field.as_ref().and_then(Json::items).into_iter().flatten().filter_map(Json::text)
}

/// `groups`. Too many to list, or listed by name instead of id, and membership is not known.
fn groups(fields: &Fields<'_>) -> Groups {
    let named = matches!(&fields.claim_names, Some(Json::Object(names)) if names.has("groups"));
    let marked = fields.hasgroups.as_ref().is_some_and(|marker| *marker != Json::Bool(false));
    if named || marked {
        return Groups::Overage;
    }
    match items(&fields.groups).map(guid).collect::<Option<Vec<Guid>>>() {
        Some(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            Groups::Known(ids.into())
        }
        None => Groups::Overage,
    }
}

/// The id of a group, in whatever case.
fn guid(text: &str) -> Option<Guid> {
    Guid::parse(text).or_else(|| Guid::parse(&text.to_ascii_lowercase()))
}
