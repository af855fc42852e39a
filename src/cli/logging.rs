//! Logs: JSON lines on standard error through `tracing`, level by `RUST_LOG`, `info` if unset.

use tracing_subscriber::EnvFilter;

/// Starts logging. A second call changes nothing.
pub(crate) fn start(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let started = tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).try_init();
    if started.is_err() {
        // Another logger is installed, by a test for instance: its owner knows what it wants.
    }
}
