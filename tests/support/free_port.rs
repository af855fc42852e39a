//! Ports for servers that must be told theirs, or that come back to it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::TcpSocket;

/// Systems take ports for connections, and for servers that do not care, from 32768 on.
const FIRST: u16 = 20_000;
const COUNT: u32 = 12_000;
/// Another address of this machine.
const MARKS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A port of its own: no other test is given it, here or in another process, until this process ends.
pub(crate) fn port() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let at = std::process::id().wrapping_mul(37).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST.saturating_add(u16::try_from(at).unwrap())));
        // The UDP port of this number at an address that nobody uses says to others that this one is given away.
        let Ok(taken) = UdpSocket::bind((MARKS, address.port())) else { continue };
        // Not by listening: a child that another thread has just forked would hold such a socket until it is another
        // program, and whoever wants the port would not get it.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        if socket.bind(address).is_ok() {
            std::mem::forget(taken);
            return address;
        }
    }
}
