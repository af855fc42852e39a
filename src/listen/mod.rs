//! What ports of our own have in common: a TCP port or a Unix socket that is listened on, who may connect, and HTTP/1 on a
//! connection.

pub mod http1;
pub mod peers;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};

/// Between two attempts to accept.
const BREATH: Duration = Duration::from_millis(50);

/// An address to listen on: `127.0.0.1:9191`, `[::]:9191` or `unix:/run/entrance/auth.sock`.
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
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
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
    pub async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Ok(Self::Tcp(TcpListener::bind(address).await?)),
            Listen::Unix(path) => {
                clear(path).await?;
                let listener = UnixListener::bind(path)?;
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
                Ok(Self::Unix(listener))
            }
        }
    }

    /// The address, with the port that the system chose for port 0.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Self::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().unwrap_or_else(|| Path::new(""));
                Ok(Listen::Unix(path.to_owned()))
            }
        }
    }

    /// The next connection, and the address at its other end if it has one.
    pub async fn accept(&self) -> (Box<dyn Connection>, Option<IpAddr>) {
        accepted(|| self.next()).await
    }

    async fn next(&self) -> io::Result<(Box<dyn Connection>, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Some(peer.ip())))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), None))
            }
        }
    }
}

/// Accepts until that succeeds. What hinders is most likely that there are no file descriptors left, and others need time
/// to close some.
pub async fn accepted<T, F: Future<Output = io::Result<T>>>(accept: impl Fn() -> F) -> T {
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::{Listen, Listener};
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn addresses_are_a_port_or_a_socket() {
        for text in ["127.0.0.1:9191", "[::]:9191", "unix:/run/entrance/auth.sock"] {
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
        let path = directory.path().join("auth.sock");
        let listen = Listen::Unix(path.clone());
        let first = Listener::bind(&listen).await.unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        let second = Listener::bind(&listen).await.err().unwrap();
        assert_eq!(second.kind(), ErrorKind::AddrInUse);
        drop(first);
        assert!(path.exists());
        assert!(Listener::bind(&listen).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        std::fs::write(&path, "text").unwrap();
        let error = Listener::bind(&Listen::Unix(path.clone())).await.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
    }
}
