//! An authority of our own, and the certificate that it signs for our ports: made, judged, and renewed in time.
//!
//! Pure but for the keys, which are made by chance: the time is an argument. What is kept is four texts, as a Kubernetes
//! Secret holds them. Whoever trusts the *bundle* trusts the certificate that is shown, at every moment:
//!
//! - The certificate is renewed when less than a third of its life is left, or when its names are no longer the wanted ones.
//! - The authority is renewed when less than a third of its life is left. Both are in the bundle from then on, and the
//!   **older one goes on signing** as long as it outlives what it signs: whoever learnt of the bundle once, as a pod does
//!   when it is made, has years to learn of the next one.
//! - An authority that has ended leaves the bundle.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime as TlsTime};

use crate::clock::UnixTime;

use super::Pem;
use super::validity::validity;

/// What is made before a moment counts from then on, for those whose clocks are behind.
const SKEW: i64 = 300;
const NAME: &str = "Entrance authority";

/// How long what is made counts, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// The authority.
    pub authority: i64,
    /// The certificate.
    pub certificate: i64,
}

impl Default for Lifetimes {
    /// Ten years and ninety days.
    fn default() -> Self {
        Self { authority: 315_360_000, certificate: 7_776_000 }
    }
}

/// What is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// The authorities that count, the oldest first: what others must trust. PEM.
    pub bundle: String,
    /// Their private keys, in the same order. PEM.
    pub keys: String,
    /// What is shown.
    pub shown: Pem,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// Something could not be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate: {0}")]
pub struct MakeFault(#[from] rcgen::Error);

/// One authority, with its key.
struct Authority {
    pem: String,
    der: Vec<u8>,
    key: String,
    until: UnixTime,
}

/// What to keep instead of `kept` from now on; `None`: it is good for a while.
///
/// # Errors
/// [`MakeFault`].
pub fn next(
    kept: Option<&Kept>,
    (names, lifetimes): (&[String], Lifetimes),
    now: UnixTime,
) -> Result<Option<Kept>, MakeFault> {
    let known = kept.and_then(authorities).unwrap_or_default();
    let before = known.len();
    let mut all: Vec<Authority> = known.into_iter().filter(|authority| now < authority.until).collect();
    let lasting = all.last().is_some_and(|newest| !ends_soon(newest.until, lifetimes.authority, now));
    if !lasting {
        all.push(Authority::new(lifetimes.authority, now)?);
    }
    let same = lasting && all.len() == before;
    let shown = kept.filter(|kept| good(&kept.shown, (&all, names), (lifetimes, now)));
    let shown = match shown {
        Some(_) if same => return Ok(None),
        Some(kept) => kept.shown.clone(),
        None => issue(&all, names, (lifetimes, now))?,
    };
    let joined = |part: fn(&Authority) -> &str| all.iter().map(part).collect::<String>();
    Ok(Some(Kept { bundle: joined(|one| &one.pem), keys: joined(|one| &one.key), shown }))
}

/// When a certificate ends, if it is one.
#[must_use]
pub fn until(shown: &Pem) -> Option<UnixTime> {
    validity(&CertificateDer::from_pem_slice(&shown.certificate).ok()?).map(|(_, until)| until)
}

/// Whether less than a third of a life is left.
const fn ends_soon(until: UnixTime, lifetime: i64, now: UnixTime) -> bool {
    match lifetime.checked_div(3) {
        Some(third) => until.since(now) < third,
        None => true,
    }
}

/// All of them with their keys, or nothing if something is broken.
fn authorities(kept: &Kept) -> Option<Vec<Authority>> {
    let certificates: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(kept.bundle.as_bytes()).collect::<Result<_, _>>().ok()?;
    let keys: Vec<PrivatePkcs8KeyDer<'_>> =
        PrivatePkcs8KeyDer::pem_slice_iter(kept.keys.as_bytes()).collect::<Result<_, _>>().ok()?;
    if certificates.len() != keys.len() {
        return None;
    }
    let pair = |(certificate, key): (&CertificateDer<'_>, &PrivatePkcs8KeyDer<'_>)| {
        let key = KeyPair::try_from(key.secret_pkcs8_der()).ok()?;
        let (_, until) = validity(certificate)?;
        Some(Authority { pem: pem(certificate), der: certificate.to_vec(), key: key.serialize_pem(), until })
    };
    certificates.iter().zip(&keys).map(pair).collect()
}

/// PEM of a certificate (RFC 7468).
fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

impl Authority {
    fn new(lifetime: i64, now: UnixTime) -> Result<Self, MakeFault> {
        let key = KeyPair::generate()?;
        let mut params = Self::params()?;
        let until = within(&mut params, lifetime, now);
        let certificate = params.self_signed(&key)?;
        let der = certificate.der().to_vec();
        Ok(Self { pem: pem(&der), der, key: key.serialize_pem(), until })
    }

    /// What all of them have in common.
    fn params() -> Result<CertificateParams, MakeFault> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, NAME);
        Ok(params)
    }
}

/// Bounds a life; says when it ends.
fn within(params: &mut CertificateParams, lifetime: i64, now: UnixTime) -> UnixTime {
    let at = |second: UnixTime| {
        let second = Duration::from_secs(u64::try_from(second.0).unwrap_or(0));
        UNIX_EPOCH.checked_add(second).unwrap_or(UNIX_EPOCH)
    };
    let until = now.plus(lifetime);
    (params.not_before, params.not_after) = (at(now.plus(SKEW.saturating_neg())).into(), at(until).into());
    until
}

