//! A network of one's own: a test binary runs itself anew in fresh namespaces, where every port is free.
//!
//! Control planes of meshes listen on fixed ports and read fixed files. Inside there are loopback, the address [`ADDRESS`]
//! for what must not be loopback (the API server refuses that in an EndpointSlice), a directory `/certs`, and nobody else.
//! When the run ends, in whatever way, the kernel ends every process in there. It takes no privileges where users may make
//! namespaces of their own.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::children::runtime;

/// An address of this machine that is not loopback.
pub(crate) const ADDRESS: &str = "10.99.0.1";
/// Where [`CERTS`] is outside.
const INSIDE: &str = "ENTRANCE_TEST_PRIVATE_CERTS";
/// A directory of one's own, which does not exist outside.
pub(crate) const CERTS: &str = "/certs";

/// A root of its own shows everything that the machine's does, and one directory more.
const INIT: &str = r#"
set -e
ip link set lo up
ip addr add @ADDRESS@/32 dev lo
ip route add default dev lo
root=$1 certs=$2
shift 2
mount -t tmpfs none "$root"
for entry in /*; do
  if [ -L "$entry" ]; then cp -P "$entry" "$root$entry"
  elif [ -d "$entry" ]; then mkdir "$root$entry"; mount --rbind "$entry" "$root$entry"
  fi
done
mkdir -p "$root@CERTS@"
mount --bind "$certs" "$root@CERTS@"
cd /
exec chroot "$root" "$@"
"#;

/// Runs a test inside. Outside, all tests that were asked for run inside, once, and this one fails if it failed there.
pub(crate) fn inside<T: AsyncFnOnce()>(test: T) {
    if std::env::var_os(INSIDE).is_some() {
        return runtime().block_on(test());
    }
    static RUN: OnceLock<String> = OnceLock::new();
    let said = RUN.get_or_init(|| {
        let Output { stdout, stderr, .. } = rerun();
        [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    });
    let passed = format!("test {} ... ok", name::<T>());
    if !said.lines().any(|line| line == passed) {
        // the whole is told once
        static TOLD: OnceLock<()> = OnceLock::new();
        let said = if TOLD.set(()).is_ok() { said } else { "what is told with another test" };
        panic!("there is no `{passed}` in {said}");
    }
}

/// The name of the test that such a closure is in, as the harness has it.
fn name<T>() -> &'static str {
    let full = std::any::type_name::<T>();
    let (_, within) = full.split_once("::").unwrap();
    within.split_once("::{{").unwrap().0
}

fn rerun() -> Output {
    let directory = tempfile::tempdir().unwrap();
    let [root, certs, scratch] = ["root", "certs", "tmp"].map(|name| directory.path().join(name));
    for made in [&root, &certs, &scratch] {
        std::fs::create_dir(made).unwrap();
    }
    let init = INIT.replace("@ADDRESS@", ADDRESS).replace("@CERTS@", CERTS);
    let mut command = Command::new("unshare");
    command.args(["-Urnm", "--pid", "--fork", "--kill-child", "sh", "-c", &init, "sh"]);
    command.args([&root, &certs]).arg(std::env::current_exe().unwrap());
    // the same filters; what is said stays with the test that says it
    command.args(std::env::args().skip(1).filter(|argument| argument != "--nocapture"));
    // what they leave behind goes with the directory
    command.env(INSIDE, &certs).env("TMPDIR", &scratch).output().unwrap()
}

/// Writes a file of [`CERTS`].
pub(crate) fn certificate(name: &str, text: &[u8]) {
    std::fs::write(Path::new(CERTS).join(name), text).unwrap();
}
