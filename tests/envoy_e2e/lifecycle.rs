//! Entrance ends, badly or in order: nothing gets through without it, and nothing is lost that need not be.

use std::time::Duration;

use entrance::emulator::{Fault, Target};
use entrance::emulator::{FaultOrder, MintRequest, Rotation};

use crate::children::until;
use crate::entrance_process::Entrance;
use crate::envoy_process::{Bootstrap, Envoy};
use crate::load::Load;
use crate::raw_http::Ask;
use crate::shared::run;
use crate::stack::{Ground, Link, ORDERS, Stack};

/// A request that anybody may make, and one that needs a token.
fn both(stack: &Stack) -> [Ask; 2] {
    [Ask::get(ORDERS, "/healthz"), Ask::get(ORDERS, "/orders/7").bearer(&stack.reader())]
}

/// Nothing gets through; Envoy itself says so.
async fn shut(stack: &Stack) {
    for ask in both(stack) {
        let answer = stack.ask(&ask).await;
        assert_eq!(answer.outcome(), "503", "{answer:?}");
        assert!(stack.upstream.received(&ask.probe).is_empty(), "reached the API without a decision: {ask:?}");
    }
}

async fn open(stack: &Stack) {
    for ask in both(stack) {
        until("requests are answered again", async || (stack.ask(&ask).await.status == 200).then_some(())).await;
    }
}

async fn killed_and_started_again(link: Link) {
    let mut stack = Stack::start(link).await;
    open(&stack).await;
    stack.entrance.process.signal("KILL");
    stack.entrance.process.end().await;
    shut(&stack).await;
    stack.entrance = stack.entrance.again().await;
    stack.entrance.ready().await;
    open(&stack).await;
}

#[test]
fn nothing_gets_through_while_entrance_is_dead_on_a_port() {
    run(killed_and_started_again(Link::Tcp));
}

#[test]
fn nothing_gets_through_while_entrance_is_dead_on_a_socket() {
    run(killed_and_started_again(Link::Unix));
}

#[test]
fn nothing_gets_through_while_entrance_hangs() {
    run(async {
        // Envoy as shipped: it gives up soon
        let stack = Stack::adjusted(Link::Unix, &[], |bootstrap| bootstrap).await;
        open(&stack).await;
        stack.entrance.process.halt().await;
        shut(&stack).await;
        stack.entrance.process.signal("CONT");
        open(&stack).await;
    });
}

/// What is promised on SIGTERM: a request that is being decided gets its answer, then the process ends with success.
#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    run(async {
        let stack = Stack::start(Link::Tcp).await;
        open(&stack).await;
        stack.emulator.rotate(Rotation::default()).await.unwrap();
        stack.emulator.fault(FaultOrder { target: Target::Jwks, fault: Fault::Slow { ms: 500 } });
        let before = stack.emulator.stats().jwks;
        // its key must be fetched first
        let ask = Ask::get(ORDERS, "/orders/7").bearer(&stack.reader());
        let (answer, ()) = tokio::join!(stack.ask(&ask), async {
            until("the key is asked for", async || (stack.emulator.stats().jwks > before).then_some(())).await;
            stack.entrance.process.signal("TERM");
        });
        assert_eq!(answer.outcome(), "200");
        assert_eq!(stack.upstream.received(&ask.probe).len(), 1);
        assert!(stack.entrance.process.end().await.success());
        shut(&stack).await;
    });
}

/// How many instances Envoy finds healthy.
async fn healthy(envoy: &Envoy, count: u64) {
    until("Envoy's health checks say so", async || {
        (envoy.counter("cluster.entrance.membership_healthy").await == count).then_some(())
    })
    .await;
}

/// Replaces one instance as an orchestrator does: SIGTERM, wait, start, wait.
async fn replaced(instance: Entrance, envoy: &Envoy) -> Entrance {
    instance.process.signal("TERM");
    until("it is not ready any more", async || instance.readiness().await.filter(|page| page["ready"] == false)).await;
    let ended = instance.process.end().await;
    assert!(ended.success(), "{ended}:\n{}", instance.process.said());
    healthy(envoy, 1).await;
    let instance = instance.again().await;
    instance.ready().await;
    healthy(envoy, 2).await;
    instance
}

/// What is promised: with two instances and the shipped health checks, one after the other can be replaced and no
/// client notices. An instance that is told to end answers on for `--drain-delay`, longer than a health check takes;
/// with less, or with one instance alone, requests that meet the gap get 503. They never get through.
#[test]
fn two_instances_are_replaced_under_load_and_no_client_notices() {
    run(async {
        let ground = Ground::prepare(&[]).await;
        let start = async || {
            let instance = ground.entrance(Link::Tcp, &["--drain-delay", "3"]).await;
            instance.ready().await;
            instance
        };
        let (mut first, mut second) = (start().await, start().await);
        let envoy = ground.envoy(Bootstrap::pair([&first.listen, &second.listen]).patient()).await;
        healthy(&envoy, 2).await;
        let token = |user: &str| {
            let order = MintRequest { user: Some(user.into()), ..MintRequest::default() };
            ground.emulator.mint(&order).unwrap()
        };
        let load = Load::start(
            envoy.address,
            vec![
                (Ask::get(ORDERS, "/orders/7").bearer(&token("bob")), "200"),
                (Ask::new("POST", ORDERS, "/orders").bearer(&token("bob")), "403 role_missing"),
                (Ask::get(ORDERS, "/healthz"), "200"),
                (Ask::get(ORDERS, "/orders/7"), "401 token_missing"),
            ],
        )
        .await;
        load.answers(100).await;
        first = replaced(first, &envoy).await;
        second = replaced(second, &envoy).await;
        load.answers(100).await;
        load.stop().await;
        for instance in [&first, &second] {
            let allowed = "entrance_decisions_total{outcome=\"allow\",reason=\"anonymous_route\"}";
            assert!(instance.metric(allowed).await > 0.0, "an instance was left out");
        }
        assert_eq!(envoy.counter("http.ingress.ext_authz.entrance.error").await, 0);
    });
}

/// The limit of [`crate::children::LIMIT`] is what tests wait; an end must not take so long.
#[test]
fn without_requests_the_end_is_immediate() {
    run(async {
        let ground = Ground::prepare(&[]).await;
        let entrance = ground.entrance(Link::Unix, &[]).await;
        entrance.ready().await;
        entrance.process.signal("TERM");
        let ended = tokio::time::timeout(Duration::from_secs(5), entrance.process.end()).await;
        assert!(ended.unwrap().success());
        let socket = entrance.listen.strip_prefix("unix:").unwrap();
        assert!(std::os::unix::net::UnixStream::connect(socket).is_err(), "nobody listens any more");
    });
}
