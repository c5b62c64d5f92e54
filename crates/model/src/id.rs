//! Ids of nouns: short texts, typed by the noun they name.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

/// The id of a noun `N`: 1 to 64 bytes out of `a-z A-Z 0-9 . _ : -`. A Neutron UUID is one; so is a name
/// that a person chose in a plan file. Cheap to clone.
pub struct Id<N> {
    text: Arc<str>,
    noun: PhantomData<fn() -> N>,
}

/// Why a text is not an [`Id`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not an id: expected 1 to 64 characters out of a-z A-Z 0-9 . _ : -")]
pub struct IdError {
    found: String,
}

impl<N> Id<N> {
    /// Bytes of the longest id.
    pub const MAX_LENGTH: usize = 64;

    /// An id, or an error where `text` is empty, too long, or holds another character.
    pub fn new(text: &str) -> Result<Self, IdError> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(legal) {
            return Err(IdError {
                found: text.chars().take(80).collect(),
            });
        }
        Ok(Self {
            text: text.into(),
            noun: PhantomData,
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same text as the id of another noun: a host is an endpoint to the others, a group the set of its members.
    pub fn cast<M>(&self) -> Id<M> {
        Id {
            text: self.text.clone(),
            noun: PhantomData,
        }
    }
}

impl<N> Clone for Id<N> {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            noun: PhantomData,
        }
    }
}
impl<N> PartialEq for Id<N> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
impl<N> Eq for Id<N> {}
impl<N> PartialOrd for Id<N> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<N> Ord for Id<N> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl<N> std::hash::Hash for Id<N> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}
impl<N> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl<N> fmt::Debug for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
impl<N> serde::Serialize for Id<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de, N> serde::Deserialize<'de> for Id<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}
impl<N> FromStr for Id<N> {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}
