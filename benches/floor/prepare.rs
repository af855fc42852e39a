//! Policies of several sizes with one key, and checks with tokens of that key.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::check::message;
use crate::resources::{PATH, Size, application, policies};
use crate::rsa::Bare;
use crate::token::Minter;

/// Folders of policies.
const SIZES: [(&str, Size); 4] = [
    ("one", Size { policies: 1, routes: 0, one_host: true }),
    ("routes", Size { policies: 500, routes: 200, one_host: true }),
    ("hundred", Size { policies: 100, routes: 10, one_host: false }),
    ("many", Size { policies: 10_000, routes: 10, one_host: false }),
];

/// Checks with a token of their own each.
const FRESH: u64 = 20_000;

fn minter() -> Minter {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Minter::new(i64::try_from(now.as_secs()).unwrap())
}

/// Writes `policies-*/`, `check.bin` (one check) and `checks.bin` (many).
pub(crate) fn prepare(directory: &Path) {
    let minter = minter();
    for (name, size) in SIZES {
        let folder = directory.join(format!("policies-{name}"));
        fs::create_dir_all(&folder).unwrap();
        let documents = std::iter::once(application(&minter.jwks())).chain(policies(size));
        // JSON is YAML; ten documents a file, since files have a largest size
        for (at, part) in documents.collect::<Vec<_>>().chunks(10).enumerate() {
            let texts: Vec<String> = part.iter().map(ToString::to_string).collect();
            fs::write(folder.join(format!("{at:04}.yaml")), texts.join("\n---\n")).unwrap();
        }
    }
    fs::write(directory.join("check.bin"), framed(&minter, 0)).unwrap();
    let mut checks = std::io::BufWriter::new(fs::File::create(directory.join("checks.bin")).unwrap());
    for number in 1..=FRESH {
        checks.write_all(&framed(&minter, number)).unwrap();
    }
}

/// A gRPC message: a flag, a length, and the bytes.
fn framed(minter: &Minter, number: u64) -> Vec<u8> {
    let message = message(PATH, &minter.token(number));
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&message);
    frame
}

/// Prints the nanoseconds of CPU time that one bare verification takes.
pub(crate) fn verify(count: u64) {
    let bare = Bare::new(&minter());
    bare.verify();
    let before = on_cpu();
    for _ in 0..count {
        bare.verify();
    }
    println!("{}", (on_cpu() - before) / count);
}

/// Nanoseconds that this thread has run (Linux, Documentation/scheduler/sched-stats).
fn on_cpu() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
