//! Signing keys and the trouble with them: an authority that is down, slow, or talks rubbish; keys that change; and
//! strangers who name keys that never were.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entrance::emulator::{Emulator, Fault, FaultOrder, MintRequest, Options, Rotation, SignWith, Stats, Target};
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::children::until;
use crate::raw_http::{Ask, Streams};
use crate::shared::run;
use crate::stack::{Ground, Link, ORDERS, Stack};

fn order(token: &str) -> Ask {
    Ask::get(ORDERS, "/orders/7").bearer(token)
}

/// A token under a key that nobody lists: whoever gets it may look for the key.
fn unlisted(stack: &Stack) -> String {
    stack.token(MintRequest { sign_with: SignWith::Unlisted, ..MintRequest::default() })
}

async fn outcome(stack: &Stack, ask: &Ask) -> String {
    stack.ask(ask).await.outcome()
}

/// Waits until the condition of the keys says this.
async fn keys_say(stack: &Stack, what: &str) -> serde_json::Value {
    until(what, async || {
        let condition = stack.entrance.condition("keys/").await;
        condition["message"].as_str().unwrap().contains(what).then_some(condition)
    })
    .await
}

#[test]
fn an_authority_that_is_down_at_the_start_is_waited_for() {
    run(async {
        let ground = Ground::prepare(&[]).await;
        let listen = ground.emulator.address();
        ground.emulator.shutdown().await;
        let entrance = ground.entrance(Link::Tcp, &[]).await;
        until("policies are loaded", async || entrance.snapshot().await["generation"].as_u64()).await;
        let mut stack = Stack::complete(ground, entrance, |bootstrap| bootstrap.patient()).await;
        let condition = keys_say(&stack, "no keys").await;
        assert_eq!(condition["ready"], false, "{condition}");
        keys_say(&stack, "fetch_failed").await;
        assert_eq!(stack.entrance.readiness().await.unwrap()["ready"], false);
        let refused = order(&stack.reader());
        for (ask, expected) in [
            (&refused, "503 keys_unavailable"),
            (&order("rubbish"), "401 token_malformed"),
            (&Ask::get(ORDERS, "/orders/7"), "401 token_missing"),
            (&Ask::get(ORDERS, "/healthz"), "200"),
        ] {
            assert_eq!(outcome(&stack, ask).await, expected, "{ask:?}");
        }
        assert!(stack.upstream.received(&refused.probe).is_empty());
        stack.emulator = Emulator::start(Options { listen, ..Options::default() }).await.unwrap();
        stack.entrance.ready().await;
        assert_eq!(outcome(&stack, &order(&stack.reader())).await, "200");
    });
}

#[test]
fn an_authority_that_goes_down_later_closes_no_door() {
    run(async {
        let stack = Stack::start(Link::Unix).await;
        stack.emulator.shutdown().await;
        assert_eq!(outcome(&stack, &order(&stack.reader())).await, "200", "a token never seen before");
        assert_eq!(outcome(&stack, &order(&unlisted(&stack))).await, "503 keys_unavailable");
        let condition = keys_say(&stack, "stale: fetch_failed").await;
        assert_eq!(condition["ready"], true, "{condition}");
        assert_eq!(outcome(&stack, &order(&stack.admin())).await, "200", "keys outlive the failure");
        let pages = stack.entrance.readiness().await.unwrap();
        assert_eq!(pages["ready"], true, "{pages}");
    });
}

#[test]
fn an_authority_that_answers_rubbish_replaces_no_key() {
    run(async {
        let faults = [
            (Target::Jwks, Fault::Rubbish, "jwks_rejected"),
            (Target::Jwks, Fault::NoKeys, "jwks_rejected"),
            (Target::Jwks, Fault::Error, "fetch_failed"),
            (Target::Metadata, Fault::Rubbish, "metadata_rejected"),
            (Target::Metadata, Fault::ForeignJwksUri, "metadata_rejected"),
        ];
        join_all(faults.map(async |(target, fault, said)| {
            let stack = Stack::start(Link::Unix).await;
            let before = stack.emulator.stats();
            stack.emulator.fault(FaultOrder { target, fault: fault.clone() });
            // has the key looked for, and with it all keys fetched again
            assert_eq!(outcome(&stack, &order(&unlisted(&stack))).await, "503 keys_unavailable", "{fault:?}");
            assert!(stack.emulator.stats().metadata > before.metadata, "{fault:?}");
            let condition = keys_say(&stack, said).await;
            assert_eq!(condition["ready"], true, "{condition}");
            assert_eq!(outcome(&stack, &order(&stack.reader())).await, "200", "{fault:?}");
        }))
        .await;
    });
}

