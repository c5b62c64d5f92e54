//! Capture files as ports: packets out of one file, and into another.
//!
//! The classic format (draft-ietf-opsawg-pcap), read in both byte orders and with micro- or nanoseconds, written in this
//! machine's order with nanoseconds. A file is as hostile as a wire: a wrong one is an error that says where.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, IoSlice, Read, Write};
use std::os::fd::RawFd;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anet_memory::buffer::{Buffer, Pool};

use crate::{Capabilities, Port, PortError, ReceiveCounters, ReceiveQueue, TransmitOutcome, TransmitQueue};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const LINK_ETHERNET: u32 = 1;
/// Longest record that is read or written: the format's customary bound.
pub const RECORD_MAX: u32 = 262_144;

/// What is wrong with a capture file.
#[derive(Debug, thiserror::Error)]
pub enum PcapError {
    /// It does not begin as such a file does.
    #[error(
        "not a capture file of the classic format (its first bytes are {0:#010x}); convert it: `editcap -F pcap`"
    )]
    NotPcap(u32),
    /// It holds no Ethernet frames.
    #[error("the capture's link type is {0}; only Ethernet (1) can be replayed")]
    LinkType(u32),
    /// A record is longer than any can be.
    #[error("the record at byte {offset} claims {len} bytes, more than {RECORD_MAX}: the file is damaged")]
    TooLong {
        /// Where the record begins.
        offset: u64,
        /// What it claims.
        len: u32,
    },
    /// The file ends inside a record or header.
    #[error("the file ends in the middle of the record at byte {offset}: it was cut off")]
    CutOff {
        /// Where the record begins.
        offset: u64,
    },
    /// The system could not read it.
    #[error("at byte {offset}: {source}")]
    Read {
        /// Where.
        offset: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// What a record says of its packet beside the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Nanoseconds since 1970.
    pub at_ns: u64,
    /// Bytes that the packet had on the wire: more than were kept, where the capture cut it.
    pub original_len: u32,
}

/// Reads a capture, record by record, in bounded memory.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    offset: u64,
    swapped: bool,
    ns_per_fraction: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the file's header.
    pub fn new(input: R) -> Result<Self, PcapError> {
        let mut this = Self {
            input,
            offset: 0,
            swapped: false,
            ns_per_fraction: 1,
        };
        let mut header = [0; 24];
        if !this.fill(&mut header, 0)? {
            return Err(PcapError::NotPcap(0));
        }
        let magic = this.number(&header, 0);
        this.swapped = matches!(magic.swap_bytes(), MICROSECONDS | NANOSECONDS);
        this.ns_per_fraction = match this.number(&header, 0) {
            MICROSECONDS => 1000,
            NANOSECONDS => 1,
            _ => return Err(PcapError::NotPcap(magic)),
        };
        // The upper bits say how long a frame check sequence is, if any: part of the frame to us.
        match this.number(&header, 20) & 0xffff {
            LINK_ETHERNET => Ok(this),
            other => Err(PcapError::LinkType(other)),
        }
    }

    fn number(&self, bytes: &[u8], at: usize) -> u32 {
        let field = bytes
            .get(at..)
            .and_then(<[u8]>::first_chunk)
            .copied()
            .unwrap_or_default();
        let number = u32::from_ne_bytes(field);
        if self.swapped { number.swap_bytes() } else { number }
    }

    /// Fills `bytes`; false where the file ends just before them. `record` is where the record began.
    fn fill(&mut self, bytes: &mut [u8], record: u64) -> Result<bool, PcapError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(PcapError::CutOff { offset: record }),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(PcapError::Read {
                        offset: self.offset,
                        source,
                    });
                }
            }
        }
        self.offset += filled as u64;
        Ok(true)
    }

    /// The next record, its bytes in `bytes` (which is cleared first); `None` at the end.
    pub fn next_record(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Record>, PcapError> {
        bytes.clear();
        let (start, mut header) = (self.offset, [0; 16]);
        if !self.fill(&mut header, start)? {
            return Ok(None);
        }
        let [seconds, fraction, len, original_len] = [0, 4, 8, 12].map(|at| self.number(&header, at));
        if len > RECORD_MAX {
            return Err(PcapError::TooLong { offset: start, len });
        }
        bytes.resize(len as usize, 0);
        if len > 0 && !self.fill(bytes, start)? {
            return Err(PcapError::CutOff { offset: start });
        }
        let at_ns = u64::from(seconds) * 1_000_000_000 + u64::from(fraction) * self.ns_per_fraction;
        Ok(Some(Record { at_ns, original_len }))
    }
}

