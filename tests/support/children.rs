//! Processes that tests start, and the promise that none of them outlives the tests.
//!
//! A fixture that many tests share lives in a static, and statics are never dropped. So one guard, a shell that waits
//! for the end of its standard input, hears of every process: when the test process ends, in whatever way, the pipe
//! closes and the guard ends what is left, by id, and removes the scratch directory.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Everything here takes well under a second; a loaded machine is given more.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

const GUARD: &str = r#"
trap '' INT TERM HUP
left=
while read -r verb pid; do
  rest=
  for other in $left; do [ "$other" = "$pid" ] || rest="$rest $other"; done
  left=$rest
  [ "$verb" = end ] || left="$left $pid"
done
[ -z "$left" ] || kill -9 $left
rm -rf -- "$1" || rm -rf -- "$1"
"#;

struct Guard {
    stdin: Mutex<ChildStdin>,
    scratch: PathBuf,
    /// Ends by itself.
    _shell: Child,
}

fn guard() -> &'static Guard {
    static GUARD_PROCESS: OnceLock<Guard> = OnceLock::new();
    GUARD_PROCESS.get_or_init(|| {
        let scratch = tempfile::Builder::new().prefix("entrance-e2e-").tempdir().unwrap().keep();
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "guard"]).arg(&scratch);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // its thread must not be a test's: those end
        let mut shell = spawn(command);
        Guard { stdin: Mutex::new(shell.stdin.take().unwrap()), scratch, _shell: shell }
    })
}

fn tell(verb: &str, pid: u32) {
    let mut stdin = guard().stdin.lock().unwrap();
    writeln!(stdin, "{verb} {pid}").unwrap();
}

/// A directory that is removed when the tests have ended.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let prefix = format!("{name}-");
    tempfile::Builder::new().prefix(&prefix).tempdir_in(&guard().scratch).unwrap().keep()
}

/// Starts a process from a thread that lives as long as the tests: Envoy asks the system to end it with the thread
/// that started it.
fn spawn(command: Command) -> Child {
    type Order = (Command, Sender<std::io::Result<Child>>);
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                reply.send(command.spawn()).unwrap();
            }
        });
        Mutex::new(orders)
    });
    let (reply, answer) = channel();
    spawner.lock().unwrap().send((command, reply)).unwrap();
    answer.recv().unwrap().unwrap()
}

/// One process; killed when dropped.
pub(crate) struct Process {
    pid: u32,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it says on standard output and error goes to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = std::fs::File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        guard();
        let child = spawn(command);
        let pid = child.id();
        tell("start", pid);
        Self { pid, child: Mutex::new(child), log: log.to_owned() }
    }

    /// Everything it has said.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().unwrap().try_wait().unwrap()
    }

    /// Sends a signal: `TERM`, `KILL`, `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &self.pid.to_string()]).status();
        assert!(sent.unwrap().success(), "cannot send {name} to {}", self.pid);
    }

    /// Stops it, until it is told `CONT`: every thread of it, when this returns.
    pub(crate) async fn halt(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.pid);
        let is_halted = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
        };
        until("all threads are stopped", async || {
            std::fs::read_dir(&tasks).unwrap().all(|task| is_halted(task.unwrap())).then_some(())
        })
        .await;
    }

    /// Waits for its end.
    pub(crate) async fn end(&self) -> ExitStatus {
        until("the process ends", async || self.ended()).await
    }

    /// CPU time so far, in user and kernel mode, in steps of 10 ms.
    pub(crate) fn busy(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap();
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let kibibytes: usize = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        kibibytes * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        tell("end", self.pid);
    }
}

/// Waits until `seen` sees something; fails with `what` if that takes too long.
pub(crate) async fn until<T>(what: &str, mut seen: impl AsyncFnMut() -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(found) = seen().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, look).await.unwrap_or_else(|_| panic!("waited {LIMIT:?} in vain until {what}"))
}

/// A port of its own: see [`crate::free_port`].
pub(crate) fn port() -> SocketAddr {
    crate::free_port::port()
}

/// The runtime of fixtures that tests share: theirs end with them.
pub(crate) fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap())
}
