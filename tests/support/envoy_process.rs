//! A real Envoy, configured by the files that we ship.
//!
//! Only addresses are put in, and what a test names: a log, or the carelessness of somebody who did not read the docs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::children::{Process, until};

/// Envoy's configuration.
#[derive(Clone)]
pub(crate) struct Bootstrap(String);

impl Bootstrap {
    /// Entrance on a port.
    pub(crate) fn tcp(entrance: &str) -> Self {
        Self::shipped(include_str!("../../examples/envoy/envoy.yaml")).entrance("9191", entrance)
    }

    /// Entrance on a Unix socket.
    pub(crate) fn unix(socket: &str) -> Self {
        Self::shipped(include_str!("../../examples/envoy/envoy-uds.yaml")).put("/run/entrance/authz.sock", socket)
    }

    /// Entrance on a port for HTTP.
    pub(crate) fn http(entrance: SocketAddr) -> Self {
        let shipped = Self::shipped(include_str!("../../examples/envoy/envoy-http.yaml"));
        shipped.entrance("9192", &entrance.to_string())
    }

    /// Over HTTP Entrance is shown this header, too.
    pub(crate) fn shown(self, header: &str) -> Self {
        let more = format!("- {{exact: origin}}\n                - {{exact: {header}}}");
        self.put("- {exact: origin}", &more)
    }

    /// Two instances of Entrance, each on a port.
    pub(crate) fn pair([first, second]: [&str; 2]) -> Self {
        let shipped = Self::shipped(include_str!("../../examples/envoy/envoy-pair.yaml"));
        shipped.entrance("9191", first).entrance("9193", second)
    }

    /// The listeners take free ports.
    fn shipped(text: &str) -> Self {
        Self(text.to_owned()).put("port_value: 9902}", "port_value: 0}").put("port_value: 10000}", "port_value: 0}")
    }

    fn entrance(self, port: &str, address: &str) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        self.put(&format!("port_value: {port}}}"), &format!("port_value: {}}}", address.port()))
    }

    /// Puts `new` where `old` stands once.
    pub(crate) fn put(self, old: &str, new: &str) -> Self {
        assert_eq!(self.0.matches(old).count(), 1, "`{old}` in:\n{}", self.0);
        Self(self.0.replace(old, new))
    }

    /// The API behind it.
    pub(crate) fn upstream(self, address: SocketAddr) -> Self {
        self.put("port_value: 8000}", &format!("port_value: {}}}", address.port()))
    }

    /// Waits longer than shipped: that a machine is busy must not fail a test that is about something else.
    pub(crate) fn patient(self) -> Self {
        self.put(" timeout: 0.25s", " timeout: 10s").put("connect_timeout: 0.25s", "connect_timeout: 10s")
    }

    /// Headers with underscores come through.
    pub(crate) fn lax_underscores(self) -> Self {
        self.put("headers_with_underscores_action: REJECT_REQUEST", "headers_with_underscores_action: ALLOW")
    }

    /// Envoy as it is when nobody thinks of paths: all of them come through as they are.
    pub(crate) fn careless_paths(self) -> Self {
        self.put("normalize_path: true", "normalize_path: false")
            .put("merge_slashes: true", "merge_slashes: false")
            .put("path_with_escaped_slashes_action: REJECT_REQUEST", "path_with_escaped_slashes_action: KEEP_UNCHANGED")
    }

    /// What begins with `path` is decided by what this names.
    pub(crate) fn named(self, path: &str, key: &str, value: &str) -> Self {
        let all = "              - match: {prefix: \"/\"}";
        let route = format!(
            "              - match: {{prefix: \"{path}\"}}
                route: {{cluster: api}}
                typed_per_filter_config:
                  envoy.filters.http.ext_authz:
                    \"@type\": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                    check_settings: {{context_extensions: {{{key}: {value}}}}}
{all}"
        );
        self.put(all, &route)
    }

    /// Entrance is sent headers as lines of bytes.
    pub(crate) fn raw_headers(self) -> Self {
        self.put("stat_prefix: entrance", "stat_prefix: entrance\n              encode_raw_headers: true")
    }

    /// Entrance is shown no header but `authorization`.
    pub(crate) fn few_headers(self) -> Self {
        let few = "stat_prefix: entrance\n              allowed_headers: {patterns: [{exact: authorization}]}";
        self.put("stat_prefix: entrance", few)
    }

    /// One line of JSON for each request: the probe, and what Entrance told.
    fn access_log(self, file: &Path) -> Self {
        let log = format!(
            "stat_prefix: ingress
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: \"{}\"
              log_format:
                json_format:
                  probe: \"%REQ(x-probe)%\"
                  status: \"%RESPONSE_CODE%\"
                  flags: \"%RESPONSE_FLAGS%\"
                  told: \"%DYNAMIC_METADATA(envoy.filters.http.ext_authz:entrance)%\"
                  outcome: \"%DYNAMIC_METADATA(envoy.filters.http.ext_authz:entrance:outcome)%\"",
            file.display()
        );
        self.put("stat_prefix: ingress", &log)
    }
}

