//! Who may connect to a port that believes what it is told.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// Networks, as in `10.0.0.0/8`, `fd00::/8` or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// No network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no network: expected an address, perhaps with a prefix length, as in `10.0.0.0/8`, and no bits behind it"
)]
pub struct NetworkError(Box<str>);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => Some(IpNet::from(address)),
            Err(_) => text.parse::<IpNet>().ok().filter(|network| network.trunc() == *network),
        };
        network.map(Self).ok_or_else(|| NetworkError(text.into()))
    }
}

/// The peers of one port.
#[derive(Clone, Debug, Default)]
pub struct Peers(Vec<Network>);

impl Peers {
    /// Those of these networks.
    #[must_use]
    pub const fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether somebody may connect. A Unix socket has no address: whoever may open its file may.
    #[must_use]
    pub fn admit(&self, peer: Option<IpAddr>) -> bool {
        let Some(peer) = peer else { return true };
        // a socket that listens on `[::]` shows an IPv4 peer as `::ffff:10.0.0.1`
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.0.contains(&peer))
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, Peers};

    fn peers(networks: &[&str]) -> Peers {
        Peers::new(networks.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn an_address_is_in_a_network_or_not() {
        let some = peers(&["10.0.0.0/8", "192.168.7.9", "fd00::/8", "2001:db8::1/128"]);
        for inside in ["10.0.0.0", "10.255.255.255", "192.168.7.9", "::ffff:10.1.2.3", "fdff::1", "2001:db8::1"] {
            assert!(some.admit(Some(inside.parse().unwrap())), "{inside}");
        }
        for outside in ["9.255.255.255", "11.0.0.0", "192.168.7.8", "::ffff:11.0.0.1", "fe80::1", "::1", "127.0.0.1"] {
            assert!(!some.admit(Some(outside.parse().unwrap())), "{outside}");
        }
    }

    #[test]
    fn without_networks_only_sockets_may() {
        assert!(!peers(&[]).admit(Some("127.0.0.1".parse().unwrap())));
        assert!(peers(&[]).admit(None));
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0/8", "fd00::1/8", "localhost", "10.0.0.0/8 "] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}`")), "{error}");
        }
    }
}
