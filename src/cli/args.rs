//! The arguments of every command, as `clap` reads them and `--help` shows them.

pub(super) mod bypass;
pub(super) mod http;
pub(super) mod offline;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use crate::listen::Listen;
use crate::listen::peers::Network;

use http::ListenHttp;

/// Decides who may reach which route of which API.
#[derive(Parser, Debug)]
#[command(name = "entrance", version, about, max_term_width = 100)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Answer Envoy's external authorization requests.
    Serve(ServeArgs),
    /// Deliver the resources of a Kubernetes cluster to those who enforce them, and write their statuses.
    Controller(ControllerArgs),
    /// Answer the API server's admission reviews: validate resources, stamp grants, inject sidecars.
    Webhook(WebhookArgs),
    /// Decide one request offline and show how the decision came about.
    Check(offline::CheckArgs),
    /// Work with tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Examine the configuration of an Envoy: where could a request pass unchecked?
    Doctor(DoctorArgs),
    /// Try to get past an authorizer, any authorizer: tricks against a proxy, judged by what the upstream saw.
    Bypass(bypass::BypassArgs),
    /// Print the custom resource definitions, for `kubectl apply`.
    Crds(CrdsArgs),
    /// Print a script that completes commands and flags in a shell.
    Completions(CompletionsArgs),
    /// Run an Entra ID stand-in for development and tests.
    #[cfg(feature = "emulator")]
    Emulator(EmulatorArgs),
    /// Show the whole thing on this machine: emulator, Envoy, an example API and its policies.
    #[cfg(feature = "emulator")]
    Demo(DemoArgs),
}

#[derive(Subcommand, Debug)]
pub(super) enum TokenCommand {
    /// Verify one token against an application, without any policy.
    Inspect(offline::InspectArgs),
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("source").required(true).args(["policies", "kube", "controller"])))]
pub(super) struct ServeArgs {
    /// Directory of YAML files with EntraApplication and AccessPolicy resources; reloaded on change.
    #[arg(long, value_name = "DIR")]
    pub(super) policies: Option<PathBuf>,
    /// Watch the resources of a Kubernetes cluster.
    #[arg(long)]
    pub(super) kube: bool,
    /// How to reach the cluster; the pod's service account, or what kubectl would use, if absent.
    #[arg(long, value_name = "FILE", requires = "kube")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Let this controller deliver the resources: `https://HOST:PORT`; http for loopback only.
    #[arg(long, value_name = "URL")]
    pub(super) controller: Option<String>,
    /// PEM file with the authorities that the controller's certificate must come from; those of the environment variable
    /// `ENTRANCE_CONTROLLER_CA_PEM` if absent.
    #[arg(long, value_name = "FILE", requires = "controller")]
    pub(super) controller_ca: Option<PathBuf>,
    /// File with the token to show to the controller; read anew for every connection.
    #[arg(long, value_name = "FILE", requires = "controller", default_value = "/var/run/secrets/entrance/token")]
    pub(super) controller_token: PathBuf,
    /// Directory to keep what was delivered, for a start without the controller.
    #[arg(long, value_name = "DIR", requires = "controller")]
    pub(super) state: Option<PathBuf>,
    /// Where to answer ext_authz: `IP:PORT` or `unix:PATH`; may be given more than once.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9191")]
    pub(super) listen: Vec<Listen>,
    /// Where to answer proxies that ask over HTTP, and how they ask: `traefik=`, `nginx=`, `caddy=` or `envoy=` before
    /// `IP:PORT` or `unix:PATH`; may be given more than once.
    #[arg(long, value_name = "DIALECT=ADDRESS")]
    pub(super) listen_http: Vec<ListenHttp>,
    /// A network whose proxies may ask on the TCP ports of `--listen-http`, as in `10.0.0.0/8`; may be given more than once.
    #[arg(long = "http-peer", value_name = "CIDR", requires = "listen_http")]
    pub(super) http_peers: Vec<Network>,
    /// Keep at most this many connections on each port of `--listen` and `--listen-http`, a quarter of them from one address;
    /// fewer if the limit on open files is low.
    #[arg(long, value_name = "COUNT", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(4..=1_000_000))]
    pub(super) max_connections: u32,
    /// Where to serve /livez, /readyz, /metrics and /debug/snapshot.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    pub(super) admin: SocketAddr,
    /// Where decisions are recorded: `stdout`, `off`, or `file:PATH`.
    #[arg(long, value_name = "SINK", default_value = "stdout")]
    pub(super) audit: AuditSink,
    /// Rotate an audit file at this size, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_240))]
    pub(super) audit_rotate_size: u64,
    /// Keep this many rotated audit files.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) audit_rotate_keep: u32,
    /// PEM file with further certificate authorities to trust when fetching signing keys; the environment variable
    /// `ENTRANCE_EXTRA_CA_PEM` if absent.
    #[arg(long, value_name = "FILE")]
    pub(super) extra_ca: Option<PathBuf>,
    /// Remember at most this many verified tokens.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(super) token_cache: u32,
    /// After SIGTERM, go on answering for this many seconds before connections are closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(super) drain_delay: u64,
    /// After that, wait at most this many seconds for requests in flight.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(super) drain_timeout: u64,
    #[command(flatten)]
    pub(super) scope: ScopeArgs,
}

