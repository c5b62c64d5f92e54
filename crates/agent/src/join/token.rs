//! A join token as people carry it: `anet1.` and base64url of JSON.

use anet_cluster::trust::Fingerprint;
use serde::Deserialize;

const PREFIX: &str = "anet1.";
/// Bytes of the longest token.
const LENGTH_MAXIMUM: usize = 8 << 10;

/// Why a text is no join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not of its form.
    #[error(
        "this is not a join token: expected one line that begins with `{PREFIX}`, as `anet host token` prints it; {reason}"
    )]
    Form {
        /// What is wrong.
        reason: String,
    },
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Where controllers answer, as `https://HOST:PORT`.
    pub urls: Vec<String>,
    /// Of the authority's key: a controller has to show a certificate of it.
    pub fingerprint: Fingerprint,
    /// The cluster.
    pub cluster: String,
    /// What proves that whoever has it may join; works once.
    pub secret: String,
}

#[derive(Deserialize)]
struct Content {
    urls: Vec<String>,
    ca_sha256: String,
    cluster: String,
    secret: String,
}

impl JoinToken {
    /// Out of a token's text.
    pub fn from_text(text: &str) -> Result<Self, TokenError> {
        let form = |reason: &str| TokenError::Form {
            reason: reason.to_owned(),
        };
        let text = text.trim();
        if text.len() > LENGTH_MAXIMUM {
            return Err(form("this is far too long"));
        }
        let coded = text
            .strip_prefix(PREFIX)
            .ok_or_else(|| form("this begins otherwise"))?;
        let json = from_base64url(coded).ok_or_else(|| form("a character is wrong or missing"))?;
        let content: Content =
            serde_json::from_slice(&json).map_err(|error| form(&format!("its content is wrong: {error}")))?;
        let fingerprint = super::fingerprint(&content.ca_sha256);
        let fingerprint = fingerprint.ok_or_else(|| form("its fingerprint is not 64 hexadecimal digits"))?;
        if content.urls.is_empty() {
            return Err(form("it names no controller"));
        }
        Ok(Self {
            urls: content.urls,
            fingerprint,
            cluster: content.cluster,
            secret: content.secret,
        })
    }
}

/// RFC 4648, section 5, without padding.
fn from_base64url(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        if group.len() == 1 {
            return None;
        }
        let mut bits = 0_u32;
        for place in 0..4 {
            let value = group.get(place).map_or(Some(0), |byte| digit(*byte))?;
            bits = bits << 6 | value;
        }
        let [_, decoded @ ..] = bits.to_be_bytes();
        bytes.extend(&decoded[..group.len() - 1]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINGERPRINT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_rfcs_vectors_are_decoded() {
        let vectors = [
            ("", ""),
            ("Zg", "f"),
            ("Zm8", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg", "foob"),
            ("Zm9vYmE", "fooba"),
        ];
        for (coded, plain) in vectors {
            assert_eq!(from_base64url(coded).unwrap(), plain.as_bytes());
        }
        assert_eq!(from_base64url("-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(from_base64url("A"), None);
        assert_eq!(from_base64url("A+=="), None);
    }

    #[test]
    fn a_token_is_read() {
        // {"urls":["https://192.0.2.9:9696"],"ca_sha256":FINGERPRINT,"cluster":"lab","secret":"s"}
        let coded = "eyJ1cmxzIjpbImh0dHBzOi8vMTkyLjAuMi45Ojk2OTYiXSwiY2Ffc2hhMjU2IjoiMDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZiIsImNsdXN0ZXIiOiJsYWIiLCJzZWNyZXQiOiJzIn0";
        let token = JoinToken::from_text(&format!(" anet1.{coded}\n")).unwrap();
        assert_eq!(token.urls, ["https://192.0.2.9:9696"]);
        assert_eq!(token.fingerprint.to_string(), FINGERPRINT);
        assert_eq!((token.cluster.as_str(), token.secret.as_str()), ("lab", "s"));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for (text, part) in [
            ("", "begins otherwise"),
            ("anet2.e30", "begins otherwise"),
            ("anet1.e3!", "a character"),
            ("anet1.e30", "its content"),
            (&"x".repeat(10_000), "far too long"),
        ] {
            let error = JoinToken::from_text(text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
