//! Worlds and requests at random: few names, so that rules and requests meet, and every oddity that a rule or a stranger
//! can come up with.

use bytes::Bytes;
use entrance::clock::UnixTime;
use entrance::identity::{Caller, CallerKind, Claims, Groups, Guid, Text};
use entrance::policy::grant::{Grant, Subject};
use entrance::policy::rules::{GroupOverage, Methods, Mode, Preflight};
use entrance::reason::ReasonCode;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Map, json};

use crate::conditions::{CONDITIONS, GROUP};
use crate::world::{AccessPlan, Ask, EntryPlan, PolicyPlan, RoutePlan, Token, World};

/// The moment of every decision.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

const HOSTS: [&str; 5] = ["a.example.com", "*.example.com", "*.com", "*", "[::1]"];
const ASKED: [&str; 22] = [
    "a.example.com",
    "a.example.com",
    "a.example.com",
    "a.example.com",
    "a.example.com:8443",
    "A.Example.COM.",
    "b.example.com",
    "x.b.example.com",
    "example.com",
    "example.org",
    "com",
    "[::1]",
    "[::1]:80",
    "[0:0::1]",
    "[::2]",
    "a.example.com,b.example.com",
    "u@a.example.com",
    "a.example.com..",
    "",
    ":80",
    "a.example.com:",
    "ä.example.com",
];
const APPLICATIONS: [&str; 3] = ["shop/api", "shop/api", "shop/other"];
const LITERALS: [&str; 6] = ["a", "b", "c", "x@y", "%C3%A9", "a"];
const SEGMENTS: [&str; 43] = [
    "a", "a", "a", "a", "b", "b", "b", "c", "c", "oid-1", "%61", "%62", "x@y", "x%40y", "x%40y;v", "%C3%A9", "%c3%a9",
    "a;v=1", "b;", "a%3Bv", "a%3bv;w", "A", "{p}", "%7Bp%7D", "a%20b", "..", ".", "%2e%2E", "..;v", ".%3b", "", ";v",
    "a%2Fb", "a%2fb", "a%5Cb", "a%25b", "%00", "%zz", "a\\b", "a b", "a%3F", "b%3fx", "x%23y",
];
const METHODS: [&str; 14] =
    ["GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS", "OPTIONS", "HEAD", "get", "", "A-B_1", "GE T", "DELETE"];
const NAMED: [&str; 5] = ["GET", "HEAD", "POST", "OPTIONS", "PUT"];
const ROLES: [&str; 3] = ["A", "B", "C"];
const SCOPES: [&str; 2] = ["read", "write"];
const CONTEXTS: [&str; 2] = ["c1", "c2"];
const CLIENTS: [&str; 2] = ["client-1", "client-2"];
const SUBJECTS: [&str; 3] = ["oid-1", "a", "x@y"];
const GROUPS: [&str; 2] = [GROUP, "33333333-0000-4000-8000-000000000002"];
const TENANTS: [&str; 2] = ["11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"];
const HEADERS: [(&str, &str); 26] = [
    ("origin", "https://app"),
    ("Origin", "https://app"),
    ("origin", ""),
    ("access-control-request-method", "GET"),
    ("Access-Control-Request-Method", "POST"),
    ("access-control-request-method", "DELETE"),
    ("access-control-request-method", "get"),
    ("x-env", "prod"),
    ("X-Env", "test"),
    ("authorization", "Bearer x"),
    ("x-http-method-override", "DELETE"),
    ("X_HTTP_Method", "PUT"),
    ("x-method_override", ""),
    ("accept", "*/*"),
    ("x-http-method-overrides", "x"),
    ("x-original-url", "/"),
    ("X_Rewrite-Url", "/a/b"),
    ("x-original-urls", "/"),
    ("SCRIPT_NAME", "/a"),
    ("x-script-name", ""),
    ("Path-Info", "/"),
    ("x-path-info", "/"),
    ("x.http!method", "PUT"),
    ("X~Rewrite~Url", "/a"),
    ("script'name", "/a"),
    ("cookie", "a=b"),
];

fn some<T: Clone + std::fmt::Debug + 'static>(list: &'static [T]) -> impl Strategy<Value = Option<Vec<T>>> {
    weighted(0.2, subsequence(list, 1..=list.len()))
}

fn guids(list: &[&str; 2]) -> Vec<Guid> {
    list.iter().map(|id| Guid::parse(id).unwrap()).collect()
}

fn some_guids(list: &[&str; 2]) -> impl Strategy<Value = Option<Vec<Guid>>> + use<> {
    weighted(0.2, subsequence(guids(list), 1..=2))
}

fn kind() -> impl Strategy<Value = CallerKind> {
    select(vec![CallerKind::User, CallerKind::Workload])
}

