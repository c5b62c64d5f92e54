//! Messages to and from bytes: the protobuf side of [`crate::control`] and of changesets.
//!
//! Decoding is bounded: a changeset is decoded entry by entry, with a limit on entries and on the bytes of each,
//! so that memory stays within a multiple of the bytes that came. Every error names the field.

mod changeset;
mod field;
mod nouns;
mod raw;
mod reports;
mod requests;
mod rules;
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
pub use requests::{decode_request, decode_response, encode_request, encode_response};
