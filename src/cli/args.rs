//! The arguments of every command, as `clap` reads them and `--help` shows them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Decides who may reach which route of which API.
#[derive(Parser, Debug)]
#[command(name = "entrance", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Answer Envoy's external authorization requests.
    Serve(ServeArgs),
    /// Decide one request offline and show how the decision came about.
    Check(CheckArgs),
    /// Work with tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Run an Entra ID stand-in for development and tests.
    #[cfg(feature = "emulator")]
    Emulator(EmulatorArgs),
    /// Show the whole thing on this machine: emulator, Envoy, an example API and its policies.
    #[cfg(feature = "emulator")]
    Demo(DemoArgs),
}

#[derive(Subcommand, Debug)]
pub(crate) enum TokenCommand {
    /// Verify one token against an application, without any policy.
    Inspect(InspectArgs),
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For machines.
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Directory of YAML files with EntraApplication and AccessPolicy resources; reloaded on change.
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: PathBuf,
    /// Where to answer ext_authz: `host:port` or `unix:/path`; may be given more than once.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9191")]
    pub(crate) listen: Vec<String>,
    /// Where to serve /livez, /readyz, /metrics and /debug/snapshot.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9901")]
    pub(crate) admin: std::net::SocketAddr,
    /// Where decisions are recorded: `stdout`, `off`, or `file:/path`.
    #[arg(long, value_name = "SINK", default_value = "stdout")]
    pub(crate) audit: String,
    /// Rotate an audit file at this size, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_240))]
    pub(crate) audit_rotate_size: u64,
    /// Keep this many rotated audit files.
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) audit_rotate_keep: u32,
    /// PEM file with further certificate authorities to trust when fetching signing keys.
    #[arg(long, value_name = "FILE")]
    pub(crate) extra_ca: Option<PathBuf>,
    /// Remember at most this many verified tokens.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(crate) token_cache: u32,
    /// After SIGTERM, go on answering for this many seconds before connections are closed.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) drain_delay: u64,
    /// After that, wait at most this many seconds for requests in flight.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub(crate) drain_timeout: u64,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// Which policies apply here.
#[derive(Args, Debug, Default)]
pub(crate) struct ScopeArgs {
    /// Give a host to a namespace, whoever named it first: `orders.example.com=shop`; may be repeated.
    #[arg(long = "pin-host", value_name = "HOST=NAMESPACE")]
    pub(crate) pins: Vec<String>,
    /// Act for one workload: its namespace, for policies with a selector.
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) workload_namespace: Option<String>,
    /// Act for one workload: its labels, for policies with a selector; may be repeated.
    #[arg(long = "workload-label", value_name = "KEY=VALUE", requires = "workload_namespace")]
    pub(crate) workload_labels: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Directory of YAML files with EntraApplication and AccessPolicy resources.
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: PathBuf,
    /// The request's method.
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub(crate) method: String,
    /// The request's URL: `https://host/path?query`.
    #[arg(long, value_name = "URL")]
    pub(crate) url: String,
    /// The path and query exactly as Envoy would send them, instead of those of `--url`.
    #[arg(long, value_name = "PATH")]
    pub(crate) raw_path: Option<String>,
    /// A request header, `Name: value`; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// File that holds the bearer token, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<String>,
    /// The host the request is sent to, instead of that of `--url`.
    #[arg(long, value_name = "HOST")]
    pub(crate) connect: Option<String>,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// How to print the result.
    #[arg(long, short = 'o', value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

/// With which keys, and at which time.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    /// JWKS file to verify the token with; no network is touched then.
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,
    /// The time to decide at: RFC 3339, or seconds since 1970. The present if absent.
    #[arg(long, value_name = "TIME")]
    pub(crate) now: Option<String>,
    /// PEM file with further certificate authorities to trust when fetching signing keys.
    #[arg(long, value_name = "FILE")]
    pub(crate) extra_ca: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// The token, or `-` for standard input. An argument is visible to other users of the machine: prefer `-`.
    #[arg(value_name = "TOKEN", default_value = "-")]
    pub(crate) token: String,
    /// File with the EntraApplication; `#name` or `#namespace/name` picks one of several.
    #[arg(long, value_name = "FILE[#NAME]")]
    pub(crate) application: String,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// How to print the result.
    #[arg(long, short = 'o', value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
}

#[cfg(feature = "emulator")]
#[derive(Args, Debug)]
pub(crate) struct EmulatorArgs {
    /// Where to listen.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: std::net::SocketAddr,
    /// Serve HTTPS with a certificate of an authority of its own.
    #[arg(long)]
    pub(crate) https: bool,
    /// Write the certificate authority's PEM here.
    #[arg(long, value_name = "FILE", requires = "https")]
    pub(crate) ca_out: Option<PathBuf>,
    /// Tenants, applications and secrets, as YAML or JSON; a built-in set if absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Listen on an address other than loopback, too. Anybody who reaches it can mint tokens.
    #[arg(long)]
    pub(crate) allow_remote: bool,
}

#[cfg(feature = "emulator")]
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Exit after the tour, with 0 only if every step came out as it must.
    #[arg(long)]
    pub(crate) once: bool,
    /// The Envoy binary; found in `.tools/bin` or on PATH if absent.
    #[arg(long, value_name = "FILE")]
    pub(crate) envoy: Option<PathBuf>,
    /// The example policies.
    #[arg(long, value_name = "DIR", default_value = "examples/orders")]
    pub(crate) policies: PathBuf,
}
