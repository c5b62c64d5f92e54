//! `attachments.json`: what each port is attached to, as people read it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use anet_model::host_plan::{Attachment, PortId};
use serde::{Deserialize, Serialize};

use super::log::read_bounded;
use super::{DiskError, replace, set_aside};

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

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    ports: BTreeMap<PortId, AttachmentText>,
}

pub(super) fn read(path: &Path, told: &mut Vec<String>) -> Result<BTreeMap<PortId, Attachment>, DiskError> {
    let bytes = match read_bounded(path, BYTES_MAXIMUM) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(DiskError::of("read", path, error)),
    };
    match serde_json::from_slice::<Document>(&bytes) {
        Ok(Document { version: 1, ports }) => Ok(ports
            .into_iter()
            .map(|(port, text)| (port, text.into()))
            .collect()),
        Ok(Document { version, .. }) => Err(DiskError::Malformed {
            path: path.to_owned(),
            reason: format!("it is of version {version}, this agent reads version 1"),
        }),
        Err(error) => {
            let aside = set_aside(path, &bytes)?;
            told.push(format!(
                "{} is damaged ({error}): it is kept as {}, and all ports are detached until they are attached again",
                path.display(),
                aside.display()
            ));
            Ok(BTreeMap::new())
        }
    }
}

pub(super) fn write(path: &Path, attachments: &BTreeMap<PortId, Attachment>) -> Result<(), DiskError> {
    let ports = attachments
        .iter()
        .map(|(port, attachment)| (port.clone(), attachment_text(attachment)));
    let document = Document {
        version: 1,
        ports: ports.collect(),
    };
    let bytes =
        serde_json::to_vec_pretty(&document).map_err(|error| DiskError::of("write", path, error.into()))?;
    replace(path, &bytes)
}
