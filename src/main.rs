//! The `entrance` command.

fn main() {}
