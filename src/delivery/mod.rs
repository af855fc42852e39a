//! Policy on its way from the controller to those who enforce, over Envoy's delta discovery protocol.
//!
//! *Resources* travel as they were declared, not compiled: whoever receives them uses the same compiler. `wire` turns one
//! into a discovery resource and back; an `end` closes a view; a `view` is what one subscriber may see; a `session` is the state of one stream at
//! the controller's end, a `subscription` at the other; `roster` knows who holds what; `server` and `client` speak gRPC;
//! `disk` keeps what a subscriber held, for a start without a controller.
//!
//! # What is promised
//! - A subscriber sees what its token entitles it to, never what it asks for.
//! - A change of one resource sends that resource. A reconnect sends what changed meanwhile.
//! - A message is taken whole or not at all; one that cannot be read is refused (NACK), and what stood before stands.
//! - What was taken counts once the view is whole, as one step: nobody enforces or keeps a part of it.
//! - A stream that ends takes nothing along: the last good state goes on to decide.

pub mod claims;
pub mod client;
pub mod disk;
pub mod door;
pub mod end;
pub mod roster;
pub mod server;
pub mod session;
pub mod subscription;
pub mod view;
pub mod wire;

mod proto {
    //! Generated from `proto/entrance_delivery.proto`.
    #![expect(unreachable_pub, reason = "generated code")]

    include!(concat!(env!("OUT_DIR"), "/entrance.delivery.v1.rs"));
}

/// The type of the resources that are delivered.
pub const RESOURCE_TYPE: &str = "type.googleapis.com/entrance.delivery.v1.Resource";
/// The type of the one resource that tells a subscriber who it is.
pub const WORKLOAD_TYPE: &str = "type.googleapis.com/entrance.delivery.v1.Workload";
/// The name of that one.
pub const WORKLOAD: &str = "workload";
/// The type of the one resource that tells a gateway which hosts are given to a namespace.
pub const PINS_TYPE: &str = "type.googleapis.com/entrance.delivery.v1.Pins";
/// The name of that one.
pub const PINS: &str = "pins";
/// The type of the one resource that says that a view is whole.
pub const COMPLETE_TYPE: &str = "type.googleapis.com/entrance.delivery.v1.Complete";
/// The name of that one, to which whoever wants it subscribes.
pub const COMPLETE: &str = "complete";
