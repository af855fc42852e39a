//! A decision as Envoy's `CheckResponse`. This is the only file that makes one.
//!
//! To Envoy an empty answer, an answer without a status and an answer with status 0 all mean yes, whatever else they
//! hold. So there is one way in, [`answer`], which takes a whole [`Decision`]; the status 0 is written in
//! [`permitted`] alone, which consumes the [`Permit`]; and nothing here has a default. `error_response` is never
//! filled, because Envoy would hand it to `failure_mode_allow`: "cannot decide now" is a denial with 503.
//!
//! # Encoding
//! What an answer says about a caller is the same every time and is encoded once, through Envoy's own message type.
//! The rest is small and written by hand in front of it: fields of one message may come in pieces, and a reader merges
//! `ok_response` as it merges any submessage (protobuf encoding, "Last One Wins"). Refusals are built whole.

use std::borrow::Cow;
use std::sync::LazyLock;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::rpc::Status;
use prost::Message;
use tonic::Code;

use crate::answer::Refusal;
use crate::answer::identity_headers::{self, CALLER, DECISION};
use crate::authorize::decision::{Authenticated, Decision, DecisionId, PreparedAnswer};
use crate::authorize::ports::Outcome;
use crate::identity::Caller;
use crate::policy::decide::{Cause, Permit, Verdict};
use crate::reason::{DenyStatus, ReasonCode};
use crate::request::Headers;

use super::facts::{self, Value, delimited, put_length, put_text};
use super::frame;

// Tags of `CheckResponse`, `OkHttpResponse`, `HeaderValueOption` and `HeaderValue`: number << 3 | wire type.
const STATUS: u8 = 0x0a;
const OK_RESPONSE: u8 = 0x1a;
const DYNAMIC_METADATA: u8 = 0x22;
const OK_HEADERS: u8 = 0x12;
const OK_HEADERS_TO_REMOVE: u8 = 0x2a;
const OPTION_HEADER: u8 = 0x0a;
const OPTION_APPEND_ACTION: u8 = 0x18;
const HEADER_KEY: u8 = 0x0a;
const HEADER_VALUE: u8 = 0x12;
const OVERWRITE: u8 = 2;

/// Room for a usual answer.
const ANSWER: usize = 1536;
/// Room for what is said of a usual caller.
const USUAL: usize = 768;

/// Makes the answer to one check, framed for gRPC. `headers` are those of the request: what poses as one of ours among
/// them is removed.
#[must_use]
pub fn answer(decision: Decision, headers: &dyn Headers) -> Bytes {
    let mut fresh = Vec::new();
    let prepared = match decision.authenticated.as_deref() {
        Some(authenticated) if decision.cached => Some(prepared(authenticated)),
        Some(authenticated) => {
            let rest = prepare(authenticated, &mut fresh);
            Some(fresh.split_at_checked(rest).unwrap_or_default())
        }
        None => None,
    };
    let mut out = Vec::with_capacity(ANSWER);
    out.extend_from_slice(&[0; frame::PREFIX]);
    put_facts(&decision, prepared, &mut out);
    let Decision { id, verdict, challenge, .. } = decision;
    match verdict {
        Verdict::Permit(permit) => permitted(permit, &Permitted { id: &id, headers, prepared }, &mut out),
        Verdict::Deny(denial) => refused(&Refusal::denied(&id, &denial, challenge.as_deref()), &mut out),
        Verdict::Unavailable(outage) => refused(&Refusal::plain(&id, outage.reason()), &mut out),
    }
    framed(out)
}

/// The answer when even refusing went wrong: 503 `internal_error`.
#[must_use]
pub fn last_resort() -> Bytes {
    static ANSWER: LazyLock<Bytes> = LazyLock::new(|| {
        let mut out = vec![0; frame::PREFIX];
        refused(&Refusal::plain(&DecisionId::new(0), ReasonCode::InternalError), &mut out);
        framed(out)
    });
    ANSWER.clone()
}

