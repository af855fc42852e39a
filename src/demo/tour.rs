//! The tour: one request after the other through Envoy, each with the answer that it must get.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::emulator::defaults;

use super::DemoError;
use super::stack::Stack;

const HOST: &str = "orders.example.com";
/// A policy edit must be enforced within this time; it takes some ten milliseconds.
const EDIT_LIMIT: Duration = Duration::from_secs(10);

/// One step and how it came out.
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) request: String,
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) expected: (u16, &'static str),
}

impl Step {
    /// Whether status and reason are the expected ones.
    pub(super) fn came_out(&self) -> bool {
        (self.status, self.reason.as_str()) == self.expected
    }
}

struct Ask<'a> {
    title: &'static str,
    method: &'static str,
    path: &'a str,
    token: Option<Value>,
    expected: (u16, &'static str),
}

/// Walks through the tour.
pub(super) async fn walk(stack: &Stack, say: &(dyn Fn(&str) + Sync)) -> Result<Vec<Step>, DemoError> {
    let mut steps = Vec::new();
    for ask in asks() {
        steps.push(step(stack, ask).await?);
    }
    say("Rotating the signing key …");
    control(stack, "rotate", &json!({})).await?;
    let rotated = Ask {
        title: "token signed by the new key",
        method: "GET",
        path: "/orders/7",
        token: Some(reader()),
        expected: (200, "allowed"),
    };
    steps.push(step(stack, rotated).await?);
    say("Editing the policy: nobody may list orders any more …");
    edit_policy(stack)?;
    steps.push(until_edited(stack).await?);
    Ok(steps)
}

fn asks() -> Vec<Ask<'static>> {
    let ask = |title, request: (&'static str, &'static str), token, expected| Ask {
        title,
        method: request.0,
        path: request.1,
        token,
        expected,
    };
    let read = ("GET", "/orders/7");
    vec![
        ask("anonymous health check", ("GET", "/healthz"), None, (200, "allowed")),
        ask("no token", read, None, (401, "token_missing")),
        ask("token for another API", read, Some(with(reader(), "aud", json!(defaults::JOB_CLIENT))), (401, "audience_mismatch")),
        ask("reader reads", read, Some(reader()), (200, "allowed")),
        ask("reader lists", ("GET", "/orders"), Some(reader()), (200, "allowed")),
        ask("reader creates", ("POST", "/orders"), Some(reader()), (403, "role_missing")),
        ask("admin creates", ("POST", "/orders"), Some(user(&["Orders.Admin"])), (200, "allowed")),
        ask("blocked client", read, Some(with(reader(), "azp", json!(defaults::BLOCKED_CLIENT))), (403, "deny_entry_matched")),
        ask("workload runs a job", ("POST", "/jobs/nightly"), Some(workload()), (200, "allowed")),
        ask("workload reads as if a user", read, Some(workload()), (403, "principal_type_denied")),
        ask("refund without step-up", ("POST", "/orders/7/refund"), Some(stepping(None)), (401, "step_up_required")),
        ask("refund after step-up", ("POST", "/orders/7/refund"), Some(stepping(Some("c1"))), (200, "allowed")),
        ask("ambiguous path", ("GET", "/orders/%2E%2E;/admin"), Some(reader()), (400, "path_ambiguous")),
        ask("path that no route covers", ("GET", "/admin"), Some(user(&["Orders.Admin"])), (403, "no_route")),
    ]
}

fn user(roles: &[&str]) -> Value {
    json!({"base": "user", "tenant": defaults::CONTOSO, "set_claims": {"roles": roles, "scp": "orders.read orders.write"}})
}

fn reader() -> Value {
    user(&["Orders.Read"])
}

fn workload() -> Value {
    json!({"base": "workload", "tenant": defaults::CONTOSO, "set_claims": {"roles": ["Orders.Run"]}})
}

fn stepping(context: Option<&str>) -> Value {
    let token = with(user(&["Orders.Admin"]), "xms_cc", json!(["cp1"]));
    match context {
        Some(context) => with(token, "acrs", json!([context])),
        None => token,
    }
}

fn with(mut token: Value, claim: &str, value: Value) -> Value {
    if let Some(claims) = token.pointer_mut("/set_claims").and_then(Value::as_object_mut) {
        claims.insert(claim.to_owned(), value);
    }
    token
}

async fn step(stack: &Stack, ask: Ask<'_>) -> Result<Step, DemoError> {
    let url = format!("http://{}{}", stack.proxy, ask.path);
    let method = reqwest::Method::from_bytes(ask.method.as_bytes()).map_err(|e| DemoError::failed(ask.title, &e))?;
    let mut request = stack.client.request(method, url).header("host", HOST);
    if let Some(shape) = &ask.token {
        let minted = control(stack, "mint", shape).await?;
        let token = minted.get("token").and_then(Value::as_str).unwrap_or_default();
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(|e| DemoError::failed(ask.title, &e))?;
    let status = answer.status().as_u16();
    let body: Value = answer.json().await.unwrap_or(Value::Null);
    let reason = match status {
        200 => "allowed".to_owned(),
        _ => body.get("reason").and_then(Value::as_str).unwrap_or("(no reason)").to_owned(),
    };
    let request = format!("{} {}", ask.method, ask.path);
    Ok(Step { title: ask.title, request, status, reason, expected: ask.expected })
}

async fn control(stack: &Stack, what: &str, body: &Value) -> Result<Value, DemoError> {
    let failed = |e: reqwest::Error| DemoError::failed(format!("ask the emulator to {what}"), &e);
    let url = format!("{}/_emulator/{what}", stack.emulator.base_url());
    let answer = stack
        .client
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_string())
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(failed)?;
    let bytes = answer.bytes().await.map_err(failed)?;
    Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// Takes everybody off the route that lists orders, in the demo's own copy of the policies.
fn edit_policy(stack: &Stack) -> Result<(), DemoError> {
    let file = stack.policies.join("policy.yaml");
    let failed = |e: std::io::Error| DemoError::failed("edit the policy", &e);
    let text = std::fs::read_to_string(&file).map_err(failed)?;
    std::fs::write(&file, text.replace("# demo: list-orders\n", "# demo: list-orders\n    deny: [{callers: Any}]\n")).map_err(failed)
}

async fn until_edited(stack: &Stack) -> Result<Step, DemoError> {
    let limit = Instant::now().checked_add(EDIT_LIMIT);
    loop {
        let ask = Ask {
            title: "policy edited, seen live",
            method: "GET",
            path: "/orders",
            token: Some(reader()),
            expected: (403, "deny_entry_matched"),
        };
        let step = step(stack, ask).await?;
        if step.came_out() || limit.is_none_or(|limit| Instant::now() > limit) {
            return Ok(step);
        }
        sleep(Duration::from_millis(20)).await;
    }
}
