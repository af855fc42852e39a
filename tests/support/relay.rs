//! A way to a server that can be cut, and mended: bytes go to and fro.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The way. Open at first.
pub(crate) struct Relay {
    /// Where it begins.
    pub(crate) address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Relay {
    /// A way to `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        Self::on("127.0.0.1", target).await
    }

    /// The same from another address of this machine.
    pub(crate) async fn on(ip: &str, target: SocketAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(carry(stream, target, is_open.clone()));
            }
        });
        Self { address, open }
    }

    /// Ends all connections, and those that are tried from now on.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Lets connections through again.
    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}

async fn carry(mut stream: TcpStream, target: SocketAddr, mut open: watch::Receiver<bool>) {
    if !*open.borrow() {
        return;
    }
    let carrying = async {
        if let Ok(mut further) = TcpStream::connect(target).await {
            drop(tokio::io::copy_bidirectional(&mut stream, &mut further).await);
        }
    };
    tokio::select! {
        () = carrying => {}
        cut = open.wait_for(|open| !open) => drop(cut),
    }
}
