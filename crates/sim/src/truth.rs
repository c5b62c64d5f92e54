//! What the store really holds, and what each host's plan has been at each of its revisions: what everything is held against.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use anet_controller::core::keys::{self, Noun};
use anet_controller::core::mirror::Mirror;
use anet_model::digest::{Digest, PlanDigest};
use anet_model::intent::{HostId, Intent};
use anet_plan::{Settings, recompute};
use anet_store::model::ModelClient;
use anet_store::{KeyRange, RangeRequest, Revision, Store, StoreError, WatchRequest, Watcher, list};
use std::task::{Context, Poll, Waker};

use crate::violation::{Violation, violation};

/// A moment: so many states of the store were before it. Revisions are no measure, since they go back with a restored store.
pub type Moment = usize;

/// When a host had a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Since when.
    pub first: Moment,
    /// Until when.
    pub last: Moment,
    /// It had it without a break.
    pub once: bool,
}

/// See the module's page.
pub struct Truth {
    store: Arc<ModelClient>,
    mirror: Mirror,
    watcher: Option<Box<dyn Watcher>>,
    /// For each host, the plans it has had, by digest.
    plans: BTreeMap<HostId, BTreeMap<Digest, Place>>,
    latest: BTreeMap<HostId, Digest>,
    /// What was intended at each moment.
    history: Vec<Rc<Intent>>,
    /// All objects there ever were.
    seen: BTreeSet<(Noun, String)>,
}

