//! Resources from YAML files.

mod excerpt;
pub mod yaml;
