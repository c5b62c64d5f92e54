//! Messages to and from bytes: the protobuf side of [`crate::control`], of [`crate::session`], of changesets and of plans on disk.
//!
//! Decoding is bounded: a changeset is decoded entry by entry, with a limit on entries and on the bytes of each,
//! so that memory stays within a multiple of the bytes that came. Every error names the field.

mod changeset;
mod field;
mod kept;
mod nouns;
mod raw;
mod reports;
mod requests;
mod rules;
mod session;
mod traces;

/// The generated messages.
#[allow(missing_docs, clippy::all)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/anet.wire.v1.rs"));
}

pub use changeset::{
    ADDRESS_SET_BYTES_MAXIMUM, CHANGE_BYTES_MAXIMUM, CHANGES_MAXIMUM, decode_changeset, encode_changeset,
};
pub use field::DecodeError;
pub use kept::{KeptError, decode_state, encode_state, snapshot_of};
pub use requests::{decode_request, decode_response, encode_request, encode_response};
pub use session::{
    AGENT_MESSAGE_MAXIMUM, SESSION_MESSAGE_MAXIMUM, decode_agent_message, decode_controller_message,
    decode_signed_changeset, encode_agent_message, encode_controller_message, encode_signed_changeset,
};
