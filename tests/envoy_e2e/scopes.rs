//! The part of the rules that Envoy's configuration names for a route stands above the host, and no client can name one.

use crate::raw_http::Ask;
use crate::shared::{POLICIES, run};
use crate::stack::{Link, ORDERS, Stack};

#[test]
fn a_route_of_envoy_names_the_policy_or_the_application() {
    run(async {
        let stack = Stack::adjusted(Link::Tcp, &[POLICIES], |bootstrap| {
            bootstrap
                .patient()
                .named("/orders", "entrance.dev/policy", "shop/orders")
                .named("/healthz", "entrance.dev/application", "shop/orders-api")
                .named("/nobody", "entrance.dev/policy", "shop/nobody")
                .named("/typo", "entrance.dev/plicy", "shop/orders")
        })
        .await;
        let reader = stack.reader();
        let elsewhere = "gateway.internal";
        for (ask, outcome) in [
            (Ask::get(elsewhere, "/orders/7").bearer(&reader), "200"),
            (Ask::get(elsewhere, "/orders/7"), "401 token_missing"),
            (Ask::get(elsewhere, "/healthz"), "200"),
            (Ask::get(elsewhere, "/else").bearer(&reader), "403 no_policy_for_host"),
            (Ask::get(ORDERS, "/nobody").bearer(&reader), "403 scope_unknown"),
            (Ask::get(ORDERS, "/typo").bearer(&reader), "400 scope_invalid"),
            // a client that says the same in its own headers says nothing
            (
                Ask::get(elsewhere, "/else")
                    .bearer(&reader)
                    .header("entrance.dev-policy", "shop/orders")
                    .header("x-entrance-policy", "shop/orders"),
                "403 no_policy_for_host",
            ),
        ] {
            assert_eq!(stack.ask(&ask).await.outcome(), outcome, "{ask:?}");
        }
    });
}
