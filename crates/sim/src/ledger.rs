//! What a host's data plane has had, and what may come into it after that.

use std::collections::BTreeSet;

use anet_model::digest::{Digest, PlanDigest};
use anet_model::host_plan::{Attachment, HostPlan, Port};
use anet_model::intent::HostId;
use anet_model::state::PlanState;

use crate::truth::{Moment, Truth};
use crate::violation::{Violation, violation};

/// See the module's page.
#[derive(Debug)]
pub struct Ledger {
    host: HostId,
    /// Every plan that the data plane has ever had.
    held: BTreeSet<Digest>,
    /// The oldest moment that what comes next may be of.
    floor: Moment,
    /// The oldest moment that what may pass now may be of.
    since: Moment,
    /// Somebody else's hand was in the data plane, and nobody has mended it yet.
    tampered: bool,
}

impl Ledger {
    /// Of a data plane that has nothing.
    pub fn new(host: HostId) -> Self {
        Self {
            host,
            held: BTreeSet::from([Digest::default()]),
            floor: 0,
            since: 0,
            tampered: false,
        }
    }

    /// It has begun anew, with nothing.
    pub fn began(&mut self) {
        (self.floor, self.since) = (0, 0);
        self.tampered = false;
    }

    /// Its plan was changed by somebody else.
    pub fn tampered(&mut self, plan: &HostPlan) {
        self.tampered = true;
        self.held.insert(plain(plan));
    }

    /// True where it had the plan with this digest at any time.
    pub fn has_held(&self, digest: Digest) -> bool {
        self.held.contains(&digest)
    }

    /// What passes now is allowed by a state of the fabric that is not older than this.
    pub const fn since(&self) -> Moment {
        self.since
    }

    /// Its agent has changed its plan to what is desired. Never an older plan over a newer one, and never one that nobody made;
    /// only where something could not be written down, a part of what is desired.
    pub fn applied(
        &mut self,
        plan: &HostPlan,
        desired: &PlanState,
        may_close: bool,
        truth: &Truth,
    ) -> Result<(), Violation> {
        let digest = plain(plan);
        self.held.insert(digest);
        if digest == Digest::default() && self.floor == 0 {
            return Ok(());
        }
        let whole = digest == desired.digest().total();
        let place = truth.place(&self.host, desired.digest().total());
        let part = may_close && is_within(plan, desired.plan());
        let Some(place) = place.filter(|_| whole || part) else {
            return match self.tampered {
                true => Ok(()),
                false => Err(violation(format!("{} has a plan that nobody made", self.host))),
            };
        };
        // What was closed was closed by something newer: it must not be opened by what was there before.
        let newest = match whole || !place.once {
            true => place.last,
            false => place.last + 1,
        };
        if newest < self.floor {
            let (host, floor) = (&self.host, self.floor);
            return Err(violation(format!(
                "{host} has the plan of moment {newest} over that of {floor}"
            )));
        }
        if whole {
            self.tampered = false;
            self.since = self.since.max(place.first);
        }
        self.floor = self.floor.max(match place.once && !whole {
            true => newest,
            false => place.first,
        });
        Ok(())
    }
}

/// The digest of a plan as its controller knows it: what ports are attached to is the host's own business.
pub fn plain(plan: &HostPlan) -> Digest {
    let mut plan = plan.clone();
    for port in plan.ports.values_mut() {
        port.attachment = Attachment::Detached;
    }
    PlanDigest::of(&plan).total()
}

/// True where one plan lets nothing pass that the other does not.
fn is_within(one: &HostPlan, other: &HostPlan) -> bool {
    let port = |port: &Port, wide: &Port| {
        let groups = &port.security_groups;
        (wide.admin_up || !port.admin_up)
            && (port.port_security || !wide.port_security)
            && groups.iter().all(|group| wide.security_groups.contains(group))
    };
    let mut ports = one.ports.iter();
    let mut groups = one.security_groups.iter();
    let mut sets = one.address_sets.iter();
    ports.all(|(id, narrow)| other.ports.get(id).is_some_and(|wide| port(narrow, wide)))
        && groups.all(|(id, group)| {
            let wide = other.security_groups.get(id).map(|group| &group.rules);
            let mut rules = group.rules.iter();
            wide.is_some_and(|wide| rules.all(|(id, rule)| wide.get(id) == Some(rule)))
        })
        && sets.all(|(id, set)| {
            let wide = other.address_sets.get(id).map(|set| &set.members);
            wide.is_some_and(|wide| set.members.is_subset(wide))
        })
        && one.peers.keys().all(|id| other.peers.contains_key(id))
}
