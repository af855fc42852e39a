//! Headers by which a client asks for another method or path than that of its request, and which some servers believe.
//!
//! A decision is about the method and the path of the request itself. Where such a header says something else, a server
//! behind may do something else.

use crate::request::{Request, is_read_as};

/// Headers by which frameworks take another method.
const METHODS: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
/// Headers by which servers take another path: IIS and its kin, and frameworks that were made to run behind it.
const PATHS: [&str; 2] = ["x-original-url", "x-rewrite-url"];
/// Headers by which servers take a prefix off the path before they look for a handler, or the path itself: variables of
/// WSGI and CGI, which gunicorn takes from peers that it trusts, and the convention that applications keep by themselves.
/// No value of them agrees with a request: a prefix leads to the rest of the path, and an empty one takes the place of that
/// which the server was given. `X-Forwarded-Prefix` is none of them: those who read it put it before the links that they
/// write, and choose the handler by the path as it came; and proxies send it that take a prefix off themselves.
const ROOTS: [&str; 3] = ["x-script-name", "script_name", "path_info"];

/// All of them, as those who believe them spell them.
pub fn names() -> impl Iterator<Item = &'static str> {
    METHODS.into_iter().chain(PATHS).chain(ROOTS)
}

/// What the headers of a request ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Another method: any value counts.
    pub method: bool,
    /// A path that is not spelled like that of the request, with or without its query, or a prefix of any value.
    pub path: bool,
}

impl Overrides {
    /// Looks at the headers, whose names count in any case, with all but letters and digits read as `-`.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Self {
        let path = request.target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let mut found = Self::default();
        request.headers.each(&mut |name, value| {
            let is_one = |known: &[&str]| known.iter().any(|known| is_read_as(name, known.as_bytes()));
            found.method |= is_one(&METHODS);
            found.path |= is_one(&PATHS) && value != request.target && value != path;
            found.path |= is_one(&ROOTS);
        });
        found
    }
}