/// The header of a capture that this module writes.
pub fn file_header() -> [u8; 24] {
    let mut header = [0; 24];
    let version = (2_u16, 4_u16);
    header[..4].copy_from_slice(&NANOSECONDS.to_ne_bytes());
    header[4..6].copy_from_slice(&version.0.to_ne_bytes());
    header[6..8].copy_from_slice(&version.1.to_ne_bytes());
    header[16..20].copy_from_slice(&RECORD_MAX.to_ne_bytes());
    header[20..].copy_from_slice(&LINK_ETHERNET.to_ne_bytes());
    header
}

/// The header of one record of `len` bytes (at most [`RECORD_MAX`]), taken at `at_ns` since 1970.
pub fn record_header(at_ns: u64, len: u32) -> [u8; 16] {
    let (seconds, fraction) = (at_ns / 1_000_000_000, at_ns % 1_000_000_000);
    let mut header = [0; 16];
    for (place, number) in header
        .chunks_exact_mut(4)
        .zip([seconds as u32, fraction as u32, len, len])
    {
        place.copy_from_slice(&number.to_ne_bytes());
    }
    header
}

/// Appends packets to a capture file. Several writers of one file may work at once: each record is one appending write.
#[derive(Debug)]
pub struct Writer {
    file: File,
}

impl Writer {
    /// Makes the file, or empties it, and writes its header.
    pub fn create(path: &Path) -> io::Result<Self> {
        File::create(path)?;
        let mut file = OpenOptions::new().append(true).open(path)?;
        file.write_all(&file_header())?;
        Ok(Self { file })
    }

    /// Another writer of the same file.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
        })
    }

    /// Appends one packet. One that is longer than [`RECORD_MAX`] is `InvalidInput`.
    pub fn write(&mut self, buffer: &Buffer, at_ns: u64) -> io::Result<()> {
        let len = u32::try_from(buffer.len()).ok().filter(|len| *len <= RECORD_MAX);
        let header = record_header(at_ns, len.ok_or(io::ErrorKind::InvalidInput)?);
        let slices = [&header[..], buffer.head()]
            .into_iter()
            .chain(buffer.chain_slices());
        let mut pieces = [IoSlice::new(&[]); 40];
        let mut used = 0;
        for slice in slices {
            *pieces.get_mut(used).ok_or(io::ErrorKind::InvalidInput)? = IoSlice::new(slice);
            used += 1;
        }
        let written = self.file.write_vectored(&pieces[..used])?;
        if written < header.len() + buffer.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }
}

/// A port whose guest is a pair of files: packets come in from one, in order and as fast as they are taken, and go out
/// into the other.
#[derive(Debug)]
pub struct PcapPort {
    name: String,
    input: Option<Reader<BufReader<File>>>,
    output: Option<Writer>,
}

