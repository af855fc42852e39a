//! What the code under test decides on a generated request.

use entrance::identity::ApplicationId;
use entrance::policy::decide::{Decided, Evidence, decide};
use entrance::policy::locate::locate;
use entrance::policy::snapshot::Snapshot;
use entrance::request::{Named, Request};

use crate::generate::NOW;
use crate::world::{Ask, Token};

/// Decides a request.
pub(crate) fn judged(snapshot: &Snapshot, ask: &Ask) -> Decided {
    let Ask { method, host, target, headers, token } = ask;
    let request = Request { method, host, target, headers, named: Named::default() };
    let forced = match token {
        Token::Caller(_, Some(application)) => Some(ApplicationId((*application).into())),
        Token::Caller(_, None) | Token::None | Token::Rejected(_) => None,
    };
    let asked = [ApplicationId("shop/api".into()), ApplicationId("shop/other".into())];
    let evidence = |application: &ApplicationId| match token {
        Token::None => Evidence::None,
        Token::Rejected(reason) => Evidence::Rejected(*reason),
        Token::Caller(caller, _) => {
            let same = asked.iter().find(|known| *known == application).unwrap();
            Evidence::Caller { caller, application: forced.as_ref().unwrap_or(same) }
        }
    };
    decide(&locate(snapshot, &request), &evidence, NOW)
}
