//! Keys, certificates, and what they sign.

use std::time::{Duration, SystemTime};

use super::support::{authority, credentials, now};
use anet_cluster::Bytes;
use anet_cluster::trust::{
    Authority, Certificate, Credentials, Envelope, KeyPair, Names, Role, Signer, TrustError, VALIDITY,
    Verifier,
};
use proptest::prelude::*;

fn verifier(authority: &Authority) -> Verifier {
    Verifier::new(authority.certificate()).unwrap()
}

fn sealed(authority: &Authority, role: Role) -> Bytes {
    Signer::new(&credentials(authority, role, "c1"))
        .seal("changeset", b"payload")
        .unwrap()
        .into()
}

#[test]
fn what_a_controller_signs_is_opened_and_names_it() {
    let authority = authority();
    let controller = credentials(&authority, Role::Controller, "c1");
    let envelope = Signer::new(&controller).seal("changeset", b"payload").unwrap();
    let opened = verifier(&authority)
        .open("changeset", envelope.into(), now())
        .unwrap();
    assert_eq!(opened.payload, &b"payload"[..]);
    assert_eq!(opened.signer.to_string(), "anet://lab/controller/c1");
    assert_eq!(opened.signer.fingerprint, controller.key().fingerprint());
    assert_eq!(opened.signer.expires, now() + VALIDITY);
}

#[test]
fn an_envelope_for_another_purpose_or_changed_is_refused() {
    let authority = authority();
    let open = |purpose: &str, envelope: Bytes| verifier(&authority).open(purpose, envelope, now());
    assert_eq!(
        open("changes", sealed(&authority, Role::Controller)),
        Err(TrustError::Signature)
    );
    let mut envelope = Envelope::decode(sealed(&authority, Role::Controller)).unwrap();
    envelope.payload = Bytes::from_static(b"Payload");
    assert_eq!(
        open("changeset", envelope.encode().unwrap().into()),
        Err(TrustError::Signature)
    );
    // A signature of another controller's key under this one's certificate.
    let other = Envelope::decode(sealed(&authority, Role::Controller)).unwrap();
    let mut mixed = Envelope::decode(sealed(&authority, Role::Controller)).unwrap();
    mixed.signature = other.signature;
    assert_eq!(
        open("changeset", mixed.encode().unwrap().into()),
        Err(TrustError::Signature)
    );
}

#[test]
fn each_wrong_signer_is_told_apart() {
    let (ours, other) = (authority(), Authority::generate("lab", now()).unwrap());
    let open = |envelope, at| {
        verifier(&ours)
            .open("changeset", envelope, at)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        open(sealed(&ours, Role::Host), now()),
        "anet://lab/host/c1 has the wrong role here: expected controller"
    );
    assert_eq!(
        open(sealed(&other, Role::Controller), now()),
        "the certificate of anet://lab/controller/c1 was not issued by the authority of cluster `lab`: join that node \
         to this cluster, or connect to the right one"
    );
    assert_eq!(
        open(
            sealed(&ours, Role::Controller),
            now() + VALIDITY + Duration::from_secs(7_201)
        ),
        "the certificate of anet://lab/controller/c1 expired at 2027-11-26 05:10:00 UTC, 2 hours ago: have a new one \
         issued, or set this machine's clock (2027-11-26 07:10:01 UTC) if it is wrong"
    );
    assert_eq!(
        open(sealed(&ours, Role::Controller), SystemTime::UNIX_EPOCH),
        "the certificate of anet://lab/controller/c1 is not valid before 2026-11-26 05:05:00 UTC, and here it is \
         1970-01-01 00:00:00 UTC: set this machine's clock, or the one of the machine that issued it"
    );
}

#[test]
fn a_certificate_begins_five_minutes_early_and_lasts_a_year() {
    let authority = authority();
    let open = |at| verifier(&authority).open("changeset", sealed(&authority, Role::Controller), at);
    assert!(open(now() - Duration::from_secs(300)).is_ok());
    assert!(open(now() - Duration::from_secs(301)).is_err());
    assert!(open(now() + Duration::from_secs(365 * 86_400)).is_ok());
    assert!(open(now() + Duration::from_secs(365 * 86_400 + 1)).is_err());
}

