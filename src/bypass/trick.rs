//! Tricks, and requests as they are put together: every byte is the author's.

use super::family::Family;
use super::script::{NONCE, Permitted, Script};
use super::tokens::PERMITTED;

/// What tricks aim at.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The host that the proxy serves.
    pub host: String,
    /// A path that is open to everybody, as `/public/hello`.
    pub open: String,
    /// A path that is protected, as `/admin/users`.
    pub guarded: String,
    /// Headers that the authorizer sets and the upstream believes.
    pub identity: Vec<String>,
    /// The names of genuine tokens that must not do.
    pub denied: Vec<String>,
    /// The names of forged tokens.
    pub forged: Vec<String>,
}

impl Ground {
    /// The guarded path's first segment, and the rest: `("admin", "/users")`.
    pub(super) fn guarded_parts(&self) -> (&str, &str) {
        let path = self.guarded.strip_prefix('/').unwrap_or(&self.guarded);
        path.find('/').and_then(|at| path.split_at_checked(at)).unwrap_or((path, ""))
    }

    /// The folder of the open path: `/public`.
    pub(super) fn open_folder(&self) -> &str {
        self.open.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// A token that must not do.
    pub(super) fn wrong(&self) -> Script {
        self.denied.first().map_or_else(|| Script::of("e30.e30.e30"), |name| Script::token(name))
    }

    /// A request without a token.
    pub(super) fn get(&self, target: impl AsRef<[u8]>) -> Request {
        Request {
            method: b"GET".to_vec(),
            target: target.as_ref().to_vec(),
            version: b" HTTP/1.1".to_vec(),
            hosts: vec![self.host.clone().into_bytes()],
            headers: Vec::new(),
            body: Vec::new(),
            permitted: Permitted::No,
        }
    }

    /// A request with the right token.
    pub(super) fn permitted(&self, target: impl AsRef<[u8]>) -> Request {
        Request { permitted: Permitted::Yes, ..self.get(target).bearer(Script::token(PERMITTED)) }
    }
}

/// One attempt.
#[derive(Clone, Debug)]
pub struct Trick {
    /// What it has in common with others.
    pub family: Family,
    /// What it is, for people; no two have the same name.
    pub name: String,
    /// What is sent.
    pub sent: Sent,
}

/// Bytes for one connection.
#[derive(Clone, Debug)]
pub enum Sent {
    /// Each script is sent when what was answered to those before has come.
    Http1(Vec<Step>),
    /// Streams that are opened at once.
    Http2(Vec<Stream>),
}

impl Sent {
    /// For people.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Http1(steps) => steps.iter().map(|step| step.script.shown()).collect::<Vec<_>>().join(" … "),
            Self::Http2(streams) => {
                let field = |(name, value): &(Script, Script)| format!("{}: {}", name.shown(), value.shown());
                let fields = |stream: &Stream| stream.fields.iter().map(field).collect::<Vec<_>>().join(", ");
                streams.iter().map(|stream| format!("HTTP/2 [{}]", fields(stream))).collect::<Vec<_>>().join(" ")
            }
        }
    }
}

/// One piece of a conversation over HTTP/1.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is sent.
    pub script: Script,
    /// How many answers are waited for, if that many come.
    pub answers: usize,
}

/// One stream of HTTP/2.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Header fields, in this order.
    pub fields: Vec<(Script, Script)>,
    /// The body, if there is one.
    pub body: Option<Script>,
    /// Trailer fields, if there are some.
    pub trailers: Vec<(Script, Script)>,
}

/// A request in the making.
#[derive(Clone, Debug)]
pub(super) struct Request {
    method: Vec<u8>,
    target: Vec<u8>,
    version: Vec<u8>,
    hosts: Vec<Vec<u8>>,
    headers: Vec<(Vec<u8>, Script)>,
    body: Vec<u8>,
    permitted: Permitted,
}

impl Request {
    pub(super) fn method(mut self, method: impl AsRef<[u8]>) -> Self {
        self.method = method.as_ref().to_vec();
        self
    }

