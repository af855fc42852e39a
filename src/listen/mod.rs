//! What ports of our own have in common: a TCP port or a Unix socket that is listened on, who may connect, how many
//! connections are kept and for how long, and HTTP/1 on a connection.
//!
//! A peer can open connections for nothing, and each of ours takes a file descriptor and memory. So a listener keeps a
//! number of them that is known beforehand ([`places`]), and every way to hold one without using it has an end: a peer
//! that does not read ([`guarded`]), that does not end its head or is silent ([`http1`]). What a port for gRPC says to others
//! stands in [`grpc`].

mod begun;
pub mod gate;
pub mod grpc;
pub mod guarded;
pub mod http1;
mod notice;
pub mod peers;
pub mod places;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use gate::{Bounds, Gate};
use places::Places;

/// Connections in the system's queue.
const BACKLOG: u32 = 1024;
/// Bytes that the system keeps of a connection in each direction; unbounded it would go up to some megabytes. Questions
/// and answers are short, and there may be as many as this at once.
const BUFFER: u32 = 128 * 1024;

/// An address to listen on: `127.0.0.1:9191`, `[::]:9191` or `unix:/run/entrance/authz.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(ListenError(text.into()));
            }
            return Ok(Self::Unix(path.into()));
        }
        match text.parse() {
            Ok(address) => Ok(Self::Tcp(address)),
            Err(_) => Err(ListenError(text.into())),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Not an address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot listen on `{0}`: expected `ADDRESS:PORT` or `unix:PATH`")]
pub struct ListenError(Box<str>);

/// An open listener.
pub struct Listener {
    socket: Socket,
    gate: Gate,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for C {}

impl Listener {
    /// Opens a listener. A Unix socket is open to owner and group; one that was left over is replaced, one that
    /// somebody listens on is not, and neither is anything that is no socket.
    ///
    /// # Errors
    /// The address is taken or not permitted.
    pub async fn bind(listen: &Listen, bounds: Bounds) -> io::Result<Self> {
        let socket = match listen {
            Listen::Tcp(address) => Socket::Tcp(port(*address)?),
            Listen::Unix(path) => {
                clear(path).await?;
                Socket::Unix(socket(path)?)
            }
        };
        Ok(Self { socket, gate: Gate::new(bounds) })
    }

    /// The address, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<Listen> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Socket::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().unwrap_or_else(|| Path::new(""));
                Ok(Listen::Unix(path.to_owned()))
            }
        }
    }

    /// The places of its connections.
    #[must_use]
    pub const fn places(&self) -> &Arc<Places> {
        self.gate.places()
    }

    /// The next connection for which there is a place, and the address at its other end if it has one.
    pub async fn accept(&self) -> (Box<dyn Connection>, Option<IpAddr>) {
        match &self.socket {
            Socket::Tcp(listener) => {
                let (connection, peer) = self.gate.tcp(listener).await;
                (Box::new(connection), Some(peer))
            }
            Socket::Unix(listener) => (Box::new(self.gate.unix(listener).await), None),
        }
    }
}

/// A TCP port whose connections have buffers of a known size: they take it over from the socket that listens.
fn port(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(BUFFER)?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A Unix socket. Before it is listened on nobody can connect, whatever the process's umask left open.
fn socket(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path).map_err(|error| homeless(path, error))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    socket.listen(BACKLOG)
}

async fn clear(path: &Path) -> io::Result<()> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let message = format!("`{}` exists and is not a socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    match tokio::net::UnixStream::connect(path).await {
        Ok(_) => {
            let message = format!("somebody listens on `{}` already", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, message))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// The system says of a directory that is not there only that something is not.
fn homeless(path: &Path, error: io::Error) -> io::Error {
    match path.parent() {
        Some(directory) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!("the directory `{}` does not exist; make it first", directory.display());
            io::Error::new(io::ErrorKind::NotFound, message)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::gate::Bounds;
    use super::{Listen, Listener};
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn addresses_are_a_port_or_a_socket() {
        for text in ["127.0.0.1:9191", "[::]:9191", "unix:/run/entrance/authz.sock"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in ["", "9191", "unix:", "localhost:9191", "http://[::]:1"] {
            let error = text.parse::<Listen>().unwrap_err();
            assert!(error.to_string().contains(text), "{text}");
        }
    }

    #[tokio::test]
    async fn a_left_over_socket_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("authz.sock");
        let listen = Listen::Unix(path.clone());
        let first = Listener::bind(&listen, Bounds::default()).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let second = Listener::bind(&listen, Bounds::default()).await.err().unwrap();
        assert_eq!(second.kind(), ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists());
        assert!(Listener::bind(&listen, Bounds::default()).await.is_ok());
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap().path().join("absent");
        let listen = Listen::Unix(directory.join("authz.sock"));
        let error = Listener::bind(&listen, Bounds::default()).await.err().unwrap();
        let expected = format!("the directory `{}` does not exist; make it first", directory.display());
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, expected));
    }

    #[tokio::test]
    async fn a_file_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        std::fs::write(&path, "text").unwrap();
        let error = Listener::bind(&Listen::Unix(path.clone()), Bounds::default()).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    }
}
