//! A run that proves nothing does not pass, and what is not tried is said: ways in which an upstream, its report, or who
//! runs the suite can take the ground from under it.

use serde_json::{Value, json};

use crate::children::{runtime, scratch};
use crate::fake::{Fake, Flaw, RIGHT};
use crate::program::{Ran, file, run};

/// Some four hundred tricks.
const SOME: [&str; 4] = ["--family", "path-dots", "--family", "path-slashes"];

async fn bypass(fake: &Fake, more: &[&str]) -> Ran {
    let token = file(&scratch("tokens"), "right", RIGHT);
    let mut all = vec!["bypass".to_owned(), "--target".into(), fake.target(), "--report".into(), fake.report()];
    all.extend(["--permitted-token".to_owned(), token]);
    all.extend(more.iter().map(|&one| one.to_owned()));
    tokio::task::spawn_blocking(move || run(all.iter().map(String::as_str))).await.unwrap()
}

async fn ends_with_2(flaw: (Flaw, usize), more: &[&str], wanted: &str) {
    let ran = bypass(&Fake::start(flaw.0, flaw.1).await, more).await;
    let told = ran.code == 2 && ran.out.is_empty() && ran.err.contains(wanted);
    assert!(told, "{flaw:?} {more:?}: {wanted}: {} {}{}", ran.code, ran.out, ran.err);
}

/// However many lines it has again by then.
#[test]
fn a_report_that_forgets_proves_nothing() {
    runtime().block_on(async {
        for at in [10, 100, 200] {
            let wanted = "the upstream's report no longer has the open GET /public/hello, sent before the tricks";
            ends_with_2((Flaw::Forgets(at), 0), &SOME, wanted).await;
        }
        ends_with_2((Flaw::Forgets(100), 3), &SOME, "no longer has 3 arrivals from before the run").await;
    });
}

#[test]
fn the_report_of_one_of_several_upstreams_proves_nothing() {
    runtime().block_on(async {
        ends_with_2((Flaw::Shares(2), 0), &SOME, "Of several behind one proxy it must tell of all").await;
        let wanted = "of several upstreams the report must tell of all";
        ends_with_2((Flaw::Moves(60, 160), 0), &[&SOME[..], &["--connections", "1"]].concat(), wanted).await;
    });
}

/// As when a trick makes it crash, and somebody starts it again.
#[test]
fn an_upstream_that_was_away_proves_nothing() {
    runtime().block_on(async {
        let one_by_one = [&SOME[..], &["--connections", "1"]].concat();
        ends_with_2((Flaw::Away(60, 160), 0), &one_by_one, "meanwhile nothing was proved").await;
        ends_with_2((Flaw::Away(60, 9999), 0), &one_by_one, "(answered 503)").await;
        // a moment is no absence
        let ran = bypass(&Fake::start(Flaw::Away(29, 30), 0).await, &one_by_one).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
    });
}

#[test]
fn a_report_that_tells_everything_twice_is_refused() {
    runtime().block_on(ends_with_2((Flaw::Stutters, 0), &SOME, "was sent once and arrived 2 times"));
}

/// What was found is true whatever was forgotten.
#[test]
fn what_was_found_counts_although_something_is_missing() {
    runtime().block_on(async {
        let fake = Fake::start(Flaw::Open(20), 0).await;
        let ran = bypass(&fake, &["--family", "credentials", "-o", "json"]).await;
        let told = ran.json();
        let doubt = told["doubt"].as_str().unwrap();
        assert!(ran.code == 1 && doubt.contains("no longer has"), "{told:#}");
    });
}

#[test]
fn a_family_that_lacks_what_it_needs_is_not_passed() {
    runtime().block_on(async {
        let wanted = "`--family identity` has nothing to try: no `--identity-header` names a header";
        ends_with_2((Flaw::None, 0), &["--family", "host", "--family", "identity"], wanted).await;
        let wanted = "`--family http2` has nothing to try: the proxy does not speak HTTP/2 on this port";
        ends_with_2((Flaw::None, 0), &["--family", "http2"], wanted).await;
        let wanted = "`--family http2` has nothing to try: `--http1` leaves HTTP/2 out";
        ends_with_2((Flaw::None, 0), &["--family", "http2", "--http1"], wanted).await;
    });
}

/// The first run of somebody who knows no flags, against a proxy without HTTP/2.
#[test]
fn what_is_not_tried_is_said() {
    runtime().block_on(async {
        let fake = Fake::start(Flaw::None, 0).await;
        let ran = bypass(&fake, &["--timeout", "500", "--connections", "64"]).await;
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        for wanted in [
            "\nnot tried: identity: no `--identity-header` names a header that tells the upstream who calls\n",
            "\nnot tried: tokens (genuine tokens): no `--denied-token` is a genuine token that must not do\n",
            "(8 tricks), http2, combinations (",
            "): the proxy does not speak HTTP/2 on this port\n",
        ] {
            assert!(ran.out.contains(wanted), "{wanted}: {}", ran.out);
        }
        let ran = bypass(&fake, &["--family", "tokens", "-o", "json"]).await;
        let told = ran.json();
        let of = |family: &str| {
            let all = told["not_tried"].as_array().unwrap().iter().filter(|one| one["family"] == family);
            all.map(|one| one["what"].clone()).collect::<Vec<Value>>()
        };
        assert_eq!((of("host"), of("tokens")[0].clone()), (vec![json!("all")], json!("genuine tokens")), "{told:#}");
        let ran = bypass(&fake, &["--family", "tokens", "-o", "sarif"]).await;
        let notices = ran.json()["runs"][0]["invocations"][0]["toolExecutionNotifications"].clone();
        assert!(notices.to_string().contains("not tried: tokens (genuine tokens): no "), "{notices:#}");
    });
}

#[test]
fn arguments_that_mean_nothing_are_refused_by_their_names() {
    runtime().block_on(async {
        let fake = Fake::start(Flaw::None, 0).await;
        let wanted = "--denied-token: cannot read `nowhere`";
        ends_with_2((Flaw::None, 0), &["--denied-token", "nowhere"], wanted).await;
        let (target, report) = (format!("{}/api", fake.target()), fake.report());
        let with = |target: &str, token: &str| {
            run(["bypass", "--target", target, "--report", &report, "--permitted-token", token])
        };
        let ran = with(&target, "nowhere");
        assert!(ran.code == 2 && ran.err.contains("has a path, `/api`; write host and port alone"), "{}", ran.err);
        let ran = with(&fake.target(), "nowhere");
        assert!(ran.code == 2 && ran.err.contains("--permitted-token: cannot read `nowhere`"), "{}", ran.err);
    });
    let usage = "Usage: entrance bypass --target <URL> --report <URL|FILE> --permitted-token <FILE> [OPTIONS]\n";
    assert!(run(["bypass", "--help"]).out.contains(usage));
}
