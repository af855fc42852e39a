//! Those who deserve to be found out: an ext_authz server with one mistake at a time, and a proxy that asks once for a
//! whole connection. Both are strict but for that.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entrance::tls::{Certificate, Pem};
use envoy_types::ext_authz::v3::pb::{Authorization, AuthorizationServer, CheckRequest, CheckResponse};
use envoy_types::ext_authz::v3::{CheckRequestExt as _, CheckResponseExt as _};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::HOST;

/// The path that everybody may reach.
const OPEN: &str = "/public/hello";

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    None,
    /// Protected is what begins with `/admin`, byte by byte.
    Prefix,
    /// Only some methods are looked at.
    Methods,
    /// Other hosts are somebody else's business.
    Hosts,
    /// A header is believed about which path is meant.
    Forwarded,
    /// Identity headers of the client's are left as they are if they are spelled with other signs than `-` and `_`.
    Identity,
    /// The payload of a token is believed without its signature.
    Unsigned,
    /// The right token may stand anywhere in the header.
    Contains,
}

/// The server. Its mistake can be changed.
#[derive(Clone)]
pub(crate) struct Naive {
    pub(crate) address: SocketAddr,
    mind: Arc<Mind>,
}

struct Mind {
    mistake: Mutex<Mistake>,
    permitted: String,
}

impl Naive {
    pub(crate) async fn start(permitted: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mind = Arc::new(Mind { mistake: Mutex::new(Mistake::None), permitted: permitted.to_owned() });
        let naive = Self { address, mind };
        let service = AuthorizationServer::new(naive.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
        naive
    }

    pub(crate) fn make(&self, mistake: Mistake) {
        *self.mind.mistake.lock().unwrap() = mistake;
    }
}

#[tonic::async_trait]
impl Authorization for Naive {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let request = request.into_inner();
        let mistake = *self.mind.mistake.lock().unwrap();
        let http = request.attributes.as_ref().unwrap().request.as_ref().unwrap().http.as_ref().unwrap();
        let authorization = request.get_client_headers().and_then(|headers| headers.get("authorization"));
        let authorization = authorization.map_or("", String::as_str);
        // Envoy asks with names in lower case
        let is_careless = mistake == Mistake::Identity;
        let folded = |letter: char| if is_careless { letter == '_' } else { !letter.is_ascii_alphanumeric() };
        let spoofed = http.headers.keys().any(|name| name.replace(folded, "-").starts_with("x-entrance"));
        let allowed = !spoofed && (self.mind.passes(mistake, http) || self.mind.knows(mistake, authorization));
        let status = if allowed { Status::ok("") } else { Status::permission_denied("") };
        Ok(Response::new(CheckResponse::with_status(status)))
    }
}

impl Mind {
    /// Whether nobody needs to be asked for a token.
    fn passes(&self, mistake: Mistake, http: &HttpRequest) -> bool {
        let open = http.path == OPEN && http.host == HOST;
        open || match mistake {
            Mistake::Prefix => !http.path.starts_with("/admin"),
            Mistake::Methods => !["GET", "POST", "HEAD"].contains(&&*http.method),
            Mistake::Hosts => http.host != HOST,
            Mistake::Forwarded => http.headers.get("x-original-url").is_some_and(|path| path == OPEN),
            Mistake::None | Mistake::Identity | Mistake::Unsigned | Mistake::Contains => false,
        }
    }

    fn knows(&self, mistake: Mistake, authorization: &str) -> bool {
        let right = format!("Bearer {}", self.permitted);
        match mistake {
            Mistake::Contains => authorization.contains(&right),
            Mistake::Unsigned => authorization == right || authorization.strip_prefix("Bearer ").is_some_and(is_admin),
            Mistake::None
            | Mistake::Prefix
            | Mistake::Methods
            | Mistake::Hosts
            | Mistake::Forwarded
            | Mistake::Identity => authorization == right,
        }
    }
}

fn is_admin(token: &str) -> bool {
    let payload = token.split('.').nth(1).and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    payload.is_some_and(|payload| String::from_utf8_lossy(&payload).contains("Orders.Admin"))
}

/// TLS in front of a proxy, with a certificate for `localhost`.
pub(crate) async fn terminate(proxy: SocketAddr, pem: &Pem) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = Certificate::new(pem).unwrap().acceptor(&[b"h2", b"http/1.1"]).unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await.ok()?;
                let mut server = TcpStream::connect(proxy).await.ok()?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await.ok().map(drop)
            });
        }
    });
    address
}

/// A proxy that looks at the first request of a connection and lets everything behind it through.
pub(crate) async fn relay(upstream: SocketAddr, permitted: &str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let permitted: Arc<str> = permitted.into();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, upstream, Arc::clone(&permitted)));
        }
    });
    address
}

async fn pass(mut client: TcpStream, upstream: SocketAddr, permitted: Arc<str>) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let open = text.split(' ').nth(1) == Some(OPEN);
    if !open && !text.contains(&format!("authorization: Bearer {permitted}\r\n")) {
        return client
            .write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await
            .ok();
    }
    let mut server = TcpStream::connect(upstream).await.ok()?;
    server.write_all(&head).await.ok()?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await.ok().map(drop)
}
