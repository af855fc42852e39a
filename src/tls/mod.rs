//! TLS at ports of our own: a certificate that may change while connections stay.
//!
//! A [`Certificate`] is shown to whoever connects from now on; a new one takes its place at once, and connections that
//! stand go on with the one they were made with. Where it comes from is for others to say: [`files`] follows two files.
//! [`authority`] makes them ourselves and renews them in time.
//! [`connections()`] turns a listener into connections that have shaken hands.

pub mod authority;
mod certificate;
mod connections;
pub mod files;
pub mod validity;

pub use certificate::{Certificate, CertificateFault, Pem};
pub use connections::connections;
