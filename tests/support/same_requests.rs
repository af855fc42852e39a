//! The same requests through any proxy, and what becomes of them: tests/cases/same_requests.yaml.
//!
//! How the proxy was started is nobody's business here: [`Way`] has the address to send to, the API behind, the file that
//! Entrance writes its audit log to, and the stand-in that mints tokens. [`Way::walk`] sends everything and returns a
//! [`Column`]; [`Column::settles`] compares it with what is expected and with what this proxy is known to do otherwise:
//! files of `tests/cases/same_differences/` that [`COLUMNS`] names, each a list of
//!
//! ```yaml
//! - requests: [an escaped slash]   # their names; or `reasons: [path_ambiguous]`: all that are expected to end so
//!   gives: "400"                   # what comes instead: a status, with a reason where Entrance was asked; or
//!   becomes: no token              # the name of another request that the proxy makes of it before it asks
//!   why: Envoy refuses it before it asks
//! ```
//!
//! A difference never opens a door: what it `gives` is a refusal, and what a request `becomes` is judged as that other
//! request, with what the API sees of it. One that is not needed any more fails, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use entrance::clock::{Clock as _, SystemClock};
use entrance::emulator::{Emulator, MintRequest};
use entrance::files::yaml;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::children::until;
use crate::golden::golden;
use crate::raw_http::{Answer, Wire, probe};
use crate::upstream::{Received, Upstream};

/// The rules behind the requests. The authority in them is `http://127.0.0.1:8080`, to be replaced.
pub(crate) const POLICIES: &str = include_str!("../cases/same_policies.yaml");

const REQUESTS: &str = include_str!("../cases/same_requests.yaml");
const HOST: &str = "same.example.com";

/// Where what became of them is kept: a file for each column.
pub(crate) const GOLDENS: &str = "tests/goldens/integrations";

/// The ways to an API in the order of docs/integrations.md: name, title, and the files of tests/cases/same_differences/ that
/// say what is known of it.
pub(crate) const COLUMNS: &[(&str, &str, &[&str])] = &[
    ("envoy-tcp", "Envoy, gRPC over TCP", &["envoy"]),
    ("envoy-uds", "Envoy, gRPC over a Unix socket", &["envoy"]),
    ("istio", "Istio", &["istio", "envoy"]),
    ("envoy-gateway", "Envoy Gateway", &["envoy-gateway", "envoy"]),
    ("envoy-http", "Envoy, HTTP", &["envoy-http", "envoy"]),
    ("traefik", "Traefik", &["traefik"]),
    ("nginx", "nginx", &["nginx"]),
    ("caddy", "Caddy", &["caddy"]),
];

/// The table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    tokens: BTreeMap<String, serde_json::Map<String, Value>>,
    callers: BTreeMap<String, BTreeMap<String, String>>,
    headers: BTreeMap<String, Vec<String>>,
    pub(crate) requests: Vec<Case>,
}

/// One request, and what becomes of it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default = "host")]
    host: String,
    path: String,
    token: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
    /// Status and reason.
    pub(crate) expect: String,
    #[serde(rename = "as", default = "nobody")]
    caller: String,
    at: Option<String>,
    #[serde(default)]
    challenge: Vec<String>,
}

fn get() -> String {
    "GET".to_owned()
}

fn host() -> String {
    HOST.to_owned()
}

fn nobody() -> String {
    "nobody".to_owned()
}

/// What a proxy does otherwise.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Difference {
    #[serde(default)]
    requests: Vec<String>,
    #[serde(default)]
    reasons: Vec<String>,
    gives: Option<String>,
    becomes: Option<String>,
    /// `lost`: the answer has no `WWW-Authenticate` or `Retry-After`.
    challenge: Option<String>,
    pub(crate) why: String,
    /// It is another column's, too, which needs all of them.
    #[serde(skip)]
    shared: bool,
}

impl Difference {
    pub(crate) fn covers(&self, case: &Case) -> bool {
        let reason = case.expect.split_once(' ').map_or("", |(_, reason)| reason);
        self.requests.contains(&case.name) || self.reasons.iter().any(|one| one == reason)
    }

    /// Whether it shows in a line of [`Column::lines`].
    pub(crate) fn shows(&self, case: &Case, line: &str) -> bool {
        self.challenge.is_some() || line != case.line()
    }
}

/// More roles than fit into the buffer that nginx has for the head of an answer unless told otherwise.
fn many_roles() -> Vec<String> {
    let further = (0..200).map(|number| format!("Orders.Warehouse-{number:03}.Count"));
    std::iter::once("Orders.Read".to_owned()).chain(further).collect()
}

