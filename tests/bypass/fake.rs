//! An API without a proxy that lets nobody in, and whose report is not to be relied on in one way or another.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The right token.
pub(crate) const RIGHT: &str = "opaque-right-token";

/// What is wrong. Requests are counted, and those for the report are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// The report is empty again from this request on.
    Forgets(usize),
    /// Every so manieth request goes to another replica, whose report nobody reads.
    Shares(usize),
    /// Requests from this one on, and before that one, go there.
    Moves(usize, usize),
    /// Requests from this one on, and before that one, are answered by a proxy that has nobody to ask.
    Away(usize, usize),
    /// Everything is reported twice.
    Stutters,
    /// What is protected is open, and the report forgets that at first.
    Open(usize),
}

/// The API.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
}

struct Mind {
    flaw: Flaw,
    report: Mutex<(usize, Vec<String>)>,
}

impl Fake {
    pub(crate) async fn start(flaw: Flaw, earlier: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let report = Mutex::new((0, (0..earlier).map(|number| line("public", &format!("old-{number}"))).collect()));
        let mind = Arc::new(Mind { flaw, report });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(answer(client, Arc::clone(&mind)));
            }
        });
        Self { address }
    }

    pub(crate) fn target(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn report(&self) -> String {
        format!("http://{}/arrivals", self.address)
    }
}

fn line(resource: &str, nonce: &str) -> String {
    format!("{}\n", json!({"resource": resource, "headers": {"x-bypass-nonce": nonce}}))
}

/// One request of a connection.
async fn answer(mut client: TcpStream, mind: Arc<Mind>) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (status, body) =
        if target == "/arrivals" { (200, mind.report.lock().unwrap().1.concat()) } else { mind.arrive(target, &head) };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    client.write_all(answer.as_bytes()).await.ok()
}

impl Mind {
    fn arrive(&self, target: &str, head: &str) -> (u16, String) {
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned();
        let (count, report) = &mut *self.report.lock().unwrap();
        *count += 1;
        if matches!(self.flaw, Flaw::Forgets(at) | Flaw::Open(at) if at == *count) {
            report.clear();
        }
        if matches!(self.flaw, Flaw::Away(from, to) if (from..to).contains(count)) {
            return (503, String::new());
        }
        let one = head.to_lowercase().matches("\nauthorization:").count() == 1;
        let right = one && value("authorization: ") == format!("Bearer {RIGHT}");
        let resource = match target {
            "/public/hello" => "public",
            "/admin/users" if right || matches!(self.flaw, Flaw::Open(_)) => "admin",
            _ => return (403, String::new()),
        };
        let elsewhere = match self.flaw {
            Flaw::Shares(every) => count.is_multiple_of(every),
            Flaw::Moves(from, to) => (from..to).contains(count),
            Flaw::None | Flaw::Forgets(_) | Flaw::Away(..) | Flaw::Stutters | Flaw::Open(_) => false,
        };
        let times = if elsewhere { 0 } else { 1 + usize::from(self.flaw == Flaw::Stutters) };
        report.extend(std::iter::repeat_n(line(resource, &value("x-bypass-nonce: ")), times));
        (200, String::new())
    }
}
