//! The claims that are read, each in its place: which must be there, of which types, within which limits.

use super::json::{Json, Object};
use super::rejection::{Detail, TokenRejection};
use crate::reason::ReasonCode;

const MAX_ITEMS: usize = 1024;
const MAX_ITEM: usize = 256;
const MAX_SCP: usize = 4 * 1024;
/// The largest integer that every JSON implementation keeps exact.
const MAX_TIME: i64 = 1 << 53;

/// A claim, if it is there.
pub(super) type Field<'a> = Option<Json<'a>>;

/// The claims that are read. What stands in others is not looked at.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) iss: Field<'a>,
    pub(super) aud: Field<'a>,
    pub(super) exp: Field<'a>,
    pub(super) nbf: Field<'a>,
    pub(super) iat: Field<'a>,
    pub(super) ver: Field<'a>,
    pub(super) tid: Field<'a>,
    pub(super) sub: Field<'a>,
    pub(super) oid: Field<'a>,
    pub(super) azp: Field<'a>,
    pub(super) appid: Field<'a>,
    pub(super) azpacr: Field<'a>,
    pub(super) appidacr: Field<'a>,
    pub(super) idtyp: Field<'a>,
    pub(super) scp: Field<'a>,
    pub(super) roles: Field<'a>,
    pub(super) groups: Field<'a>,
    pub(super) wids: Field<'a>,
    pub(super) acrs: Field<'a>,
    pub(super) xms_cc: Field<'a>,
    pub(super) amr: Field<'a>,
    pub(super) auth_time: Field<'a>,
    pub(super) uti: Field<'a>,
    pub(super) sid: Field<'a>,
    pub(super) cnf: Field<'a>,
    pub(super) nonce: Field<'a>,
    pub(super) c_hash: Field<'a>,
    pub(super) at_hash: Field<'a>,
    pub(super) claim_names: Field<'a>,
    pub(super) hasgroups: Field<'a>,
    pub(super) tfp: Field<'a>,
    pub(super) acr: Field<'a>,
}

impl<'a> Fields<'a> {
    /// Takes them out of a payload.
    pub(super) fn of(payload: Object<'a>) -> Self {
        let mut fields = Self::default();
        for (name, value) in payload.into_members() {
            if let Some(field) = fields.named(&name) {
                *field = Some(value);
            }
        }
        fields
    }