/// A file of YAML as what it stands for.
fn read<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(yaml::parse(text.as_bytes()).unwrap().remove(0).body).unwrap()
}

impl Table {
    pub(crate) fn read() -> Self {
        let mut table: Self = read(REQUESTS);
        for case in &mut table.requests {
            let lines = std::mem::take(&mut case.headers).into_iter();
            case.headers = lines
                .flat_map(|line| table.headers.get(line.trim_start_matches('+')).cloned().unwrap_or(vec![line]))
                .collect();
        }
        let roles = many_roles().join(",");
        for value in table.callers.values_mut().flat_map(BTreeMap::values_mut) {
            *value = value.replace("@many@", &roles);
        }
        table
    }

    fn named(&self, name: &str) -> &Case {
        self.requests.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no request `{name}`"))
    }

    /// The tokens, minted anew.
    fn mint(&self, emulator: &Emulator) -> BTreeMap<String, String> {
        let now = SystemClock.unix();
        let order = |order: &serde_json::Map<String, Value>| {
            let mut order = order.clone();
            let (ago, many) = (order.remove("ago"), order.remove("many_roles"));
            let mut order: MintRequest = serde_json::from_value(order.into()).unwrap();
            for (claim, seconds) in ago.iter().flat_map(|ago| ago.as_object().unwrap()) {
                order.set_claims.insert(claim.clone(), now.plus(-seconds.as_i64().unwrap()).0.into());
            }
            if many.is_some() {
                order.set_claims.insert("roles".to_owned(), many_roles().into());
            }
            emulator.mint(&order).unwrap()
        };
        let mut tokens: BTreeMap<_, _> = self.tokens.iter().map(|(name, one)| (name.clone(), order(one))).collect();
        tokens.insert("large".to_owned(), "a".repeat(20_000));
        tokens
    }
}

/// One way to the API.
pub(crate) struct Way<'a> {
    /// Where the proxy listens.
    pub(crate) address: SocketAddr,
    /// The API behind it.
    pub(crate) upstream: &'a Upstream,
    /// The audit log of Entrance.
    pub(crate) audit: &'a Path,
    /// The stand-in whose tokens count there.
    pub(crate) emulator: &'a Emulator,
}

/// What became of one request.
struct Seen {
    /// `None`: the connection was closed.
    answer: Option<Answer>,
    received: Vec<Received>,
    /// What Entrance recorded.
    records: Vec<Value>,
}

/// What became of all requests on one way.
pub(crate) struct Column {
    table: Table,
    seen: Vec<Seen>,
}

/// How a request is found again: `x-probe` at the API, `traceparent` in the audit log.
struct Mark {
    probe: String,
    trace: String,
}

impl Mark {
    fn new() -> Self {
        let probe = probe();
        let number: u64 = probe.rsplit('-').next().unwrap().parse().unwrap();
        let process = std::process::id();
        Self { trace: format!("00-{process:016x}{number:016x}-00000000000000ff-01"), probe }
    }
}