#[derive(Args, Debug)]
pub(super) struct ControllerArgs {
    /// How to reach the cluster; the pod's service account, or what kubectl would use, if absent.
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Where to deliver.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:9193")]
    pub(super) listen: SocketAddr,
    /// A Secret of `--lease-namespace` with the certificate to show, which `entrance webhook` keeps.
    #[arg(long, value_name = "NAME", conflicts_with = "tls_cert")]
    pub(super) cert_secret: Option<String>,
    /// PEM file with the certificate to show to subscribers; needed unless `--listen` is loopback.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// PEM file with its private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Where to serve /livez, /readyz, /metrics and /debug/snapshot.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    pub(super) admin: SocketAddr,
    /// The namespace of the lease that decides which replica writes statuses.
    #[arg(long, value_name = "NAMESPACE", default_value = "entrance")]
    pub(super) lease_namespace: String,
    /// The name of that lease.
    #[arg(long, value_name = "NAME", default_value = "entrance-controller")]
    pub(super) lease_name: String,
    /// A service account whose pods may see everything, as a shared gateway must; may be repeated.
    #[arg(long = "gateway", value_name = "NAMESPACE/SERVICEACCOUNT")]
    pub(super) gateways: Vec<String>,
    /// Give a host to a namespace, whoever named it first: `orders.example.com=shop`; may be repeated.
    #[arg(long = "pin-host", value_name = "HOST=NAMESPACE")]
    pub(super) pins: Vec<String>,
    /// PEM file with further certificate authorities to trust when fetching signing keys.
    #[arg(long, value_name = "FILE")]
    pub(super) extra_ca: Option<PathBuf>,
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("certificate").required(true).args(["cert_secret", "tls_cert"])))]
pub(super) struct WebhookArgs {
    /// How to reach the cluster; the pod's service account, or what kubectl would use, if absent.
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// Where to answer reviews, by HTTPS only.
    #[arg(long, value_name = "IP:PORT", default_value = "0.0.0.0:9443")]
    pub(super) listen: SocketAddr,
    /// Where to serve /livez, /readyz, /metrics and /debug/snapshot.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    pub(super) admin: SocketAddr,
    /// The namespace that this runs in.
    #[arg(long, value_name = "NAMESPACE", default_value = "entrance")]
    pub(super) namespace: String,
    /// A Secret of that namespace with an authority and a certificate of our own, made and renewed by ourselves.
    #[arg(long, value_name = "NAME", conflicts_with = "tls_cert")]
    pub(super) cert_secret: Option<String>,
    /// A Service by which one of us is reached: its names go into the certificate; may be repeated.
    #[arg(long = "service", value_name = "NAME", requires = "cert_secret")]
    pub(super) services: Vec<String>,
    /// A further name or address of the certificate; may be repeated.
    #[arg(long = "san", value_name = "NAME-OR-IP", requires = "cert_secret")]
    pub(super) sans: Vec<String>,
    /// How long such a certificate counts; it is renewed when a third of that is left.
    #[arg(long, value_name = "DURATION", default_value = "2160h", requires = "cert_secret")]
    pub(super) cert_lifetime: Span,
    /// PEM file with the certificate to show; read again when it changes.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// PEM file with its private key.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// The webhook configurations that are told our authority.
    #[arg(long, value_name = "NAME", requires = "cert_secret")]
    pub(super) webhook_configuration: Option<String>,
    /// YAML file that says what is injected into pods; nothing is without it.
    #[arg(long, value_name = "FILE")]
    pub(super) sidecar: Option<PathBuf>,
    /// The longest time that an AccessGrant may lend roles for, as in `12h`.
    #[arg(long, value_name = "DURATION", default_value = "12h")]
    pub(super) longest_grant: Span,
    /// Whether somebody else must approve a grant.
    #[arg(long, value_enum, value_name = "required|none", default_value_t = GrantApproval::Required)]
    pub(super) grant_approval: GrantApproval,
    /// Give a host to a namespace, whoever named it first: `orders.example.com=shop`; may be repeated.
    #[arg(long = "pin-host", value_name = "HOST=NAMESPACE")]
    pub(super) pins: Vec<String>,
}

