//! The families of tricks: what each of them tries.

/// What tricks have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Dot segments.
    PathDots,
    /// Separators.
    PathSlashes,
    /// Parameters behind `;`.
    PathParameters,
    /// Escapes and spellings.
    PathEncoding,
    /// Where the path ends.
    Query,
    /// Request lines.
    Target,
    /// Methods, and headers that ask for another.
    Method,
    /// Hosts.
    Host,
    /// Headers by which proxies tell of the original request.
    Forwarded,
    /// Headers by which the authorizer tells who calls.
    Identity,
    /// The header that carries the token.
    Credentials,
    /// Tokens.
    Tokens,
    /// Where a message ends.
    Framing,
    /// Several requests on one connection.
    Pipelining,
    /// Versions, upgrades, expectations.
    Protocol,
    /// HTTP/2 frames that no client library sends.
    Http2,
    /// Several of these at once.
    Combinations,
}

impl Family {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 17] = [
        Self::PathDots,
        Self::PathSlashes,
        Self::PathParameters,
        Self::PathEncoding,
        Self::Query,
        Self::Target,
        Self::Method,
        Self::Host,
        Self::Forwarded,
        Self::Identity,
        Self::Credentials,
        Self::Tokens,
        Self::Framing,
        Self::Pipelining,
        Self::Protocol,
        Self::Http2,
        Self::Combinations,
    ];

    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::PathDots => "path-dots",
            Self::PathSlashes => "path-slashes",
            Self::PathParameters => "path-parameters",
            Self::PathEncoding => "path-encoding",
            Self::Query => "query",
            Self::Target => "target",
            Self::Method => "method",
            Self::Host => "host",
            Self::Forwarded => "forwarded",
            Self::Identity => "identity",
            Self::Credentials => "credentials",
            Self::Tokens => "tokens",
            Self::Framing => "framing",
            Self::Pipelining => "pipelining",
            Self::Protocol => "protocol",
            Self::Http2 => "http2",
            Self::Combinations => "combinations",
        }
    }

    /// What it tries, in a sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::PathDots => "dot segments, plain, escaped once and twice, in other alphabets",
            Self::PathSlashes => "empty segments, escaped slashes, backslashes, `//host`",
            Self::PathParameters => "`;` parameters, which some servers drop before they route",
            Self::PathEncoding => "escapes of plain letters, broken and overlong ones, control bytes, case",
            Self::Query => "question marks and fragments, escaped or not: where does the path end?",
            Self::Target => "request lines: absolute form, authorities, spaces, missing slashes, versions",
            Self::Method => "methods, known, unknown and misspelt, preflights, and headers that override the method",
            Self::Host => "hosts with ports, dots, case, lists, repeated, and other hosts",
            Self::Forwarded => "headers that tell of another request: path, host, method, address, `x-envoy-*`",
            Self::Identity => "headers that tell who calls, in every spelling, with and without a right token",
            Self::Credentials => "authorization that is empty, of another scheme, repeated, contradictory",
            Self::Tokens => "tokens that are genuine but not right, and forged ones",
            Self::Framing => "requests hidden in the body of another: CL.TE, TE.CL, obsolete folding, chunks",
            Self::Pipelining => "a permitted request, and another one behind it on the same connection",
            Self::Protocol => "HTTP/1.0 and 0.9, upgrades to h2c and WebSocket, `Expect`, `CONNECT`",
            Self::Http2 => "pseudo-headers and fields that no client library sends",
            Self::Combinations => "a path, a header, a method and a token at once",
        }
    }

    /// The family of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.id() == name)
    }
}
