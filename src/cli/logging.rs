//! Logs: JSON lines on standard error through `tracing`, level by `RUST_LOG`.

use tracing_subscriber::EnvFilter;

/// Starts logging, at level `default` if `RUST_LOG` is unset. A second call changes nothing.
pub(super) fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter);
    if lines.with_writer(std::io::stderr).try_init().is_err() {
        // Another logger is installed, by a test for instance: its owner knows what it wants.
    }
}