/// Who must agree to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GrantApproval {
    /// Another user, who may `approve` accessgrants.
    Required,
    /// Nobody; whoever grants must be one who may `approve`.
    None,
}

/// A length of time in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) i64);

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match crate::api::read::seconds(text)? {
            0 => Err("must be longer than nothing"),
            seconds => Ok(Self(seconds)),
        }
    }
}

/// Where decisions are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AuditSink {
    /// Nowhere.
    Off,
    /// On standard output.
    Stdout,
    /// In this file.
    File(PathBuf),
}

impl FromStr for AuditSink {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("file:")) {
            ("off", _) => Ok(Self::Off),
            ("stdout", _) => Ok(Self::Stdout),
            (_, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            (_, Some(_) | None) => Err("expected `stdout`, `off` or `file:PATH`".to_owned()),
        }
    }
}

/// Which policies apply here.
#[derive(Args, Debug, Default)]
pub(super) struct ScopeArgs {
    /// Give a host to a namespace, whoever named it first: `orders.example.com=shop`; may be repeated.
    #[arg(long = "pin-host", value_name = "HOST=NAMESPACE")]
    pub(super) pins: Vec<String>,
    /// Act for one workload: its namespace, for policies with a selector.
    #[arg(long, value_name = "NAMESPACE")]
    pub(super) workload_namespace: Option<String>,
    /// Act for one workload: its labels, for policies with a selector; may be repeated.
    #[arg(long = "workload-label", value_name = "KEY=VALUE", requires = "workload_namespace")]
    pub(super) workload_labels: Vec<String>,
}

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// A bootstrap or a saved `/config_dump`, `-` for standard input, or the URL of an Envoy's admin port.
    #[arg(value_name = "FILE|URL")]
    pub(super) source: String,
    /// Exit with 1 for warnings, too.
    #[arg(long)]
    pub(super) strict: bool,
    /// Count only checks that ask this cluster, where other filters ask authorizers of their own.
    #[arg(long, value_name = "CLUSTER", default_value = "", hide_default_value = true)]
    pub(super) authorizer: String,
    /// Leave out the findings of a rule; may be repeated.
    #[arg(long, value_name = "RULE")]
    pub(super) ignore: Vec<String>,
    /// How to print the findings.
    #[arg(long, short = 'o', value_enum, default_value_t = FindingsFormat::Text)]
    pub(super) output: FindingsFormat,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FindingsFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For code scanning: SARIF 2.1.0.
    Sarif,
}

#[derive(Args, Debug)]
pub(super) struct CrdsArgs {
    /// How to print them: YAML documents, or one JSON List.
    #[arg(long, short = 'o', value_enum, default_value_t = Markup::Yaml)]
    pub(super) output: Markup,
}

/// How objects are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Markup {
    /// YAML documents.
    Yaml,
    /// JSON.
    Json,
}

#[derive(Args, Debug)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}

#[cfg(feature = "emulator")]
#[derive(Args, Debug)]
pub(super) struct EmulatorArgs {
    /// Where to listen.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub(super) listen: SocketAddr,
    /// Serve HTTPS with a certificate of an authority of its own.
    #[arg(long)]
    pub(super) https: bool,
    /// Write the certificate authority's PEM here; a temporary file if absent.
    #[arg(long, value_name = "FILE", requires = "https")]
    pub(super) ca_out: Option<PathBuf>,
    /// Scheme, host and port as clients reach it, if not those of `--listen`.
    #[arg(long, value_name = "URL")]
    pub(super) base_url: Option<String>,
    /// Tenants, applications and secrets, as YAML or JSON; a built-in set if absent.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Listen on an address other than loopback, too. Anybody who reaches it can mint tokens.
    #[arg(long, requires = "https")]
    pub(super) allow_remote: bool,
}

#[cfg(feature = "emulator")]
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// Exit after the tour, with 0 only if every step came out as it must.
    #[arg(long)]
    pub(super) once: bool,
    /// The Envoy binary; found in `.tools/bin` or on PATH if absent.
    #[arg(long, value_name = "FILE")]
    pub(super) envoy: Option<PathBuf>,
    /// A directory with other policies than the built-in `examples/orders`.
    #[arg(long, value_name = "DIR")]
    pub(super) policies: Option<PathBuf>,
}
