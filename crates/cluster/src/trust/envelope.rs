//! The bytes of a signed message: `aNE1`, the signer's certificates, the signature, the payload. Reading proves nothing; a
//! [`Verifier`](super::Verifier) does.
//!
//! ```text
//! 4 bytes   "aNE1"
//! 1 byte    number of certificates (1 to 4), then each: 2 bytes length, DER
//! 2 bytes   length of the signature, then the signature
//! 4 bytes   length of the payload, then the payload, and nothing after it
//! ```
//! Lengths are big-endian.

use prost::bytes::Bytes;
use thiserror::Error;

const MAGIC: &[u8; 4] = b"aNE1";
/// The longest envelope: what fits into one message of a stream.
pub const ENVELOPE_MAXIMUM: usize = 16 * 1024 * 1024;
const CERTIFICATES_MAXIMUM: usize = 4;
const CERTIFICATE_MAXIMUM: usize = 8 * 1024;
const SIGNATURE_MAXIMUM: usize = 256;

/// A message with its signature, taken apart and not yet believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The signer's certificate first, then intermediate ones; DER.
    pub certificates: Vec<Bytes>,
    /// Over the purpose and the payload.
    pub signature: Bytes,
    /// What was signed.
    pub payload: Bytes,
}

/// Bytes that are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// Something else, or of another version.
    #[error("not a signed envelope of a version known here: the bytes do not begin with `aNE1`")]
    Magic,
    /// Ends too early.
    #[error("the signed envelope is cut off: it ends within its {part}")]
    CutOff {
        /// Where.
        part: &'static str,
    },
    /// A part is longer, or there are more of it, than anything legal.
    #[error("the signed envelope is not legal: {found} for its {part}, at most {maximum}")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// What it says.
        found: usize,
        /// The most there may be.
        maximum: usize,
    },
    /// No certificate in it.
    #[error("the signed envelope holds no certificate")]
    NoCertificate,
    /// Bytes after the end.
    #[error("the signed envelope is not legal: {count} bytes follow its payload")]
    Trailing {
        /// How many.
        count: usize,
    },
}

