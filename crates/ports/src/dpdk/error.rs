//! What DPDK refuses, and what to do about it.

use std::path::PathBuf;

use crate::PortError;

/// Why a DPDK port cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DpdkError {
    /// No shim that fits an installed DPDK.
    #[error(
        "no DPDK here: {reason}; install DPDK 22.11 or newer (`apt-get install dpdk libdpdk-dev`) and build again (`make build`)"
    )]
    NoShim {
        /// What was looked for and what was wrong with it.
        reason: String,
    },
    /// No huge page is free.
    #[error(
        "DPDK needs huge pages and none is free; reserve some (`sysctl -w vm.nr_hugepages=512`), or run with `--eal '--no-huge -m 512'`"
    )]
    NoHugePages,
    /// DPDK's environment did not start. It cannot be started again in this process.
    #[error("DPDK did not start: {reason}; look at `--eal`, then restart the switch")]
    NotStarted {
        /// DPDK's words.
        reason: String,
    },
    /// A device was refused.
    #[error("the device `{device}` was refused: {reason}; {advice}")]
    Device {
        /// The device string.
        device: String,
        /// DPDK's words.
        reason: String,
        /// What to do next.
        advice: &'static str,
    },
    /// A plug-in or file that EAL would not trust.
    #[error("{path} cannot be loaded by DPDK: {reason}")]
    Distrusted {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl DpdkError {
    /// As the error of a port.
    pub(super) fn of_port(self, port: &str) -> PortError {
        PortError::Device {
            port: port.to_owned(),
            what: self.to_string(),
        }
    }
}