    fn named(&mut self, name: &str) -> Option<&mut Field<'a>> {
        Some(match name {
            "iss" => &mut self.iss,
            "aud" => &mut self.aud,
            "exp" => &mut self.exp,
            "nbf" => &mut self.nbf,
            "iat" => &mut self.iat,
            "ver" => &mut self.ver,
            "tid" => &mut self.tid,
            "sub" => &mut self.sub,
            "oid" => &mut self.oid,
            "azp" => &mut self.azp,
            "appid" => &mut self.appid,
            "azpacr" => &mut self.azpacr,
            "appidacr" => &mut self.appidacr,
            "idtyp" => &mut self.idtyp,
            "scp" => &mut self.scp,
            "roles" => &mut self.roles,
            "groups" => &mut self.groups,
            "wids" => &mut self.wids,
            "acrs" => &mut self.acrs,
            "xms_cc" => &mut self.xms_cc,
            "amr" => &mut self.amr,
            "auth_time" => &mut self.auth_time,
            "uti" => &mut self.uti,
            "sid" => &mut self.sid,
            "cnf" => &mut self.cnf,
            "nonce" => &mut self.nonce,
            "c_hash" => &mut self.c_hash,
            "at_hash" => &mut self.at_hash,
            "_claim_names" => &mut self.claim_names,
            "hasgroups" => &mut self.hasgroups,
            "tfp" => &mut self.tfp,
            "acr" => &mut self.acr,
            _ => return None,
        })
    }

    /// Presence, then types, each in a fixed order.
    pub(super) fn check(&self) -> Result<(), TokenRejection> {
        let absent = |(name, field): (Detail, &Field<'_>)| field.is_none().then_some(name);
        if let Some(missing) = self.required().into_iter().find_map(absent) {
            return Err(TokenRejection::new(ReasonCode::ClaimMissing, missing));
        }
        match self.wrong() {
            Some(name) => Err(TokenRejection::new(ReasonCode::ClaimTypeInvalid, name)),
            None => Ok(()),
        }
    }

    /// The claims that must be there, in the order in which their absence is reported.
    const fn required(&self) -> [(Detail, &Field<'a>); 9] {
        [
            ("iss", &self.iss),
            ("aud", &self.aud),
            ("exp", &self.exp),
            ("nbf", &self.nbf),
            ("iat", &self.iat),
            ("ver", &self.ver),
            ("tid", &self.tid),
            ("sub", &self.sub),
            ("oid", &self.oid),
        ]
    }

    const fn strings(&self) -> [(Detail, &Field<'a>); 16] {
        [
            ("iss", &self.iss),
            ("aud", &self.aud),
            ("ver", &self.ver),
            ("tid", &self.tid),
            ("sub", &self.sub),
            ("oid", &self.oid),
            ("azp", &self.azp),
            ("appid", &self.appid),
            ("idtyp", &self.idtyp),
            ("scp", &self.scp),
            ("uti", &self.uti),
            ("sid", &self.sid),
            ("azpacr", &self.azpacr),
            ("appidacr", &self.appidacr),
            ("tfp", &self.tfp),
            ("acr", &self.acr),
        ]
    }

    const fn times(&self) -> [(Detail, &Field<'a>); 4] {
        [("exp", &self.exp), ("nbf", &self.nbf), ("iat", &self.iat), ("auth_time", &self.auth_time)]
    }

    const fn lists(&self) -> [(Detail, &Field<'a>); 6] {
        [
            ("roles", &self.roles),
            ("groups", &self.groups),
            ("wids", &self.wids),
            ("acrs", &self.acrs),
            ("xms_cc", &self.xms_cc),
            ("amr", &self.amr),
        ]
    }

    /// The first claim of a wrong type or beyond a limit.
    fn wrong(&self) -> Option<Detail> {
        let limit = |name: &str| if name == "scp" { MAX_SCP } else { MAX_ITEM };
        unlike(&self.strings(), |name, value| is_text(value, limit(name)))
            .or_else(|| unlike(&self.times(), |_, value| is_time(value)))
            .or_else(|| unlike(&self.lists(), |_, value| is_list(value)))
            .or_else(|| unlike(&[("_claim_names", &self.claim_names)], |_, value| matches!(value, Json::Object(_))))
            .or_else(|| unlike(&[("hasgroups", &self.hasgroups)], |_, value| matches!(value, Json::Bool(_))))
            // Two empty ones would be equal, and equality is the mark of an app.
            .or_else(|| unlike(&[("sub", &self.sub), ("oid", &self.oid)], |_, value| value.text() != Some("")))
            .or_else(|| (whole(&self.exp) <= whole(&self.nbf)).then_some("exp"))
    }
}

/// A whole number; 0 if there is none.
pub(super) fn whole(field: &Field<'_>) -> i64 {
    field.as_ref().and_then(Json::whole).unwrap_or_default()
}

/// The first claim that is there and not as it should be.
fn unlike(fields: &[(Detail, &Field<'_>)], is: impl Fn(&str, &Json<'_>) -> bool) -> Option<Detail> {
    let wrong = |(name, field): &(Detail, &Field<'_>)| {
        let value = field.as_ref()?;
        (!is(name, value)).then_some(*name)
    };
    fields.iter().find_map(wrong)
}

/// A string of bounded length without control characters.
fn is_text(value: &Json<'_>, limit: usize) -> bool {
    let visible = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let tame = |text: &str| visible(text) || !text.chars().any(char::is_control);
    value.text().is_some_and(|text| text.len() <= limit && tame(text))
}

fn is_time(value: &Json<'_>) -> bool {
    value.whole().is_some_and(|time| (0..MAX_TIME).contains(&time))
}

fn is_list(value: &Json<'_>) -> bool {
    value.items().is_some_and(|list| list.len() <= MAX_ITEMS && list.iter().all(|item| is_text(item, MAX_ITEM)))
}
