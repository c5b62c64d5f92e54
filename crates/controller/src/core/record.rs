//! How objects are kept: a version byte, then the noun's JSON.
//!
//! A controller reads what an older one wrote, and refuses what a newer one wrote: it would not know what it leaves out. Bytes come
//! from a disk or another controller; none of them may do worse than an error.

use anet_model::id::Id;
use anet_model::intent::IntentChange;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::Noun;

/// The version that this build writes. It rises with each change that an older build would misread.
pub const VERSION: u8 = 1;

/// Why a record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// A newer controller wrote it.
    #[error(
        "{what} was written in version {found} of the record format, this version reads up to {VERSION}: start the newer controller, \
         or restore a backup from before the upgrade"
    )]
    Newer {
        /// Which record.
        what: String,
        /// Its version.
        found: u8,
    },
    /// Not what was written.
    #[error("{what} is damaged ({reason}): keep a copy of the data folder, and restore the last backup")]
    Damaged {
        /// Which record.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A record's bytes.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, value).map_err(|error| RecordError::Damaged {
        what: "a value to be written".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(bytes)
}

/// The value of a record; `what` names it in errors.
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, RecordError> {
    let damaged = |reason: String| RecordError::Damaged {
        what: what.to_owned(),
        reason,
    };
    let (version, json) = bytes
        .split_first()
        .ok_or_else(|| damaged("it is empty".to_owned()))?;
    match *version {
        0 => Err(damaged("it has no version".to_owned())),
        VERSION => serde_json::from_slice(json).map_err(|error| damaged(error.to_string())),
        found => Err(RecordError::Newer {
            what: what.to_owned(),
            found,
        }),
    }
}

/// The change that an object's record, or its absence, stands for.
pub fn change(noun: Noun, id: &str, record: Option<&[u8]>) -> Result<IntentChange, RecordError> {
    let what = format!("{noun} {id}");
    Ok(match noun {
        Noun::Project => IntentChange::Project(typed(&what, id)?, value(&what, record)?),
        Noun::Network => IntentChange::Network(typed(&what, id)?, value(&what, record)?),
        Noun::Subnet => IntentChange::Subnet(typed(&what, id)?, value(&what, record)?),
        Noun::Port => IntentChange::Port(typed(&what, id)?, value(&what, record)?),
        Noun::SecurityGroup => IntentChange::SecurityGroup(typed(&what, id)?, value(&what, record)?),
        Noun::Rule => IntentChange::Rule(typed(&what, id)?, value(&what, record)?),
        Noun::Host => IntentChange::Host(typed(&what, id)?, value(&what, record)?),
        Noun::ForeignEndpoint => IntentChange::ForeignEndpoint(typed(&what, id)?, value(&what, record)?),
    })
}

fn typed<N>(what: &str, id: &str) -> Result<Id<N>, RecordError> {
    Id::new(id).map_err(|error| RecordError::Damaged {
        what: what.to_owned(),
        reason: error.to_string(),
    })
}

fn value<T: DeserializeOwned>(what: &str, record: Option<&[u8]>) -> Result<Option<T>, RecordError> {
    record.map(|bytes| decode(what, bytes)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_model::intent::{Common, Network, SecurityGroup};
    use anet_packet::addr::{Mtu, Vni};
    use proptest::prelude::*;

    fn network() -> Network {
        Network {
            common: Common {
                name: "blue \u{1F499}".to_owned(),
                ..Common::default()
            },
            project: Id::new("p").unwrap(),
            vni: Vni::new(16_777_215).unwrap(),
            mtu: Mtu::VXLAN_IPV4,
            admin_state_up: true,
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let bytes = encode(&network()).unwrap();
        assert_eq!(bytes[0], VERSION);
        let change = change(Noun::Network, "n1", Some(&bytes)).unwrap();
        assert_eq!(
            change,
            IntentChange::Network(Id::new("n1").unwrap(), Some(network()))
        );
    }

    #[test]
    fn a_deleted_object_has_no_record() {
        let change = change(Noun::SecurityGroup, "web", None).unwrap();
        assert_eq!(
            change,
            IntentChange::SecurityGroup(Id::new("web").unwrap(), None::<SecurityGroup>)
        );
    }

    #[test]
    fn a_newer_version_is_refused_by_name_and_with_what_to_do() {
        let mut bytes = encode(&network()).unwrap();
        bytes[0] = VERSION + 1;
        let error = change(Noun::Network, "n1", Some(&bytes)).unwrap_err();
        assert!(matches!(error, RecordError::Newer { found: 2, .. }));
        let text = error.to_string();
        assert!(
            text.contains("network n1") && text.contains("start the newer controller"),
            "{text}"
        );
    }

    #[test]
    fn empty_unversioned_and_cut_records_are_damaged() {
        let whole = encode(&network()).unwrap();
        for bytes in [&[][..], &[0], &[VERSION], &whole[..whole.len() - 1], b"\x01null"] {
            let outcome = change(Noun::Network, "n1", Some(bytes));
            assert!(
                matches!(outcome, Err(RecordError::Damaged { .. })),
                "{}",
                bytes.escape_ascii()
            );
        }
        assert!(matches!(
            change(Noun::Network, "not an id", None),
            Err(RecordError::Damaged { .. })
        ));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn hostile_bytes_never_panic(noun in 0..8_usize, mut bytes in prop::collection::vec(any::<u8>(), 0..200), versioned in any::<bool>()) {
            if versioned && !bytes.is_empty() {
                bytes[0] = VERSION;
            }
            let outcome = change(Noun::ALL[noun], "x", Some(&bytes));
            prop_assert!(outcome.is_err(), "random bytes are no object: {outcome:?}");
        }

        #[test]
        fn a_flipped_byte_never_panics(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut bytes = encode(&network()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Ok(change) = change(Noun::Network, "n1", Some(&bytes)) {
                prop_assert!(matches!(change, IntentChange::Network(_, Some(_))));
            }
        }
    }
}