fn framed(mut out: Vec<u8>) -> Bytes {
    let prefix = frame::prefix(out.len().saturating_sub(frame::PREFIX));
    for (slot, byte) in out.iter_mut().zip(prefix) {
        *slot = byte;
    }
    out.into()
}

/// Facts about a caller, and everything else that is the same for all requests of this caller.
type Prepared<'a> = (&'a [u8], &'a [u8]);

struct Permitted<'a> {
    id: &'a DecisionId,
    headers: &'a dyn Headers,
    prepared: Option<Prepared<'a>>,
}

/// The permit is used up here: its answer is the only one with status 0.
fn permitted(permit: Permit, request: &Permitted<'_>, out: &mut Vec<u8>) {
    let mut impostors = Vec::new();
    request.headers.each(&mut |name, _| {
        if identity_headers::is_impostor(name) && http::HeaderName::from_bytes(name).is_ok() {
            put_text(OK_HEADERS_TO_REMOVE, name, &mut impostors);
        }
    });
    let id = Overwrite { name: DECISION, value: request.id.as_str() };
    out.push(OK_RESPONSE);
    put_length(delimited(id.length()).saturating_add(impostors.len()), out);
    id.put(out);
    out.extend_from_slice(&impostors);
    out.extend_from_slice(&ALIASES);
    match (permit.cause(), request.prepared) {
        (Cause::AllowEntry { .. }, Some((_, rest))) => out.extend_from_slice(rest),
        (Cause::AllowEntry { .. } | Cause::AnonymousRoute | Cause::Preflight | Cause::ShadowOnly, _) => {
            out.extend_from_slice(&NOBODY)
        }
    }
}

/// One of `OkHttpResponse.headers`, which replaces what the client may have sent under this name.
struct Overwrite<'a> {
    name: &'static str,
    value: &'a str,
}

impl Overwrite<'_> {
    fn header_length(&self) -> usize {
        delimited(self.name.len()).saturating_add(delimited(self.value.len()))
    }

    /// Of the `HeaderValueOption`.
    fn length(&self) -> usize {
        delimited(self.header_length()).saturating_add(2)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(OK_HEADERS);
        put_length(self.length(), out);
        out.push(OPTION_HEADER);
        put_length(self.header_length(), out);
        put_text(HEADER_KEY, self.name.as_bytes(), out);
        put_text(HEADER_VALUE, self.value.as_bytes(), out);
        out.extend_from_slice(&[OPTION_APPEND_ACTION, OVERWRITE]);
    }
}

/// The constant part for requests that nobody is named for.
static NOBODY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut out = Vec::new();
    identity(&[const { None }; CALLER.len()], &mut out);
    out
});

/// Kept from the second request of a caller on: many tokens are used once, and what is kept costs more than making it.
fn prepared(authenticated: &Authenticated) -> Prepared<'_> {
    let kept = authenticated.answer.get_or_init(|| {
        let mut encoded = Vec::new();
        let rest = prepare(authenticated, &mut encoded);
        PreparedAnswer { encoded: encoded.into(), rest }
    });
    kept.encoded.split_at_checked(kept.rest).unwrap_or_default()
}

/// Where the rest begins.
fn prepare(authenticated: &Authenticated, out: &mut Vec<u8>) -> usize {
    let caller = &authenticated.caller;
    let tenant = caller.tenant.text();
    out.reserve(USUAL);
    caller_facts(caller, tenant.as_str(), out);
    let rest = out.len();
    identity(&identity_headers::values(caller, tenant.as_str()), out);
    rest
}

/// The removal of every alias of our headers, which goes with every permit.
static ALIASES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let headers_to_remove = identity_headers::ALIASES.clone();
    let ok = OkHttpResponse { headers_to_remove, ..OkHttpResponse::default() };
    // INVARIANT: a piece of a message, never one by itself: without a status it would say yes.
    let http_response = Some(HttpResponse::OkResponse(ok));
    CheckResponse { status: None, http_response, dynamic_metadata: None }.encode_to_vec()
});

