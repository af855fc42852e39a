//! A world of rules as plain data: what a test generates, changes, prints, and turns into the types that decide.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use entrance::identity::{ApplicationId, Caller, CallerKind, Guid};
use entrance::policy::condition::Condition;
use entrance::policy::grant::Grant;
use entrance::policy::host::HostPattern;
use entrance::policy::rules::{
    Access, Entry, GroupOverage, Methods, Mode, Poison, Policy, PolicyId, Preflight, Route, Seniority,
};
use entrance::policy::snapshot::Snapshot;
use entrance::policy::table::HostTable;
use entrance::policy::template::PathTemplate;
use entrance::reason::ReasonCode;

/// Policies, and what is broken about their hosts.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) policies: Vec<PolicyPlan>,
    /// Hosts on which everything is denied.
    pub(crate) poisoned: Vec<&'static str>,
    /// Everything is denied everywhere.
    pub(crate) poison: bool,
}

/// A policy.
#[derive(Clone)]
pub(crate) struct PolicyPlan {
    pub(crate) id: (&'static str, String),
    pub(crate) created: i128,
    pub(crate) hosts: Vec<&'static str>,
    pub(crate) mode: Mode,
    pub(crate) preflight: Preflight,
    pub(crate) application: Option<&'static str>,
    pub(crate) overage: GroupOverage,
    pub(crate) deny: Option<Vec<EntryPlan>>,
    pub(crate) routes: Vec<RoutePlan>,
    pub(crate) poison: bool,
    pub(crate) grants: Vec<Grant>,
}

/// A route.
#[derive(Clone)]
pub(crate) struct RoutePlan {
    pub(crate) template: String,
    pub(crate) methods: Methods,
    pub(crate) access: AccessPlan,
}

/// Who may.
#[derive(Clone)]
pub(crate) enum AccessPlan {
    Anonymous,
    Entries { allow: Vec<EntryPlan>, deny: Vec<EntryPlan> },
    Poisoned,
}

/// An entry.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct EntryPlan {
    pub(crate) callers: Option<CallerKind>,
    pub(crate) tenants: Option<Vec<Guid>>,
    pub(crate) clients: Option<Vec<&'static str>>,
    pub(crate) roles: Option<Vec<&'static str>>,
    pub(crate) all_roles: Option<Vec<&'static str>>,
    pub(crate) scopes: Option<Vec<&'static str>>,
    pub(crate) groups: Option<Vec<Guid>>,
    pub(crate) when: Option<&'static str>,
    pub(crate) max_session_age: Option<i64>,
    pub(crate) auth_contexts: Option<Vec<&'static str>>,
}

/// A request, and what becomes of its token.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) method: Bytes,
    pub(crate) host: Bytes,
    pub(crate) target: Bytes,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
    pub(crate) token: Token,
}

/// What becomes of a token.
#[derive(Clone)]
pub(crate) enum Token {
    None,
    Rejected(ReasonCode),
    /// Verified for the application that asks, or for this one whoever asks.
    Caller(Box<Caller>, Option<&'static str>),
}

/// The rules of one host, before they are merged.
pub(crate) struct Host {
    pub(crate) pattern: HostPattern,
    pub(crate) policies: Vec<Arc<Policy>>,
    pub(crate) poison: Option<Poison>,
}

/// All rules, before they are merged.
pub(crate) struct Rules {
    pub(crate) hosts: Vec<Host>,
    pub(crate) poison: Option<Poison>,
}

fn poison(broken: bool) -> Option<Poison> {
    broken.then(|| Poison("broken".into()))
}

impl World {
    /// The rules as the compiler would hand them over: each policy under each of its hosts.
    pub(crate) fn rules(&self) -> Rules {
        let mut hosts: Vec<Host> = Vec::new();
        for plan in &self.policies {
            let policy = Arc::new(plan.build());
            for name in &plan.hosts {
                let pattern = HostPattern::parse(name).unwrap();
                let at = hosts.iter().position(|host| host.pattern == pattern).unwrap_or_else(|| {
                    let poison = poison(self.poisoned.contains(name));
                    hosts.push(Host { pattern, policies: Vec::new(), poison });
                    hosts.len() - 1
                });
                hosts[at].policies.push(Arc::clone(&policy));
            }
        }
        Rules { hosts, poison: poison(self.poison) }
    }
}

impl Rules {
    /// Merged, as requests meet them.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let table = |host: &Host| {
            (host.pattern.clone(), Arc::new(HostTable::build(host.policies.clone(), host.poison.clone())))
        };
        Snapshot::new(self.hosts.iter().map(table), self.poison.clone())
    }
}

