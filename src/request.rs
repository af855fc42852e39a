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

/// Whether a server that makes a variable of a header's name takes this one for that: letters count in any case, and all
/// but letters and digits are one (RFC 3875 §4.1.18, which some read so for every byte).
#[must_use]
pub fn is_read_as(name: &[u8], known: &[u8]) -> bool {
    name.len() == known.len() && name.iter().zip(known).all(|(&byte, &wanted)| folded(byte) == folded(wanted))
}

const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// What the proxy's configuration says of a request: which part of the rules speaks for it. Clients cannot set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Named<'a> {
    /// A policy, as `namespace/name`.
    pub policy: Option<&'a Bytes>,
    /// An application, as `namespace/name`.
    pub application: Option<&'a Bytes>,
    /// Something was said twice, or under a key that nobody knows: it was meant to narrow, so it must not be passed over.
    pub is_garbled: bool,
}

impl<'a> Named<'a> {
    /// The key that names a policy.
    pub const POLICY: &'static str = "entrance.dev/policy";
    /// The key that names an application.
    pub const APPLICATION: &'static str = "entrance.dev/application";
    /// What all keys of ours begin with, before `/`.
    const OURS: &'static [u8] = b"entrance.dev";

    /// Reads key and value pairs; those of others are passed over. A key that is ours but for its case, or ends where it
    /// should say something, was meant for us.
    #[must_use]
    pub fn read(pairs: impl Iterator<Item = (&'a Bytes, &'a Bytes)>) -> Self {
        let mut named = Self::default();
        for (key, value) in pairs {
            let slot = match key {
                key if key == Self::POLICY => &mut named.policy,
                key if key == Self::APPLICATION => &mut named.application,
                key => {
                    named.is_garbled |= Self::is_ours(key);
                    continue;
                }
            };
            named.is_garbled |= slot.replace(value).is_some();
        }
        named
    }

    fn is_ours(key: &[u8]) -> bool {
        let (domain, rest) = key.split_at_checked(Self::OURS.len()).unwrap_or_default();
        domain.eq_ignore_ascii_case(Self::OURS) && matches!(rest.first(), None | Some(b'/'))
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
    /// The part of the rules that the proxy names.
    pub named: Named<'a>,
}