/// An entry with any of its fields.
pub(crate) fn entry() -> impl Strategy<Value = EntryPlan> {
    let who = (weighted(0.3, kind()), some_guids(&TENANTS), some(&CLIENTS), some(&ROLES), some(&ROLES));
    let what = (some(&SCOPES), some_guids(&GROUPS), weighted(0.15, select(&CONDITIONS[..])));
    let how = (weighted(0.15, select(vec![0_i64, 100, 200])), some(&CONTEXTS));
    (who, what, how).prop_map(|((callers, tenants, clients, roles, all_roles), (scopes, groups, when), how)| {
        EntryPlan {
            callers,
            tenants,
            clients,
            roles,
            all_roles,
            scopes,
            groups,
            when: when.map(|(source, _)| source),
            max_session_age: how.0,
            auth_contexts: how.1,
        }
    })
}

/// A template of up to four segments.
pub(crate) fn template() -> impl Strategy<Value = String> {
    let part = prop_oneof![3 => select(&LITERALS[..]).prop_map(Some), 2 => Just(None)];
    let end = prop_oneof![6 => Just(""), 1 => Just("/"), 3 => Just("/{*rest}")];
    (vec(part, 0..4), end).prop_map(|(parts, end)| {
        let part = |(at, part): (usize, &Option<&str>)| match part {
            Some(literal) => format!("/{literal}"),
            None => format!("/{{p{at}}}"),
        };
        let text: String = parts.iter().enumerate().map(part).collect();
        if text.is_empty() && end.is_empty() { "/".into() } else { text + end }
    })
}

fn methods() -> impl Strategy<Value = Methods> {
    let named =
        subsequence(&NAMED[..], 1..=3).prop_map(|names| Methods::Only(names.into_iter().map(Into::into).collect()));
    prop_oneof![1 => Just(Methods::All), 1 => named]
}

fn route() -> impl Strategy<Value = RoutePlan> {
    let entries = (vec(entry(), 0..4), prop_oneof![2 => Just(Vec::new()), 1 => vec(entry(), 1..3)])
        .prop_map(|(allow, deny)| AccessPlan::Entries { allow, deny });
    let access = prop_oneof![16 => entries, 2 => Just(AccessPlan::Anonymous), 1 => Just(AccessPlan::Poisoned)];
    (template(), methods(), access, prop::bool::weighted(0.3)).prop_map(|(template, methods, access, unreadable)| {
        let unreadable = unreadable && matches!(access, AccessPlan::Poisoned);
        RoutePlan { template, methods: if unreadable { Methods::Unknown } else { methods }, access }
    })
}

fn policy() -> impl Strategy<Value = PolicyPlan> {
    let who = (select(vec!["shop", "play"]), select(vec!["a", "b", "c"]), 0..3_i128);
    let hosts = prop_oneof![5 => Just(vec![HOSTS[0]]), 1 => subsequence(&HOSTS[..], 1..3)];
    let mode = prop_oneof![3 => Just(Mode::Enforce), 1 => Just(Mode::Shadow)];
    let how =
        (mode, select(vec![Preflight::Deny, Preflight::Allow]), select(vec![GroupOverage::Deny, GroupOverage::Graph]));
    let deny = weighted(0.95, prop_oneof![4 => Just(Vec::new()), 1 => vec(entry(), 1..3)]);
    let rest =
        (weighted(0.95, select(&APPLICATIONS[..])), deny, vec(route(), 0..6), prop::bool::weighted(0.02), grants());
    (who, hosts, how, rest).prop_map(|((namespace, name, created), hosts, (mode, preflight, overage), rest)| {
        let (application, deny, routes, poison, grants) = rest;
        PolicyPlan {
            id: (namespace, name.into()),
            created,
            hosts,
            mode,
            preflight,
            application,
            overage,
            deny,
            routes,
            poison,
            grants,
        }
    })
}

/// None, or a few, that have not begun, hold, or are over.
pub(crate) fn grants() -> impl Strategy<Value = Vec<Grant>> {
    let subject = prop_oneof![
        (select(guids(&TENANTS)), select(&SUBJECTS[..]))
            .prop_map(|(tenant, oid)| Subject::Principal { tenant, oid: oid.into() }),
        select(&CLIENTS[..]).prop_map(|client| Subject::Client(client.into())),
        select(guids(&GROUPS)).prop_map(Subject::Group),
    ];
    let window = prop_oneof![3 => Just((-100, 100)), 1 => Just((0, 1)), 1 => Just((-100, 0)), 1 => Just((1, 100))];
    let grant = (subject, subsequence(&ROLES[..], 1..=2), window).prop_map(|(subject, roles, (from, until))| Grant {
        name: "shop/grant".into(),
        subject,
        roles: roles.into_iter().map(Box::from).collect(),
        not_before: NOW.plus(from),
        expires_at: NOW.plus(until),
    });
    let few = vec(grant, 1..4).prop_map(|mut grants: Vec<Grant>| {
        for (at, grant) in grants.iter_mut().enumerate() {
            grant.name = format!("shop/g{at}").into();
        }
        grants
    });
    prop_oneof![2 => Just(Vec::new()), 1 => few]
}

