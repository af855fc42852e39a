//! `entrance check`: one decision offline, by the same compiler, the same authorizer and the same rules as `serve`, and
//! how it came about.

use std::sync::Arc;

use bytes::Bytes;

use crate::authorize::Authorizer;
use crate::authorize::decision::Decision;
use crate::authorize::ports::{Decide as _, Keys, Outcome as Decided};
use crate::authorize::tokens::{Patience, Presented, Tokens};
use crate::authorize::world::World;
use crate::clock::{Clock, FixedClock, UnixTime};
use crate::identity::ApplicationId;
use crate::policy::decide::{Cause, Evidence, Verdict};
use crate::policy::explain::{self, Step};
use crate::policy::locate::{Finding, Located, locate};
use crate::request::{Named, Request};
use crate::token::Profile;

use super::args::offline::{CheckArgs, KeyArgs};
use super::report::{self, Report, Ruled};
use super::{Outcome, UsageError, keys, logging, offline, policies, runtime, scope};

/// What is offline has one state of the rules.
const GENERATION: u64 = 1;

/// Decides and prints.
pub(super) fn run(args: &CheckArgs) -> Result<Outcome, UsageError> {
    logging::start("off");
    let now = offline::time(args.keys.now.as_deref())?;
    let given = args.keys.jwks.as_deref().map(offline::keys).transpose()?;
    let settings = scope::settings(&args.scope, given)?;
    let asked = Asked::new(args)?;
    let library = policies::directory(&args.policies)?;
    let compiled = policies::compile(&library, &settings);
    let world = World::new(GENERATION, compiled.snapshot, &compiled.profiles).revoking(compiled.revocations);
    let world = Arc::new(world);
    let report = runtime::run_alone(judge(&world, &asked, (&args.keys, now)))??;
    let outcome = report.print(args.output);
    Ok(args.expect.map_or(outcome, |expected| report.compare(expected)))
}

/// The request in question.
struct Asked {
    method: Bytes,
    host: Bytes,
    target: Bytes,
    headers: Vec<(Bytes, Bytes)>,
    context: Vec<(Bytes, Bytes)>,
}

impl Asked {
    fn new(args: &CheckArgs) -> Result<Self, UsageError> {
        let (host, target) = offline::split_url(&args.url)?;
        let host = args.connect.as_deref().unwrap_or(host);
        let target = args.raw_path.clone().unwrap_or(target);
        let mut headers = args.headers.iter().map(|text| offline::header(text)).collect::<Result<Vec<_>, _>>()?;
        if let Some(source) = &args.token {
            headers.push(offline::bearer(&offline::token("--token", source)?));
        }
        let context = args.context.iter().map(|text| offline::pair(text)).collect::<Result<Vec<_>, _>>()?;
        let (method, host, target) = (args.method.clone().into(), host.to_owned().into(), target.into());
        Ok(Self { method, host, target, headers, context })
    }

    fn request(&self) -> Request<'_> {
        let named = Named::read(self.context.iter().map(|(key, value)| (key, value)));
        Request { method: &self.method, host: &self.host, target: &self.target, headers: &self.headers, named }
    }
}

async fn judge(world: &Arc<World>, asked: &Asked, at: (&KeyArgs, UnixTime)) -> Result<Report, UsageError> {
    let (args, now) = at;
    let clock: Arc<dyn Clock> = Arc::new(FixedClock(now));
    let request = asked.request();
    let located = locate(&world.snapshot, &request);
    let profiles = profiles(world, &located);
    let sources = profiles.iter().filter_map(|profile| keys::wanted(profile, request.headers)).collect();
    let keys = keys::fetch(sources, (args, Arc::clone(&clock))).await?;
    let authorizer = Authorizer::with_keys(Arc::clone(&keys), 2, clock);
    authorizer.publish(Arc::clone(world));
    let decision = match authorizer.try_decide(&request) {
        Ok(decision) => decision,
        Err(pending) => authorizer.resume(request, pending, None).await,
    };
    let tokens = present(&profiles, &request, (keys, now));
    let trace = explain::explain(&world.snapshot, &located, &|application| evidence(&tokens, application), now);
    Ok(report(&decision, trace))
}

