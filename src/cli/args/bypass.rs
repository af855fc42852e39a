//! The arguments of the bypass suite.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::FindingsFormat;

/// What is required is so only without `--list`, which no usage line that is made by itself tells.
const USAGE: &str = "entrance bypass --target <URL> --report <URL|FILE> --permitted-token <FILE> [OPTIONS]
       entrance bypass --list [OPTIONS]";

#[derive(Args, Debug)]
#[command(override_usage = USAGE)]
pub(in crate::cli) struct BypassArgs {
    /// The proxy to get past: `http://HOST:PORT`, or `https://HOST:PORT` with `--ca`.
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    pub(in crate::cli) target: Option<String>,
    /// PEM file with the authorities that the proxy's certificate must come from.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) ca: Option<PathBuf>,
    /// Where the upstream behind it tells what arrived: an `http` URL, not through the proxy, or a file.
    #[arg(long, value_name = "URL|FILE", required_unless_present = "list")]
    pub(in crate::cli) report: Option<String>,
    /// A handler of the upstream that everybody may reach, and a path that leads there: `public=/public/hello`.
    #[arg(long, value_name = "NAME=PATH", default_value = "public=/public/hello")]
    pub(in crate::cli) open: Resource,
    /// A handler that nobody may reach without a permit, and a path that leads there; may be repeated.
    #[arg(long, value_name = "NAME=PATH", default_value = "admin=/admin/users")]
    pub(in crate::cli) protected: Vec<Resource>,
    /// File with a token that opens what is protected.
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    pub(in crate::cli) permitted_token: Option<PathBuf>,
    /// File with a genuine token that must not do: expired, for another audience, without a role; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) denied_token: Vec<PathBuf>,
    /// The host of all requests; that of `--target` if absent.
    #[arg(long, value_name = "HOST")]
    pub(in crate::cli) host: Option<String>,
    /// A header that only the authorizer sets and the upstream believes; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) identity_header: Vec<String>,
    /// Try this family only; may be repeated.
    #[arg(long, value_name = "FAMILY")]
    pub(in crate::cli) family: Vec<String>,
    /// A text in the bodies of the authorizer's refusals and nowhere else: they are counted apart then.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(in crate::cli) refusal: String,
    /// A header that the proxy puts on answers of the upstream and on no others: what the upstream's server refused is
    /// counted apart from what the proxy did.
    #[arg(long, value_name = "NAME", default_value = "x-envoy-upstream-service-time")]
    pub(in crate::cli) relayed_header: String,
    /// Speak HTTP/1 only; without it HTTP/2 is tried where the proxy answers to it.
    #[arg(long)]
    pub(in crate::cli) http1: bool,
    /// Wait so many milliseconds for an answer.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(in crate::cli) timeout: u64,
    /// Have so many connections open at once.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(in crate::cli) connections: u16,
    /// List the tricks and send nothing.
    #[arg(long)]
    pub(in crate::cli) list: bool,
    /// How to print the result.
    #[arg(long, short = 'o', value_enum, default_value_t = FindingsFormat::Text)]
    pub(in crate::cli) output: FindingsFormat,
}

/// A handler of the upstream, and a path that leads there.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Resource {
    pub(in crate::cli) name: String,
    pub(in crate::cli) path: String,
}

impl FromStr for Resource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'.' | b'_' | b'~');
        let (name, path) = text.split_once('=').ok_or("expected NAME=PATH, as `admin=/admin/users`")?;
        if name.is_empty() || !path.starts_with('/') || path.len() < 2 || !path.bytes().all(plain) {
            return Err("expected NAME=PATH with a plain path, as `admin=/admin/users`".to_owned());
        }
        Ok(Self { name: name.to_owned(), path: path.to_owned() })
    }
}
