//! What a condition can look at, as plain data that a test can change.

use bytes::Bytes;
use entrance::clock::UnixTime;
use entrance::identity::{Caller, CallerKind, Claims, Groups, Guid, Text};
use entrance::policy::condition::{Condition, ConditionError, ConditionFault, Facts};
use entrance::policy::path::Canonical;
use entrance::policy::template::PathTemplate;
use entrance::request::{Named, Request};
use serde_json::{Value, json};

const NOW: UnixTime = UnixTime(1_800_000_000);
const GROUP: &str = "33333333-0000-4000-8000-000000000001";

/// Everything that a condition may look at, owned.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) method: Bytes,
    pub(crate) target: Bytes,
    pub(crate) template: &'static str,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
    pub(crate) caller: Caller,
}

pub(crate) fn line(name: &str, value: &str) -> (Bytes, Bytes) {
    (Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
}

fn texts(list: &[&str]) -> Box<[Text]> {
    list.iter().map(|text| (*text).into()).collect()
}

pub(crate) fn claims(value: Value) -> Claims {
    value.as_object().unwrap().clone().into()
}

pub(crate) fn world() -> World {
    let caller = Caller {
        tenant: Guid::parse("11111111-0000-4000-8000-000000000001").unwrap(),
        subject: "oid-1".into(),
        client: "client-1".into(),
        kind: CallerKind::User,
        roles: texts(&["Orders.Admin", "Orders.Read"]),
        scopes: texts(&["orders.read"]),
        groups: Groups::Known([Guid::parse(GROUP).unwrap()].into()),
        auth_contexts: texts(&["c1"]),
        can_step_up: false,
        authenticated_at: None,
        token_id: None,
        session_id: None,
        issued_at: NOW,
        not_before: NOW,
        expires_at: NOW.plus(3600),
        claims: claims(json!({
            "acct": 1, "acr": "1", "ratio": 0.5, "on": true, "none": null, "wids": ["w1", "w2"], "deep": {"er": [1, {"x": "y"}]},
            "big": 18_446_744_073_709_551_615_u64, "email": "a@b", "zürich": "ü", "auth_time": 1_799_999_000,
        })),
    };
    World {
        method: "POST".into(),
        target: "/orders/oid-1/a/b%20c?q=1&r=%2F".into(),
        template: "/orders/{id}/{*rest}",
        headers: vec![
            line("X-Env", "prod"),
            line("x-multi", "a"),
            line("X-MULTI", "b"),
            line(":authority", "a.example.com"),
            line("Authorization", "Bearer secret"),
            line("cookie", "session=secret"),
            line("Proxy-Authorization", "Basic secret"),
            line("x-entrance-roles", "Admin"),
            line("X_Entrance_Subject", "root"),
        ],
        caller,
    }
}

impl World {
    /// What a condition says of this world.
    pub(crate) fn holds(&self, condition: &Condition) -> Result<bool, ConditionError> {
        let template = PathTemplate::parse(self.template).unwrap();
        let path = Canonical::parse(&self.target).unwrap();
        let host = Bytes::from_static(b"A.Example.com:443");
        let request = Request {
            method: &self.method,
            host: &host,
            target: &self.target,
            headers: &self.headers,
            named: Named::default(),
        };
        let caller = &self.caller;
        let facts =
            Facts { request: &request, path: &path, host: "a.example.com", template: &template, caller, now: NOW };
        condition.holds(&facts)
    }

    /// The same from the text of a sound condition.
    pub(crate) fn says(&self, source: &str) -> Result<bool, ConditionError> {
        let condition = Condition::compile(source).unwrap_or_else(|fault| panic!("{source}: {fault}"));
        self.holds(&condition)
    }
}

/// Why an expression is refused.
pub(crate) fn fault(source: &str) -> ConditionFault {
    match Condition::compile(source) {
        Ok(_) => panic!("accepted: {source}"),
        Err(fault) => fault,
    }
}
