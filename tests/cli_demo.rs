//! `entrance demo` as a process, with a real Envoy from `.tools/bin` (`make tools`) or PATH.
#![cfg(feature = "emulator")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/program.rs"]
#[expect(dead_code, reason = "runs without further files")]
mod program;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use entrance::clock::Stopwatch;
use program::{Ran, program};

const DEADLINE: Duration = Duration::from_secs(60);

/// What a tour must show, and how it must come out.
const STEPS: [&str; 12] = [
    "401     token_missing",
    "401     audience_mismatch",
    "bob, a reader, reads",
    "ada, an admin, creates",
    "403     deny_entry_matched",
    "a workload runs a job",
    "401     step_up_required",
    "ada refunds after step-up",
    "400     path_ambiguous",
    "bob, signed by the new key",
    "bob lists after the edit",
    "Every step came out as it must.",
];

/// The demo, run where `make demo` runs it. The thread that starts it must outlive it.
fn demo(arguments: &[&str]) -> Command {
    let mut command = program(["demo"]);
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The processes that a process has started.
fn children(pid: u32) -> BTreeSet<u32> {
    let of = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    threads
        .flat_map(|thread| of(thread).split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

/// Whether a process runs. One that nobody has waited for yet does not.
fn lives(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
}

fn signal(name: &str, child: &Child) {
    let pid = child.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status().unwrap().success());
}

#[test]
fn the_tour_comes_out_as_it_must() {
    let ran: Ran = demo(&["--once"]).output().unwrap().into();
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    for step in STEPS {
        assert!(ran.out.contains(step), "{step}: {}", ran.out);
    }
    assert!(!ran.out.contains("!!"), "{}", ran.out);
}

#[test]
fn it_stays_up_with_lines_that_work_and_leaves_nothing_behind() {
    let mut child = demo(&[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("It stays up")));
    let invitation: Vec<_> = lines.by_ref().take_while(|line| !line.ends_with("/metrics")).collect();
    let started = children(child.id());
    assert_eq!(started.len(), 2, "entrance serve and Envoy");
    // The lines are for people, and people have curl; a machine for tests may not.
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok() {
        work(&invitation);
    }
    let policy = invitation.iter().find_map(|line| line.strip_prefix("\"${EDITOR:-vi}\" ")).unwrap();
    let policy = Path::new(policy.trim_matches('\''));
    assert!(policy.exists());
    signal("TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!policy.exists());
    assert!(!started.iter().any(|pid| lives(*pid)));
}

/// Pastes the lines that need no editor into a shell.
fn work(lines: &[String]) {
    let mut shell = Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let script: String = lines.iter().filter(|line| !line.contains("EDITOR")).map(|line| format!("{line}\n")).collect();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let answers = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
    for part in [
        "HTTP/1.1 401",
        "\"x-entrance-roles\":\"Orders.Read\"",
        "HTTP/1.1 403",
        "\"x-entrance-caller\":\"workload\"",
        "\"class_uid\":6003",
        "\"generation\":2",
    ] {
        assert!(answers.contains(part), "{part}: {answers}");
    }
}

#[test]
fn a_signal_during_the_start_ends_all_of_it() {
    let child = demo(&[]).spawn().unwrap();
    let begin = Stopwatch::start();
    let started = loop {
        let started = children(child.id());
        if !started.is_empty() {
            break started;
        }
        assert!(begin.elapsed() < DEADLINE, "nothing was started");
    };
    signal("INT", &child);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    while started.iter().any(|pid| lives(*pid)) {
        assert!(begin.elapsed() < DEADLINE, "something goes on");
    }
}

#[test]
fn without_envoy_it_says_how_to_get_it() {
    let ran: Ran = demo(&["--envoy", "/does/not/exist"]).output().unwrap().into();
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("/does/not/exist"), "{}", ran.err);
    let nowhere = tempfile::tempdir().unwrap();
    let ran: Ran = demo(&[]).current_dir(nowhere.path()).env("PATH", nowhere.path()).output().unwrap().into();
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("make tools"), "{}", ran.err);
}
