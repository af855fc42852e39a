//! Policies change while requests go on: no request notices, every change counts, and a broken file takes nothing away.

use crate::children::until;
use crate::load::Load;
use crate::raw_http::Ask;
use crate::shared::run;
use crate::stack::{Link, ORDERS, POLICY, Stack};

const CHANGING: &str = "changing.example.com";

/// A policy of a host of its own: open or shut.
fn changing(open: bool) -> String {
    let access = if open { "anonymous: true" } else { "allow: []" };
    format!(
        "apiVersion: entrance.dev/v1alpha1
kind: AccessPolicy
metadata: {{name: changing, namespace: shop}}
spec:
  applicationRef: {{name: orders-api}}
  hosts: [{CHANGING}]
  routes:
  - {{name: all, path: \"/{{*rest}}\", {access}}}
"
    )
}

fn steady(stack: &Stack) -> Vec<(Ask, &'static str)> {
    vec![
        (Ask::get(ORDERS, "/orders/7").bearer(&stack.reader()), "200"),
        (Ask::new("POST", ORDERS, "/orders").bearer(&stack.reader()), "403 role_missing"),
        (Ask::get(ORDERS, "/orders/7"), "401 token_missing"),
        (Ask::get(ORDERS, "/healthz"), "200"),
    ]
}

async fn becomes(stack: &Stack, ask: &Ask, outcome: &str) {
    until(outcome, async || (stack.ask(ask).await.outcome() == outcome).then_some(())).await;
}

#[test]
fn every_change_is_enforced_and_no_request_notices() {
    run(async {
        let stack = Stack::start(Link::Tcp).await;
        let load = Load::start(stack.envoy.address, steady(&stack)).await;
        let ask = Ask::get(CHANGING, "/");
        let mut generation = stack.entrance.generation().await;
        for round in 0..10 {
            let open = round % 2 == 0;
            stack.policies.write("changing.yaml", &changing(open));
            becomes(&stack, &ask, if open { "200" } else { "401 token_missing" }).await;
            let next = stack.entrance.generation().await;
            assert!(next > generation, "{next} after {generation}");
            generation = next;
            load.answers(50).await;
        }
        stack.policies.remove("changing.yaml");
        becomes(&stack, &ask, "403 no_policy_for_host").await;
        load.stop().await;
    });
}

#[test]
fn a_broken_file_takes_no_rule_away_and_says_what_is_wrong() {
    run(async {
        let stack = Stack::start(Link::Unix).await;
        stack.policies.write("changing.yaml", &changing(true));
        becomes(&stack, &Ask::get(CHANGING, "/"), "200").await;
        let generation = stack.entrance.generation().await;
        let load = Load::start(stack.envoy.address, steady(&stack)).await;
        // its first lines would open what the rules that stand keep shut
        let broken = POLICY.replacen("    allow:\n", "    anonymous: true\n    other: [\n", 1);
        stack.policies.write("policy.yaml", &broken);
        let said = until("the fault is reported", async || {
            let condition = stack.entrance.condition("policies").await;
            condition["message"].as_str().unwrap().contains("policy.yaml").then_some(condition)
        })
        .await;
        assert_eq!(said["ready"], true, "{said}");
        load.answers(100).await;
        assert_eq!(stack.entrance.generation().await, generation);
        assert_eq!(stack.ask(&Ask::get(CHANGING, "/")).await.outcome(), "200");

        stack.policies.write("policy.yaml", POLICY);
        until("the fault is gone", async || {
            let condition = stack.entrance.condition("policies").await;
            (!condition["message"].as_str().unwrap().contains("policy.yaml")).then_some(())
        })
        .await;
        load.stop().await;
    });
}

#[test]
fn a_broken_entry_shuts_its_route_and_no_other() {
    run(async {
        let stack = Stack::start(Link::Unix).await;
        let [read, list] = ["/orders/7", "/orders"].map(|path| Ask::get(ORDERS, path).bearer(&stack.reader()));
        assert_eq!(stack.ask(&read).await.outcome(), "200");
        let broken = POLICY.replacen("groups: [sre]", "groups: [no-such-group]", 1);
        assert_ne!(broken, POLICY);
        stack.policies.write("policy.yaml", &broken);
        becomes(&stack, &read, "403 policy_invalid").await;
        assert_eq!(stack.ask(&list).await.outcome(), "200");
        let faults = stack.entrance.snapshot().await["faults"].to_string();
        assert!(faults.contains("no-such-group") && faults.contains("policy.yaml"), "{faults}");
        stack.policies.write("policy.yaml", POLICY);
        becomes(&stack, &read, "200").await;
    });
}
