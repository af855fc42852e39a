//! Whether a verified token is an access token at all, and whom it speaks for: a user or a workload.
//!
//! ID tokens share issuer, keys and type with access tokens, and may carry `roles`; what tells them apart is the client
//! (`azp`, `appid`) and either scopes or the mark of an app.

use crate::identity::{CallerKind, Text};
use crate::reason::ReasonCode;

use super::Version;
use super::claims::{Idtyp, Payload};
use super::rejection::{Detail, TokenRejection};

fn no(reason: ReasonCode, detail: Detail) -> TokenRejection {
    TokenRejection::new(reason, detail)
}

/// Takes the client, and tells the kind of the caller.
pub(super) fn tell(payload: &mut Payload) -> Result<(Text, CallerKind), TokenRejection> {
    if payload.bound_to_key {
        return Err(no(ReasonCode::TokenPopUnsupported, "`cnf` binds the token to a key"));
    }
    if payload.of_id_token {
        return Err(no(ReasonCode::TokenNotAccessToken, "a claim that only ID tokens have"));
    }
    let client = client(payload)?;
    Ok((client, kind(payload)?))
}

fn client(payload: &mut Payload) -> Result<Text, TokenRejection> {
    let (azp, appid) = (payload.azp.take(), payload.appid.take());
    if let (Some(azp), Some(appid)) = (&azp, &appid)
        && azp != appid
    {
        return Err(no(ReasonCode::TokenTypeConflict, "`azp` and `appid` differ"));
    }
    let named = match payload.version {
        Version::V1 => appid,
        Version::V2 => azp,
    };
    named
        .filter(|client| !client.is_empty())
        .ok_or_else(|| no(ReasonCode::TokenNotAccessToken, "no client (`azp` in v2, `appid` in v1)"))
}

fn kind(payload: &Payload) -> Result<CallerKind, TokenRejection> {
    let delegated = !payload.scopes.is_empty();
    match (payload.idtyp, delegated, payload.own_subject) {
        (Some(Idtyp::App), true, _) => Err(no(ReasonCode::TokenTypeConflict, "an app token with scopes")),
        (Some(Idtyp::App), false, _) | (None, false, true) => Ok(CallerKind::Workload),
        (Some(Idtyp::User), _, true) | (None, true, true) => {
            Err(no(ReasonCode::TokenTypeConflict, "a user token whose `oid` is its `sub`"))
        }
        (Some(Idtyp::User) | None, true, false) => Ok(CallerKind::User),
        (Some(Idtyp::User) | None, false, false) => {
            Err(no(ReasonCode::TokenNotAccessToken, "neither scopes nor the mark of an app"))
        }
        (Some(Idtyp::Other), _, _) => Err(no(ReasonCode::PrincipalTypeDenied, "`idtyp` is neither user nor app")),
    }
}
