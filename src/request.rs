//! One HTTP request as a proxy describes it: borrowed bytes that nobody has judged yet.
//!
//! Adapters build it without copying; `policy` and `token` read it. Every byte is a stranger's.

use bytes::Bytes;

/// The header lines of a request. Names compare in lower case; a name may occur more than once.
pub trait Headers: Sync {
    /// Calls `visit` with each name and value, in order.
    fn each(&self, visit: &mut dyn FnMut(&Bytes, &Bytes));
}

/// A plain list of header lines, for everything that is not the hot path.
impl Headers for Vec<(Bytes, Bytes)> {
    fn each(&self, visit: &mut dyn FnMut(&Bytes, &Bytes)) {
        for (name, value) in self {
            visit(name, value);
        }
    }
}

/// One request to decide on.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, as sent.
    pub method: &'a Bytes,
    /// The authority: host, perhaps with port, in the client's spelling.
    pub host: &'a Bytes,
    /// The raw path, with `?` and query if there is one.
    pub target: &'a Bytes,
    /// All header lines.
    pub headers: &'a dyn Headers,
}
