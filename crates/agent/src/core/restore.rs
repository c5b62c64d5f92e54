//! An agent out of what its disk had.

use anet_model::changeset::Changeset;
use anet_model::state::{ApplyError, Cursor, PlanState};

use super::agent::Agent;
use super::attachments::Attachments;
use super::io::{AppliedRecord, Identity, Restored};
use super::parts::{Memory, Place, Plane, Session};

/// What replaying the log came to.
struct Replayed {
    desired: PlanState,
    attachments: Attachments,
    memory: Memory,
    /// The first record that did not fit, by number.
    misfit: Option<(usize, String)>,
}

impl Agent {
    /// An agent that goes on from what its disk had; nothing is connected. The lines say what was not in order; the log has
    /// to be kept aside where the second answer is true, since it is then written anew.
    pub fn restore(identity: Identity, restored: Restored) -> (Self, Vec<String>, bool) {
        let recorded = restored.applied;
        let kept = restored.attachments.macs.clone();
        let (attachments, mut told) = Attachments::restore(restored.attachments);
        let Replayed {
            desired,
            attachments,
            mut memory,
            misfit,
        } = replay(restored.changesets, recorded, attachments);
        memory.attachments_due = attachments.all_by_mac() != &kept;
        if let Some((record, problem)) = &misfit {
            told.push(format!(
                "record {record} of the plan on disk does not fit those before it ({problem}): it and what follows is left out"
            ));
        }
        let place = Place::of(&desired);
        let recorded = recorded.unwrap_or_default();
        memory.lost = is_newer(recorded.cursor, place.cursor);
        memory.applied = match memory.lost {
            true => place,
            false => Place {
                cursor: recorded.cursor,
                digest: recorded.digest,
            },
        };
        memory.verified = memory.applied.digest;
        memory.recorded = recorded;
        memory.plan_due = misfit.is_some();
        let closed = "no connection has been tried yet".to_owned();
        let mut agent = Self {
            identity,
            desired,
            merged: PlanState::default(),
            attachments,
            plane: Plane::Down {
                reason: closed.clone(),
            },
            session: Session::Closed { reason: closed },
            memory,
            outputs: Vec::new(),
        };
        agent.merge_anew();
        told.extend(agent.outputs.drain(..).filter_map(|output| match output {
            super::io::Output::Event(text) => Some(text),
            _ => None,
        }));
        (agent, told, misfit.is_some())
    }
}

fn is_newer(one: Cursor, other: Cursor) -> bool {
    (one.incarnation, one.revision) > (other.incarnation, other.revision)
}

/// Puts one record after the other. What comes after the place that was applied can be taken back.
fn replay(changesets: Vec<Changeset>, recorded: Option<AppliedRecord>, attachments: Attachments) -> Replayed {
    let mut replayed = Replayed {
        desired: PlanState::default(),
        attachments,
        memory: Memory::default(),
        misfit: None,
    };
    let is_applied = |state: &PlanState| {
        recorded.is_some_and(|recorded| {
            recorded.cursor == state.cursor() && recorded.digest == state.digest().total()
        })
    };
    let mut found = false;
    for (number, changeset) in changesets.into_iter().enumerate() {
        match replayed.desired.apply(&changeset) {
            Ok(applied) => {
                let moved = replayed.attachments.follow(&replayed.desired, &applied.changes);
                replayed.memory.logged += applied.changes.len().max(1);
                replayed.memory.undo.push(applied);
                replayed.memory.moved.extend(moved);
                replayed.memory.undone.push(changeset);
            }
            // Written twice: once before it was known whether the first time had succeeded.
            Err(ApplyError::AlreadyApplied { .. }) => {}
            Err(error) => {
                replayed.misfit = Some((number, error.to_string()));
                break;
            }
        }
        if is_applied(&replayed.desired) {
            found = true;
            replayed.memory.forget_undo();
        }
    }
    if !found {
        // Where the data plane stood cannot be told: nothing to go back to.
        replayed.memory.forget_undo();
    }
    replayed.attachments.settle(&replayed.desired);
    replayed
}
