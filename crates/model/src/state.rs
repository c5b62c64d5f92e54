//! A host's plan with its place in history, and the rules by which a [`Changeset`] moves it on.
//!
//! A changeset applies whole or not at all, iff `from <= applied < to`. Incarnations are ordered: a lower one is
//! refused, a higher one must be a snapshot and replaces everything. A snapshot counts only if it is not older
//! than what is applied. The cost of a changeset is proportional to what it touches, validation and digest included;
//! a snapshot's to the plan.

use std::collections::HashSet;

use crate::changeset::{Change, Changeset, Revision};
use crate::diff::diff;
use crate::digest::{Digest, PlanDigest};
use crate::host_plan::{AddressSetId, HostPlan, SecurityGroupId};
use crate::index::Index;
use crate::transaction::{Missing, Transaction};
use crate::validate::ValidationError;

/// Why a changeset was refused. The plan is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It belongs to a history that was replaced.
    #[error(
        "incarnation {found} is older than {ours}, which is applied: the sender must learn the newer one"
    )]
    OlderIncarnation {
        /// Of the changeset.
        found: u64,
        /// Applied.
        ours: u64,
    },
    /// A new history has to begin with everything.
    #[error("incarnation {found} follows {ours} and must begin with a snapshot: ask for one")]
    SnapshotNeeded {
        /// Of the changeset.
        found: u64,
        /// Applied.
        ours: u64,
    },
    /// Changes between the two revisions are missing.
    #[error("gap: the changeset starts at revision {from} but {applied} is applied: ask for a snapshot")]
    Gap {
        /// Applied.
        applied: Revision,
        /// Where the changeset starts.
        from: Revision,
    },
    /// Nothing new: it may be acknowledged.
    #[error("revision {to} is applied already ({applied}): acknowledge it")]
    AlreadyApplied {
        /// Applied.
        applied: Revision,
        /// Where the changeset leads.
        to: Revision,
    },
    /// A snapshot from before what is applied.
    #[error("the snapshot of revision {to} is older than {applied}, which is applied: ask for a newer one")]
    OlderSnapshot {
        /// Applied.
        applied: Revision,
        /// The snapshot's.
        to: Revision,
    },
    /// Revisions do not go forward.
    #[error("a changeset from revision {from} to {to} does not go forward: from must be lower than to")]
    Backward {
        /// Where it starts.
        from: Revision,
        /// Where it leads.
        to: Revision,
    },
    /// An entry stands twice in the changeset, so that its value would depend on their order.
    #[error("{0} is changed twice in one changeset: name each entry once")]
    Repeated(String),
    /// A rule of a group that does not exist.
    #[error("a rule of security group {0}, which does not exist: put the group too")]
    NoSecurityGroup(SecurityGroupId),
    /// A member of a set that does not exist.
    #[error("a member of address set {0}, which does not exist: put the set too")]
    NoAddressSet(AddressSetId),
    /// The plan would not be valid after it.
    #[error(transparent)]
    Invalid(#[from] ValidationError),
    /// The plan after it would not be the one that the sender has.
    #[error("the plan's digest would be {found}, the sender has {expected}: ask for a snapshot")]
    Digest {
        /// Of our plan after the changes.
        found: Digest,
        /// Of the sender's.
        expected: Digest,
    },
}

impl From<Missing> for ApplyError {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::SecurityGroup(id) => ApplyError::NoSecurityGroup(id),
            Missing::AddressSet(id) => ApplyError::NoAddressSet(id),
        }
    }
}

/// A place in a host's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// The history.
    pub incarnation: u64,
    /// The revision in it.
    pub revision: Revision,
}

/// What applying a changeset did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// What is really different now, with rules and members singly where their group or set was there before:
    /// in an order in which they can be put (groups and sets before their rules and members).
    pub changes: Vec<Change>,
    /// What takes `changes` back, in the order in which it has to be put.
    pub undo: Vec<Change>,
    /// Where the plan stood before.
    pub before: Cursor,
}

impl Applied {
    fn of(done: Vec<(Change, Change)>, before: Cursor) -> Self {
        let (changes, mut undo): (Vec<Change>, Vec<Change>) = done.into_iter().unzip();
        undo.reverse();
        Self {
            changes,
            undo,
            before,
        }
    }
}

/// A valid plan, where it stands in history, and its digest. The default is an empty plan of revision 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanState {
    plan: HostPlan,
    index: Index,
    incarnation: u64,
    revision: Revision,
    digest: PlanDigest,
}

impl PlanState {
    /// A plan that was kept, with its place in history.
    pub fn new(plan: HostPlan, incarnation: u64, revision: Revision) -> Result<Self, ValidationError> {
        plan.validate()?;
        let (index, digest) = (Index::of(&plan), PlanDigest::of(&plan));
        Ok(Self {
            plan,
            index,
            incarnation,
            revision,
            digest,
        })
    }

    /// The plan.
    pub const fn plan(&self) -> &HostPlan {
        &self.plan
    }

    /// The history it belongs to.
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// The revision that is applied.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Both of them.
    pub const fn cursor(&self) -> Cursor {
        Cursor {
            incarnation: self.incarnation,
            revision: self.revision,
        }
    }

    /// The digest of the plan, kept as changes were applied.
    pub const fn digest(&self) -> &PlanDigest {
        &self.digest
    }

