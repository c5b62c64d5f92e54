//! `attachments.json`: what each port is attached to, as people read it.
//!
//! Version 1 has `ports` alone, and is still written where nothing is attached by a MAC, so that an older agent can go on with it.
//! Version 2 has `macs` besides, and `at`, the controller's revision at which they had their ports.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anet_model::host_plan::{Attachment, PortId};
use anet_model::state::Cursor;
use anet_packet::addr::Mac;
use serde::{Deserialize, Serialize};

use super::log::read_bounded;
use super::{DiskError, replace, set_aside};
use crate::core::Kept;
use crate::core::attachments::ByMac;

/// The newest version that is understood.
const VERSION: u32 = 2;
/// A million ports fit.
const BYTES_MAXIMUM: u64 = 128 << 20;

/// An attachment as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AttachmentText {
    /// A TAP that the vswitch opens or makes.
    Tap {
        /// The interface.
        interface: String,
        /// The path of its network namespace; the vswitch's own without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        netns: Option<String>,
    },
    /// An interface whose other side a guest holds.
    Packet {
        /// The interface.
        interface: String,
        /// The path of its network namespace; the vswitch's own without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        netns: Option<String>,
    },
    /// A DPDK device.
    Dpdk {
        /// As DPDK writes it.
        device: String,
    },
    /// Nothing.
    Detached,
}

impl From<AttachmentText> for Attachment {
    fn from(text: AttachmentText) -> Self {
        match text {
            AttachmentText::Tap { interface, netns } => Self::Tap { interface, netns },
            AttachmentText::Packet { interface, netns } => Self::Packet { interface, netns },
            AttachmentText::Dpdk { device } => Self::Dpdk { device },
            AttachmentText::Detached => Self::Detached,
        }
    }
}

/// An attachment as it is written.
pub fn attachment_text(attachment: &Attachment) -> AttachmentText {
    match attachment.clone() {
        Attachment::Tap { interface, netns } => AttachmentText::Tap { interface, netns },
        Attachment::Packet { interface, netns } => AttachmentText::Packet { interface, netns },
        Attachment::Dpdk { device } => AttachmentText::Dpdk { device },
        Attachment::Detached => AttachmentText::Detached,
    }
}

/// What a file of any version says.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    ports: BTreeMap<PortId, AttachmentText>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    macs: BTreeMap<Mac, ByMacText>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<Place>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ByMacText {
    to: AttachmentText,
    /// The port that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<PortId>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    incarnation: u64,
    revision: u64,
}

impl From<Document> for Kept {
    fn from(document: Document) -> Self {
        let ports = document.ports.into_iter();
        let by_mac = |text: ByMacText| ByMac {
            attachment: text.to.into(),
            port: text.port,
        };
        let at = document.at.map(|at| Cursor {
            incarnation: at.incarnation,
            revision: at.revision,
        });
        Self {
            ports: ports.map(|(id, text)| (id, text.into())).collect(),
            macs: document
                .macs
                .into_iter()
                .map(|(mac, text)| (mac, by_mac(text)))
                .collect(),
            at: at.unwrap_or_default(),
        }
    }
}

impl From<&Kept> for Document {
    fn from(kept: &Kept) -> Self {
        let ports = kept.ports.iter();
        let by_mac = |by: &ByMac| ByMacText {
            to: attachment_text(&by.attachment),
            port: by.port.clone(),
        };
        let at = Place {
            incarnation: kept.at.incarnation,
            revision: kept.at.revision,
        };
        Self {
            version: if kept.macs.is_empty() { 1 } else { VERSION },
            ports: ports
                .map(|(id, attachment)| (id.clone(), attachment_text(attachment)))
                .collect(),
            macs: kept.macs.iter().map(|(mac, by)| (*mac, by_mac(by))).collect(),
            at: (!kept.macs.is_empty()).then_some(at),
        }
    }
}

pub(super) fn read(path: &Path, told: &mut Vec<String>) -> Result<Kept, DiskError> {
    let bytes = match read_bounded(path, BYTES_MAXIMUM) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(DiskError::of("read", path, error)),
    };
    if let Ok(Versioned { version }) = serde_json::from_slice(&bytes)
        && version > VERSION
    {
        return Err(DiskError::Newer {
            path: path.to_owned(),
            version,
            known: VERSION,
        });
    }
    match serde_json::from_slice::<Document>(&bytes) {
        Ok(document) => Ok(document.into()),
        Err(error) => {
            let aside = set_aside(path, &bytes)?;
            told.push(format!(
                "{} is damaged ({error}): it is kept as {}, and all ports are detached until they are attached again",
                path.display(),
                aside.display()
            ));
            Ok(Kept::default())
        }
    }
}

pub(super) fn write(path: &Path, kept: &Kept) -> Result<(), DiskError> {
    let bytes = serde_json::to_vec_pretty(&Document::from(kept))
        .map_err(|error| DiskError::of("write", path, error.into()))?;
    replace(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_lab::Folder;

    fn tap(interface: &str) -> Attachment {
        Attachment::Tap {
            interface: interface.to_owned(),
            netns: None,
        }
    }

    fn by_port() -> Kept {
        Kept {
            ports: BTreeMap::from([("web1".parse().unwrap(), tap("tap0"))]),
            ..Kept::default()
        }
    }

    fn read_text(text: &str) -> (Result<Kept, DiskError>, Vec<String>) {
        let (folder, mut told) = (Folder::new().unwrap(), Vec::new());
        let path = folder.file("attachments.json");
        std::fs::write(&path, text).unwrap();
        (read(&path, &mut told), told)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = Folder::new().unwrap();
        let path = folder.file("attachments.json");
        let waits = ByMac {
            attachment: tap("tap1"),
            port: None,
        };
        let has = ByMac {
            attachment: tap("tap2"),
            port: Some("web2".parse().unwrap()),
        };
        let at = Cursor {
            incarnation: 2,
            revision: 70,
        };
        let macs = BTreeMap::from([(Mac([2, 0, 0, 0, 0, 1]), waits), (Mac([2, 0, 0, 0, 0, 2]), has)]);
        for kept in [
            Kept::default(),
            by_port(),
            Kept {
                macs,
                at,
                ..by_port()
            },
        ] {
            write(&path, &kept).unwrap();
            let mut told = Vec::new();
            assert_eq!(read(&path, &mut told).unwrap(), kept);
            assert_eq!(told, Vec::<String>::new());
        }
    }

    #[test]
    fn an_older_file_is_read_and_one_for_an_older_agent_written_where_that_can_be() {
        let text = r#"{"version": 1, "ports": {"web1": {"tap": {"interface": "tap0"}}}}"#;
        assert_eq!(read_text(text).0.unwrap(), by_port());
        let folder = Folder::new().unwrap();
        let path = folder.file("attachments.json");
        write(&path, &by_port()).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn a_newer_file_is_refused_and_left_alone() {
        let (kept, told) = read_text(r#"{"version": 3, "ports": {}, "what": "is new"}"#);
        let text = kept.unwrap_err().to_string();
        assert!(text.contains("version 3") && text.contains("up to 2"), "{text}");
        assert_eq!(told, Vec::<String>::new());
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        for text in [
            "{",
            "[]",
            r#"{"ports": {}}"#,
            r#"{"version": 2, "ports": {}, "macs": {"zz": {}}}"#,
        ] {
            let (kept, told) = read_text(text);
            assert_eq!(kept.unwrap(), Kept::default(), "{text}");
            assert_eq!(told.len(), 1, "{told:?}");
        }
    }
}
