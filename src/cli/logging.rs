//! Logs: JSON lines on standard error through `tracing`, level by `RUST_LOG`. Panics are logged like everything else.
//!
//! A log that nobody reads holds up no answer: a thread writes it, see [`lines`].

mod lines;

use std::panic;
use std::sync::OnceLock;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use lines::Lines;

/// For the last lines to be written: a pipe that nobody reads must not keep the process.
const FAREWELL: Duration = Duration::from_secs(2);

static LINES: OnceLock<Lines> = OnceLock::new();

/// Starts logging, at level `default` if `RUST_LOG` is unset. A second call changes nothing.
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter);
    let started = match Lines::start(std::io::stderr()) {
        Ok(lines) => {
            let lines = LINES.get_or_init(|| lines);
            log.with_writer(|| lines.clone()).try_init()
        }
        // A system without threads for us: better a log that may hold things up than none.
        Err(_) => log.with_writer(std::io::stderr).try_init(),
    };
    if started.is_err() {
        // Another logger is installed, by a test for instance: its owner knows what it wants.
        return;
    }
    // A panic's message may quote what a stranger sent, a token even: the place says enough to find the bug.
    panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(tracing::field::display);
        tracing::error!(at, "a bug made a part of the work fail; please report the place");
        // It may be the end of the process.
        finish();
    }));
}

/// Waits until what was logged is written.
pub(super) fn finish() {
    if let Some(lines) = LINES.get() {
        lines.written(FAREWELL);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// Set in the process that panics.
    const INNER: &str = "ENTRANCE_TEST_PANICS";

    #[test]
    fn a_panic_is_one_line_of_json_without_its_message() {
        if std::env::var_os(INNER).is_some() {
            super::start("info");
            let secret = String::from("eyJ0eXAi");
            panic!("a token is {secret}");
        }
        let name = "cli::logging::tests::a_panic_is_one_line_of_json_without_its_message";
        let me = std::env::current_exe().unwrap();
        let ran = Command::new(me).args(["--exact", "--nocapture", name]).env(INNER, "1").output().unwrap();
        let text = String::from_utf8(ran.stderr).unwrap();
        let line = text.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{text}"));
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["level"], "ERROR");
        assert!(line["at"].as_str().is_some_and(|at| at.contains("logging.rs:")), "{line}");
        assert!(!text.contains("eyJ0eXAi"), "{text}");
    }
}