impl Way<'_> {
    /// Sends all requests, one after the other.
    pub(crate) async fn walk(&self) -> Column {
        let table = Table::read();
        let tokens = table.mint(self.emulator);
        let mut sent = Vec::new();
        for case in &table.requests {
            let mark = Mark::new();
            let answer = Wire::connect(self.address).await.send(&case.bytes(&tokens, &mark)).await;
            sent.push((mark, answer));
        }
        self.written(&table, &tokens).await;
        let records = self.records();
        let seen = sent.into_iter().map(|(mark, answer)| {
            let id = answer.as_ref().and_then(|answer| told(answer, "decision_id"));
            let is_of = |record: &&Value| {
                record["traceparent"] == *mark.trace
                    || id.is_some() && record["metadata"]["uid"].as_str() == id.as_deref()
            };
            let records = records.iter().filter(is_of).cloned().collect();
            Seen { answer, received: self.upstream.received(&mark.probe), records }
        });
        let seen = seen.collect();
        assert!(self.upstream.received("").is_empty(), "something nameless reached the API");
        Column { seen, table }
    }

    /// Sends all requests while Entrance is away: what is not refused, or reaches the API.
    pub(crate) async fn open_doors(&self) -> Vec<String> {
        let table = Table::read();
        let tokens = table.mint(self.emulator);
        let mut open = Vec::new();
        for case in &table.requests {
            let mark = Mark::new();
            let answer = Wire::connect(self.address).await.send(&case.bytes(&tokens, &mark)).await;
            let status = answer.map_or(0, |answer| answer.status);
            let received = self.upstream.received(&mark.probe).len();
            if received > 0 || (100..400).contains(&status) {
                open.push(format!("{}: {status}, and the API got it {received} times", case.name));
            }
        }
        open
    }

    /// Waits until the audit log holds everything: its lines are in the order of decisions.
    async fn written(&self, table: &Table, tokens: &BTreeMap<String, String>) {
        let mark = Mark::new();
        let last = table.named("health").bytes(tokens, &mark);
        Wire::connect(self.address).await.send(&last).await.unwrap();
        until("the last decision is recorded", async || {
            self.records().iter().any(|record| record["traceparent"] == *mark.trace).then_some(())
        })
        .await;
    }

    fn records(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.audit).unwrap_or_default();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Case {
    fn bytes(&self, tokens: &BTreeMap<String, String>, mark: &Mark) -> Vec<u8> {
        let filled = |text: &str| {
            let named = |text: String, (name, token): (&String, &String)| text.replace(&format!("@{name}@"), token);
            tokens.iter().fold(text.to_owned(), named)
        };
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, filled(&self.path));
        if !self.host.is_empty() {
            write!(text, "host: {}\r\n", self.host).unwrap();
        }
        write!(text, "x-probe: {}\r\ntraceparent: {}\r\n", mark.probe, mark.trace).unwrap();
        if let Some(token) = &self.token {
            let token = tokens.get(token).unwrap_or_else(|| panic!("no token `{token}`"));
            write!(text, "authorization: Bearer {token}\r\n").unwrap();
        }
        for line in &self.headers {
            write!(text, "{}\r\n", filled(line)).unwrap();
        }
        if self.method == "POST" {
            text.push_str("content-length: 0\r\n");
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// What [`Column::lines`] says of it where nothing is otherwise.
    fn line(&self) -> String {
        let passes = self.expect.starts_with("200 ");
        if passes { format!("{} -> {}", self.expect, self.place()) } else { self.expect.clone() }
    }

    /// Host and target that the API sees, if it sees the request.
    fn place(&self) -> String {
        let sent = || format!("{}{}", folded(&self.host), self.path);
        self.at.clone().unwrap_or_else(sent)
    }
}

/// A host without what does not tell one from another.
fn folded(host: &str) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl Seen {
    /// Status, and the reason if Entrance was asked: `401 token_missing`.
    fn outcome(&self) -> String {
        let Some(answer) = &self.answer else { return "closed".to_owned() };
        let told = told(answer, "reason");
        let recorded = self.records.first().and_then(|record| record["authorization"]["reason"].as_str());
        assert!(told.is_none() || told.as_deref() == recorded, "told {told:?}, recorded {recorded:?}");
        recorded.map_or_else(|| answer.status.to_string(), |reason| format!("{} {reason}", answer.status))
    }

    /// What is wrong with it, if it should have become of it what becomes of `case`.
    fn fault(&self, case: &Case, callers: &BTreeMap<String, BTreeMap<String, String>>) -> Option<String> {
        let outcome = self.outcome();
        if outcome != case.expect {
            return Some(format!("`{outcome}` instead of `{}`", case.expect));
        }
        if self.records.len() != 1 {
            return Some(format!("Entrance was asked {} times", self.records.len()));
        }
        if case.expect.starts_with("200 ") { self.misled(case, callers) } else { self.got_through() }
    }

    /// A refused request must not reach the API.
    fn got_through(&self) -> Option<String> {
        (!self.received.is_empty()).then(|| format!("the API got `{}`", self.received[0].line()))
    }

    /// What the API got that it should not have got, or the other way round.
    fn misled(&self, case: &Case, callers: &BTreeMap<String, BTreeMap<String, String>>) -> Option<String> {
        let [received] = &self.received[..] else {
            return Some(format!("the API got it {} times", self.received.len()));
        };
        let place = place(received);
        if place != case.place() {
            return Some(format!("the API got `{place}` instead of `{}`", case.place()));
        }
        let mut told: Vec<_> = received.identity();
        told.sort();
        let decisions: Vec<_> = told.extract_if(.., |(name, _)| name == "x-entrance-decision").collect();
        if !matches!(&decisions[..], [(_, id)] if *id == self.records[0]["metadata"]["uid"]) {
            return Some(format!("the API was told of the decisions {decisions:?}"));
        }
        let truth = callers.get(&case.caller).unwrap_or_else(|| panic!("no caller `{}`", case.caller));
        let truth: Vec<_> = truth.iter().filter(|(_, value)| !value.is_empty()).collect();
        let same = |((name, value), (wanted, truth)): (&(String, &str), &(&String, &String))| {
            name.strip_prefix("x-entrance-") == Some(wanted.as_str()) && (*truth == "*" || value == truth)
        };
        let told: Vec<_> = told.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let equal = told.len() == truth.len() && told.iter().zip(&truth).all(same);
        (!equal).then(|| format!("the API was told {told:?} instead of {truth:?}"))
    }

    /// What is wrong with what a refusal says besides its reason.
    fn challenged(&self, case: &Case) -> Option<String> {
        let answer = self.answer.as_ref()?;
        if answer.status == 503 && answer.values("retry-after") != ["5"] {
            return Some(format!("`retry-after` is {:?}", answer.values("retry-after")));
        }
        let challenges = answer.values("www-authenticate");
        let wanted = answer.status == 401 || !case.challenge.is_empty();
        let good = match &challenges[..] {
            [] => !wanted,
            [one] => one.starts_with("Bearer") && case.challenge.iter().all(|part| one.contains(part.as_str())),
            _ => false,
        };
        (!good).then(|| format!("the challenges are {challenges:?}"))
    }
}

/// A member of the problem that a refusal tells.
fn told(answer: &Answer, name: &str) -> Option<String> {
    let problem: Value = serde_json::from_slice(&answer.body).ok()?;
    problem[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Host and target as the API got them.
fn place(received: &Received) -> String {
    let hosts: Vec<_> = received.values("host").into_iter().map(folded).collect();
    format!("{}{}", hosts.join(" and "), received.target())
}

impl Column {
    /// Everything that is neither expected nor known of this proxy; and what is known of it and not so.
    pub(crate) fn faults(&self, differences: &[Difference]) -> Vec<String> {
        let mut needed = vec![false; differences.len()];
        let mut faults = Vec::new();
        for (case, seen) in self.table.requests.iter().zip(&self.seen) {
            let plain = self.plain(case, seen);
            let Some(plain) = plain else { continue };
            let known = differences.iter().position(|one| one.covers(case));
            let fault = known.map_or(Some(plain), |at| {
                needed[at] = true;
                self.otherwise(case, seen, &differences[at])
            });
            faults.extend(fault.map(|fault| format!("{}: {fault}", case.name)));
        }
        let idle = differences.iter().zip(&needed).filter(|(one, needed)| !**needed && !one.shared);
        faults.extend(idle.map(|(one, _)| format!("a difference that is none: {}", one.why)));
        faults
    }

    /// What is wrong with a request if nothing else is known of the proxy.
    fn plain(&self, case: &Case, seen: &Seen) -> Option<String> {
        seen.fault(case, &self.table.callers).or_else(|| seen.challenged(case))
    }

    fn otherwise(&self, case: &Case, seen: &Seen, difference: &Difference) -> Option<String> {
        if let Some(other) = &difference.becomes {
            return self.plain(self.table.named(other), seen);
        }
        let gives = difference.gives.as_deref().unwrap_or(&case.expect);
        let outcome = seen.outcome();
        assert!(!gives.starts_with('2'), "`{gives}` opens a door: {}", difference.why);
        if outcome != gives {
            return Some(format!("`{outcome}` instead of `{gives}`"));
        }
        let lost = difference.challenge.as_deref() == Some("lost") || !gives.contains(' ');
        seen.got_through().or_else(|| if lost { None } else { seen.challenged(case) })
    }

    /// Nothing is wrong but what is known of this way, and everything is as it was: with `ENTRANCE_UPDATE` its file is
    /// written instead.
    pub(crate) fn settles(&self, name: &str) {
        let files = COLUMNS.iter().find(|(known, ..)| *known == name).map(|(.., files)| *files);
        let faults = self.faults(&differences(files.unwrap_or_else(|| panic!("`{name}` is not in COLUMNS"))));
        assert!(faults.is_empty(), "{name}:\n{}", faults.join("\n"));
        golden(&format!("{GOLDENS}/{name}.txt"), &self.lines());
    }

    /// A line for each request: its name, and what became of it.
    fn lines(&self) -> String {
        let mut text = String::new();
        for (case, seen) in self.table.requests.iter().zip(&self.seen) {
            write!(text, "{}: {}", case.name, seen.outcome()).unwrap();
            for received in &seen.received {
                write!(text, " -> {}", place(received)).unwrap();
            }
            text.push('\n');
        }
        text
    }
}

/// What is known of a proxy, from files of `tests/cases/same_differences/`: one of its own first, then those that it shares
/// with others. Of two that cover a request the first counts.
pub(crate) fn differences(files: &[&str]) -> Vec<Difference> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/same_differences");
    let mut known = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let text = std::fs::read_to_string(folder.join(format!("{file}.yaml"))).unwrap();
        let list: Vec<Difference> = read(&text);
        known.extend(list.into_iter().map(|one| Difference { shared: at > 0, ..one }));
    }
    known
}
