//! Client assertions (RFC 7523) signed with a registered certificate or public key, as Entra takes them.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::server::ParsedCertificate;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::grant::GrantFault;
use super::keys::thumbprint;
use super::world::World;
use crate::clock::UnixTime;

/// Longest time from now to `exp`, in seconds: ten minutes, and one for clocks that differ.
const LONGEST: i64 = 660;
/// How far `nbf` may lie ahead, in seconds.
const SKEW: i64 = 60;

/// A key that a client may sign with.
#[derive(Clone, Debug, Serialize)]
pub struct Registered {
    /// The base64url SHA-1 of the DER.
    pub x5t: String,
    /// The base64url SHA-256 of the DER.
    #[serde(rename = "x5t#S256")]
    pub x5t_s256: String,
    #[serde(skip)]
    public_key: Vec<u8>,
}

/// The text is neither a certificate nor a public key.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("expected a PEM `CERTIFICATE` or `PUBLIC KEY` that holds an RSA key")]
pub struct NotAKey;

impl Registered {
    /// Reads a PEM certificate or a PEM public key; the thumbprints are those of its DER.
    pub(super) fn from_pem(pem: &str) -> Result<Self, NotAKey> {
        if let Ok(certificate) = CertificateDer::from_pem_slice(pem.as_bytes()) {
            let parsed = ParsedCertificate::try_from(&certificate).map_err(|_| NotAKey)?;
            let public_key = parsed.subject_public_key_info();
            return Ok(Self::new(&certificate, public_key.to_vec()));
        }
        let key = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| NotAKey)?;
        Ok(Self::new(&key, key.to_vec()))
    }

    fn new(der: &[u8], public_key: Vec<u8>) -> Self {
        Self {
            x5t: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY, der),
            x5t_s256: thumbprint(&digest::SHA256, der),
            public_key,
        }
    }

    fn verifies(&self, algorithm: Option<&Value>, signed: (&[u8], &[u8])) -> bool {
        let (message, signature) = signed;
        let result = match algorithm.and_then(Value::as_str) {
            Some("PS256") => {
                UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &self.public_key).verify(message, signature)
            }
            Some("RS256") => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key).verify(message, signature)
            }
            _ => return false,
        };
        result.is_ok()
    }
}

/// The client id that an assertion claims to be of; nothing is verified.
pub(super) fn claimed_client(assertion: &str) -> Option<String> {
    let payload: Map<String, Value> = part(assertion.split('.').nth(1)?)?;
    payload.get("sub")?.as_str().map(str::to_owned)
}

/// Checks an assertion of `client` sent to the token endpoint of `tenant`: key, signature, audience, issuer, time, replay.
pub(super) fn check(world: &World, (tenant, client): (&str, &str), assertion: &str) -> Result<(), GrantFault> {
    let malformed = || GrantFault::AssertionInvalid("it is not a compact JWS");
    let (message, signature) = assertion.rsplit_once('.').ok_or_else(malformed)?;
    let (header, payload) = message.split_once('.').ok_or_else(malformed)?;
    let header: Map<String, Value> = part(header).ok_or_else(malformed)?;
    let payload: Map<String, Value> = part(payload).ok_or_else(malformed)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| malformed())?;
    let key = find(world, client, &header).ok_or(GrantFault::CertificateUnknown)?;
    if !key.verifies(header.get("alg"), (message.as_bytes(), &signature)) {
        return Err(GrantFault::AssertionInvalid("its signature does not verify"));
    }
    check_claims(world, (tenant, client), &payload)
}

fn find(world: &World, client: &str, header: &Map<String, Value>) -> Option<Registered> {
    // MSAL for Python pads thumbprints, against RFC 7515 §4.1.8, and Entra takes them.
    let names = |member: &str, thumbprint: &str| {
        let named = header.get(member).and_then(Value::as_str);
        named.is_some_and(|named| named.trim_end_matches('=') == thumbprint)
    };
    let registered = world.registered.lock();
    registered
        .get(client)?
        .iter()
        .find(|key| names("x5t#S256", &key.x5t_s256) || names("x5t", &key.x5t) || names("kid", &key.x5t))
        .cloned()
}

fn check_claims(world: &World, (tenant, client): (&str, &str), payload: &Map<String, Value>) -> Result<(), GrantFault> {
    let text = |name: &str| payload.get(name).and_then(Value::as_str);
    let time = |name: &str| payload.get(name).and_then(whole_seconds);
    let base = &world.base;
    let audiences = [tenant, "common", "organizations"].map(|tenant| format!("{base}/{tenant}/oauth2/v2.0/token"));
    let named = world
        .tenant(tenant)
        .map(|tenant| [&tenant.id, &tenant.name].map(|tenant| format!("{base}/{tenant}/oauth2/v2.0/token")));
    let mut accepted = audiences.iter().chain(named.iter().flatten());
    if !accepted.any(|audience| text("aud") == Some(audience)) {
        return Err(GrantFault::AssertionInvalid("its audience is not this token endpoint"));
    }
    if text("iss") != Some(client) || text("sub") != Some(client) {
        return Err(GrantFault::AssertionInvalid("issuer and subject are not the client id"));
    }
    let now = world.clock.unix();
    let expires = time("exp").ok_or(GrantFault::AssertionTime)?;
    let not_before = time("nbf").unwrap_or(now);
    if expires <= now || expires > now.plus(LONGEST) || not_before > now.plus(SKEW) {
        return Err(GrantFault::AssertionTime);
    }
    let id = text("jti").ok_or(GrantFault::AssertionInvalid("it has no `jti`"))?;
    spend(world, (client, id), expires)
}

fn spend(world: &World, (client, id): (&str, &str), expires: UnixTime) -> Result<(), GrantFault> {
    let now = world.clock.unix();
    let mut spent = world.spent.lock();
    spent.retain(|_, expires| *expires > now);
    let first = spent.insert((client.into(), id.into()), expires).is_none();
    if first || !world.config.refuse_replay {
        return Ok(());
    }
    Err(GrantFault::AssertionInvalid("it was used before"))
}

/// A NumericDate (RFC 7519 §2), which may have a fraction: MSAL for Python sends one.
fn whole_seconds(date: &Value) -> Option<UnixTime> {
    let number = date.as_number()?.to_string();
    let whole = number.split('.').next()?;
    whole.parse().ok().map(UnixTime)
}

fn part<T: DeserializeOwned>(segment: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(segment).ok()?).ok()
}
