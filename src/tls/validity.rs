//! From when until when a certificate counts (RFC 5280 §4.1.2.5), and nothing else of it.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::clock::UnixTime;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The first and the last second of a certificate in DER; `None` if it is none.
#[must_use]
pub fn validity(der: &[u8]) -> Option<(UnixTime, UnixTime)> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut fields, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, rest)) = expect(fields, VERSION) {
        fields = rest;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        (_, _, fields) = element(fields)?;
    }
    let (times, _) = expect(fields, SEQUENCE)?;
    let (tag, from, rest) = element(times)?;
    let from = time(tag, from)?;
    let (tag, until, _) = element(rest)?;
    Some((from, time(tag, until)?))
}

/// The content of an element with this tag, and what follows it.
fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag, content, and what follows. Lengths of more than three bytes are refused.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let add = |sum: usize, digit: &u8| sum.checked_mul(256)?.checked_add(usize::from(*digit));
            (digits.iter().try_fold(0_usize, add)?, rest)
        }
        0x80 | 0x84..=0xff => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn time(tag: u8, text: &[u8]) -> Option<UnixTime> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { year.checked_add(2000)? } else { year.checked_add(1900)? }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let mut digits = rest.as_bytes().chunks_exact(2).map(|pair| std::str::from_utf8(pair).ok()?.parse::<i8>().ok());
    let mut next = || digits.next().flatten();
    let date = Date::new(year, next()?, next()?).ok()?;
    let moment: DateTime = date.at(0, 0, 0, 0).with().hour(next()?).minute(next()?).second(next()?).build().ok()?;
    Some(UnixTime(moment.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::validity;
    use crate::clock::UnixTime;

    fn made(from: i64, until: i64) -> Vec<u8> {
        let at = |second: i64| {
            let second = std::time::Duration::from_secs(u64::try_from(second).unwrap());
            std::time::UNIX_EPOCH.checked_add(second).unwrap()
        };
        let mut params = CertificateParams::new(["a.example.com".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (at(from).into(), at(until).into());
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        for (from, until) in [(1_700_000_000, 1_800_000_000), (0, 2_524_607_999), (946_684_800, 4_102_444_800)] {
            assert_eq!(validity(&made(from, until)), Some((UnixTime(from), UnixTime(until))));
        }
    }

    #[test]
    fn no_piece_of_a_certificate_is_one() {
        let whole = made(1, 2);
        for end in 0..whole.len() {
            assert_eq!(validity(&whole[..end]), None, "{end}");
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0xff;
            // it may still be read, but must not panic
            let _read = validity(&bent);
        }
    }
}
