//! A join token as a text that a person carries to a host: `anet1.` and, in base64url, JSON.

use serde::{Deserialize, Serialize};

/// What every token begins with.
const PREFIX: &str = "anet1.";
/// Digits of base64url (RFC 4648, section 5).
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinText {
    /// Where to join.
    pub urls: Vec<String>,
    /// The fingerprint of the authority's key: who answers must be known to it.
    pub ca_sha256: String,
    /// The cluster.
    pub cluster: String,
    /// What is good for one host, once.
    pub secret: String,
}

impl JoinText {
    /// The text.
    pub fn to_text(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{PREFIX}{}", base64url(&json))
    }
}

fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0_u32, |group, byte| group << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            let value = (group >> (18 - 6 * digit)) & 0x3F;
            text.push(char::from(DIGITS[value as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_vectors_of_the_rfc() {
        let vectors = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
            ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in vectors {
            assert_eq!(base64url(plain.as_bytes()), coded);
        }
        assert_eq!(base64url(&[0xfb, 0xff]), "-_8");
    }

    #[test]
    fn a_token_is_one_word() {
        let token = JoinText {
            urls: vec!["https://192.0.2.1:9696".to_owned()],
            ca_sha256: "00".repeat(32),
            cluster: "c".to_owned(),
            secret: "s".to_owned(),
        };
        let text = token.to_text();
        assert!(
            text.starts_with("anet1.ey")
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        );
    }
}
