//! A transaction while it is drawn up: what was read, what is taken, what is put.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use anet_api::ApiError;
use anet_model::host_plan::{NetworkId, RuleId, SecurityGroupId, SubnetId};
use anet_model::id::Id;
use anet_packet::addr::Mac;
use anet_store::{Compare, Key, KeyRange, Operation, Transaction};
use serde::Serialize;

use super::super::keys::{self, Noun};
use super::super::mirror::{Mirror, counter_value};
use super::super::record;
use super::{Answer, Proposal, Witness};

/// A draft. What it has taken is taken for all objects of the same request.
#[derive(Debug)]
pub struct Draft<'a> {
    mirror: &'a Mirror,
    compares: BTreeMap<Key, Compare>,
    ranges: Vec<Compare>,
    puts: BTreeMap<Key, Vec<u8>>,
    deletes: BTreeSet<Key>,
    range_deletes: Vec<KeyRange>,
    /// Objects that are put or deleted.
    objects: usize,
    witness: Option<Witness>,
}

impl<'a> Draft<'a> {
    /// An empty one.
    pub const fn new(mirror: &'a Mirror) -> Self {
        Self {
            mirror,
            compares: BTreeMap::new(),
            ranges: Vec::new(),
            puts: BTreeMap::new(),
            deletes: BTreeSet::new(),
            range_deletes: Vec::new(),
            objects: 0,
            witness: None,
        }
    }

