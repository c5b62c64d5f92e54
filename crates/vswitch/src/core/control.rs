//! The plan that is applied, and the way from a changeset to operations on the tables.
//!
//! A changeset is applied whole or not at all: it is tried on a second copy of the plan, the operations are built, and
//! only then is the first copy changed. The copies exist so that this costs what the changeset touches.

use anet_datapath::tables::{TableOp, Tables};
use anet_model::changeset::Changeset;
use anet_model::diff::diff;
use anet_model::digest::PlanDigest;
use anet_model::entry::{Entry, Noun};
use anet_model::host_plan::HostPlan;
use anet_model::state::PlanState;
use anet_wire::control::report::DigestReport;
use anet_wire::control::{Refusal, Response};

use super::tables::{Difference, TableBuilder};

/// See the module's page.
#[derive(Default)]
pub struct Control {
    /// What the tables hold.
    applied: PlanState,
    /// The copy that is tried on.
    tried: PlanState,
    builder: TableBuilder,
}

impl Control {
    /// Nothing applied: revision 0 of incarnation 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The plan, its place in history and its digest.
    pub fn state(&self) -> &PlanState {
        &self.applied
    }

    /// The plan.
    pub fn plan(&self) -> &HostPlan {
        self.applied.plan()
    }

    /// Which index each noun has.
    pub fn builder(&self) -> &TableBuilder {
        &self.builder
    }

    /// The operations that a changeset comes to, which the caller must publish; or the refusal, and nothing has changed.
    pub fn apply(&mut self, changeset: &Changeset) -> Result<Vec<TableOp>, Box<Response>> {
        let applied = self
            .tried
            .apply(changeset)
            .map_err(|error| Response::refused(&self.applied, &error))?;
        let built = self
            .builder
            .apply(self.applied.plan(), self.tried.plan(), &applied.changes);
        match built {
            Ok(operations) => {
                #[cfg(test)]
                let before = self.applied.plan().clone();
                if self.applied.apply(changeset).is_err() {
                    // Both copies were equal, so this cannot be; were it so, the tried one is what the tables hold.
                    self.applied = self.tried.clone();
                }
                #[cfg(test)]
                crate::planted::fault_for(crate::planted::UNPUBLISHED, &before, self.applied.plan());
                Ok(operations)
            }
            Err(error) => {
                self.tried = self.applied.clone();
                Err(Box::new(self.refused(Refusal::Invalid, error.to_string())))
            }
        }
    }

    /// The changeset that leads from what is applied to `plan`; `None` where that is the same.
    pub fn changeset_to(&self, plan: &HostPlan) -> Option<Changeset> {
        let changes = diff(self.plan(), plan);
        let revision = self.applied.revision();
        (!changes.is_empty()).then(|| Changeset {
            incarnation: self.applied.incarnation(),
            from: revision,
            to: revision + 1,
            snapshot: false,
            changes,
            digest_after: None,
        })
    }

    /// A refusal in the words of the control protocol.
    pub fn refused(&self, refusal: Refusal, reason: String) -> Response {
        Response::Refused {
            refusal,
            reason,
            incarnation: self.applied.incarnation(),
            revision: self.applied.revision(),
        }
    }

    /// Reads the tables back: what differs from the plan. Walks everything.
    pub fn audit(&self, tables: &Tables) -> Vec<Difference> {
        self.builder.audit(tables, self.plan())
    }

    /// The digest as kept, beside that of what the tables hold: of every entry without a difference.
    pub fn digest_report(&self, differences: &[Difference]) -> DigestReport {
        let kept = self.applied.digest();
        let read_back = match differences {
            [] => *kept,
            _ => digest_without(self.plan(), differences),
        };
        DigestReport::new(
            self.applied.incarnation(),
            self.applied.revision(),
            kept,
            &read_back,
        )
    }

    /// The operations that take everything out of the tables and put in what is applied: where the tables differ from
    /// the plan, or a panic left a change half-way.
    pub fn rebuild(&mut self) -> Vec<TableOp> {
        self.tried = self.applied.clone();
        // What was built before cannot exceed a bound.
        let Ok((builder, operations)) = self.builder.anew(self.applied.plan()) else {
            return Vec::new();
        };
        self.builder = builder;
        operations
    }
}

fn digest_without(plan: &HostPlan, differences: &[Difference]) -> PlanDigest {
    let mut digest = PlanDigest::default();
    for entry in plan.entries() {
        let (noun, id) = place_of(entry);
        let differs = |d: &Difference| d.noun == noun && (d.id == id || matches!(d.id.as_str(), "" | "*"));
        if !differences.iter().any(differs) {
            digest.add(entry);
        }
    }
    digest
}

