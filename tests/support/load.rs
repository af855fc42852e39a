//! Clients that go on asking while something else happens, and remember every answer that is not the expected one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::children::until;
use crate::raw_http::{Answer, Ask, Streams, Wire, probe};

/// Requests and their outcomes, asked in turn.
pub(crate) type Plan = Arc<Vec<(Ask, &'static str)>>;

/// Clients at work: two over HTTP/1.1, each with a connection of its own, and two over one HTTP/2 connection.
pub(crate) struct Load {
    stop: CancellationToken,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

enum Client {
    Wire(Wire),
    Streams(Streams),
}

impl Client {
    async fn ask(&mut self, ask: &Ask) -> Option<Answer> {
        match self {
            Self::Wire(wire) => wire.send(&ask.bytes()).await,
            Self::Streams(streams) => Some(streams.ask(ask).await),
        }
    }
}

impl Load {
    pub(crate) async fn start(address: SocketAddr, plan: Vec<(Ask, &'static str)>) -> Self {
        let streams = Streams::connect(address).await;
        let clients = [
            Client::Wire(Wire::connect(address).await),
            Client::Wire(Wire::connect(address).await),
            Client::Streams(streams.clone()),
            Client::Streams(streams),
        ];
        let (plan, stop, answered) = (Arc::new(plan), CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let work = |client| tokio::spawn(work(client, Arc::clone(&plan), (stop.clone(), Arc::clone(&answered))));
        let clients = clients.into_iter().map(work).collect();
        Self { stop, answered, clients }
    }

    /// Waits for so many answers from here on.
    pub(crate) async fn answers(&self, more: usize) {
        let wanted = self.answered.load(Ordering::Relaxed) + more;
        until("the load is answered", async || (self.answered.load(Ordering::Relaxed) >= wanted).then_some(())).await;
    }

    /// Ends it; fails if any answer was not the expected one.
    pub(crate) async fn stop(self) {
        self.answers(100).await;
        self.stop.cancel();
        for client in self.clients {
            let wrong = client.await.unwrap();
            assert!(wrong.is_empty(), "{} wrong answers: {:#?}", wrong.len(), &wrong[..wrong.len().min(3)]);
        }
    }
}

async fn work(mut client: Client, plan: Plan, (stop, answered): (CancellationToken, Arc<AtomicUsize>)) -> Vec<String> {
    let mut wrong = Vec::new();
    for (ask, expected) in plan.iter().cycle() {
        if stop.is_cancelled() {
            break;
        }
        let ask = Ask { probe: probe(), ..ask.clone() };
        let Some(answer) = client.ask(&ask).await else {
            wrong.push(format!("closed without an answer to {} {}", ask.method, ask.target));
            break;
        };
        if answer.outcome() != *expected {
            wrong.push(format!(
                "{} instead of {expected} for {} {}: {answer:?}",
                answer.outcome(),
                ask.method,
                ask.target
            ));
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
    wrong
}
