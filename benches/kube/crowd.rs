//! A thousand subscribers on one controller.

use std::time::Duration;

use entrance::clock::Stopwatch;
use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::Row;
use crate::cluster::Cluster;
use crate::subscribers::Client;

const DEADLINE: Duration = Duration::from_secs(120);
const ROUNDS: usize = 5;

/// One change for `count` subscribers that hold the policies of one namespace.
pub(crate) async fn measure(cluster: &Cluster, count: usize) -> Vec<Row> {
    let controller = cluster.controller().await;
    let sidecar = cluster.sidecar(&controller).await;
    controller.settles().await;
    let before = controller.resident();
    let (url, token) = (format!("http://{}", controller.listen), cluster.token().await);
    let mut clients = Vec::new();
    let watch = Stopwatch::start();
    for _ in 0..count {
        let mut client = Client::connect(&url, &token, DeltaDiscoveryRequest::default()).await.unwrap();
        client.responds().await;
        clients.push(client);
    }
    let came = watch.elapsed();
    controller.settles().await;
    let each = (controller.resident() - before) * 1024.0 / count as f64;
    let (busy, mut took) = (controller.busy(), Duration::ZERO);
    for at in 0..ROUNDS {
        let watch = Stopwatch::start();
        let waiting = join_all(clients.iter_mut().map(Client::responds));
        let (_, waited) = tokio::join!(cluster.change(&sidecar, at % 2 == 0), timeout(DEADLINE, waiting));
        assert!(waited.unwrap().iter().all(|(brought, gone)| (*brought, *gone) == (1, 0)));
        took += watch.elapsed();
        cluster.programmed().await;
    }
    let busy = (controller.busy() - busy).as_secs_f64() * 1e3 / ROUNDS as f64;
    vec![
        Row::new(format!("{count} subscribers come to one controller"), came.as_secs_f64(), "s", None),
        Row::new("memory of the controller for each of them, who holds 200 policies", each, "KiB", None),
        Row::new(
            "from a write until all of them have one change",
            took.as_secs_f64() * 1e3 / ROUNDS as f64,
            "ms",
            None,
        ),
        Row::new("CPU of the controller for that change, status included", busy, "ms", None),
    ]
}
