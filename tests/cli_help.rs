//! What the program says of itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/program.rs"]
#[expect(dead_code, reason = "runs without further files")]
mod program;

use program::run;

#[test]
fn every_command_explains_itself_on_standard_output() {
    let overview = run(["--help"]);
    assert_eq!(overview.code, 0);
    for command in ["serve", "controller", "webhook", "check", "token", "doctor", "bypass", "crds", "completions"] {
        assert!(overview.out.contains(&format!("\n  {command} ")), "{command}: {}", overview.out);
        let help = run([command, "--help"]);
        assert!(help.code == 0 && help.out.contains("Usage: entrance "), "{command}: {}{}", help.out, help.err);
    }
    assert_eq!(run(["--version"]).out, format!("entrance {}\n", env!("CARGO_PKG_VERSION")));
}

/// The long flags at the beginning of the lines of a help text.
fn flags(help: &str) -> Vec<&str> {
    let words = help
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("-H, ").trim_start_matches("-o, ").strip_prefix("--"));
    words.map(|line| line.split([' ', '.', ',']).next().unwrap_or(line)).filter(|flag| *flag != "help").collect()
}

#[test]
fn every_flag_is_described_in_the_reference() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/cli.md")).unwrap();
    let all = [
        &["serve"][..],
        &["controller"],
        &["webhook"],
        &["check"],
        &["token", "inspect"],
        &["emulator"],
        &["demo"],
        &["doctor"],
        &["bypass"],
        &["crds"],
        &["completions"],
    ];
    let optional = |command: &[&str]| matches!(command, ["emulator" | "demo"]) && !cfg!(feature = "emulator");
    for command in all.into_iter().filter(|command| !optional(command)) {
        let help = run([command, &["--help"]].concat());
        let found = flags(&help.out);
        assert!(found.len() > 2 || matches!(command, ["completions" | "crds"]), "{command:?}: {found:?}");
        let section = page.split(&format!("\n## entrance {}\n", command.join(" "))).nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        for flag in found {
            assert!(section.contains(&format!("`--{flag}")), "{command:?} --{flag}");
        }
    }
}

#[test]
fn the_emulator_and_the_demo_are_there_if_they_are_compiled_in() {
    let overview = run(["--help"]).out;
    for command in ["emulator", "demo"] {
        assert_eq!(overview.contains(&format!("\n  {command} ")), cfg!(feature = "emulator"), "{command}");
    }
}

#[test]
fn a_wrong_command_ends_with_2_and_complains_on_standard_error() {
    for arguments in [&[][..], &["serv"], &["token"], &["serve", "--polices", "x"]] {
        let ran = run(arguments.iter().copied());
        assert!(ran.code == 2 && ran.out.is_empty() && !ran.err.is_empty(), "{arguments:?}: {}{}", ran.out, ran.err);
    }
}

#[test]
fn a_reader_that_goes_away_is_an_ordinary_end() {
    let mut child = program::program(["completions", "bash"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn completions_know_the_commands() {
    let ran = run(["completions", "bash"]);
    assert!(ran.code == 0 && ran.out.contains("--drain-timeout"), "{}", ran.err);
}