/// The applications that the rules for this request name.
fn profiles(world: &World, located: &Located<'_>) -> Vec<Arc<Profile>> {
    let shadow = located.shadow.as_ref().and_then(Finding::application);
    let named = located.enforcing.application().into_iter().chain(shadow);
    let known = named.filter_map(|application| world.application(application));
    let mut profiles: Vec<_> = known.map(|known| Arc::clone(&known.profile)).collect();
    profiles.dedup_by(|one, other| one.id == other.id);
    profiles
}

/// What each application makes of the token, for the explanation.
fn present(
    profiles: &[Arc<Profile>],
    request: &Request<'_>,
    (keys, now): (Arc<dyn Keys>, UnixTime),
) -> Vec<(ApplicationId, Presented)> {
    let tokens = Tokens::new(2, keys);
    let look = |profile: &Arc<Profile>| {
        let presented = tokens.present(request, profile, (now, Patience::DecideNow)).ok()?;
        Some((profile.id.clone(), presented))
    };
    profiles.iter().filter_map(look).collect()
}

fn evidence<'e>(tokens: &'e [(ApplicationId, Presented)], application: &ApplicationId) -> Evidence<'e> {
    match tokens.iter().find(|(known, _)| known == application) {
        Some((_, Presented::Caller { authenticated, .. })) => {
            Evidence::Caller { caller: &authenticated.caller, application: &authenticated.application }
        }
        Some((_, Presented::Rejected(why))) => Evidence::Rejected(why.reason()),
        None => Evidence::None,
    }
}

fn report(decision: &Decision, mut trace: Vec<Step>) -> Report {
    let (outcome, reason) = Decided::of(&decision.verdict);
    if let Some(shadow) = &decision.shadow {
        let place = shadow.policy.as_ref().map(ToString::to_string).into_iter();
        let place: Vec<_> = place.chain(shadow.route.as_deref().map(str::to_owned)).collect();
        let subject = if place.is_empty() { "shadow policies".to_owned() } else { place.join(": ") };
        let outcome = format!("would be {}: {}", shadow.outcome, shadow.reason);
        trace.push(Step { stage: "shadow", subject, outcome });
    }
    let caller = decision.authenticated.as_ref().map(|known| report::caller(&known.caller));
    let matched = decision.verdict.matched().cloned();
    let ruled = Some(Ruled { matched, generation: decision.generation });
    let (status, explanation) = (status(&decision.verdict), explanation(decision));
    Report { outcome, status, reason, explanation, caller, ruled, trace }.conclude()
}

fn status(verdict: &Verdict) -> u16 {
    match verdict {
        Verdict::Permit(_) => 200,
        Verdict::Deny(denial) => denial.reason().status().http(),
        Verdict::Unavailable(outage) => outage.reason().status().http(),
    }
}

fn explanation(decision: &Decision) -> String {
    let (text, detail) = match &decision.verdict {
        Verdict::Permit(permit) => (cause(permit.cause()), None),
        Verdict::Deny(denial) => (denial.reason().text(), denial.detail()),
        Verdict::Unavailable(outage) => (outage.reason().text(), None),
    };
    let details = detail.as_deref().into_iter().chain(decision.token_detail.as_deref());
    let details: Vec<_> = details.collect();
    if details.is_empty() { text.to_owned() } else { format!("{text} ({})", details.join("; ")) }
}

const fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::AllowEntry { .. } => "an entry of the route admits the caller",
        Cause::AnonymousRoute => "the route asks for no token",
        Cause::Preflight => "the policy lets CORS preflights through",
        Cause::ShadowOnly => "only shadow policies cover the host, and these record",
    }
}