/// A running Envoy.
pub(crate) struct Envoy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its admin port.
    pub(crate) admin: SocketAddr,
    access_log: PathBuf,
    _process: Process,
}

impl Envoy {
    /// Starts Envoy; it answers when this returns.
    pub(crate) async fn start(bootstrap: Bootstrap, directory: &Path) -> Self {
        let [config, access_log] = ["envoy.yaml", "access.log"].map(|name| directory.join(name));
        std::fs::write(&config, bootstrap.access_log(&access_log).0).unwrap();
        let (process, admin) = launch(&config, directory).await;
        let address = address_of(admin, 0).await;
        Self { address, admin, access_log, _process: process }
    }

    /// One of its counters.
    pub(crate) async fn counter(&self, name: &str) -> u64 {
        let page = text(self.admin, &format!("/stats?filter={name}")).await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no counter `{name}`")).parse().unwrap()
    }

    /// The line of the access log about one request.
    pub(crate) async fn logged(&self, probe: &str) -> Value {
        until("the access log tells of the request", async || {
            let log = std::fs::read_to_string(&self.access_log).ok()?;
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.find(|line| line["probe"] == probe)
        })
        .await
    }
}

/// Starts Envoy with this configuration; its admin port answers, and it is ready, when this returns.
pub(crate) async fn launch(config: &Path, directory: &Path) -> (Process, SocketAddr) {
    let admin = directory.join("envoy-admin");
    let mut command = Command::new(binary());
    command.arg("-c").arg(config).arg("--admin-address-path").arg(&admin);
    command.args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warn"]);
    command.args(["--file-flush-interval-msec", "20"]);
    let process = Process::start(command, &directory.join("envoy.log"));
    let admin: SocketAddr = until("Envoy names its admin port", async || {
        assert!(process.ended().is_none(), "Envoy ended:\n{}", process.said());
        std::fs::read_to_string(&admin).ok()?.parse().ok()
    })
    .await;
    until("Envoy is ready", async || (text(admin, "/ready").await? == "LIVE\n").then_some(())).await;
    (process, admin)
}

/// Where a listener of an Envoy listens: the first one is 0.
pub(crate) async fn address_of(admin: SocketAddr, listener: u64) -> SocketAddr {
    let listeners: Value = serde_json::from_str(&text(admin, "/listeners?format=json").await.unwrap()).unwrap();
    let status = &listeners["listener_statuses"][usize::try_from(listener).unwrap()];
    let port = status["local_address"]["socket_address"]["port_value"].as_u64();
    SocketAddr::from(([127, 0, 0, 1], u16::try_from(port.unwrap()).unwrap()))
}

/// A page of an admin port.
pub(crate) async fn text(admin: SocketAddr, path: &str) -> Option<String> {
    static CLIENT: LazyLock<reqwest::Client> =
        LazyLock::new(|| reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap());
    CLIENT.get(format!("http://{admin}{path}")).send().await.ok()?.text().await.ok()
}

/// The Envoy to test with.
pub(crate) fn binary() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(tools).chain(std::env::split_paths(&path));
    let found = places.map(|place| place.join("envoy")).find(|file| file.is_file());
    found.expect("no Envoy in .tools/bin or on PATH: run `make tools`")
}
