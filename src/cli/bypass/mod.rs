//! `entrance bypass`: the bypass suite against any authorizer behind any proxy.

mod print;

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use crate::bypass::arrivals::Source;
use crate::bypass::door::Door;
use crate::bypass::family::Family;
use crate::bypass::judge::Meaning;
use crate::bypass::plan::{Lack, Versions};
use crate::bypass::settings::Settings;
use crate::bypass::tokens::Tokens;
use crate::bypass::trick::Ground;

use super::args::bypass::BypassArgs;
use super::out::Out;
use super::{Outcome, UsageError, offline, runtime};

/// A token that stands for one where tricks are only listed: they tell tokens by their names.
const EXAMPLE: &str = "eyJhbGciOiJSUzI1NiJ9.e30.eA";

/// Runs the suite; 1 if something got past.
pub(super) fn run(args: &BypassArgs) -> Result<Outcome, UsageError> {
    let settings = settings(args)?;
    if args.list {
        let versions = if args.http1 { Versions::Http1(Lack::Http1) } else { Versions::Both };
        let plan = settings.plan(versions).map_err(|unfit| UsageError::new(unfit.to_string()))?;
        for trick in plan.tricks {
            Out.line(&format!("{}: {}\n  {}", trick.family.id(), trick.name, trick.sent.shown()));
        }
        print::untried(&plan.untried).iter().for_each(|line| Out.complain(line));
        return Ok(Outcome::Done);
    }
    let verdict = runtime::run_alone(settings.run())?.map_err(|unfit| UsageError::new(unfit.to_string()))?;
    print::print(&verdict, &settings, args.output);
    Ok(if verdict.findings.is_empty() { Outcome::Done } else { Outcome::Refused })
}

fn settings(args: &BypassArgs) -> Result<Settings, UsageError> {
    let (authority, target) = door(args)?;
    let host = args.host.clone().unwrap_or(authority);
    let tokens = tokens(args)?;
    let ground = |path: &str| Ground {
        host: host.clone(),
        open: args.open.path.clone(),
        guarded: path.to_owned(),
        identity: args.identity_header.clone(),
        denied: tokens.denied().to_vec(),
        forged: tokens.forged().to_vec(),
    };
    let grounds = args.protected.iter().map(|resource| (resource.name.clone(), ground(&resource.path))).collect();
    let protected: Vec<String> = args.protected.iter().map(|resource| resource.name.clone()).collect();
    if protected.contains(&args.open.name) {
        return Err(UsageError::new(format!("`{}` is both --open and --protected", args.open.name)));
    }
    Ok(Settings {
        target,
        report: report(args.report.as_deref().unwrap_or_default())?,
        grounds,
        open: args.open.name.clone(),
        meaning: Meaning {
            protected,
            identity: args.identity_header.clone(),
            refusal: args.refusal.clone(),
            relayed: args.relayed_header.to_ascii_lowercase(),
        },
        families: families(&args.family)?,
        http2: !args.http1,
        patience: Duration::from_millis(args.timeout),
        at_once: usize::from(args.connections),
        tokens,
    })
}

fn tokens(args: &BypassArgs) -> Result<Tokens, UsageError> {
    let permitted = match &args.permitted_token {
        Some(file) => token("--permitted-token", file)?,
        None => EXAMPLE.to_owned(),
    };
    let denied: Vec<String> =
        args.denied_token.iter().map(|file| token("--denied-token", file)).collect::<Result<_, _>>()?;
    if denied.contains(&permitted) {
        return Err(UsageError::new("--denied-token: one of them is the permitted token"));
    }
    Tokens::new(permitted, denied).map_err(|unfit| UsageError::new(unfit.to_string()))
}

fn token(flag: &str, file: &Path) -> Result<String, UsageError> {
    let shown = file.display();
    let token = offline::token(flag, &file.to_string_lossy())?;
    let text = std::str::from_utf8(token.expose()).ok().filter(|text| !text.is_empty());
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    text.map(str::to_owned).ok_or_else(|| UsageError::new(format!("{flag}: `{shown}` does not hold one token")))
}

fn families(names: &[String]) -> Result<Vec<Family>, UsageError> {
    let family = |name: &String| {
        Family::named(name).ok_or_else(|| {
            let known: Vec<_> = Family::ALL.iter().map(|family| family.id()).collect();
            UsageError::new(format!("--family: there is no `{name}`; there are {}", known.join(", ")))
        })
    };
    names.iter().map(family).collect()
}

/// The proxy: host and port as the URL has them, and how to get there.
fn door(args: &BypassArgs) -> Result<(String, Door), UsageError> {
    let url = args.target.as_deref().unwrap_or("http://127.0.0.1");
    let secured = url.strip_prefix("https://").zip(args.ca.as_deref());
    let parts = match secured {
        Some((rest, _)) => parts(rest, 443),
        None => url.strip_prefix("http://").and_then(|rest| parts(rest, 80)),
    };
    let (authority, path) = parts.ok_or_else(|| {
        UsageError::new(format!("--target: `{url}` is neither `http://HOST:PORT` nor, with --ca, `https://HOST:PORT`"))
    })?;
    if path != "/" {
        let name = "paths are those of --open and --protected";
        return Err(UsageError::new(format!(
            "--target: `{url}` has a path, `{path}`; write host and port alone: {name}"
        )));
    }
    let address = address(&authority)?;
    let Some((_, file)) = secured else { return Ok((authority, Door::plain(address))) };
    let failed = |why: &dyn std::fmt::Display| UsageError::new(format!("--ca: `{}`: {why}", file.display()));
    let pem = std::fs::read(file).map_err(|error| failed(&error))?;
    let name = authority.rsplit_once(':').map_or("", |(name, _)| name).trim_matches(['[', ']']);
    let door = Door::with_tls(address, name, &pem).map_err(|fault| failed(&fault))?;
    Ok((authority, door))
}

/// Host and port, and path and query, of a URL without its scheme.
fn parts(rest: &str, port: u16) -> Option<(String, String)> {
    let (authority, path) = rest.find('/').and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, "/"));
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let authority = if has_port { authority.to_owned() } else { format!("{authority}:{port}") };
    (!rest.is_empty() && !rest.starts_with('/')).then(|| (authority, path.to_owned()))
}

fn address(authority: &str) -> Result<SocketAddr, UsageError> {
    let failed = |why: &str| UsageError::new(format!("--target: `{authority}` has no address: {why}"));
    let mut found = authority.to_socket_addrs().map_err(|error| failed(&error.to_string()))?;
    found.next().ok_or_else(|| failed("nothing found"))
}

fn report(place: &str) -> Result<Source, UsageError> {
    if place.starts_with("https://") {
        return Err(UsageError::new(format!("--report: `{place}` is neither an http URL nor a file")));
    }
    Ok(match place.strip_prefix("http://").and_then(|rest| parts(rest, 80)) {
        Some((authority, target)) => Source::Http { authority, target },
        None => Source::File(place.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::{parts, report};

    #[test]
    fn urls_are_taken_apart() {
        let of = |rest: &str| parts(rest, 80).map(|(authority, target)| format!("{authority} {target}"));
        assert_eq!(of("127.0.0.1:81").as_deref(), Some("127.0.0.1:81 /"));
        assert_eq!(of("a/b?c").as_deref(), Some("a:80 /b?c"));
        assert_eq!(of("[::1]:9/x").as_deref(), Some("[::1]:9 /x"));
        for not in ["", "/x"] {
            assert_eq!(of(not), None, "{not}");
        }
        assert!(report("https://a").is_err());
    }
}