    /// Applies a changeset, or changes nothing and says why not.
    pub fn apply(&mut self, changeset: &Changeset) -> Result<Applied, ApplyError> {
        self.check_history(changeset)?;
        check_repeats(&changeset.changes)?;
        let expected = changeset.digest_after.map(Digest::from_bytes);
        let applied = if changeset.snapshot {
            let changes = diff(&self.plan, &plan_of(&changeset.changes)?);
            self.transact(&changes, expected)?
        } else {
            self.transact(&changeset.changes, expected)?
        };
        self.incarnation = changeset.incarnation;
        self.revision = changeset.to;
        Ok(applied)
    }

    /// Takes back what the last [`Self::apply`] did, for a caller who could not carry it out. Refused, with
    /// nothing changed, where other changes were applied since and the plan would not be valid.
    pub fn take_back(&mut self, applied: &Applied) -> Result<(), ApplyError> {
        self.transact(&applied.undo, None)?;
        Cursor {
            incarnation: self.incarnation,
            revision: self.revision,
        } = applied.before;
        Ok(())
    }

    /// Whether the changeset is the next one, before its entries are looked at.
    pub fn check_history(&self, changeset: &Changeset) -> Result<(), ApplyError> {
        let (ours, found) = (self.incarnation, changeset.incarnation);
        let (applied, from, to) = (self.revision, changeset.from, changeset.to);
        if found < ours {
            return Err(ApplyError::OlderIncarnation { found, ours });
        }
        if changeset.snapshot {
            return match found == ours && to < applied {
                true => Err(ApplyError::OlderSnapshot { applied, to }),
                false => Ok(()),
            };
        }
        if found > ours {
            return Err(ApplyError::SnapshotNeeded { found, ours });
        }
        if from >= to {
            return Err(ApplyError::Backward { from, to });
        }
        if to <= applied {
            return Err(ApplyError::AlreadyApplied { applied, to });
        }
        if from > applied {
            return Err(ApplyError::Gap { applied, from });
        }
        Ok(())
    }

    fn transact(&mut self, changes: &[Change], expected: Option<Digest>) -> Result<Applied, ApplyError> {
        let before = self.cursor();
        let mut transaction = Transaction::begin(&mut self.plan, &mut self.index);
        let mut digest = self.digest;
        let outcome = put_and_check(&mut transaction, changes, &mut digest, expected);
        if let Err(error) = outcome {
            transaction.roll_back();
            return Err(error);
        }
        self.digest = digest;
        Ok(Applied::of(transaction.commit(), before))
    }
}

fn put_and_check(
    transaction: &mut Transaction<'_>,
    changes: &[Change],
    digest: &mut PlanDigest,
    expected: Option<Digest>,
) -> Result<(), ApplyError> {
    transaction.put_all(changes)?;
    transaction.validate()?;
    transaction
        .done()
        .iter()
        .for_each(|(change, undo)| digest.replace(undo, change));
    let found = digest.total();
    match expected {
        Some(expected) if expected != found => Err(ApplyError::Digest { found, expected }),
        _ => Ok(()),
    }
}

/// The plan that consists of just these entries, not yet validated.
fn plan_of(changes: &[Change]) -> Result<HostPlan, ApplyError> {
    let (mut plan, mut index) = (HostPlan::default(), Index::default());
    Transaction::begin(&mut plan, &mut index).put_all(changes)?;
    Ok(plan)
}

/// Refuses two changes of one entry. A rule stands in its group's change and in its own; so does a member.
fn check_repeats(changes: &[Change]) -> Result<(), ApplyError> {
    let mut seen = HashSet::new();
    let mut once = |key: String| match seen.insert(key.clone()) {
        true => Ok(()),
        false => Err(ApplyError::Repeated(key)),
    };
    for change in changes {
        once(change.key())?;
        match change {
            Change::SecurityGroup(group, Some(value)) => {
                value
                    .rules
                    .keys()
                    .try_for_each(|id| once(format!("rule {group}/{id}")))?;
            }
            Change::AddressSet(set, Some(value)) => {
                value
                    .members
                    .iter()
                    .try_for_each(|member| once(format!("member {set} {member}")))?;
            }
            _ => {}
        }
    }
    Ok(())
}

impl Change {
    /// The entry it is about, as an operator would read it; equal for two changes of one entry.
    pub fn key(&self) -> String {
        match self {
            Change::Tunnel(_) => "tunnel".to_owned(),
            Change::Network(id, _) => format!("network {id}"),
            Change::Subnet(id, _) => format!("subnet {id}"),
            Change::Port(id, _) => format!("port {id}"),
            Change::Endpoint(id, _) => format!("endpoint {id}"),
            Change::Peer(id, _) => format!("peer {id}"),
            Change::SecurityGroup(id, _) => format!("security group {id}"),
            Change::Rule(group, id, _) => format!("rule {group}/{id}"),
            Change::AddressSet(id, _) => format!("address set {id}"),
            Change::Member(set, member, _) => format!("member {set} {member}"),
        }
    }
}

impl HostPlan {
    /// Applies changes to a plan that stands alone: whole, or the plan is as before. Cost: proportional to the
    /// plan, since its index is built for it; [`PlanState`] keeps the index instead.
    pub fn apply(&mut self, changes: &[Change]) -> Result<Applied, ApplyError> {
        check_repeats(changes)?;
        self.validate()?;
        let mut index = Index::of(self);
        let mut transaction = Transaction::begin(self, &mut index);
        let outcome = transaction.put_all(changes).map_err(ApplyError::from);
        match outcome.and_then(|()| Ok(transaction.validate()?)) {
            Ok(()) => Ok(Applied::of(transaction.commit(), Cursor::default())),
            Err(error) => {
                transaction.roll_back();
                Err(error)
            }
        }
    }
}
