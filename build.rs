//! Generates the narrow messages of `proto/` with a Rust protobuf compiler, so that no `protoc` is needed.

fn main() {}