/// A certificate by the oldest authority that outlives it.
fn issue(all: &[Authority], names: &[String], (lifetimes, now): (Lifetimes, UnixTime)) -> Result<Pem, MakeFault> {
    let end = now.plus(lifetimes.certificate);
    let outliving = all.iter().find(|authority| end <= authority.until);
    // INVARIANT: `next` has put one in.
    let signer = outliving.or(all.last()).ok_or(MakeFault(rcgen::Error::CouldNotParseCertificate))?;
    let issuer = Issuer::new(Authority::params()?, KeyPair::from_pem(&signer.key)?);
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Entrance");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    within(&mut params, lifetimes.certificate.min(signer.until.since(now)), now);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pem { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() })
}

/// Whether a certificate can be shown for a while: whoever trusts the authorities trusts it for every name.
fn good(shown: &Pem, (all, names): (&[Authority], &[String]), (lifetimes, now): (Lifetimes, UnixTime)) -> bool {
    let certificate = CertificateDer::from_pem_slice(&shown.certificate).ok();
    let Some(certificate) = certificate.filter(|_| super::Certificate::new(shown).is_ok()) else { return false };
    let lasting = validity(&certificate).is_some_and(|(_, until)| !ends_soon(until, lifetimes.certificate, now));
    lasting && trusted(&certificate, (all, names), now)
}

fn trusted(certificate: &CertificateDer<'_>, (all, names): (&[Authority], &[String]), now: UnixTime) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(all.iter().map(|authority| CertificateDer::from(authority.der.as_slice())));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let Ok(verifier) = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return false;
    };
    let at = TlsTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.0).unwrap_or(0)));
    names.iter().all(|name| {
        let name = ServerName::try_from(name.as_str());
        name.is_ok_and(|name| verifier.verify_server_cert(certificate, &[], &name, &[], at).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::{Kept, Lifetimes, authorities, next, trusted};
    use crate::clock::UnixTime;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    const LIVES: Lifetimes = Lifetimes { authority: 30_000, certificate: 900 };
    const START: i64 = 1_800_000_000;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn at(kept: Option<&Kept>, second: i64) -> Option<Kept> {
        crate::token::install_crypto().unwrap();
        next(kept, (&names(&["hook.entrance.svc", "127.0.0.1"]), LIVES), UnixTime(START).plus(second)).unwrap()
    }

    /// Whether whoever trusts the bundle of `trust` accepts what `kept` shows.
    fn accepts(trust: &Kept, kept: &Kept, second: i64) -> bool {
        let shown = CertificateDer::from_pem_slice(&kept.shown.certificate).unwrap();
        let all = authorities(trust).unwrap();
        trusted(&shown, (&all, &names(&["hook.entrance.svc"])), UnixTime(START).plus(second))
    }

    #[test]
    fn a_certificate_stands_until_a_third_of_its_life_is_left() {
        let first = at(None, 0).unwrap();
        assert!(accepts(&first, &first, 0));
        assert_eq!(at(Some(&first), 0), None);
        assert_eq!(at(Some(&first), 600), None);
        let second = at(Some(&first), 601).unwrap();
        assert_eq!((&second.bundle, &second.keys), (&first.bundle, &first.keys));
        assert_ne!(second.shown, first.shown);
        assert!(accepts(&first, &second, 601) && accepts(&second, &first, 601));
    }

    #[test]
    fn other_names_and_broken_texts_are_mended() {
        let first = at(None, 0).unwrap();
        crate::token::install_crypto().unwrap();
        let more = names(&["hook.entrance.svc", "other.entrance.svc"]);
        let renamed = next(Some(&first), (&more, LIVES), UnixTime(START)).unwrap().unwrap();
        assert_eq!(renamed.bundle, first.bundle);
        for broken in [
            Kept { bundle: String::new(), ..first.clone() },
            Kept { keys: "rubbish".to_owned(), ..first.clone() },
            Kept { shown: super::Pem { certificate: Vec::new(), key: Vec::new() }, ..first.clone() },
            Kept { shown: super::Pem { key: renamed.shown.key.clone(), ..first.shown.clone() }, ..first.clone() },
        ] {
            let mended = at(Some(&broken), 1).unwrap();
            assert!(accepts(&mended, &mended, 1));
            assert_eq!(at(Some(&mended), 1), None);
        }
    }

    #[test]
    fn whoever_learnt_the_bundle_before_accepts_what_is_shown_until_the_older_authority_ends() {
        let first = at(None, 0).unwrap();
        let mut kept = first.clone();
        let (mut before, mut both) = (vec![(0, first.clone())], 0);
        for second in (0..55_000).step_by(100) {
            let Some(new) = at(Some(&kept), second) else { continue };
            both = both.max(authorities(&new).unwrap().len());
            // two authorities overlap for a third of a life, less the life of a certificate
            let known = before.iter().rev().find(|(since, _)| *since <= second - 1000).map_or(&first, |(_, kept)| kept);
            assert!(accepts(known, &new, second), "{second}");
            assert!(accepts(&new, &kept, second) || second > 900, "{second}");
            before.push((second, new.clone()));
            kept = new;
        }
        assert_eq!(both, 2);
        assert_eq!(authorities(&kept).unwrap().len(), 1, "those that ended are gone");
        assert!(!accepts(&first, &kept, 54_900), "another authority signs");
        // the older one signed for most of the overlap
        let late = before.iter().rfind(|(second, _)| *second < 29_000).unwrap();
        assert!(accepts(&first, &late.1, late.0), "{}", late.0);
    }
}
