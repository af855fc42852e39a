//! Who may connect to a port that believes what it is told.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// Networks, as in `10.0.0.0/8`, `fd00::/8` or one address. IPv4 within IPv6, as in `::ffff:10.0.0.0/104`, is IPv4; every
/// other network of IPv6, `::/0` too, has no peers of IPv4 in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

/// No network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// It cannot be read.
    #[error(
        "`{0}` is no network: expected an address, perhaps with a prefix length, as in `10.0.0.0/8`, and no bits behind it"
    )]
    Unreadable(Box<str>),
    /// It begins among the IPv4 addresses of IPv6, and goes beyond them.
    #[error("`{0}` has more in it than IPv4 addresses: write the network of IPv4, as in `10.0.0.0/8`")]
    BeyondIpv4(Box<str>),
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let unreadable = || NetworkError::Unreadable(text.into());
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let network: IpNet = text.parse().map_err(|_| unreadable())?;
        let network = canonical(network).ok_or_else(|| NetworkError::BeyondIpv4(text.into()))?;
        if network.trunc() == network { Ok(Self(network)) } else { Err(unreadable()) }
    }
}

/// Peers of IPv4 are known by their own addresses, so networks of them are, too. `None`: it is none of one kind.
fn canonical(network: IpNet) -> Option<IpNet> {
    match network.addr().to_canonical() {
        IpAddr::V4(address) if matches!(network, IpNet::V6(_)) => {
            let prefix = network.prefix_len().checked_sub(96)?;
            Ipv4Net::new(address, prefix).ok().map(IpNet::V4)
        }
        IpAddr::V4(_) | IpAddr::V6(_) => Some(network),
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
    fn ipv4_within_ipv6_is_ipv4() {
        let some = peers(&["::ffff:10.0.0.0/104", "::ffff:192.168.7.9", "::ffff:172.16.0.1/128"]);
        for inside in ["10.1.2.3", "::ffff:10.1.2.3", "192.168.7.9", "172.16.0.1"] {
            assert!(some.admit(Some(inside.parse().unwrap())), "{inside}");
        }
        for outside in ["11.0.0.0", "192.168.7.8", "172.16.0.2", "::10.1.2.3", "fd00::1"] {
            assert!(!some.admit(Some(outside.parse().unwrap())), "{outside}");
        }
        let all = peers(&["::ffff:0.0.0.0/96"]);
        assert!(all.admit(Some("8.8.8.8".parse().unwrap())) && !all.admit(Some("::1".parse().unwrap())));
        let of_ipv6 = peers(&["::/0"]);
        assert!(of_ipv6.admit(Some("::1".parse().unwrap())) && !of_ipv6.admit(Some("127.0.0.1".parse().unwrap())));
        for text in ["::ffff:0.0.0.0/95", "::ffff:10.0.0.0/8", "::ffff:0:0/80"] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{text}` has more in it than IPv4")), "{error}");
        }
    }

    #[test]
    fn without_networks_only_sockets_may() {
        assert!(!peers(&[]).admit(Some("127.0.0.1".parse().unwrap())));
        assert!(peers(&[]).admit(None));
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0/8",
            "fd00::1/8",
            "localhost",
            "10.0.0.0/8 ",
            "::ffff:10.0.0.1/104",
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(error.to_string().starts_with(&format!("`{text}`")), "{error}");
        }
    }
}
