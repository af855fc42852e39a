//! All tricks against one ground, family by family.

mod combinations;
mod credentials;
mod forwarded;
mod framing;
mod host;
mod http2;
mod identity;
mod method;
mod path;
mod pipelining;
mod protocol;
mod spelling;
mod target;

use super::family::Family;
use super::trick::{Ground, Trick};

pub(super) use identity::SPOOF;

/// The tricks of one family.
pub(super) fn of(family: Family, ground: &Ground) -> Vec<Trick> {
    let album = match family {
        Family::PathDots => path::dots(ground),
        Family::PathSlashes => path::slashes(ground),
        Family::PathParameters => path::parameters(ground),
        Family::PathEncoding => spelling::encoding(ground),
        Family::Query => path::query(ground),
        Family::Target => target::album(ground),
        Family::Method => method::album(ground),
        Family::Host => host::album(ground),
        Family::Forwarded => forwarded::album(ground),
        Family::Identity => identity::album(ground),
        Family::Credentials => credentials::shapes(ground),
        Family::Tokens => credentials::tokens(ground),
        Family::Framing => framing::album(ground),
        Family::Pipelining => pipelining::album(ground),
        Family::Protocol => protocol::album(ground),
        Family::Http2 => http2::album(ground),
        Family::Combinations => combinations::album(ground),
    };
    album.finish()
}
