//! Reads JSON that a stranger sent: bounded in bytes and depth, and no name twice in an object.
//!
//! Two readers of the same text may differ on which of two equal names counts; a text that has both is refused.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::ApiError;

/// Bytes of the longest body.
pub const LONGEST: usize = 1 << 20;
/// Arrays and objects inside each other.
pub const DEEPEST: usize = 32;

/// The value of a body, or a 400 or 413 that says what is wrong with it.
pub fn parse(body: &[u8]) -> Result<Value, ApiError> {
    if body.len() > LONGEST {
        return Err(ApiError::too_large(format!(
            "The body has {} bytes: at most {LONGEST} are taken. Send it in several requests.",
            body.len()
        )));
    }
    let wrong = |error: serde_json::Error| ApiError::bad_request(format!("The body is not JSON: {error}."));
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = Bounded { left: DEEPEST }
        .deserialize(&mut reader)
        .map_err(wrong)?;
    reader.end().map_err(wrong)?;
    Ok(value)
}

/// A value with so many levels left below it.
#[derive(Clone, Copy)]
struct Bounded {
    left: usize,
}

impl Bounded {
    fn below<E: Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1);
        let too_deep = || E::custom(format_args!("more than {DEEPEST} levels inside each other"));
        left.map(|left| Self { left }).ok_or_else(too_deep)
    }
}

impl<'de> DeserializeSeed<'de> for Bounded {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number without a value"))?;
        Ok(Value::Number(number))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut object = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(below)?;
            if object.contains_key(&name) {
                let name = crate::error::excerpt(&name);
                return Err(A::Error::custom(format_args!("`{name}` is there twice")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::{DEEPEST, LONGEST, parse};

    #[test]
    fn what_is_json_is_read() {
        let text = r#" {"a": [1, -2, 2.5, true, null, "x\u00e9"], "b": {"a": {}}} "#;
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
    }

    #[test]
    fn what_is_not_is_refused() {
        let check = |body: &[u8], part: &str| {
            let error = parse(body).unwrap_err();
            assert_eq!(error.status, 400, "{error}");
            assert!(error.message.contains(part), "{error}");
        };
        check(b"", "EOF");
        check(b"{} {}", "trailing");
        check(br#"{"a":1,"a":2}"#, "`a` is there twice");
        check(br#"{"x":{"a":1,"b":2,"\u0061":2}}"#, "`a` is there twice");
        check(b"{\"a\": \"\xff\"}", "unicode");
        check(b"1e999", "out of range");
        check(b"NaN", "expected");
    }

    #[test]
    fn depth_has_a_bound() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
        assert!(parse(nested(DEEPEST + 1).as_bytes()).is_err());
        assert!(parse("[".repeat(LONGEST).as_bytes()).is_err());
        assert!(parse(r#"{"a":"#.repeat(1000).as_bytes()).is_err());
    }

    #[test]
    fn length_has_a_bound() {
        let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        assert!(parse(text(LONGEST).as_bytes()).is_ok());
        assert_eq!(parse(text(LONGEST + 1).as_bytes()).unwrap_err().status, 413);
    }
}
