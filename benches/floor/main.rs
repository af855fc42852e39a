//! The floor: what a check costs when nothing is decided, and the loads that both servers are measured with.
//!
//! `floor serve ADDRESS` is a tonic server on the messages of envoy-types that always allows. `floor prepare DIRECTORY`
//! writes policies, a key and checks; `floor load ADDRESS FILE [COUNT]` sends each check of a file once, or so many in turn; `floor verify COUNT`
//! tells what a bare RSA-2048 verification costs. `tools/bench_floor.py` puts them together.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a tool that cannot go on ends")]
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "small numbers")]
#![expect(clippy::print_stdout, reason = "the results")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

#[path = "../world/check.rs"]
mod check;
#[path = "../world/resources.rs"]
mod resources;
#[path = "../world/rsa.rs"]
mod rsa;
#[path = "../../tests/support/signer.rs"]
mod signer;
#[path = "../world/token.rs"]
mod token;

mod load;
mod prepare;
mod serve;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", address] => serve::serve(address.parse().expect("an address")),
        ["prepare", directory] => prepare::prepare(directory.as_ref()),
        ["load", address, file] => load::load(address, file.as_ref(), None),
        ["load", address, file, count] => load::load(address, file.as_ref(), Some(count.parse().expect("a number"))),
        ["verify", count] => prepare::verify(count.parse().expect("a number")),
        _ => println!("this is a part of tools/bench_floor.py"),
    }
}
