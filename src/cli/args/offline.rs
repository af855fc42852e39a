//! The arguments of the commands that decide and look at tokens without a server.

use std::path::PathBuf;

use clap::Args;

use super::ScopeArgs;
use crate::cli::report::{Expected, Format};

#[derive(Args, Debug)]
pub(in crate::cli) struct CheckArgs {
    /// Directory of YAML files with EntraApplication and AccessPolicy resources.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) policies: PathBuf,
    /// The request's method.
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub(in crate::cli) method: String,
    /// The request's URL, `https://host/path?query`. Its path counts as it is written.
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) url: String,
    /// The path and query exactly as Envoy would send them, instead of those of `--url`.
    #[arg(long, value_name = "PATH", allow_hyphen_values = true)]
    pub(in crate::cli) raw_path: Option<String>,
    /// A request header, `Name: value`; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(in crate::cli) headers: Vec<String>,
    /// What the proxy's configuration names for the route (`context_extensions` of Envoy):
    /// `entrance.dev/policy=NAMESPACE/NAME` or `entrance.dev/application=NAMESPACE/NAME`; may be repeated.
    #[arg(long = "context", value_name = "KEY=VALUE")]
    pub(in crate::cli) context: Vec<String>,
    /// File that holds the bearer token, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) token: Option<String>,
    /// The host of the request, perhaps with a port, instead of that of `--url`.
    #[arg(long, value_name = "HOST")]
    pub(in crate::cli) connect: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) keys: KeyArgs,
    /// How to print the result.
    #[arg(long, short = 'o', value_enum, default_value_t = Format::Text)]
    pub(in crate::cli) output: Format,
    /// Exit with 0 if the decision is this, else with 1: `allow`, `deny`, `unavailable`, or a reason code.
    #[arg(long, value_name = "DECISION")]
    pub(in crate::cli) expect: Option<Expected>,
    #[command(flatten)]
    pub(in crate::cli) scope: ScopeArgs,
}

/// With which keys, and at which time.
#[derive(Args, Debug)]
pub(in crate::cli) struct KeyArgs {
    /// JWKS file to verify the token with; no network is touched then.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) jwks: Option<PathBuf>,
    /// The time to decide at: RFC 3339, or seconds since 1970. The present if absent.
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) now: Option<String>,
    /// PEM file with further certificate authorities to trust when fetching signing keys.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) extra_ca: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(in crate::cli) struct InspectArgs {
    /// The token, or `-` for standard input. An argument is visible to other users of the machine: prefer `-`.
    #[arg(value_name = "TOKEN", default_value = "-")]
    pub(in crate::cli) token: String,
    /// File with the EntraApplication; `#name` or `#namespace/name` picks one of several.
    #[arg(long, value_name = "FILE[#NAME]")]
    pub(in crate::cli) application: String,
    #[command(flatten)]
    pub(in crate::cli) keys: KeyArgs,
    /// How to print the result.
    #[arg(long, short = 'o', value_enum, default_value_t = Format::Text)]
    pub(in crate::cli) output: Format,
}