    /// What follows the target, with its space.
    pub(super) fn version(mut self, version: impl AsRef<[u8]>) -> Self {
        self.version = version.as_ref().to_vec();
        self
    }

    /// Host lines instead of the one: any number.
    pub(super) fn hosts<T: AsRef<[u8]>>(mut self, hosts: impl IntoIterator<Item = T>) -> Self {
        self.hosts = hosts.into_iter().map(|host| host.as_ref().to_vec()).collect();
        self
    }

    pub(super) fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), Script::of(value)));
        self
    }

    pub(super) fn scripted(mut self, name: impl AsRef<[u8]>, value: Script) -> Self {
        self.headers.push((name.as_ref().to_vec(), value));
        self
    }

    pub(super) fn bearer(self, token: Script) -> Self {
        self.scripted("authorization", Script::of("Bearer ").and(token))
    }

    /// A body, without any header that tells its length.
    pub(super) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// A body and its length.
    pub(super) fn sized(self, body: &str) -> Self {
        self.header("content-length", body.len().to_string()).body(body)
    }

    /// The bytes for HTTP/1.
    pub(super) fn script(&self) -> Script {
        self.head().then("\r\n").then(&self.body)
    }

    /// The lines of the head for HTTP/1, without the empty one that ends it.
    pub(super) fn head(&self) -> Script {
        let mut script = Script::of(&self.method).then(" ").then(&self.target).then(&self.version).then("\r\n");
        for host in &self.hosts {
            script = script.then("host: ").then(host).then("\r\n");
        }
        script = script.then(format!("{NONCE}: ")).and(Script::nonce(self.permitted)).then("\r\n");
        for (name, value) in &self.headers {
            script = script.then(name).then(": ").and(value.clone()).then("\r\n");
        }
        script
    }

    /// The fields for HTTP/2. Host lines become the authority: the last one, if there are several.
    pub(super) fn stream(&self) -> Stream {
        let pseudo = |name: &str, value: &[u8]| (Script::of(name), Script::of(value));
        let mut fields = vec![pseudo(":method", &self.method), pseudo(":scheme", b"http")];
        fields.extend(self.hosts.last().map(|host| pseudo(":authority", host)));
        fields.push(pseudo(":path", &self.target));
        fields.push((Script::of(NONCE), Script::nonce(self.permitted)));
        let regular = self.headers.iter().map(|(name, value)| (Script::of(name.to_ascii_lowercase()), value.clone()));
        fields.extend(regular);
        let body = (!self.body.is_empty()).then(|| Script::of(&self.body));
        Stream { fields, body, trailers: Vec::new() }
    }

    /// A conversation of this request alone, over HTTP/1.
    pub(super) fn http1(&self) -> Sent {
        Sent::Http1(vec![Step { script: self.script(), answers: 1 }])
    }

    /// The same over HTTP/2.
    pub(super) fn http2(&self) -> Sent {
        Sent::Http2(vec![self.stream()])
    }
}

/// Tricks of one family, in the order in which they were added.
pub(super) struct Album {
    family: Family,
    tricks: Vec<Trick>,
}

impl Album {
    pub(super) const fn of(family: Family) -> Self {
        Self { family, tricks: Vec::new() }
    }

    pub(super) fn add(&mut self, name: impl Into<String>, sent: Sent) {
        self.tricks.push(Trick { family: self.family, name: name.into(), sent });
    }

    /// A request over HTTP/1 and over HTTP/2.
    pub(super) fn both(&mut self, name: &str, request: &Request) {
        self.add(name, request.http1());
        self.add(format!("{name}, HTTP/2"), request.http2());
    }

    /// The tricks; of those with one name the first.
    pub(super) fn finish(self) -> Vec<Trick> {
        let mut seen = std::collections::BTreeSet::new();
        self.tricks.into_iter().filter(|trick| seen.insert(trick.name.clone())).collect()
    }
}
