//! Frames on a stream: a length of four bytes, big-endian, then so many bytes of one protobuf message.
//!
//! Memory is taken as bytes arrive, never because a length was announced.

use std::io::{self, Read, Write};

/// Bytes of the longest message: a changeset, or a listing.
pub const MESSAGE_MAXIMUM: usize = 64 << 20;

/// Bytes of the longest request that is not a changeset.
pub const REQUEST_MAXIMUM: usize = 64 << 10;

/// Why a frame could not be read or written. The stream is of no use afterwards: close it.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream failed, or ended inside a frame.
    #[error("the stream failed: {0}")]
    Stream(#[from] io::Error),
    /// The other side announced more than is taken.
    #[error("a message of {length} bytes is too long: at most {limit} are taken here")]
    TooLong {
        /// Announced.
        length: usize,
        /// Allowed.
        limit: usize,
    },
}

/// Reads one message of at most `limit` bytes; `None` where the stream ends between two frames.
pub fn read_frame(stream: &mut impl Read, limit: usize) -> Result<Option<Vec<u8>>, FrameError> {
    let Some(length) = read_length(stream)? else {
        return Ok(None);
    };
    check_length(length, limit)?;
    read_body(stream, Vec::new(), length).map(Some)
}

/// Reads one request: [`MESSAGE_MAXIMUM`] for a changeset, [`REQUEST_MAXIMUM`] for everything else, which its
/// first byte tells apart. `None` where the stream ends between two frames.
pub fn read_request_frame(stream: &mut impl Read) -> Result<Option<Vec<u8>>, FrameError> {
    let Some(length) = read_length(stream)? else {
        return Ok(None);
    };
    check_length(length, MESSAGE_MAXIMUM)?;
    let mut start = Vec::new();
    if length > REQUEST_MAXIMUM {
        start = read_body(stream, start, 1)?;
        let is_changeset = start.first() == Some(&crate::control::APPLY_TAG);
        check_length(
            length,
            if is_changeset {
                MESSAGE_MAXIMUM
            } else {
                REQUEST_MAXIMUM
            },
        )?;
    }
    read_body(stream, start, length).map(Some)
}

/// Writes one message and flushes.
pub fn write_frame(stream: &mut impl Write, message: &[u8]) -> Result<(), FrameError> {
    check_length(message.len(), MESSAGE_MAXIMUM)?;
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    stream.write_all(&length)?;
    stream.write_all(message)?;
    Ok(stream.flush()?)
}

fn check_length(length: usize, limit: usize) -> Result<(), FrameError> {
    if length > limit {
        Err(FrameError::TooLong { length, limit })
    } else {
        Ok(())
    }
}

fn read_length(stream: &mut impl Read) -> Result<Option<usize>, FrameError> {
    let mut bytes = Vec::with_capacity(4);
    stream.by_ref().take(4).read_to_end(&mut bytes)?;
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(length) => Ok(Some(u32::from_be_bytes(length) as usize)),
        Err(_) if bytes.is_empty() => Ok(None),
        Err(_) => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// Fills `body` up to `length` bytes; the buffer grows with what arrives.
fn read_body(stream: &mut impl Read, mut body: Vec<u8>, length: usize) -> Result<Vec<u8>, FrameError> {
    let missing = length - body.len();
    stream.by_ref().take(missing as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(body)
}
