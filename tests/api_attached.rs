//! The hosts of a policy that is attached to something are those that the documentation promises, in whatever world; and
//! what is missing there is told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::indexing_slicing, reason = "a missing member fails the test")]

#[path = "support/attached_oracle.rs"]
mod attached_oracle;
#[path = "support/attached_world.rs"]
mod attached_world;

use std::collections::BTreeMap;
use std::sync::Arc;

use entrance::api::compile::{Compiled, Compiler};
use entrance::api::fault::About;
use entrance::api::object::{Object, Resources};
use entrance::api::settings::{Scope, Settings};
use proptest::prelude::{ProptestConfig, any};
use proptest::{collection, prop_assert, prop_assert_eq, proptest};
use serde_json::{Value, json};

use attached_oracle::{Oracle, World, covers, names, place};

fn compiled<'v>(bodies: impl Iterator<Item = &'v Value>, sidecar: bool) -> Compiled {
    let mut resources = Resources::new();
    for body in bodies {
        resources.put(Arc::new(Object::new(body.as_object().unwrap().clone()).unwrap().unwrap()));
    }
    let labels = BTreeMap::from([("app".to_owned(), "x".to_owned())]);
    let scope = if sidecar { Scope::Workload { namespace: "a".into(), labels } } else { Scope::Gateway };
    Compiler::default().compile(&resources, &Settings { scope, ..Settings::default() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn a_policy_speaks_for_what_is_promised(
        bodies in collection::vec(attached_world::object(), 0..12),
        hung in any::<bool>(),
        mut policy in attached_world::policy(),
        sidecar in any::<bool>(),
    ) {
        // In half of the worlds something is whole from the start, and the policy asks for more than that.
        if hung {
            policy["metadata"]["namespace"] = json!("a");
            policy["spec"]["hosts"] = json!(["*.example.com"]);
        }
        let services = ["r", "s", "g"].map(|name| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": name}}));
        let whole = attached_world::hung().into_iter().chain(services).filter(|_| hung);
        let world: World = whole.chain(bodies).map(|body| (place(&body), body)).collect();
        let oracle = Oracle { world: &world, policy: &policy, sidecar };
        let compiled = compiled(world.values().chain([&policy]), sidecar);
        let hosts: Vec<String> = compiled.snapshot.tables().iter().map(|(host, _)| host.to_string()).collect();
        for name in names() {
            let speaks = hosts.iter().any(|host| covers(host, &name));
            prop_assert_eq!(speaks, oracle.speaks_for(&name), "{} by {:?}", name, hosts);
        }
        let targets = policy["spec"]["targetRefs"].as_array().unwrap();
        for (at, _) in targets.iter().enumerate().filter(|(_, target)| !oracle.is_broken() && oracle.lacks(target)) {
            let path = format!("spec.targetRefs[{at}]");
            let told = |about: &About| *about == About::Target;
            prop_assert!(compiled.faults.iter().any(|fault| told(&fault.about) && fault.path.to_string() == path), "{}", path);
        }
    }
}
