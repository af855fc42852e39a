//! Whether a report is worth something: it must go on from what it said before, and have every control.
//!
//! A report that an upstream keeps in memory is gone when it starts anew, and with it every bypass. Its length alone does
//! not tell: a fresh report may be as long as one from before the run.

use std::collections::HashMap;

use super::Unfit;
use super::arrivals::Arrival;
use super::controls::{Place, Witness};

/// What a report has that an earlier one has not.
///
/// # Errors
/// If the earlier one has something that it has not. Their order does not matter: reports of several upstreams may have been
/// put together.
pub(super) fn since(earlier: &[Arrival], report: Vec<Arrival>) -> Result<Vec<Arrival>, Unfit> {
    let mut old: HashMap<&Arrival, usize> = HashMap::new();
    for arrival in earlier {
        let count = old.entry(arrival).or_default();
        *count = count.saturating_add(1);
    }
    let mut fresh = Vec::new();
    for arrival in report {
        match old.get_mut(&arrival).filter(|count| **count > 0) {
            Some(count) => *count = count.saturating_sub(1),
            None => fresh.push(arrival),
        }
    }
    let lost: usize = old.values().sum();
    if lost == 0 { Ok(fresh) } else { Err(Unfit::Forgotten { what: format!("{lost} arrivals from before the run") }) }
}

/// Whether every control is there. What was there once must be there for good.
pub(super) fn complete(witnesses: &[Witness<'_>], arrivals: &[Arrival]) -> Result<(), Unfit> {
    let missing = witnesses.iter().find(|witness| witness.times(arrivals) == 0);
    missing.map_or(Ok(()), |witness| {
        Err(match witness.place {
            Place::Before => Unfit::Forgotten { what: format!("{}, sent before the tricks", witness.control.name) },
            Place::Behind(_) | Place::After => witness.missed(),
        })
    })
}

/// What is not a control's: whatever has another nonce beside that of a control, or arrived elsewhere, is judged.
pub(super) fn without_controls(witnesses: &[Witness<'_>], arrivals: Vec<Arrival>) -> Vec<Arrival> {
    let mut due: HashMap<&str, &Witness<'_>> = HashMap::new();
    for witness in witnesses {
        due.extend(witness.nonces.iter().map(|nonce| (nonce.as_str(), witness)));
    }
    let mut rest = Vec::new();
    for arrival in arrivals {
        let nonce = arrival.nonces().next().filter(|nonce| due.get(nonce).is_some_and(|witness| witness.is(&arrival)));
        // once: a control that arrives again was repeated by somebody
        match nonce {
            Some(nonce) => drop(due.remove(nonce)),
            None => rest.push(arrival),
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::super::arrivals::Arrival;
    use super::super::controls::{Control, Place, Witness};
    use super::super::reply::Reply;
    use super::super::script::Permitted;
    use super::super::trick::Sent;
    use super::{complete, since, without_controls};

    fn arrival(resource: &str, nonce: &str) -> Arrival {
        let headers = vec![("x-bypass-nonce".to_owned(), nonce.to_owned())];
        Arrival { resource: resource.into(), shown: String::new(), headers }
    }

    fn control() -> Control<'static> {
        Control { name: "the control".into(), resource: "public", sent: Sent::Http1(vec![]), permitted: Permitted::No }
    }

    fn witness<'a>(control: &'a Control<'a>, place: Place) -> Witness<'a> {
        let reply = Reply { statuses: vec![200], bytes: Vec::new() };
        Witness { control, nonces: vec!["1".into(), "2".into()], reply, place }
    }

    #[test]
    fn a_report_goes_on_from_what_it_said_before() {
        let (a, b) = (arrival("a", "1"), arrival("b", "1"));
        let fresh = |before: &[&Arrival], now: &[&Arrival]| {
            let owned = |all: &[&Arrival]| all.iter().map(|&one| one.clone()).collect::<Vec<_>>();
            since(&owned(before), owned(now)).map_err(|unfit| unfit.to_string())
        };
        assert_eq!(fresh(&[&a], &[&b, &a, &a]), Ok(vec![b.clone(), a.clone()]));
        // as long as before, and longer: yet it forgot
        for now in [&[&b][..], &[&b, &b]] {
            let fault = fresh(&[&a], now).unwrap_err();
            assert!(fault.contains("no longer has 1 arrivals from before the run"), "{fault}");
        }
        assert!(fresh(&[&a, &a], &[&a]).is_err());
    }

    #[test]
    fn every_control_must_be_there() {
        let control = control();
        let told = |place: Place, arrivals: &[Arrival]| {
            complete(&[witness(&control, place)], arrivals).map_err(|unfit| unfit.to_string())
        };
        assert_eq!(told(Place::Before, &[arrival("public", "2")]), Ok(()));
        let forgotten = told(Place::Before, &[arrival("admin", "1")]).unwrap_err();
        assert!(forgotten.contains("no longer has the control, sent before the tricks"), "{forgotten}");
        let gap = told(Place::Behind("host: x".into()), &[]).unwrap_err();
        assert!(gap.contains("the control, sent behind the trick `host: x`, did not arrive"), "{gap}");
        let after = told(Place::After, &[]).unwrap_err();
        assert!(after.contains("did not arrive at `public` (answered 200); is the report that"), "{after}");
    }

    #[test]
    fn what_hides_behind_a_control_is_judged() {
        let control = control();
        let rest = |arrivals: &[Arrival]| without_controls(&[witness(&control, Place::After)], arrivals.to_vec());
        assert_eq!(rest(&[arrival("public", "1"), arrival("public", "2")]), []);
        for other in [arrival("public", "1, 9"), arrival("public", "9, 1"), arrival("admin", "1")] {
            assert_eq!(rest(std::slice::from_ref(&other)), [other]);
        }
        let twice = arrival("public", "1");
        assert_eq!(rest(&[twice.clone(), twice.clone()]), [twice]);
    }
}
