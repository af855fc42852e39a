//! Generates the messages of `proto/` with a Rust protobuf compiler, so that no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["proto/envoy_auth.proto", "proto/entrance_delivery.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .bytes(".")
        .btree_map(".entrance.delivery")
        .build_client(false)
        .build_server(false)
        .compile_fds(files)?;
    Ok(())
}
