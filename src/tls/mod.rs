//! TLS at ports of our own: a certificate that may change while connections stay.
//!
//! A [`Certificate`] is shown to whoever connects from now on; a new one takes its place at once, and connections that
//! stand go on with the one they were made with. Where it comes from is for others to say: [`files`] follows two files.
//! [`connections`] turns a listener into connections that have shaken hands.

mod certificate;
mod connections;
pub mod files;

pub use certificate::{Certificate, CertificateFault, Pem};
pub use connections::connections;