impl Envelope {
    /// As bytes; an error where a part is too long.
    pub fn encode(&self) -> Result<Vec<u8>, EnvelopeError> {
        let count = within("certificates", self.certificates.len(), CERTIFICATES_MAXIMUM)?;
        if count == 0 {
            return Err(EnvelopeError::NoCertificate);
        }
        let size = self.certificates.iter().map(|der| der.len() + 2).sum::<usize>();
        let size = within(
            "whole",
            size + self.signature.len() + self.payload.len() + 11,
            ENVELOPE_MAXIMUM,
        )?;
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(MAGIC);
        bytes.push(count as u8);
        for der in &self.certificates {
            let length = within("certificate", der.len(), CERTIFICATE_MAXIMUM)?;
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
            bytes.extend_from_slice(der);
        }
        let length = within("signature", self.signature.len(), SIGNATURE_MAXIMUM)?;
        bytes.extend_from_slice(&(length as u16).to_be_bytes());
        bytes.extend_from_slice(&self.signature);
        bytes.extend_from_slice(&(self.payload.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        Ok(bytes)
    }

    /// Out of bytes from anybody. Nothing is copied, and no length is believed before it is checked.
    pub fn decode(bytes: Bytes) -> Result<Self, EnvelopeError> {
        within("whole", bytes.len(), ENVELOPE_MAXIMUM)?;
        let mut rest = bytes;
        if take(&mut rest, MAGIC.len(), "first bytes").map_err(|_| EnvelopeError::Magic)? != MAGIC[..] {
            return Err(EnvelopeError::Magic);
        }
        let count = number(&mut rest, 1, "number of certificates")?;
        if within("certificates", count, CERTIFICATES_MAXIMUM)? == 0 {
            return Err(EnvelopeError::NoCertificate);
        }
        let mut certificates = Vec::with_capacity(count);
        for _ in 0..count {
            certificates.push(part(&mut rest, 2, "certificate", CERTIFICATE_MAXIMUM)?);
        }
        let signature = part(&mut rest, 2, "signature", SIGNATURE_MAXIMUM)?;
        let payload = part(&mut rest, 4, "payload", ENVELOPE_MAXIMUM)?;
        match rest.len() {
            0 => Ok(Self {
                certificates,
                signature,
                payload,
            }),
            count => Err(EnvelopeError::Trailing { count }),
        }
    }
}

fn within(part: &'static str, found: usize, maximum: usize) -> Result<usize, EnvelopeError> {
    if found > maximum {
        Err(EnvelopeError::TooLarge { part, found, maximum })
    } else {
        Ok(found)
    }
}

fn take(rest: &mut Bytes, count: usize, part: &'static str) -> Result<Bytes, EnvelopeError> {
    if rest.len() < count {
        Err(EnvelopeError::CutOff { part })
    } else {
        Ok(rest.split_to(count))
    }
}

fn number(rest: &mut Bytes, width: usize, part: &'static str) -> Result<usize, EnvelopeError> {
    Ok(take(rest, width, part)?
        .iter()
        .fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

fn part(rest: &mut Bytes, width: usize, part: &'static str, maximum: usize) -> Result<Bytes, EnvelopeError> {
    let length = within(part, number(rest, width, part)?, maximum)?;
    take(rest, length, part)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn envelopes() -> impl Strategy<Value = Envelope> {
        let bytes = |most: usize| vec(any::<u8>(), 0..=most).prop_map(Bytes::from);
        (vec(bytes(300), 1..=4), bytes(SIGNATURE_MAXIMUM), bytes(500)).prop_map(
            |(certificates, signature, payload)| Envelope {
                certificates,
                signature,
                payload,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn an_envelope_is_read_as_written(envelope in envelopes()) {
            let bytes = Bytes::from(envelope.encode().unwrap());
            prop_assert_eq!(Envelope::decode(bytes), Ok(envelope));
        }

        #[test]
        fn a_cut_or_lengthened_envelope_is_refused(envelope in envelopes(), at in any::<prop::sample::Index>()) {
            let mut bytes = envelope.encode().unwrap();
            prop_assert!(Envelope::decode(Bytes::copy_from_slice(&bytes[..at.index(bytes.len())])).is_err());
            bytes.push(0);
            prop_assert_eq!(Envelope::decode(bytes.into()), Err(EnvelopeError::Trailing { count: 1 }));
        }

        #[test]
        fn hostile_bytes_are_read_to_the_same_bytes_or_refused(
            mut bytes in vec(any::<u8>(), 0..200), genuine in any::<bool>(), count in 0_u8..6
        ) {
            if genuine {
                bytes.splice(0..0, MAGIC.iter().copied().chain([count]));
            }
            if let Ok(envelope) = Envelope::decode(Bytes::copy_from_slice(&bytes)) {
                prop_assert_eq!(envelope.encode(), Ok(bytes));
            }
        }
    }

    #[test]
    fn lengths_are_not_believed() {
        let with = |tail: &[u8]| Envelope::decode([&MAGIC[..], tail].concat().into());
        assert_eq!(with(&[0]), Err(EnvelopeError::NoCertificate));
        assert_eq!(
            with(&[5]),
            Err(EnvelopeError::TooLarge {
                part: "certificates",
                found: 5,
                maximum: 4
            })
        );
        assert_eq!(
            with(&[1, 0xff, 0xff]),
            Err(EnvelopeError::TooLarge {
                part: "certificate",
                found: 65_535,
                maximum: 8_192
            })
        );
        assert_eq!(
            with(&[1, 0, 1, 7, 0, 0, 0xff, 0xff, 0xff, 0xff]).map_err(|error| error.to_string()),
            Err("the signed envelope is not legal: 4294967295 for its payload, at most 16777216".to_owned())
        );
        assert_eq!(
            with(&[1, 0, 1, 7, 0, 0, 0, 0, 0, 9, 1]),
            Err(EnvelopeError::CutOff { part: "payload" })
        );
        assert_eq!(
            Envelope::decode(Bytes::from_static(b"aNE2")),
            Err(EnvelopeError::Magic)
        );
        assert_eq!(Envelope::decode(Bytes::new()), Err(EnvelopeError::Magic));
    }
}
