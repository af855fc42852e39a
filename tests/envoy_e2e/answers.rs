//! Every kind of answer, over TCP and over a Unix socket, to HTTP/1.1 and to HTTP/2: what the client gets, what the API
//! gets, what Envoy and the audit log are told.

use entrance::emulator::{Base, MintRequest, SignWith, defaults};
use serde_json::json;

use crate::raw_http::{Answer, Ask, http1, http2};
use crate::shared::{self, NO_KEYS, SHADOW, run};
use crate::stack::{ORDERS, Stack};

type Client = fn(&'static Stack, Ask) -> futures_util::future::BoxFuture<'static, Answer>;

const CLIENTS: [Client; 2] = [
    |stack, ask| Box::pin(async move { http1(stack.envoy.address, &ask).await }),
    |stack, ask| Box::pin(async move { http2(stack.envoy.address, &ask).await }),
];

fn user(name: &str, change: impl FnOnce(&mut MintRequest)) -> MintRequest {
    let mut order = MintRequest { user: Some(name.into()), ..MintRequest::default() };
    change(&mut order);
    order
}

fn claims(order: &mut MintRequest, claims: serde_json::Value) {
    order.set_claims.extend(claims.as_object().unwrap().clone());
}

/// Requests and their outcomes.
fn table(stack: &Stack) -> Vec<(Ask, &'static str)> {
    let order = || Ask::get(ORDERS, "/orders/7");
    let with = |order: MintRequest| stack.token(order);
    let read = |token: MintRequest| order().bearer(&with(token));
    let refund = |token: MintRequest| Ask::new("POST", ORDERS, "/orders/7/refund").bearer(&with(token));
    let workload = MintRequest { base: Base::Workload, ..MintRequest::default() };
    let unlisted = MintRequest { sign_with: SignWith::Forged, ..MintRequest::default() };
    let stepping =
        |acrs: serde_json::Value| user("ada", |order| claims(order, json!({"xms_cc": ["cp1"], "acrs": acrs})));
    let issuer = format!("http://127.0.0.1:9/{}/v2.0", defaults::CONTOSO);
    let of_no_keys = user("bob", |order| claims(order, json!({"iss": issuer})));
    vec![
        (Ask::get(ORDERS, "/healthz"), "200"),
        (order(), "401 token_missing"),
        (order().header("authorization", "Basic YWRhOmFkYQ=="), "401 token_scheme_unsupported"),
        (order().bearer("rubbish"), "401 token_malformed"),
        (order().bearer(&stack.reader()).bearer(&stack.reader()), "401 token_multiple"),
        (read(user("bob", |order| order.expires_in = Some(-3600))), "401 token_expired"),
        (read(user("bob", |order| order.tenant = Some("fabrikam".into()))), "401 tenant_not_allowed"),
        (read(unlisted), "401 signature_invalid"),
        (order().bearer(&stack.reader()), "200"),
        (Ask::new("HEAD", ORDERS, "/orders/7?full=yes").bearer(&stack.reader()), "200"),
        (Ask::new("POST", ORDERS, "/orders").bearer(&stack.reader()), "403 role_missing"),
        (Ask::new("POST", ORDERS, "/orders").bearer(&stack.admin()), "200"),
        (read(user("bob", |order| order.scopes = Some(vec!["other".into()]))), "403 scope_missing"),
        (read(user("ada", |order| order.client = Some("blocked".into()))), "403 deny_entry_matched"),
        (read(workload.clone()), "403 principal_type_denied"),
        (Ask::new("POST", ORDERS, "/jobs/nightly").bearer(&with(workload)), "200"),
        (refund(user("ada", |order| claims(order, json!({"xms_cc": ["cp1"]})))), "401 step_up_required"),
        (refund(stepping(json!(["c1"]))), "200"),
        (Ask::get(ORDERS, &format!("/users/{}/orders", defaults::BOB)).bearer(&stack.reader()), "200"),
        (
            Ask::get(ORDERS, &format!("/users/{}/orders", defaults::ADA)).bearer(&stack.reader()),
            "403 condition_not_met",
        ),
        (Ask::get(ORDERS, "/nowhere").bearer(&stack.admin()), "403 no_route"),
        (Ask::new("DELETE", ORDERS, "/orders/7").bearer(&stack.admin()), "403 no_route"),
        (Ask::get("elsewhere.example.com", "/orders/7").bearer(&stack.admin()), "403 no_policy_for_host"),
        (Ask::get(&format!("{ORDERS}.:80").to_uppercase(), "/orders/7").bearer(&stack.reader()), "200"),
        (Ask::get(ORDERS, "/orders/%2E%2E;/admin").bearer(&stack.admin()), "400 path_ambiguous"),
        (order().bearer(&stack.reader()).header("x-http-method-override", "POST"), "400 method_override_refused"),
        (Ask::get(SHADOW, "/anything"), "200"),
        (Ask::get(NO_KEYS, "/anything").bearer(&with(of_no_keys)), "503 keys_unavailable"),
    ]
}

async fn every_answer(stack: &'static Stack) {
    for client in CLIENTS {
        for (ask, expected) in table(stack) {
            let answer = client(stack, ask.clone()).await;
            let said = if ask.method == "HEAD" { answer.status.to_string() } else { answer.outcome() };
            assert_eq!(said, expected, "{ask:?}\n{answer:?}");
            if expected == "200" {
                passed(stack, &ask, &answer);
            } else {
                refused(stack, &ask, &answer);
            }
        }
    }
    assert_eq!(stack.envoy.counter("http.ingress.ext_authz.entrance.error").await, 0, "no call ever fails");
    assert_eq!(stack.envoy.counter("http.ingress.ext_authz.entrance.invalid").await, 0);
    assert_eq!(stack.envoy.counter("http.ingress.ext_authz.entrance.failure_mode_allowed").await, 0);
}

fn passed(stack: &Stack, ask: &Ask, answer: &Answer) {
    let received = stack.upstream.received(&ask.probe);
    let [received] = &received[..] else { panic!("came {} times: {ask:?}", received.len()) };
    assert_eq!(answer.value("x-from"), "upstream");
    assert_eq!(received.line(), format!("{} {} HTTP/1.1", ask.method, ask.target));
    let decisions = received.values("x-entrance-decision");
    assert!(matches!(&decisions[..], [id] if id.len() == 32), "{received:?}");
}

/// RFC 9457, RFC 6750: the body says no more than the reason and the decision; a challenge goes with each 401.
fn refused(stack: &Stack, ask: &Ask, answer: &Answer) {
    assert!(stack.upstream.received(&ask.probe).is_empty(), "reached the API: {ask:?}");
    assert_eq!(answer.value("content-type"), "application/problem+json");
    assert_eq!(answer.value("cache-control"), "no-store");
    let problem = answer.json();
    let members: Vec<_> = problem.as_object().unwrap().keys().collect();
    assert_eq!(members, ["decision_id", "reason", "status", "title", "type"]);
    assert_eq!(problem["status"], answer.status);
    let challenged = answer.status == 401 || problem["reason"] == "scope_missing";
    assert_eq!(answer.values("www-authenticate").len(), usize::from(challenged), "{answer:?}");
    assert_eq!(answer.values("retry-after").len(), usize::from(answer.status == 503), "{answer:?}");
}

#[test]
fn every_answer_over_tcp() {
    run(async { every_answer(shared::tcp().await).await });
}

#[test]
fn every_answer_over_a_unix_socket() {
    run(async { every_answer(shared::unix().await).await });
}

#[test]
fn a_401_tells_the_client_how_to_come_back() {
    run(async {
        let stack = shared::tcp().await;
        let base = stack.emulator.base_url();
        let start = format!(
            "Bearer realm=\"{tenant}\", authorization_uri=\"{base}/{tenant}/oauth2/v2.0/authorize\"",
            tenant = defaults::CONTOSO
        );
        let challenge = async |ask: Ask| stack.ask(&ask).await.value("www-authenticate").to_owned();
        assert_eq!(challenge(Ask::get(ORDERS, "/orders/7")).await, start);
        let rubbish = challenge(Ask::get(ORDERS, "/orders/7").bearer("rubbish")).await;
        assert!(rubbish.starts_with(&format!("{start}, error=\"invalid_token\", error_description=")), "{rubbish}");
        let narrow = stack.token(user("bob", |order| order.scopes = Some(vec!["other".into()])));
        let scope = challenge(Ask::get(ORDERS, "/orders/7").bearer(&narrow)).await;
        assert!(scope.contains("error=\"insufficient_scope\""), "{scope}");
        assert!(scope.ends_with("scope=\"api://orders/orders.read\""), "{scope}");
        let token = stack.token(user("ada", |order| claims(order, json!({"xms_cc": ["cp1"]}))));
        let step_up = challenge(Ask::new("POST", ORDERS, "/orders/7/refund").bearer(&token)).await;
        assert!(step_up.contains("error=\"insufficient_claims\""), "{step_up}");
        assert!(
            step_up.contains("claims=\"eyJhY2Nlc3NfdG9rZW4iOnsiYWNycyI6eyJlc3NlbnRpYWwiOnRydWUsInZhbHVlIjoiYzEifX19\""),
            "{step_up}"
        );
    });
}

#[test]
fn the_api_is_told_who_calls() {
    run(async {
        for stack in [shared::tcp().await, shared::unix().await] {
            let ask = Ask::get(ORDERS, "/orders/7").bearer(&stack.reader());
            assert_eq!(stack.ask(&ask).await.status, 200);
            let received = stack.upstream.received(&ask.probe);
            let decision = received[0].values("x-entrance-decision")[0];
            let mut told = received[0].identity();
            told.sort();
            let expected = [
                ("caller", "user"),
                ("client", defaults::WEB_CLIENT),
                ("decision", decision),
                ("roles", "Orders.Read"),
                ("scopes", "orders.read orders.write"),
                ("subject", defaults::BOB),
                ("tenant", defaults::CONTOSO),
            ];
            assert_eq!(told, expected.map(|(name, value)| (format!("x-entrance-{name}"), value)));
            let job = stack.token(MintRequest { base: Base::Workload, ..MintRequest::default() });
            let ask = Ask::new("POST", ORDERS, "/jobs/nightly").bearer(&job);
            assert_eq!(stack.ask(&ask).await.status, 200);
            let received = stack.upstream.received(&ask.probe);
            assert_eq!(received[0].values("x-entrance-caller"), ["workload"]);
            assert_eq!(received[0].values("x-entrance-client"), [defaults::JOB_CLIENT]);
            assert_eq!(received[0].values("x-entrance-roles"), ["Orders.Run"]);
            assert!(received[0].values("x-entrance-scopes").is_empty(), "{received:?}");
        }
    });
}

#[test]
fn envoy_and_the_audit_log_are_told_the_same() {
    run(async {
        for stack in [shared::tcp().await, shared::unix().await] {
            let ask = Ask::get(ORDERS, "/orders/7").bearer(&stack.reader());
            stack.ask(&ask).await;
            let line = stack.envoy.logged(&ask.probe).await;
            let told = &line["told"];
            assert_eq!(line["outcome"], "allow");
            let received = stack.upstream.received(&ask.probe);
            assert_eq!(told["decision_id"], received[0].values("x-entrance-decision")[0]);
            let expected = json!({
                "outcome": "allow", "reason": "allow_entry_matched", "policy": "shop/orders", "route": "read-order",
                "tenant": defaults::CONTOSO, "subject": defaults::BOB, "client": defaults::WEB_CLIENT, "caller": "user",
            });
            for (member, value) in expected.as_object().unwrap() {
                assert_eq!(&told[member], value, "{member} in {line}");
            }
            let record = stack.entrance.audited(told["decision_id"].as_str().unwrap()).await;
            assert_eq!(record["authorization"]["reason"], told["reason"]);
            assert_eq!(record["generation"].as_f64(), told["generation"].as_f64());

            let ask = Ask::new("POST", ORDERS, "/orders").bearer(&stack.reader());
            let answer = stack.ask(&ask).await;
            let line = stack.envoy.logged(&ask.probe).await;
            assert_eq!(line["flags"], "UAEX");
            assert_eq!(line["told"]["reason"], "role_missing");
            assert_eq!(line["told"]["subject"], defaults::BOB);
            assert_eq!(line["told"]["decision_id"], answer.json()["decision_id"]);
        }
    });
}

#[test]
fn the_shipped_configurations_differ_in_nothing_but_where_entrance_is() {
    let lines = |text: &'static str| -> Vec<&str> { text.lines().filter(|line| !line.starts_with('#')).collect() };
    let tcp = lines(include_str!("../../examples/envoy/envoy.yaml"));
    let unix = lines(include_str!("../../examples/envoy/envoy-uds.yaml"));
    assert_eq!(tcp.len(), unix.len());
    let different: Vec<_> = tcp.iter().zip(&unix).filter(|(tcp, unix)| tcp != unix).collect();
    assert!(matches!(&different[..], [(_, unix)] if unix.contains("pipe")), "{different:?}");
    let pair = lines(include_str!("../../examples/envoy/envoy-pair.yaml"));
    let more: Vec<_> = pair.iter().filter(|line| !tcp.contains(line)).collect();
    assert_eq!(more.len() + tcp.len(), pair.len(), "{more:?}");
}
