//! A decision as the HTTP response that a proxy acts on: 200 lets the request go on, everything else does not.
//!
//! This is the only file of this room that makes a 200, and it makes it out of a [`Permit`], which it consumes.
//!
//! Proxies copy the headers that their configuration names. Traefik and Caddy delete the client's when ours is absent,
//! and nginx sends none; Envoy would let the client's through, so it is sent each of the seven, empty if there is nothing
//! to say.

use std::borrow::Cow;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode};

use crate::answer::Refusal;
use crate::answer::identity_headers::{self, CALLER, DECISION};
use crate::authorize::decision::{Authenticated, Decision, DecisionId};
use crate::policy::decide::{Cause, Permit, Verdict};
use crate::reason::{DenyStatus, ReasonCode};

use super::dialect::Dialect;

/// The reason of a refusal, for proxies that keep the body to themselves.
const REASON: &str = "x-entrance-reason";

/// The response to one question.
pub(super) fn answer(decision: Decision, dialect: Dialect) -> Response<Body> {
    let Decision { id, verdict, challenge, authenticated, .. } = decision;
    match verdict {
        Verdict::Permit(permit) => permitted(permit, (&id, authenticated.as_deref()), dialect),
        Verdict::Deny(denial) => refused(&Refusal::denied(&id, &denial, challenge.as_deref()), (&id, dialect)),
        Verdict::Unavailable(outage) => refused(&Refusal::plain(&id, outage.reason()), (&id, dialect)),
    }
}

/// The answer when even refusing went wrong: 503 `internal_error`.
pub(super) fn last_resort(dialect: Dialect) -> Response<Body> {
    let id = DecisionId::new(0);
    refused(&Refusal::plain(&id, ReasonCode::InternalError), (&id, dialect))
}

/// The permit is used up here.
fn permitted(permit: Permit, (id, caller): (&DecisionId, Option<&Authenticated>), dialect: Dialect) -> Response<Body> {
    let caller = caller.filter(|_| matches!(permit.cause(), Cause::AllowEntry { .. })).map(|known| &known.caller);
    let tenant = caller.map(|caller| caller.tenant.text());
    let values = match (caller, &tenant) {
        (Some(caller), Some(tenant)) => identity_headers::values(caller, tenant.as_str()),
        (Some(_) | None, _) => [const { None }; CALLER.len()],
    };
    let empty = (dialect == Dialect::Envoy).then_some(Cow::Borrowed(""));
    let mut response = Response::new(Body::empty());
    put(&mut response, DECISION, id.as_str());
    for (name, value) in CALLER.into_iter().zip(values) {
        if let Some(value) = value.or_else(|| empty.clone()) {
            put(&mut response, name, &value);
        }
    }
    put(&mut response, "cache-control", "no-store");
    response
}

fn refused(refusal: &Refusal<'_>, (id, dialect): (&DecisionId, Dialect)) -> Response<Body> {
    let mut response = Response::new(Body::from(refusal.body()));
    *response.status_mut() = status(refusal.status(), dialect);
    for (name, value) in refusal.headers() {
        put(&mut response, name, &value);
    }
    if dialect == Dialect::Nginx {
        put(&mut response, REASON, refusal.reason().code());
        put(&mut response, DECISION, id.as_str());
    }
    response
}

/// Never 2xx. nginx takes everything but 401 and 403 for a fault of the server, which 503 is and a bad request is not.
fn status(status: DenyStatus, dialect: Dialect) -> StatusCode {
    let code = match (status, dialect) {
        (DenyStatus::BadRequest, Dialect::Nginx) => DenyStatus::Forbidden.http(),
        (status, _) => status.http(),
    };
    let refusal = StatusCode::from_u16(code).ok().filter(|status| !status.is_success());
    refusal.unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

/// A value that cannot stand in a header leaves it out, which takes rights away and gives none.
fn put(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
