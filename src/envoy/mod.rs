//! envoy.
