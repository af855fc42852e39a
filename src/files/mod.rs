//! Resources from YAML files. Placeholder.