impl Truth {
    /// Of a store without faults.
    pub fn new(store: ModelClient) -> Self {
        Self {
            store: Arc::new(store),
            mirror: Mirror::new(Settings::default()),
            watcher: None,
            plans: BTreeMap::new(),
            latest: BTreeMap::new(),
            history: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    /// The objects.
    pub fn intent(&self) -> &Intent {
        self.mirror.intent()
    }

    /// What has been written since; each revision is looked at by itself.
    pub fn follow(&mut self) -> Result<(), Violation> {
        if self.watcher.is_none() {
            self.begin()?;
        }
        while let Some(batch) = self.watcher.as_mut().and_then(|watcher| now(watcher.next())) {
            let batch = match batch {
                Ok(batch) => batch,
                // A fault of the store's: history was forgotten behind everybody's back.
                Err(StoreError::Compacted { .. }) => {
                    self.begin()?;
                    continue;
                }
                Err(error) => return Err(violation(format!("the truth's watch broke: {error}"))),
            };
            if batch.events.is_empty() {
                break;
            }
            for events in batch.events.chunk_by(|one, other| one.revision == other.revision) {
                let one = anet_store::WatchBatch {
                    revision: events.first().map_or(batch.revision, |event| event.revision),
                    events: events.to_vec(),
                };
                for event in events {
                    if let Some(keys::Place::Object(noun, id, _)) = keys::place(&event.key) {
                        self.seen.insert((noun, id));
                    }
                }
                let followed = self.mirror.follow(&one);
                followed.map_err(|error| violation(format!("a record cannot be read: {error}")))?;
                self.note();
                whole(self.mirror.intent())?;
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Violation> {
        let unanswered = || violation("the store does not answer the truth");
        let listing = now(list(&*self.store, &keys::objects(), 1_000)).ok_or_else(unanswered)?;
        let listing = listing.map_err(|error| violation(error.to_string()))?;
        let one = |key: &[u8]| {
            let request = RangeRequest::new(KeyRange::key(key)).at(listing.revision);
            let answer = now(self.store.range(request)).and_then(Result::ok);
            answer.and_then(|answer| answer.entries.into_iter().next())
        };
        let (counter, cluster) = (one(keys::COUNTER), one(keys::CLUSTER));
        self.mirror
            .list(&listing, counter.as_ref(), cluster.as_ref())
            .map_err(|error| violation(error.to_string()))?;
        for entry in &listing.entries {
            if let Some(keys::Place::Object(noun, id, _)) = keys::place(&entry.key) {
                self.seen.insert((noun, id));
            }
        }
        let request = WatchRequest::new(keys::watched(), listing.revision + 1);
        let watcher = now(self.store.watch(request)).ok_or_else(unanswered)?;
        self.watcher = Some(watcher.map_err(|error| violation(error.to_string()))?);
        self.note();
        Ok(())
    }

    /// The store has gone back to an older state: what came after that has been, and is no more.
    pub fn restored(&mut self) -> Result<(), Violation> {
        self.mirror = Mirror::new(Settings::default());
        self.begin()
    }

    /// Notes the plans as they are at this revision.
    fn note(&mut self) {
        let now = self.history.len();
        self.history.push(Rc::new(self.mirror.intent().clone()));
        let hosts: Vec<HostId> = self.mirror.intent().hosts.keys().cloned().collect();
        for host in hosts {
            let Some(digest) = self.mirror.planner().digest(&host).map(PlanDigest::total) else {
                continue;
            };
            let before = self.latest.insert(host.clone(), digest);
            let plans = self.plans.entry(host).or_default();
            if let Some(before) = before.filter(|before| *before != digest)
                && let Some(place) = plans.get_mut(&before)
            {
                place.last = now - 1;
            }
            let place = plans.entry(digest).or_insert(Place {
                first: now,
                last: now,
                once: true,
            });
            place.once &= before == Some(digest) || place.first == now;
            place.last = now;
        }
    }

    /// When a host had the plan with this digest.
    pub fn place(&self, host: &HostId, digest: Digest) -> Option<Place> {
        self.plans.get(host)?.get(&digest).copied()
    }

    /// True where something held of what was intended at some moment since then.
    pub fn held(&self, since: Moment, what: impl Fn(&Intent) -> bool) -> bool {
        let recent = self.history.get(since..).unwrap_or_default();
        recent.iter().rev().any(|intent| what(intent))
    }

    /// True where something held of what was intended at any time.
    pub fn ever(&self, what: impl Fn(&Intent) -> bool) -> bool {
        self.held(0, what)
    }

    /// The digest of a host's plan now.
    pub fn digest(&self, host: &HostId) -> Option<Digest> {
        self.latest.get(host).copied()
    }

    /// True where there was such an object at any time.
    pub fn has_seen(&self, noun: Noun, id: &str) -> bool {
        self.seen.contains(&(noun, id.to_owned()))
    }

    /// All objects there are.
    pub fn objects(&self) -> BTreeSet<(Noun, String)> {
        let there = |(noun, id): &&(Noun, String)| self.mirror.revision_of(*noun, id) > 0;
        self.seen.iter().filter(there).cloned().collect()
    }

    /// The store's revision that all this is of.
    pub const fn revision(&self) -> Revision {
        self.mirror.revision()
    }

    /// The planner's plans are those of the oracle.
    pub fn hold_against_oracle(&self) -> Result<(), Violation> {
        for (host, plan) in recompute(self.intent(), &Settings::default()) {
            if self.mirror.planner().host_plan(&host) != Some(&plan) {
                return Err(violation(format!("the plan of {host} is not the oracle's")));
            }
        }
        Ok(())
    }
}

/// What a call answers at once.
pub fn now<T>(call: impl Future<Output = T>) -> Option<T> {
    let mut call = std::pin::pin!(call);
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// What holds of the objects at every revision: references lead somewhere, and what is to be unique is.
fn whole(intent: &Intent) -> Result<(), Violation> {
    let mut vnis = BTreeSet::new();
    for (id, network) in &intent.networks {
        check(intent.projects.contains_key(&network.project), || {
            format!(
                "network {id} is of project {}, which is not there",
                network.project
            )
        })?;
        check(vnis.insert(network.vni), || {
            format!("VNI {} is used twice", network.vni)
        })?;
    }
    for (id, subnet) in &intent.subnets {
        check(intent.networks.contains_key(&subnet.network), || {
            format!("subnet {id} is of network {}, which is not there", subnet.network)
        })?;
    }
    for (id, rule) in &intent.rules {
        check(intent.security_groups.contains_key(&rule.security_group), || {
            format!(
                "rule {id} is of group {}, which is not there",
                rule.security_group
            )
        })?;
    }
    whole_ports(intent)
}

fn whole_ports(intent: &Intent) -> Result<(), Violation> {
    let (mut macs, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for (id, port) in &intent.ports {
        check(intent.networks.contains_key(&port.network), || {
            format!("port {id} is of network {}, which is not there", port.network)
        })?;
        check(macs.insert((&port.network, port.mac)), || {
            format!("MAC {} is used twice in network {}", port.mac, port.network)
        })?;
        for fixed in &port.fixed_ips {
            check(intent.subnets.contains_key(&fixed.subnet), || {
                format!(
                    "port {id} has an address of subnet {}, which is not there",
                    fixed.subnet
                )
            })?;
            check(addresses.insert((&fixed.subnet, fixed.address)), || {
                format!(
                    "address {} is given twice in subnet {}",
                    fixed.address, fixed.subnet
                )
            })?;
        }
        for group in &port.security_groups {
            check(intent.security_groups.contains_key(group), || {
                format!("port {id} is in group {group}, which is not there")
            })?;
        }
        if let Some(host) = &port.host {
            check(intent.hosts.contains_key(host), || {
                format!("port {id} is on host {host}, which is not there")
            })?;
        }
    }
    Ok(())
}

fn check(holds: bool, what: impl FnOnce() -> String) -> Result<(), Violation> {
    match holds {
        true => Ok(()),
        false => Err(violation(what())),
    }
}