impl PcapPort {
    /// Opens the capture to read (`None`: nothing comes in), and makes the one to write (`None`: what goes out is lost).
    pub fn open(name: &str, input: Option<&Path>, output: Option<&Path>) -> Result<Self, PortError> {
        let invalid = |path: &Path, error: &dyn std::fmt::Display| PortError::Invalid {
            port: name.to_owned(),
            what: format!("{}: {error}", path.display()),
        };
        let read = |path: &Path| {
            let file = File::open(path).map_err(|error| invalid(path, &error))?;
            Reader::new(BufReader::new(file)).map_err(|error| invalid(path, &error))
        };
        let write = |path: &Path| Writer::create(path).map_err(|error| invalid(path, &error));
        let (input, output) = (input.map(read).transpose()?, output.map(write).transpose()?);
        Ok(Self {
            name: name.to_owned(),
            input,
            output,
        })
    }
}

impl Port for PcapPort {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        // A file takes whatever it is given, as it is.
        crate::memory::EVERYTHING
    }

    fn receive_queue(&mut self, queue: usize) -> Result<Box<dyn ReceiveQueue>, PortError> {
        let input = self.input.take().filter(|_| queue == 0);
        let input = input.ok_or_else(|| PortError::NoQueue {
            port: self.name.clone(),
            queue,
        })?;
        let port = self.name.clone();
        Ok(Box::new(PcapReceive {
            port,
            input: Some(input),
            bytes: Vec::new(),
            counters: ReceiveCounters::default(),
        }))
    }

    fn transmit_queue(&mut self) -> Result<Box<dyn TransmitQueue>, PortError> {
        let another = self.output.as_ref().map(Writer::try_clone).transpose();
        let output = another.map_err(|source| write_error(&self.name, source))?;
        Ok(Box::new(PcapTransmit {
            port: self.name.clone(),
            output,
        }))
    }
}

fn write_error(port: &str, source: io::Error) -> PortError {
    let (port, advice) = (port.to_owned(), "see whether the disk is full");
    PortError::Refused {
        port,
        what: "write the capture",
        source,
        advice,
    }
}

struct PcapReceive {
    port: String,
    /// `None` once the file has ended, or was found damaged.
    input: Option<Reader<BufReader<File>>>,
    bytes: Vec<u8>,
    counters: ReceiveCounters,
}

impl ReceiveQueue for PcapReceive {
    fn receive(&mut self, pool: &Pool, burst: &mut Vec<Buffer>, max: usize) -> Result<usize, PortError> {
        let before = burst.len();
        for _ in 0..max {
            let Some(input) = &mut self.input else { break };
            match input.next_record(&mut self.bytes) {
                Ok(Some(_)) => {}
                Ok(None) => self.input = None,
                Err(error) => {
                    self.input = None;
                    return Err(PortError::Invalid {
                        port: self.port.clone(),
                        what: error.to_string(),
                    });
                }
            }
            if self.input.is_none() {
                break;
            }
            match pool.copy_from(&self.bytes) {
                Some(buffer) => {
                    self.counters.packets += 1;
                    self.counters.bytes += buffer.len() as u64;
                    burst.push(buffer);
                }
                None => self.counters.dropped_pool_exhausted += 1,
            }
        }
        Ok(burst.len() - before)
    }

    fn wait_descriptor(&self) -> Option<RawFd> {
        None
    }

    fn counters(&self) -> ReceiveCounters {
        self.counters
    }
}

struct PcapTransmit {
    port: String,
    output: Option<Writer>,
}

impl TransmitQueue for PcapTransmit {
    fn transmit(&mut self, burst: &mut Vec<Buffer>) -> TransmitOutcome {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut outcome = TransmitOutcome::default();
        for buffer in burst.drain(..) {
            match self
                .output
                .as_mut()
                .map_or(Ok(()), |output| output.write(&buffer, at_ns))
            {
                Ok(()) => {
                    outcome.sent += 1;
                    outcome.sent_bytes += buffer.len() as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => outcome.dropped_unsupported += 1,
                Err(error) => {
                    outcome.dropped_error += 1;
                    outcome.error = Some(write_error(&self.port, error));
                }
            }
        }
        outcome
    }
}

#[cfg(test)]
mod tests;