/// The noun and id under which the audit reports an entry. A subnet is reported with its network, a member with its set.
fn place_of(entry: Entry<'_>) -> (&'static str, &str) {
    match entry {
        Entry::Tunnel(_) => (Noun::Tunnel.name(), ""),
        Entry::Endpoint(id, _) => (Noun::Endpoint.name(), id.as_str()),
        Entry::Network(id, _) => (Noun::Network.name(), id.as_str()),
        Entry::Subnet(_, subnet) => (Noun::Network.name(), subnet.network.as_str()),
        Entry::AddressSet(id) | Entry::Member(id, _) => (Noun::AddressSet.name(), id.as_str()),
        Entry::SecurityGroup(id) | Entry::Rule(id, _, _) => (Noun::SecurityGroup.name(), id.as_str()),
        Entry::Port(id, _) => (Noun::Port.name(), id.as_str()),
        Entry::Peer(id, _) => (Noun::Peer.name(), id.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_model::changeset::Change;
    use anet_wire::plan_text;

    fn plan(rules: &str) -> HostPlan {
        let text = format!(
            "networks:\n  blue: {{vni: 10, mtu: 1450, endpoints: []}}\n\
             subnets:\n  v4: {{network: blue, prefix: 10.0.0.0/24}}\n\
             ports:\n  a: {{network: blue, mac: '02:00:00:00:00:01', addresses: [10.0.0.1], security_groups: [g]}}\n  \
             b: {{network: blue, mac: '02:00:00:00:00:02', addresses: [10.0.0.2], security_groups: [g]}}\n\
             security_groups:\n  g:\n    rules:\n      out: {{direction: egress, ethertype: IPv4}}\n{rules}"
        );
        plan_text::parse(&text).unwrap()
    }

    /// A control and the tables that its operations made.
    fn applied(plan: &HostPlan) -> (Control, Tables) {
        let (mut control, mut tables) = (Control::new(), Tables::new(1));
        let changeset = control.changeset_to(plan).unwrap();
        let operations = control.apply(&changeset).unwrap();
        operations.iter().for_each(|operation| tables.perform(operation));
        (control, tables)
    }

    #[test]
    fn a_plan_is_applied_once_and_its_tables_hold_it() {
        let plan = plan("");
        let (control, tables) = applied(&plan);
        assert_eq!((control.plan(), control.state().revision()), (&plan, 1));
        assert!(control.changeset_to(&plan).is_none());
        assert_eq!(control.audit(&tables), []);
        assert_eq!(control.digest_report(&[]).mismatches().count(), 0);
    }

    #[test]
    fn a_refused_changeset_changes_nothing() {
        let (mut control, tables) = applied(&plan(""));
        let before = control.state().clone();
        let gap = Changeset {
            from: 3,
            to: 4,
            ..Changeset::default()
        };
        let unknown = Change::Port("a".parse().unwrap(), None);
        let half = Changeset {
            from: 1,
            to: 2,
            changes: vec![unknown, Change::Network("blue".parse().unwrap(), None)],
            ..Changeset::default()
        };
        for changeset in [gap, half] {
            assert!(control.apply(&changeset).is_err());
            assert_eq!(control.state(), &before);
        }
        assert_eq!(control.audit(&tables), []);
    }

    #[test]
    fn tables_that_differ_show_in_the_digest_and_are_made_anew() {
        // Port a comes after b, so that its index is not that of its place.
        let mut first = plan("");
        first.ports.remove(&"a".parse().unwrap());
        let (mut control, mut tables) = applied(&first);
        let changeset = control.changeset_to(&plan("")).unwrap();
        for operation in control.apply(&changeset).unwrap() {
            tables.perform(&operation);
        }
        let index = control.builder().port_index(&"a".parse().unwrap()).unwrap();
        tables.perform(&TableOp::Port(index, None));
        let differences = control.audit(&tables);
        assert!(!differences.is_empty());
        let report = control.digest_report(&differences);
        assert_eq!(report.mismatches().collect::<Vec<_>>(), [Noun::Port]);
        let indexes = |control: &Control| {
            let index = |id: &str| control.builder().port_index(&id.parse().unwrap());
            [index("a"), index("b")]
        };
        let before = indexes(&control);
        for operation in control.rebuild() {
            tables.perform(&operation);
        }
        assert_eq!(control.audit(&tables), []);
        assert_eq!(control.changeset_to(&plan("")), None);
        assert_eq!(indexes(&control), before, "devices are attached under these");
    }
}
