//! What stands in one gRPC message: a byte that says what it is, then a caller's message or the reason of the end.

use prost::bytes::{Buf, BufMut, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// What goes over the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A caller's message.
    Message(Bytes),
    /// Nothing follows; why.
    Farewell(String),
}

const MESSAGE: u8 = 0;
const FAREWELL: u8 = 1;
/// The longest reason, in bytes.
pub(super) const REASON_MAXIMUM: usize = 1_024;
/// The longest frame.
pub(super) const FRAME_MAXIMUM: usize = super::MESSAGE_MAXIMUM + 1;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FrameCodec;

impl Codec for FrameCodec {
    type Encode = Frame;
    type Decode = Frame;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for FrameCodec {
    type Item = Frame;
    type Error = Status;

    fn encode(&mut self, frame: Frame, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let (kind, bytes) = match &frame {
            Frame::Message(bytes) => (MESSAGE, &bytes[..]),
            Frame::Farewell(reason) => (FAREWELL, cut(reason).as_bytes()),
        };
        to.reserve(bytes.len() + 1);
        to.put_u8(kind);
        to.put_slice(bytes);
        Ok(())
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Frame>, Status> {
        if !from.has_remaining() {
            return Err(Status::internal("a frame without its first byte"));
        }
        let kind = from.get_u8();
        let bytes = from.copy_to_bytes(from.remaining());
        match kind {
            MESSAGE => Ok(Some(Frame::Message(bytes))),
            FAREWELL => Ok(Some(Frame::Farewell(readable(&bytes)))),
            other => Err(Status::internal(format!("a frame of unknown kind {other}"))),
        }
    }
}

/// Somebody else's text, fit for a line of log.
pub(super) fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(REASON_MAXIMUM)]);
    text.chars()
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// Not more of the reason than may be sent, at a character's edge.
fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_MAXIMUM);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_at_a_characters_edge_and_is_one_line() {
        let long = format!("x{}", "ä".repeat(REASON_MAXIMUM));
        assert_eq!(cut(&long).len(), REASON_MAXIMUM - 1);
        assert_eq!(cut("short"), "short");
        assert_eq!(readable(b"two\nlines\xff"), "two?lines\u{fffd}");
        assert!(readable(&[b'x'; 5_000]).len() <= REASON_MAXIMUM);
    }
}
