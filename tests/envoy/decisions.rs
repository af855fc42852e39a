//! Finished decisions for the tests of those who answer and record.

use std::sync::Arc;

use bytes::Bytes;
use entrance::authorize::decision::{Authenticated, ChallengeContext, Decision, DecisionId};
use entrance::clock::UnixTime;
use entrance::identity::{ApplicationId, Caller, CallerKind, Claims, Groups, Guid};
use entrance::policy::decide::{Cause, Challenge, Denial, Evidence, Verdict, decide};
use entrance::policy::host::HostPattern;
use entrance::policy::locate::locate;
use entrance::policy::rules::{
    Access, Entry, GroupOverage, Methods, Mode, Policy, PolicyId, Preflight, Route, Seniority,
};
use entrance::policy::snapshot::Snapshot;
use entrance::policy::table::HostTable;
use entrance::policy::template::PathTemplate;
use entrance::reason::{DenyStatus, ReasonCode};
use entrance::request::{Named, Request};

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";

/// The id of every decision made here.
pub(crate) fn id() -> DecisionId {
    DecisionId::new(0xabcd)
}

/// A permit for this cause, by the only way there is: a policy that says so.
pub(crate) fn permit(cause: Cause) -> Verdict {
    let entry = || Entry::default();
    let access = match cause {
        Cause::AllowEntry { index } => Access::Entries {
            allow: (0..=index).map(|at| if at == index { entry() } else { nobody() }).collect(),
            deny: Arc::default(),
        },
        Cause::AnonymousRoute => Access::Anonymous,
        Cause::Preflight | Cause::ShadowOnly => Access::Entries { allow: Arc::default(), deny: Arc::default() },
    };
    let verdict = decided(access, cause);
    match &verdict {
        Verdict::Permit(permit) => assert_eq!(permit.cause(), cause),
        Verdict::Deny(_) | Verdict::Unavailable(_) => panic!("the policy does not permit: {verdict:?}"),
    }
    verdict
}

/// An entry that nobody meets.
fn nobody() -> Entry {
    Entry { roles: Some(["Nobody".into()].into()), ..Entry::default() }
}

fn decided(access: Access, cause: Cause) -> Verdict {
    let route = Route {
        name: "read-order".into(),
        template: PathTemplate::parse("/orders").unwrap(),
        methods: Methods::All,
        access,
    };
    let policy = Policy {
        grants: Vec::new(),
        seniority: Seniority { created: 0, id: PolicyId { namespace: "shop".into(), name: "orders".into() } },
        mode: if cause == Cause::ShadowOnly { Mode::Shadow } else { Mode::Enforce },
        preflight: Preflight::Allow,
        application: Some(ApplicationId("shop/orders-api".into())),
        group_overage: GroupOverage::Deny,
        deny: Ok(Arc::default()),
        routes: vec![Arc::new(route)],
        poison: None,
    };
    let table = Arc::new(HostTable::build(vec![Arc::new(policy)], None));
    let snapshot = Snapshot::new([(HostPattern::parse("orders.example.com").unwrap(), table)], None);
    let headers = lines(if cause == Cause::Preflight {
        &[("origin", "o"), ("access-control-request-method", "GET")]
    } else {
        &[]
    });
    let method = Bytes::from_static(if cause == Cause::Preflight { b"OPTIONS" } else { b"GET" });
    let (host, target) = (Bytes::from_static(b"orders.example.com"), Bytes::from_static(b"/orders"));
    let request = Request { method: &method, host: &host, target: &target, headers: &headers, named: Named::default() };
    let (caller, application) = (caller(), ApplicationId("shop/orders-api".into()));
    let evidence = |_: &ApplicationId| Evidence::Caller { caller: &caller, application: &application };
    decide(&locate(&snapshot, &request), &evidence, UnixTime(1)).verdict
}

pub(crate) fn refusal(reason: ReasonCode, challenge: Option<Challenge>) -> Verdict {
    match (reason.status(), challenge) {
        (DenyStatus::Unavailable, _) | (_, None) => Verdict::refusal(reason),
        (_, Some(challenge)) => Verdict::Deny(Denial::challenging(reason, challenge)),
    }
}

pub(crate) fn decision(verdict: Verdict) -> Decision {
    Decision {
        id: id(),
        verdict,
        authenticated: None,
        rejection: None,
        token_detail: None,
        challenge: Some(Arc::new(ChallengeContext {
            tenant: Guid::parse(TENANT),
            authorization_uri: "https://login.example/authorize".into(),
            client_id: "api-1".into(),
            scope_prefix: "api://orders".into(),
            resource_metadata: None,
        })),
        shadow: None,
        generation: 7,
        cached: true,
    }
}

pub(crate) fn allowed(caller: Caller) -> Decision {
    Decision {
        authenticated: Some(Arc::new(Authenticated::new(caller, ApplicationId("shop/orders-api".into())))),
        ..decision(permit(Cause::AllowEntry { index: 0 }))
    }
}

pub(crate) fn caller() -> Caller {
    Caller {
        tenant: Guid::parse(TENANT).unwrap(),
        subject: "alice".into(),
        client: "web".into(),
        kind: CallerKind::User,
        roles: ["Orders.Read".into(), "a,b c".into()].into(),
        scopes: ["orders.read".into(), "orders.write".into()].into(),
        groups: Groups::Known([].into()),
        auth_contexts: [].into(),
        can_step_up: false,
        authenticated_at: None,
        token_id: Some("uti-1".into()),
        session_id: None,
        issued_at: UnixTime(0),
        not_before: UnixTime(0),
        expires_at: UnixTime(3600),
        claims: Claims::default(),
    }
}

/// Header lines of a request.
pub(crate) fn lines(lines: &[(&'static str, &'static str)]) -> Vec<(Bytes, Bytes)> {
    lines
        .iter()
        .map(|(name, value)| (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes())))
        .collect()
}