/// A world of one to four policies.
pub(crate) fn world() -> impl Strategy<Value = World> {
    let poisoned = prop_oneof![12 => Just(Vec::new()), 1 => subsequence(&HOSTS[..], 1..3)];
    (vec(policy(), 1..5), poisoned, prop::bool::weighted(0.01)).prop_map(|(mut policies, poisoned, poison)| {
        // No two policies are the same one.
        for (at, policy) in policies.iter_mut().enumerate() {
            policy.id.1 = format!("{}{at}", policy.id.1);
        }
        World { policies, poisoned, poison }
    })
}

/// A caller with any of its facts.
pub(crate) fn caller() -> impl Strategy<Value = Caller> {
    let who = (kind(), select(guids(&TENANTS)), select(&SUBJECTS[..]), select(&CLIENTS[..]));
    let holds = (subsequence(&ROLES[..], 0..=3), subsequence(&SCOPES[..], 0..=2), subsequence(&CONTEXTS[..], 0..=2));
    let groups = weighted(0.8, subsequence(guids(&GROUPS), 0..=2));
    let how = (any::<bool>(), of(select(vec![0_i64, 100, 150, 300])), of(0..3_i64));
    (who, holds, groups, how).prop_map(|((kind, tenant, subject, client), holds, groups, (can_step_up, age, acct))| {
        let texts = |list: Vec<&str>| list.into_iter().map(Text::from).collect();
        Caller {
            tenant,
            subject: subject.into(),
            client: client.into(),
            kind,
            roles: texts(holds.0),
            scopes: texts(holds.1),
            groups: groups.map_or(Groups::Overage, |groups| Groups::Known(groups.into())),
            auth_contexts: texts(holds.2),
            can_step_up,
            authenticated_at: age.map(|age| NOW.plus(-age)),
            token_id: None,
            session_id: None,
            issued_at: NOW,
            not_before: NOW,
            expires_at: NOW.plus(3600),
            claims: Claims::from(Map::from_iter(acct.map(|acct| ("acct".to_owned(), json!(acct))))),
        }
    })
}

fn token() -> impl Strategy<Value = Token> {
    let rejected = select(vec![ReasonCode::TokenMissing, ReasonCode::TokenExpired, ReasonCode::KeysUnavailable]);
    prop_oneof![
        1 => Just(Token::None),
        3 => rejected.prop_map(Token::Rejected),
        30 => (caller(), weighted(0.05, select(&APPLICATIONS[..])))
            .prop_map(|(caller, application)| Token::Caller(Box::new(caller), application)),
    ]
}

/// A path of up to four segments, good or bad.
pub(crate) fn target() -> impl Strategy<Value = String> {
    let start = prop_oneof![40 => Just("/"), 1 => Just(""), 1 => Just("//")];
    let end = prop_oneof![10 => Just(""), 2 => Just("/"), 2 => Just("?q=1"), 1 => Just("?"), 1 => Just("?a?b/../c")];
    let good = select(&SEGMENTS[..18]);
    let segment = prop_oneof![8 => good, 1 => select(&SEGMENTS[..])];
    (start, vec(segment, 0..4), end).prop_map(|(start, parts, end)| format!("{start}{}{end}", parts.join("/")))
}

/// A request at random, and which of the templates of a world it aims at instead.
pub(crate) fn ask() -> impl Strategy<Value = (Ask, Option<Index>)> {
    let headers = prop_oneof![2 => Just(Vec::new()), 1 => vec(select(&HEADERS[..]), 1..4)];
    let method = prop_oneof![3 => Just("GET"), 2 => select(&METHODS[..])];
    let plain = (method, headers);
    let preflight = (Just("OPTIONS"), select(&["GET", "POST", "PUT"][..]))
        .prop_map(|(method, wished)| (method, vec![HEADERS[0], ("access-control-request-method", wished)]));
    let how = prop_oneof![12 => plain, 1 => preflight];
    let host = prop_oneof![4 => Just(HOSTS[0]), 1 => select(&ASKED[..])];
    let what = (host, target(), weighted(0.7, any::<Index>()));
    (what, how, token()).prop_map(|((host, target, aim), (method, headers), token)| {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let headers = headers.into_iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
        (Ask { method: bytes(method), host: bytes(host), target: bytes(&target), headers, token }, aim)
    })
}

impl Ask {
    /// The request on a path that a template of the world covers, its parameters taken from the request's own path.
    pub(crate) fn aimed(self, world: &World, aim: Option<Index>) -> Self {
        let templates: Vec<&str> =
            world.policies.iter().flat_map(|policy| &policy.routes).map(|route| &*route.template).collect();
        let Some(aim) = aim.filter(|_| !templates.is_empty()) else { return self };
        let own = String::from_utf8_lossy(&self.target).into_owned();
        let mut own = own.trim_start_matches('/').splitn(5, '/');
        let mut filled = |part: &str| match part.starts_with('{') {
            true => own.next().unwrap_or("a").to_owned(),
            false => part.to_owned(),
        };
        let path: Vec<String> = templates[aim.index(templates.len())].split('/').map(&mut filled).collect();
        Self { target: path.join("/").into(), ..self }
    }
}