    /// What it is held against.
    pub const fn mirror(&self) -> &'a Mirror {
        self.mirror
    }

    /// An object was read: it has to be as it was, or still not there.
    pub fn read<N>(&mut self, noun: Noun, id: &Id<N>) {
        self.compare_object(keys::object(noun, id), self.mirror.revision_of(noun, id.as_str()));
    }

    /// A rule was read.
    pub fn read_rule(&mut self, group: &SecurityGroupId, id: &RuleId) {
        let revision = self.mirror.revision_of(Noun::Rule, id.as_str());
        self.compare_object(keys::rule(group, id), revision);
    }

    fn compare_object(&mut self, key: Key, revision: u64) {
        self.compares
            .insert(key.clone(), Compare::ModRevision(key, revision));
    }

    /// A key has to be absent.
    pub fn absent(&mut self, key: Key) {
        self.compares.insert(key.clone(), Compare::Absent(key));
    }

    /// A range has to be empty.
    pub fn none_in(&mut self, range: KeyRange) {
        self.ranges.push(Compare::NoneIn(range));
    }

    /// A range has to be empty but for what this draft deletes of it.
    pub fn none_left_in(&mut self, range: &KeyRange) {
        let mut rest = range.clone();
        for key in self.deletes.iter().filter(|key| range.contains(key)) {
            self.ranges
                .push(Compare::NoneIn(KeyRange::between(rest.start(), key.clone())));
            rest = rest.after(key);
        }
        self.ranges.push(Compare::NoneIn(rest));
    }

    /// Puts an object.
    pub fn put<N, T: Serialize>(&mut self, noun: Noun, id: &Id<N>, value: &T) -> Result<(), ApiError> {
        self.read(noun, id);
        let is_new = self.mirror.revision_of(noun, id.as_str()) == 0;
        self.put_object(keys::object(noun, id), value, is_new)
    }

    /// Puts a rule.
    pub fn put_rule<T: Serialize>(
        &mut self,
        group: &SecurityGroupId,
        id: &RuleId,
        value: &T,
    ) -> Result<(), ApiError> {
        self.read_rule(group, id);
        let is_new = self.mirror.revision_of(Noun::Rule, id.as_str()) == 0;
        self.put_object(keys::rule(group, id), value, is_new)
    }

    /// What is new or gone tells that this draft was committed; a change of something beside it does not.
    fn put_object<T: Serialize>(&mut self, key: Key, value: &T, is_new: bool) -> Result<(), ApiError> {
        let bytes = record::encode(value).map_err(|error| ApiError::internal(error.to_string()))?;
        if is_new || self.witness.is_none() {
            self.witness = Some(Witness::Put(key.clone(), bytes.clone()));
        }
        if self.puts.insert(key, bytes).is_none() {
            self.objects += 1;
        }
        Ok(())
    }

    /// Deletes an object.
    pub fn delete<N>(&mut self, noun: Noun, id: &Id<N>) {
        self.read(noun, id);
        self.delete_object(keys::object(noun, id));
    }

    /// Deletes a rule.
    pub fn delete_rule(&mut self, group: &SecurityGroupId, id: &RuleId) {
        self.read_rule(group, id);
        self.delete_object(keys::rule(group, id));
    }

    fn delete_object(&mut self, key: Key) {
        self.witness = Some(Witness::Deleted(key.clone()));
        self.objects += 1;
        self.deletes.insert(key);
    }

    /// Deletes all rules of a group, `count` as far as is known.
    pub fn delete_rules(&mut self, group: &SecurityGroupId, count: usize) {
        self.objects += count;
        self.range_deletes.push(keys::rules_of(group));
    }

    /// Deletes all keys of a range that are no objects.
    pub fn delete_range(&mut self, range: KeyRange) {
        self.range_deletes.push(range);
    }

    /// Takes a unique key for an owner. One that this draft gives up may be taken anew.
    pub fn take<N>(&mut self, key: Key, owner: &Id<N>) {
        if self.deletes.remove(&key) {
            self.compares.remove(&key);
        } else {
            self.absent(key.clone());
        }
        self.puts.insert(key, owner.as_str().as_bytes().to_vec());
    }

    /// Gives a unique key up.
    pub fn give_up(&mut self, key: Key) {
        self.deletes.insert(key);
    }

    /// Sets the mark that an object is needed.
    pub fn refer(&mut self, key: Key) {
        self.deletes.remove(&key);
        self.puts.insert(key, Vec::new());
    }

    /// Takes the mark away.
    pub fn unrefer(&mut self, key: Key) {
        self.deletes.insert(key);
    }

    /// Deletes any other key, which has to exist.
    pub fn consume(&mut self, key: Key) {
        self.compares.insert(key.clone(), Compare::Exists(key.clone()));
        self.deletes.insert(key);
    }

    /// Puts any other key.
    pub fn note(&mut self, key: Key, value: Vec<u8>) {
        self.puts.insert(key, value);
    }

    /// True where this draft takes the address.
    pub fn takes_address(&self, subnet: &SubnetId, address: IpAddr) -> bool {
        self.puts.contains_key(&keys::address(subnet, address))
    }

    /// True where this draft gives the address up.
    pub fn gives_up_address(&self, subnet: &SubnetId, address: IpAddr) -> bool {
        self.deletes.contains(&keys::address(subnet, address))
    }

    /// True where this draft takes the MAC.
    pub fn takes_mac(&self, network: &NetworkId, mac: Mac) -> bool {
        self.puts.contains_key(&keys::mac(network, mac))
    }

    /// True where this draft gives the key up.
    pub fn gives_up(&self, key: &[u8]) -> bool {
        self.deletes.contains(key)
    }

    /// True where this draft puts the key.
    pub fn puts_key(&self, key: &[u8]) -> bool {
        self.puts.contains_key(key)
    }

    /// The transaction.
    pub fn finish(mut self, answer: Answer) -> Result<Proposal, ApiError> {
        self.puts
            .insert(keys::COUNTER.to_vec(), counter_value(self.objects));
        let mut transaction = Transaction::new();
        transaction.compares = self.compares.into_values().chain(self.ranges).collect();
        let deletes = self.deletes.into_iter().map(Operation::Delete);
        let ranges = self.range_deletes.into_iter().map(Operation::DeleteRange);
        let puts = self
            .puts
            .into_iter()
            .map(|(key, value)| Operation::put(key, value));
        transaction.then = ranges.chain(deletes).chain(puts).collect();
        transaction.check().map_err(|error| {
            let text = "The request changes too much to be done at once: ask for fewer objects, or fewer addresses and groups, in one request.";
            ApiError::new(400, "RequestTooLarge", text).with_detail(error.to_string())
        })?;
        Ok(Proposal {
            transaction,
            answer,
            witness: self.witness,
        })
    }
}
