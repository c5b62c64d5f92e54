//! A plan as a host keeps it on disk: one snapshot, followed by the changesets that came after it.
//!
//! The bytes are those of a changeset, so that one decoder with one bound reads what came from a stream and what
//! comes from a disk. Whoever writes the file adds a checksum: these bytes have none.

use anet_model::changeset::Changeset;
use anet_model::diff::diff;
use anet_model::host_plan::HostPlan;
use anet_model::state::{ApplyError, PlanState};

use super::changeset::{decode_changeset, encode_changeset};
use super::field::DecodeError;

/// Why bytes are not a plan that was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeptError {
    /// They are no changeset.
    #[error("it cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// They are a changeset that is no snapshot, or one of a plan that is not valid or not the one that was written.
    #[error("it is no plan: {0}")]
    Apply(#[from] ApplyError),
    /// They are a changeset that leads on from a plan.
    #[error("it is a change where a whole plan was expected")]
    NoSnapshot,
}

/// The snapshot that leads to `state` from nothing.
pub fn snapshot_of(state: &PlanState) -> Changeset {
    Changeset {
        incarnation: state.incarnation(),
        from: 0,
        to: state.revision(),
        snapshot: true,
        changes: diff(&HostPlan::default(), state.plan()),
        digest_after: Some(state.digest().total().to_bytes()),
    }
}

/// The bytes of a plan with its place in history.
pub fn encode_state(state: &PlanState) -> Vec<u8> {
    encode_changeset(&snapshot_of(state))
}

/// A plan with its place in history, out of bytes: validated, and held against its digest.
pub fn decode_state(bytes: &[u8]) -> Result<PlanState, KeptError> {
    let snapshot = decode_changeset(bytes)?;
    if !snapshot.snapshot {
        return Err(KeptError::NoSnapshot);
    }
    let mut state = PlanState::default();
    state.apply(&snapshot)?;
    Ok(state)
}
