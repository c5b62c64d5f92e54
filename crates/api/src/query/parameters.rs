//! Query strings: `name=value` pairs with percent-encoding.

use crate::error::ApiError;

/// Bytes of the longest query string.
const LONGEST: usize = 64 * 1024;
/// Pairs in it.
const MOST: usize = 4_096;

/// The pairs of a query string, decoded, in their order.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, ApiError> {
    if text.len() > LONGEST || text.split('&').count() > MOST {
        return Err(ApiError::too_large(format!(
            "The query string is too long: at most {LONGEST} bytes and {MOST} pairs are taken."
        )));
    }
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Result<String, ApiError> {
    decoded(text, true).ok_or_else(|| ApiError::bad_request("The query string is not percent-encoded UTF-8."))
}

/// A part of a path, decoded: there, `+` is a plus.
pub fn decode_part(text: &str) -> Result<String, ApiError> {
    decoded(text, false).ok_or_else(|| ApiError::bad_request("The path is not percent-encoded UTF-8."))
}

fn decoded(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let digits = [bytes.next(), bytes.next()];
                let [high, low] = digits.map(|d| d.and_then(|d| char::from(d).to_digit(16)));
                (high? << 4 | low?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

/// A text as a part of a query string.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{encode, parse};

    #[test]
    fn pairs_are_decoded() {
        let pairs = parse("a=1&b=x%20y+z&&c&d=%3D%26&a=2").unwrap();
        let expected = [("a", "1"), ("b", "x y z"), ("c", ""), ("d", "=&"), ("a", "2")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_string(), v.to_string())));
    }

    #[test]
    fn what_is_not_encoded_well_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "%ff=1", "a=%+1"] {
            assert_eq!(parse(text).unwrap_err().status, 400, "{text}");
        }
        assert_eq!(parse(&"a=1&".repeat(5000)).unwrap_err().status, 413);
        assert_eq!(parse(&"a".repeat(70_000)).unwrap_err().status, 413);
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in "\\PC*") {
            let pairs = parse(&format!("name={}", encode(&text))).unwrap();
            proptest::prop_assert_eq!(&pairs[0].1, &text);
        }
    }
}
