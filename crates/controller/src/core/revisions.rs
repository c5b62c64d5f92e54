//! The revisions that wrote the objects last.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};

use anet_model::id::Id;
use anet_model::intent::IntentChange;
use anet_store::Revision;

use super::keys::Noun;

/// An id that is found by its text, without a copy of that.
#[derive(Debug, PartialEq, Eq)]
struct Known(Id<()>);

impl Borrow<str> for Known {
    fn borrow(&self) -> &str {
        self.0.as_str()
    }
}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Revisions(BTreeMap<Noun, HashMap<Known, Revision>>);

impl Revisions {
    /// The revision that wrote an object last; 0 for none.
    pub fn of(&self, noun: Noun, id: &str) -> Revision {
        let of_noun = self.0.get(&noun);
        of_noun
            .and_then(|revisions| revisions.get(id))
            .copied()
            .unwrap_or_default()
    }

    /// Notes the revision that wrote an object, or, with 0, that it is gone.
    pub fn set(&mut self, change: &IntentChange, revision: Revision) {
        let (noun, id) = object(change);
        let of_noun = self.0.entry(noun).or_default();
        match revision {
            0 => of_noun.remove(id.as_str()),
            revision => of_noun.insert(Known(id), revision),
        };
    }

    /// All objects that there are.
    pub fn all(&self) -> impl Iterator<Item = (Noun, &str)> {
        let nouns = self.0.iter();
        nouns.flat_map(|(noun, ids)| ids.keys().map(|id| (*noun, id.0.as_str())))
    }
}

/// The object that a change is about; its id shares the change's text.
fn object(change: &IntentChange) -> (Noun, Id<()>) {
    match change {
        IntentChange::Project(id, _) => (Noun::Project, id.cast()),
        IntentChange::Network(id, _) => (Noun::Network, id.cast()),
        IntentChange::Subnet(id, _) => (Noun::Subnet, id.cast()),
        IntentChange::Port(id, _) => (Noun::Port, id.cast()),
        IntentChange::SecurityGroup(id, _) => (Noun::SecurityGroup, id.cast()),
        IntentChange::Rule(id, _) => (Noun::Rule, id.cast()),
        IntentChange::Host(id, _) => (Noun::Host, id.cast()),
        IntentChange::ForeignEndpoint(id, _) => (Noun::ForeignEndpoint, id.cast()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_known_by_noun_and_id_until_they_are_gone() {
        let mut revisions = Revisions::default();
        let port = IntentChange::Port("one".parse().unwrap(), None);
        let network = IntentChange::Network("one".parse().unwrap(), None);
        revisions.set(&port, 7);
        revisions.set(&network, 8);
        revisions.set(&port, 9);
        assert_eq!(
            (
                revisions.of(Noun::Port, "one"),
                revisions.of(Noun::Network, "one")
            ),
            (9, 8)
        );
        assert_eq!(revisions.of(Noun::Port, "two"), 0);
        revisions.set(&port, 0);
        assert_eq!(revisions.of(Noun::Port, "one"), 0);
        assert!(revisions.all().eq([(Noun::Network, "one")]));
    }
}
