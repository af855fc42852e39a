//! The corridor: token, caller, decision.
//!
//! An [`Authorizer`] holds the world as it stands: one snapshot of the rules with the profiles of their applications,
//! published whole. Each request takes the world once and is decided by it from beginning to end, whatever is published
//! meanwhile. Before the first world is published nothing can be decided, and says so.

pub mod cache;
pub mod decision;
pub mod ids;
pub mod ports;
pub mod tokens;
pub mod world;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;

use crate::clock::{Clock, UnixTime};
use crate::identity::ApplicationId;
use crate::policy::decide::{Decided, Evidence, Recorded, Verdict, decide};
use crate::policy::locate::{Finding, Located, locate};
use crate::reason::ReasonCode;
use crate::request::Request;
use crate::token::TokenRejection;

use decision::{Authenticated, Decision, ShadowResult};
use ids::DecisionIds;
use ports::{Decide, Keys};
use tokens::{NeedsKey, Patience, Presented, Tokens};
use world::World;

/// Longest wait for a key that a token names and nobody knows yet.
const KEY_PATIENCE: Duration = Duration::from_secs(2);

/// Decides requests by the world that was published last.
pub struct Authorizer {
    world: ArcSwapOption<World>,
    tokens: Tokens,
    clock: Arc<dyn Clock>,
    ids: DecisionIds,
}

impl Authorizer {
    /// An authorizer without a world.
    #[must_use]
    pub fn new(tokens: Tokens, clock: Arc<dyn Clock>) -> Self {
        Self { world: ArcSwapOption::empty(), tokens, clock, ids: DecisionIds::default() }
    }

    /// An authorizer that takes keys from `keys` and remembers at most `capacity` tokens.
    #[must_use]
    pub fn with_keys(keys: Arc<dyn Keys>, capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self::new(Tokens::new(capacity, keys), clock)
    }

    /// From now on decides by this world. Requests under way end by the one that they began with.
    pub fn publish(&self, world: Arc<World>) {
        self.world.store(Some(world));
    }

    /// The world in force.
    #[must_use]
    pub fn world(&self) -> Option<Arc<World>> {
        self.world.load_full()
    }

    /// How many tokens are remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.tokens.remembered()
    }

    fn attempt(&self, request: &Request<'_>, patience: Patience) -> Result<Decision, NeedsKey> {
        let world = self.world.load();
        let Some(world) = &*world else { return Ok(self.refuse(ReasonCode::PolicyUnavailable)) };
        let now = self.clock.unix();
        let located = locate(&world.snapshot, request);
        let tokens = self.presented(&located, world, (now, patience))?;
        let decided = decide(&located, &|application| tokens.evidence(application), now);
        Ok(self.decision(&located, (world, tokens), decided))
    }

    /// Looks at the request's token for the applications that the located rules name. Only a rule that decides is worth
    /// a wait for keys; one that records takes what is there.
    fn presented(
        &self,
        located: &Located<'_>,
        world: &World,
        (now, patience): (UnixTime, Patience),
    ) -> Result<PresentedTokens, NeedsKey> {
        let look = |application: &ApplicationId, patience| {
            let Some(known) = world.application(application) else {
                let why = TokenRejection::new(ReasonCode::InternalError, "the application has no profile");
                return Ok((application.clone(), Presented::Rejected(why)));
            };
            let presented = self.tokens.present(located.request, &known.profile, (now, patience))?;
            Ok((application.clone(), presented.unless_revoked(&known.revocations)))
        };
        let enforcing = located.enforcing.application().map(|application| look(application, patience)).transpose()?;
        let shadow = located.shadow.as_ref().and_then(Finding::application);
        let shadow = shadow.filter(|id| enforcing.as_ref().is_none_or(|(known, _)| known != *id));
        let shadow = shadow.map(|application| look(application, Patience::DecideNow)).transpose()?;
        Ok(PresentedTokens { enforcing, shadow })
    }

    fn decision(&self, located: &Located<'_>, found: (&World, PresentedTokens), decided: Decided) -> Decision {
        let (world, tokens) = found;
        let challenge = located.enforcing.application().and_then(|id| world.application(id));
        let shadow_only = matches!(located.enforcing, Finding::ShadowOnly);
        let counts = tokens.enforcing.or(tokens.shadow.filter(|_| shadow_only));
        let (mut authenticated, mut rejection, mut cached) = (None, None, false);
        match counts {
            Some((_, Presented::Caller { authenticated: caller, cached: known })) => {
                authenticated = Some(caller);
                cached = known;
            }
            Some((_, Presented::Rejected(why))) => rejection = Some(why),
            None => {}
        }
        if let (Verdict::Permit(permit), Some(own)) = (&decided.verdict, &authenticated)
            && let Some(lent) = permit.lent()
        {
            // Whoever answers and records tells of the roles that decided.
            authenticated = Some(Arc::new(Authenticated::new(lent.clone(), own.application.clone())));
        }
        Decision {
            id: self.ids.next(),
            verdict: decided.verdict,
            authenticated,
            rejection: rejection.map(|why| why.reason()),
            token_detail: rejection.map(|why| why.detail().into()),
            challenge: challenge.map(|known| Arc::clone(&known.challenge)),
            shadow: decided.shadow.map(ShadowResult::from),
            generation: world.generation,
            cached,
        }
    }
}

impl Decide for Authorizer {
    type Pending = NeedsKey;

    fn try_decide(&self, request: &Request<'_>) -> Result<Decision, NeedsKey> {
        self.attempt(request, Patience::AskForKeys)
    }

    async fn resume<'a>(&'a self, request: Request<'a>, pending: NeedsKey, patience: Option<Duration>) -> Decision {
        let patience = patience.map_or(KEY_PATIENCE, |patience| patience.min(KEY_PATIENCE));
        // Late keys are no reason to wait longer: the answer then says that they are missing.
        let (Ok(()) | Err(_)) = tokio::time::timeout(patience, self.tokens.fetch(&pending)).await;
        match self.attempt(&request, Patience::DecideNow) {
            Ok(decision) => decision,
            Err(NeedsKey { .. }) => self.refuse(ReasonCode::KeysUnavailable),
        }
    }

    fn refuse(&self, reason: ReasonCode) -> Decision {
        Decision {
            id: self.ids.next(),
            verdict: Verdict::refusal(reason),
            authenticated: None,
            rejection: None,
            token_detail: None,
            challenge: None,
            shadow: None,
            generation: self.world.load().as_ref().map_or(0, |world| world.generation),
            cached: false,
        }
    }
}

/// What became of a request's token, for each application that asks.
struct PresentedTokens {
    enforcing: Option<(ApplicationId, Presented)>,
    shadow: Option<(ApplicationId, Presented)>,
}

impl PresentedTokens {
    fn evidence(&self, application: &ApplicationId) -> Evidence<'_> {
        let of = |presented: &&(ApplicationId, Presented)| presented.0 == *application;
        match [&self.enforcing, &self.shadow].into_iter().flatten().find(of) {
            Some((_, Presented::Caller { authenticated, .. })) => {
                Evidence::Caller { caller: &authenticated.caller, application: &authenticated.application }
            }
            Some((_, Presented::Rejected(why))) => Evidence::Rejected(why.reason()),
            None => Evidence::None,
        }
    }
}

impl From<Recorded> for ShadowResult {
    fn from(recorded: Recorded) -> Self {
        let (policy, route) = recorded.matched.map(|matched| (matched.policy, matched.route)).unzip();
        Self { outcome: recorded.outcome, reason: recorded.reason, policy, route }
    }
}