/// Status 0, the removal of the headers that have no value, and the others.
fn identity(values: &[Option<Cow<'_, str>>; CALLER.len()], out: &mut Vec<u8>) {
    let named = || CALLER.into_iter().zip(values);
    let set = || named().filter_map(|(name, value)| value.as_deref().map(|value| Overwrite { name, value }));
    let removed = || named().filter(|(_, value)| value.is_none()).map(|(name, _)| name);
    // an empty status: its code is 0
    out.extend_from_slice(&[STATUS, 0, OK_RESPONSE]);
    put_length(removed().map(|name| delimited(name.len())).fold(0, usize::saturating_add), out);
    removed().for_each(|name| put_text(OK_HEADERS_TO_REMOVE, name.as_bytes(), out));
    out.push(OK_RESPONSE);
    put_length(set().map(|header| delimited(header.length())).fold(0, usize::saturating_add), out);
    set().for_each(|header| header.put(out));
}

/// The answer of a refusal, whole.
fn refused(refusal: &Refusal<'_>, out: &mut Vec<u8>) {
    let status = refusal.status();
    let denied = DeniedHttpResponse {
        status: Some(HttpStatus { code: i32::from(status.http()) }),
        headers: refusal.headers().into_iter().map(|(name, value)| header(name, value)).collect(),
        body: refusal.body(),
    };
    let response = CheckResponse {
        status: Some(Status {
            code: i32::from(grpc_code(status)),
            message: refusal.reason().code().to_owned(),
            details: Vec::new(),
        }),
        http_response: Some(HttpResponse::DeniedResponse(denied)),
        dynamic_metadata: None,
    };
    out.extend_from_slice(&response.encode_to_vec());
}

/// Never 0, which would mean yes.
const fn grpc_code(refusal: DenyStatus) -> Code {
    match refusal {
        DenyStatus::BadRequest => Code::InvalidArgument,
        DenyStatus::Unauthorized => Code::Unauthenticated,
        DenyStatus::Forbidden => Code::PermissionDenied,
        DenyStatus::Unavailable => Code::Unavailable,
    }
}

fn header(name: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, raw_value: Vec::new() }),
        append_action: i32::from(HeaderAppendAction::OverwriteIfExistsOrAdd),
        ..HeaderValueOption::default()
    }
}

fn caller_facts(caller: &Caller, tenant: &str, out: &mut Vec<u8>) {
    let fields = [
        ("tenant", Value::Text(tenant)),
        ("subject", Value::Text(&caller.subject)),
        ("client", Value::Text(&caller.client)),
        ("caller", Value::Text(caller.kind.as_str())),
    ];
    facts::put(&fields, out);
}

fn put_facts(decision: &Decision, prepared: Option<Prepared<'_>>, out: &mut Vec<u8>) {
    let (outcome, reason) = Outcome::of(&decision.verdict);
    let mut fields = [
        ("decision_id", Value::Text(decision.id.as_str())),
        ("outcome", Value::Text(outcome.code())),
        ("reason", Value::Text(reason)),
        ("generation", Value::Number(generation(decision.generation))),
    ]
    .to_vec();
    if let Some(matched) = decision.verdict.matched() {
        let policy = Value::Path(&matched.policy.namespace, &matched.policy.name);
        fields.push(("policy", policy));
        fields.push(("route", Value::Text(&matched.route)));
    }
    let shadow = decision
        .shadow
        .as_ref()
        .map(|shadow| [("outcome", Value::Text(shadow.outcome)), ("reason", Value::Text(shadow.reason))]);
    if let Some(shadow) = &shadow {
        fields.push(("shadow", Value::Fields(shadow)));
    }
    let constant = prepared.map_or(&[][..], |(facts, _)| facts);
    facts::put_under_key(DYNAMIC_METADATA, &fields, constant, out);
}

/// A `Struct` knows no integers; a double holds them up to 2⁵³.
fn generation(number: u64) -> f64 {
    let half = |bits: u64| u32::try_from(bits & 0xffff_ffff).map_or(0.0, f64::from);
    half(number >> 32) * 4_294_967_296.0 + half(number)
}