#[test]
fn a_slow_authority_holds_up_nobody_else() {
    run(async {
        // it is Entrance that gives up: an Envoy as shipped would, on a busy machine, for the others as well
        let stack = Stack::start(Link::Unix).await;
        let known = stack.reader();
        assert_eq!(outcome(&stack, &order(&known)).await, "200");
        stack.emulator.fault(FaultOrder { target: Target::Jwks, fault: Fault::Slow { ms: 60_000 } });
        stack.emulator.rotate(Rotation::default()).await.unwrap();
        let asked = stack.emulator.stats().jwks;
        let waiting: Vec<Ask> = (0..20).map(|_| order(&stack.reader())).collect();
        let began = Instant::now();
        let waiting = join_all(waiting.iter().map(async |ask| {
            let answer = stack.ask(ask).await;
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(stack.upstream.received(&ask.probe).is_empty());
        }));
        let others = async {
            until("the key is asked for", async || (stack.emulator.stats().jwks > asked).then_some(())).await;
            let mut answered = 0;
            while began.elapsed() < Duration::from_millis(200) || answered < 10 {
                assert_eq!(outcome(&stack, &order(&known)).await, "200");
                answered += 1;
            }
        };
        // many times what Entrance waits would not do, and the authority takes longer still
        timeout(Duration::from_secs(40), async { tokio::join!(waiting, others) }).await.unwrap();
        assert_eq!(stack.emulator.stats().jwks, asked + 1, "twenty tokens, one question");
        assert_eq!(outcome(&stack, &order(&known)).await, "200");
    });
}

#[test]
fn a_rotated_key_is_found_at_once_and_with_one_question() {
    run(async {
        let stack = Stack::start(Link::Tcp).await;
        let former = stack.reader();
        let before = stack.emulator.stats();
        stack.emulator.rotate(Rotation::default()).await.unwrap();
        // all at once: whoever comes second waits for the question of the first
        let fresh: Vec<Ask> = (0..20).map(|_| order(&stack.reader())).collect();
        for answer in join_all(fresh.iter().map(|ask| stack.ask(ask))).await {
            assert_eq!(answer.outcome(), "200");
        }
        assert_eq!(outcome(&stack, &order(&former)).await, "200", "the former key is still listed");
        let one_more = Stats { metadata: before.metadata + 1, jwks: before.jwks + 1, ..before };
        assert_eq!(stack.emulator.stats(), one_more);
    });
}

/// The token with another `kid` in its header; the signature is as good as any for a key that nobody has.
fn renamed(token: &str, kid: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": kid}).to_string();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
}

#[test]
fn ten_thousand_unknown_keys_cost_one_question_and_no_memory() {
    const MANY: usize = 10_000;
    const AT_A_TIME: usize = 50;
    run(async {
        let stack = Stack::start(Link::Unix).await;
        let token = stack.reader();
        assert_eq!(outcome(&stack, &order(&token)).await, "200");
        let before = stack.emulator.stats();
        let streams = Streams::connect(stack.envoy.address).await;
        let salt = before.jwks;
        let mut resident = 0;
        for batch in 0..MANY / AT_A_TIME {
            let asks = (0..AT_A_TIME).map(|at| order(&renamed(&token, &format!("{salt}-{batch}-{at}"))));
            let answers = join_all(asks.map(async |ask| (streams.ask(&ask).await, ask))).await;
            for (answer, ask) in answers {
                assert_eq!(answer.outcome(), "401 kid_unknown");
                assert!(stack.upstream.received(&ask.probe).is_empty());
            }
            if batch == 40 {
                resident = stack.entrance.process.resident();
            }
        }
        let after = stack.emulator.stats();
        assert_eq!(after.jwks - before.jwks, 1, "{after:?}");
        assert_eq!(after.metadata - before.metadata, 1, "{after:?}");
        let grown = stack.entrance.process.resident().saturating_sub(resident);
        assert!(grown < 4 << 20, "grew by {grown} bytes from 2,000 to {MANY} tokens");
        assert_eq!(outcome(&stack, &order(&token)).await, "200");
        let condition = stack.entrance.condition("keys/").await;
        assert_eq!(condition["ready"], true, "{condition}");
    });
}
