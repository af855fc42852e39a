//! What a cluster costs: `make bench-kube`, some minutes. A real API server with its etcd, the release binary as
//! controller and sidecar, and this program as everybody else.
//!
//! - `apply`: from the beginning of a write to the API server until a sidecar decides by it.
//! - `many`: 10,000 policies with 100,000 routes: how long a controller takes to be ready, what it holds in memory, and
//!   the CPU time of one change in controller and sidecar together, statuses included.
//! - `crowd`: 1,000 subscribers on one controller with as many: one change, until all have it.
//!
//! `make bench-kube ARGS="many crowd"` measures some of them.
//!
//! The bars are those of `docs/performance.md`; the program ends with 1 if one is missed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot go on ends")]
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "small numbers")]
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

#[path = "../../tests/support/api_server.rs"]
#[expect(dead_code, reason = "not all of it is needed")]
mod api_server;
#[path = "../../tests/support/children.rs"]
#[expect(dead_code, reason = "not all of it is needed")]
mod children;
mod cluster;
mod crowd;
#[path = "../../tests/support/free_port.rs"]
mod free_port;
#[path = "../../tests/support/rbac.rs"]
#[expect(dead_code, reason = "one installation is enough")]
mod rbac;
mod running;
#[path = "../../tests/support/server.rs"]
#[expect(dead_code, reason = "only its questions are needed")]
mod server;
#[path = "../../tests/delivery/scene.rs"]
#[expect(dead_code, reason = "only its subscribers are needed")]
mod subscribers;

use std::time::Duration;

use entrance::clock::Stopwatch;

use cluster::Cluster;
use running::Running;

const CHANGES: usize = 200;
const POLICIES: usize = 10_000;
const SUBSCRIBERS: usize = 1000;

/// What was measured, and the bar if there is one.
struct Row {
    cost: String,
    measured: f64,
    unit: &'static str,
    bar: Option<f64>,
}

impl Row {
    fn new(cost: impl Into<String>, measured: f64, unit: &'static str, bar: Option<f64>) -> Self {
        let row = Self { cost: cost.into(), measured, unit, bar };
        println!("{}", row.text());
        row
    }

    fn holds(&self) -> bool {
        self.bar.is_none_or(|bar| self.measured <= bar)
    }

    fn text(&self) -> String {
        let Self { cost, measured, unit, bar } = self;
        let bar = bar.map_or_else(|| "–".to_owned(), |bar| format!("≤ {bar} {unit}"));
        let verdict = if self.holds() { "" } else { "**missed**" };
        format!("| {cost} | {bar} | {measured:.1} {unit} | {verdict} |")
    }
}

fn main() {
    entrance::token::install_crypto().unwrap();
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|given| given == name);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rows = runtime.block_on(async {
        let (cluster, mut rows) = (Cluster::start().await, Vec::new());
        if wanted("apply") {
            rows.extend(apply(&cluster).await);
        }
        if wanted("many") || wanted("crowd") {
            cluster.populate(POLICIES).await;
        }
        if wanted("many") {
            rows.extend(many(&cluster).await);
        }
        if wanted("crowd") {
            rows.extend(crowd::measure(&cluster, SUBSCRIBERS).await);
        }
        rows
    });
    println!("\n| cost | bar | measured | |\n| --- | --- | --- | --- |");
    for row in &rows {
        println!("{}", row.text());
    }
    if !rows.iter().all(Row::holds) {
        std::process::exit(1);
    }
}

/// From a write to a decision.
async fn apply(cluster: &Cluster) -> Vec<Row> {
    let controller = cluster.controller().await;
    let sidecar = cluster.sidecar(&controller).await;
    let mut took = Vec::new();
    for at in 0..CHANGES {
        took.push(cluster.change(&sidecar, at % 2 == 0).await);
    }
    took.sort();
    let milliseconds = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1e3;
    vec![
        Row::new(
            "from a write to the API server to a decision at a sidecar, 200 changes: p50",
            milliseconds(50),
            "ms",
            None,
        ),
        Row::new("the same, p99", milliseconds(99), "ms", Some(500.0)),
        Row::new("the same, slowest", milliseconds(100), "ms", None),
    ]
}

/// Ten thousand policies.
async fn many(cluster: &Cluster) -> Vec<Row> {
    let mut rows = Vec::new();
    // the first one writes 10,000 statuses, which would be part of everything
    let first = cluster.controller().await;
    first.settles().await;
    rows.push(Row::new("memory of a controller that wrote all statuses", first.resident(), "MiB", None));
    drop(first);
    let list = cluster.list().await;
    let watch = Stopwatch::start();
    let controller = cluster.controller().await;
    let ready = watch.elapsed();
    let beyond = ready.saturating_sub(list).as_secs_f64();
    rows.push(Row::new("a list of 10,000 policies by itself", list.as_secs_f64(), "s", None));
    rows.push(Row::new("start of a controller to ready, beyond that", beyond, "s", Some(5.0)));
    rows.push(Row::new("memory of a controller when it is ready", controller.resident(), "MiB", None));
    controller.settles().await;
    rows.push(Row::new("memory of a controller at rest", controller.resident(), "MiB", Some(200.0)));
    let sidecar = cluster.sidecar(&controller).await;
    sidecar.settles().await;
    rows.push(Row::new("memory of a sidecar that is told 200 of them", sidecar.resident(), "MiB", None));
    rows.extend(one_change(cluster, (&controller, &sidecar)).await);
    rows
}

async fn one_change(cluster: &Cluster, (controller, sidecar): (&Running, &Running)) -> Vec<Row> {
    const ROUNDS: usize = 20;
    // the lease is taken, and what stands is read, before anything counts
    cluster.change(sidecar, false).await;
    cluster.programmed().await;
    controller.settles().await;
    let before = (controller.busy(), sidecar.busy());
    let mut took = Duration::ZERO;
    for at in 0..ROUNDS {
        took += cluster.change(sidecar, at % 2 == 0).await;
        cluster.programmed().await;
    }
    controller.settles().await;
    let each = |busy: Duration| busy.as_secs_f64() * 1e3 / ROUNDS as f64;
    let spent = (each(controller.busy() - before.0), each(sidecar.busy() - before.1));
    vec![
        Row::new("from a write to a decision among 10,000 policies, mean of 20", each(took), "ms", None),
        Row::new("CPU of one change in the controller", spent.0, "ms", None),
        Row::new("CPU of one change in controller and sidecar", spent.0 + spent.1, "ms", Some(20.0)),
    ]
}
