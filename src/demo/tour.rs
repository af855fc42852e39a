//! The tour: one request after the other through Envoy, each with the answer that it must get.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::emulator::{Base, MintRequest, Rotation, defaults};

use super::stack::Stack;
use super::{DemoError, files};

const HOST: &str = "orders.example.com";
/// A policy edit must be enforced within this time; it takes some ten milliseconds.
const EDIT_LIMIT: Duration = Duration::from_secs(10);
/// What stands for the reason of a request that went through.
const ALLOWED: &str = "allowed";

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

/// One request and the answer that it must get.
struct Ask {
    title: &'static str,
    method: Method,
    path: &'static str,
    token: Option<MintRequest>,
    expected: (u16, &'static str),
}

/// Walks through the tour.
pub(super) async fn walk(stack: &Stack, say: &(dyn Fn(&str) + Sync)) -> Result<Vec<Step>, DemoError> {
    let mut steps = Vec::new();
    for ask in callers().into_iter().chain(requests()) {
        steps.push(step(stack, &ask).await?);
    }
    say("Rotating the signing key …");
    let rotated = stack.emulator.rotate(Rotation::default()).await;
    rotated.map_err(|error| DemoError::failed("rotate the signing key", &error))?;
    steps.push(step(stack, &get("bob, signed by the new key", ("/orders/7", bob()), (200, ALLOWED))).await?);
    say("Editing the policy: nobody may list orders any more …");
    files::edit(&stack.policies)?;
    steps.push(edited(stack).await?);
    Ok(steps)
}

/// Who may what.
fn callers() -> Vec<Ask> {
    let run = || Some(mint(Base::Workload, None, "job"));
    vec![
        Ask { token: None, ..get("nobody asks for health", ("/healthz", bob()), (200, ALLOWED)) },
        Ask { token: None, ..get("no token", ("/orders/7", bob()), (401, "token_missing")) },
        get("token for another API", ("/orders/7", for_another_api()), (401, "audience_mismatch")),
        get("bob, a reader, reads", ("/orders/7", bob()), (200, ALLOWED)),
        get("bob lists", ("/orders", bob()), (200, ALLOWED)),
        post("bob creates", ("/orders", bob()), (403, "role_missing")),
        post("ada, an admin, creates", ("/orders", ada()), (200, ALLOWED)),
        get("eve, without a role, lists", ("/orders", user("eve")), (403, "role_missing")),
        get("bob through a denied client", ("/orders/7", blocked()), (403, "deny_entry_matched")),
        Ask { token: run(), ..post("a workload runs a job", ("/jobs/nightly", bob()), (200, ALLOWED)) },
        Ask { token: run(), ..get("a workload reads", ("/orders/7", bob()), (403, "principal_type_denied")) },
    ]
}

/// What a request may look like.
fn requests() -> Vec<Ask> {
    let refund = "/orders/7/refund";
    vec![
        post("ada refunds, password only", (refund, stepping(None)), (401, "step_up_required")),
        post("ada refunds after step-up", (refund, stepping(Some("c1"))), (200, ALLOWED)),
        // Envoy decodes the dots and lets it pass: no dot segment to it, but one to servers that drop `;` parameters.
        get("a path with two readings", ("/orders/%2E%2E;/admin", bob()), (400, "path_ambiguous")),
        get("a path that no route covers", ("/admin", ada()), (403, "no_route")),
    ]
}

fn get(title: &'static str, (path, token): (&'static str, MintRequest), expected: (u16, &'static str)) -> Ask {
    Ask { title, method: Method::GET, path, token: Some(token), expected }
}

fn post(title: &'static str, (path, token): (&'static str, MintRequest), expected: (u16, &'static str)) -> Ask {
    Ask { title, method: Method::POST, path, token: Some(token), expected }
}

fn mint(base: Base, user: Option<&str>, client: &str) -> MintRequest {
    MintRequest { base, user: user.map(str::to_owned), client: Some(client.to_owned()), ..MintRequest::default() }
}

fn user(name: &str) -> MintRequest {
    mint(Base::User, Some(name), "web")
}

fn bob() -> MintRequest {
    user("bob")
}

fn ada() -> MintRequest {
    user("ada")
}

fn blocked() -> MintRequest {
    mint(Base::User, Some("bob"), "blocked")
}

fn for_another_api() -> MintRequest {
    with(bob(), "aud", json!(defaults::JOB_CLIENT))
}

/// Ada, with a client that understands a claims challenge, and perhaps with an authentication context.
fn stepping(context: Option<&str>) -> MintRequest {
    let token = with(ada(), "xms_cc", json!(["cp1"]));
    match context {
        Some(context) => with(token, "acrs", json!([context])),
        None => token,
    }
}

fn with(mut token: MintRequest, claim: &str, value: Value) -> MintRequest {
    token.set_claims.insert(claim.to_owned(), value);
    token
}

async fn step(stack: &Stack, ask: &Ask) -> Result<Step, DemoError> {
    let failed = |error: reqwest::Error| DemoError::failed(ask.title, &error);
    let url = format!("http://{}{}", stack.proxy, ask.path);
    let mut request = stack.client.request(ask.method.clone(), url).header("host", HOST);
    if let Some(order) = &ask.token {
        let token = stack.emulator.mint(order).map_err(|fault| DemoError::failed(ask.title, &fault))?;
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(failed)?;
    let reason = if status == 200 { ALLOWED.to_owned() } else { reason(&body) };
    let request = format!("{} {}", ask.method, ask.path);
    Ok(Step { title: ask.title, request, status, reason, expected: ask.expected })
}

fn reason(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    problem.get("reason").and_then(Value::as_str).unwrap_or("(not from Entrance)").to_owned()
}

/// Asks until the edit is enforced.
async fn edited(stack: &Stack) -> Result<Step, DemoError> {
    let ask = get("bob lists after the edit", ("/orders", bob()), (403, "deny_entry_matched"));
    let limit = Instant::now().checked_add(EDIT_LIMIT);
    loop {
        let step = step(stack, &ask).await?;
        if step.came_out() || limit.is_none_or(|limit| Instant::now() > limit) {
            return Ok(step);
        }
        sleep(Duration::from_millis(20)).await;
    }
}
