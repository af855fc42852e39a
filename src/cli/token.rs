//! `entrance token inspect`: what one application makes of one token, without any rules.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::api::object::{Kind, ObjectId};
use crate::api::settings::Settings;
use crate::authorize::ports::Outcome as Decided;
use crate::authorize::tokens::{NeedsKey, Patience, Presented, Tokens};
use crate::clock::{Clock, FixedClock, UnixTime};
use crate::files::library::Library;
use crate::policy::explain::Step;
use crate::reason::DenyStatus;
use crate::request::{Named, Request};
use crate::token::{self, KeySource, Profile, TokenRejection, Version};

use super::args::offline::{InspectArgs, KeyArgs};
use super::report::{self, Report};
use super::{Outcome, UsageError, keys, logging, offline, policies, runtime};

/// The reason of a token that counts.
const VERIFIED: &str = "token_verified";

type Headers = Vec<(Bytes, Bytes)>;

/// Verifies and prints.
pub(super) fn run(args: &InspectArgs) -> Result<Outcome, UsageError> {
    logging::start("off");
    let now = offline::time(args.keys.now.as_deref())?;
    let given = args.keys.jwks.as_deref().map(offline::keys).transpose()?;
    let profile = profile(&args.application, &Settings { keys: given, ..Settings::default() })?;
    let token = match args.token.as_str() {
        "-" => offline::token("TOKEN", "-")?,
        text => offline::trimmed(&text.to_owned().into()),
    };
    let headers = vec![offline::bearer(&token)];
    let report = runtime::run_alone(judge(&profile, &headers, (&args.keys, now)))??;
    Ok(report.print(args.output))
}

async fn judge(profile: &Arc<Profile>, headers: &Headers, at: (&KeyArgs, UnixTime)) -> Result<Report, UsageError> {
    let (args, now) = at;
    let clock: Arc<dyn Clock> = Arc::new(FixedClock(now));
    let sources = keys::wanted(profile, headers).into_iter().collect();
    let tokens = Tokens::new(2, keys::fetch(sources, (args, clock)).await?);
    let nothing = Bytes::new();
    let request = Request { method: &nothing, host: &nothing, target: &nothing, headers, named: Named::default() };
    let presented = match tokens.present(&request, profile, (now, Patience::AskForKeys)) {
        Ok(presented) => Ok(presented),
        Err(need) => {
            tokens.fetch(&need).await;
            tokens.present(&request, profile, (now, Patience::DecideNow))
        }
    };
    let trace = trace(profile, headers);
    let report = match presented {
        Ok(Presented::Caller { authenticated, .. }) => verified(report::caller(&authenticated.caller), trace),
        Ok(Presented::Rejected(why)) => rejected(why, trace),
        Err(NeedsKey { .. }) => return Err(UsageError::new("the keys of the token cannot be asked for")),
    };
    Ok(report.conclude())
}

fn verified(caller: Value, trace: Vec<Step>) -> Report {
    let explanation = "the token counts for the application".to_owned();
    let caller = Some(caller);
    Report { outcome: Decided::Allow, status: 200, reason: VERIFIED, explanation, caller, ruled: None, trace }
}

fn rejected(why: TokenRejection, trace: Vec<Step>) -> Report {
    let reason = why.reason();
    let outcome = match reason.status() {
        DenyStatus::Unavailable => Decided::Unavailable,
        DenyStatus::BadRequest | DenyStatus::Unauthorized | DenyStatus::Forbidden => Decided::Deny,
    };
    let explanation = format!("{} ({})", reason.text(), why.detail());
    let (status, reason) = (reason.status().http(), reason.code());
    Report { outcome, status, reason, explanation, caller: None, ruled: None, trace }
}

/// What can be said of the token on the way: never a part of it beyond tenant, version and key id.
fn trace(profile: &Profile, headers: &Headers) -> Vec<Step> {
    let step = |stage, subject: String, outcome: String| Step { stage, subject, outcome };
    let mut trace = vec![step("application", profile.id.to_string(), format!("client id {}", profile.client_id))];
    let Ok(raw) = token::credential(headers) else { return trace };
    let unverified = match token::inspect(&raw, profile) {
        Ok(unverified) => unverified,
        Err(why) => {
            trace.push(step("token", "before the signature".to_owned(), why.reason().code().to_owned()));
            return trace;
        }
    };
    let tenant = unverified.tenant();
    let name = profile.tenants.get(&tenant).and_then(|keys| keys.name.as_deref()).unwrap_or("listed");
    trace.push(step("tenant", tenant.to_string(), name.to_owned()));
    let version = match unverified.version() {
        Version::V1 => "1.0",
        Version::V2 => "2.0",
    };
    trace.push(step("version", version.to_owned(), "accepted".to_owned()));
    let from = match profile.source(tenant, unverified.version()) {
        Some(KeySource::Discovered(discovery)) => format!("looked for at {}", discovery.metadata_url),
        Some(KeySource::Static(_)) => "looked for among the given keys".to_owned(),
        None => "no source".to_owned(),
    };
    trace.push(step("key", unverified.kid().to_owned(), from));
    trace
}

/// The application that `FILE[#NAME]` names.
fn profile(named: &str, settings: &Settings) -> Result<Arc<Profile>, UsageError> {
    let (file, name) = match named.rsplit_once('#') {
        Some((file, name)) if !Path::new(named).exists() => (file, Some(name)),
        Some(_) | None => (named, None),
    };
    let library = policies::file(file.as_ref())?;
    let wanted = pick(&library, file, name)?;
    let compiled = policies::compile(&library, settings);
    let found =
        compiled.profiles.into_iter().find(|profile| *profile.id.0 == format!("{}/{}", wanted.namespace, wanted.name));
    found.ok_or_else(|| UsageError::new(format!("--application: {wanted} is broken; the warnings say where")))
}

fn pick(library: &Library, file: &str, name: Option<&str>) -> Result<ObjectId, UsageError> {
    let all = library.resources.of(Kind::EntraApplication).map(|object| &object.id);
    let is = |id: &&ObjectId| match name.map(|name| name.split_once('/')) {
        None => true,
        Some(Some((namespace, name))) => *id.namespace == *namespace && *id.name == *name,
        Some(None) => name == Some(&*id.name),
    };
    let found: Vec<_> = all.filter(is).collect();
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(UsageError::new(match name {
            Some(name) => format!("--application: `{file}` holds no EntraApplication `{name}`"),
            None => format!("--application: `{file}` holds no EntraApplication"),
        })),
        [first, ..] => Err(UsageError::new(format!(
            "--application: `{file}` holds several that fit; write `{file}#{}/{}` for the first",
            first.namespace, first.name
        ))),
    }
}