#[test]
fn a_request_is_granted_to_whom_the_signer_says() {
    let authority = authority();
    let key = KeyPair::generate().unwrap();
    let request = key.signing_request().unwrap();
    let sign = |request: &str, name: &str| {
        authority.sign_request(
            request,
            Role::Host,
            name,
            Names::none(),
            now(),
            Duration::from_secs(60),
        )
    };
    let certificate = sign(&request, "h7").unwrap();
    assert_eq!(certificate.identity().unwrap().to_string(), "anet://lab/host/h7");
    assert_eq!(certificate.fingerprint(), key.fingerprint());
    assert_eq!(certificate.not_after(), now() + Duration::from_secs(60));
    assert_eq!(
        Certificate::from_pem(&certificate.to_pem()),
        Ok(certificate.clone())
    );
    let member = Credentials::new(key, certificate.clone(), authority.certificate().clone()).unwrap();
    assert_eq!(member.identity().name(), "h7");
    let other_key = Credentials::new(
        KeyPair::generate().unwrap(),
        certificate,
        authority.certificate().clone(),
    );
    assert!(
        other_key
            .unwrap_err()
            .to_string()
            .contains("do not belong together")
    );
    assert!(
        sign(&request, "h/7")
            .unwrap_err()
            .to_string()
            .contains("is not a legal name")
    );
}

#[test]
fn names_in_a_request_count_for_nothing() {
    let authority = authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(vec!["controller.example".to_owned()]).unwrap();
    let claimed = rcgen::string::Ia5String::try_from("anet://lab/controller/c1").unwrap();
    parameters.subject_alt_names.push(rcgen::SanType::URI(claimed));
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let request = parameters.serialize_request(&key).unwrap().pem().unwrap();
    let names = Names::parse(["h1.example", "192.0.2.7"]);
    let certificate = authority
        .sign_request(&request, Role::Host, "h1", names, now(), VALIDITY)
        .unwrap();
    assert_eq!(certificate.identity().unwrap().to_string(), "anet://lab/host/h1");
    assert!(certificate.authority_of().is_err());
    let text = String::from_utf8_lossy(certificate.der()).into_owned();
    assert!(
        text.contains("h1.example") && !text.contains("controller"),
        "{text}"
    );
}

#[test]
fn requests_that_prove_nothing_are_refused() {
    let authority = authority();
    let sign = |request: &str| {
        authority
            .sign_request(request, Role::Host, "h1", Names::none(), now(), VALIDITY)
            .unwrap_err()
            .to_string()
    };
    assert!(sign("").contains("not a usable certificate signing request"));
    assert!(sign(&"x".repeat(20_000)).contains("longer than 16 KiB"));
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let other_kind = rcgen::CertificateParams::default()
        .serialize_request(&key)
        .unwrap()
        .pem()
        .unwrap();
    assert!(sign(&other_kind).contains("neither ECDSA P-256 nor Ed25519"));
    // The last characters of the text are the signature's.
    let mut request = KeyPair::generate().unwrap().signing_request().unwrap();
    let at = request.find("\n-----END").unwrap() - 12;
    let flipped = if request.as_bytes()[at] == b'A' { "B" } else { "A" };
    request.replace_range(at..=at, flipped);
    assert!(sign(&request).contains("not a usable certificate signing request"));
    let illegal = Names::parse(["two words"]);
    let request = KeyPair::generate().unwrap().signing_request().unwrap();
    let refused = authority.sign_request(&request, Role::Host, "h1", illegal, now(), VALIDITY);
    assert_eq!(
        refused,
        Err(TrustError::DnsName {
            found: "two words".to_owned()
        })
    );
}

#[test]
fn no_two_certificates_have_the_same_serial_number_and_authorities_differ() {
    let (first, second) = (authority(), authority());
    assert_ne!(first.fingerprint(), second.fingerprint());
    let make = || credentials(&first, Role::Host, "h1");
    assert_ne!(make().certificate(), make().certificate());
    assert_eq!(first.certificate().authority_of().unwrap(), "lab");
    assert!(Authority::generate("la b", now()).is_err());
}

#[test]
fn keys_do_not_show_in_debug_output() {
    let member = credentials(&authority(), Role::Host, "h1");
    let shown = format!("{member:?}");
    assert!(
        shown.contains(&format!("KeyPair({})", member.key().fingerprint())),
        "{shown}"
    );
    assert!(
        !shown.contains("PRIVATE") && !shown.to_lowercase().contains("serialized"),
        "{shown}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_envelope_with_any_byte_changed_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        static MADE: std::sync::OnceLock<(Verifier, Bytes)> = std::sync::OnceLock::new();
        let (verifier, envelope) = MADE.get_or_init(|| {
            let authority = authority();
            (verifier(&authority), sealed(&authority, Role::Controller))
        });
        let mut bytes = envelope.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(verifier.open("changeset", bytes.into(), now()).is_err());
    }
}