impl PolicyPlan {
    fn build(&self) -> Policy {
        let entries = |plans: &[EntryPlan]| plans.iter().map(EntryPlan::build).collect::<Arc<[Entry]>>();
        let route = |plan: &RoutePlan| {
            let access = match &plan.access {
                AccessPlan::Anonymous => Access::Anonymous,
                AccessPlan::Poisoned => Access::Poisoned(Poison("broken".into())),
                AccessPlan::Entries { allow, deny } => Access::Entries { allow: entries(allow), deny: entries(deny) },
            };
            let template = PathTemplate::parse(&plan.template).unwrap();
            let name = format!("{}{}", method_text(&plan.methods), plan.template).into();
            Arc::new(Route { name, template, methods: plan.methods.clone(), access })
        };
        let id = PolicyId { namespace: self.id.0.into(), name: self.id.1.as_str().into() };
        Policy {
            grants: self.grants.clone(),
            seniority: Seniority { created: self.created, id },
            mode: self.mode,
            preflight: self.preflight,
            application: self.application.map(|id| ApplicationId(id.into())),
            group_overage: self.overage,
            deny: self.deny.as_deref().map(entries).ok_or_else(|| Poison("broken".into())),
            routes: self.routes.iter().map(route).collect(),
            poison: poison(self.poison),
        }
    }
}

fn owned(list: Option<&Vec<&'static str>>) -> Option<Box<[Box<str>]>> {
    list.map(|list| list.iter().map(|item| (*item).into()).collect())
}

impl EntryPlan {
    pub(crate) fn build(&self) -> Entry {
        Entry {
            callers: self.callers,
            tenants: self.tenants.clone().map(Into::into),
            clients: owned(self.clients.as_ref()),
            roles: owned(self.roles.as_ref()),
            all_roles: owned(self.all_roles.as_ref()),
            scopes: owned(self.scopes.as_ref()),
            groups: self.groups.clone().map(Into::into),
            when: self.when.map(|source| Box::new(Condition::compile(source).unwrap())),
            max_session_age: self.max_session_age,
            auth_contexts: owned(self.auth_contexts.as_ref()),
        }
    }
}

fn method_text(methods: &Methods) -> String {
    match methods {
        Methods::All => "*".into(),
        Methods::Unknown => "?".into(),
        Methods::Only(methods) => methods.join(","),
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}poisoned hosts {:?}", if self.poison { "EVERYTHING POISONED, " } else { "" }, self.poisoned)?;
        self.policies.iter().try_for_each(|policy| writeln!(f, "{policy:?}"))
    }
}

impl fmt::Debug for PolicyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (namespace, name) = &self.id;
        write!(f, "policy {namespace}/{name} created {} {:?} on {:?}", self.created, self.mode, self.hosts)?;
        write!(f, " app {:?} overage {:?} preflight {:?}", self.application, self.overage, self.preflight)?;
        write!(f, "{} deny {:?}", if self.poison { " POISONED" } else { "" }, self.deny)?;
        self.grants.iter().try_for_each(|grant| write!(f, "\n    {grant:?}"))?;
        self.routes.iter().try_for_each(|route| write!(f, "\n    {route:?}"))
    }
}

impl fmt::Debug for AccessPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => write!(f, "anonymous"),
            Self::Poisoned => write!(f, "POISONED"),
            Self::Entries { allow, deny } => write!(f, "allow {allow:?} deny {deny:?}"),
        }
    }
}

impl fmt::Debug for RoutePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", method_text(&self.methods), self.template, self.access)
    }
}

impl fmt::Debug for EntryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_set();
        let mut field = |name: &str, value: Option<&dyn fmt::Debug>| {
            if let Some(value) = value {
                fields.entry(&format_args!("{name}: {value:?}"));
            }
        };
        field("callers", self.callers.as_ref().map(|value| value as _));
        field("tenants", self.tenants.as_ref().map(|value| value as _));
        field("clients", self.clients.as_ref().map(|value| value as _));
        field("roles", self.roles.as_ref().map(|value| value as _));
        field("allRoles", self.all_roles.as_ref().map(|value| value as _));
        field("scopes", self.scopes.as_ref().map(|value| value as _));
        field("groups", self.groups.as_ref().map(|value| value as _));
        field("when", self.when.as_ref().map(|value| value as _));
        field("maxSessionAge", self.max_session_age.as_ref().map(|value| value as _));
        field("authContexts", self.auth_contexts.as_ref().map(|value| value as _));
        fields.finish()
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {:?} headers {:?} {:?}", self.method, self.host, self.target, self.headers, self.token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "no token"),
            Self::Rejected(reason) => write!(f, "token rejected: {reason}"),
            Self::Caller(caller, application) => {
                write!(f, "token for {application:?} of {} {}", caller.kind.as_str(), caller.tenant)?;
                write!(f, " oid {} client {} roles {:?}", caller.subject, caller.client, caller.roles)?;
                write!(f, " scopes {:?} {:?} acrs {:?}", caller.scopes, caller.groups, caller.auth_contexts)?;
                write!(f, " step-up {} auth_time {:?}", caller.can_step_up, caller.authenticated_at)?;
                write!(f, " claims {:?}", caller.claims.members())
            }
        }
    }
}
