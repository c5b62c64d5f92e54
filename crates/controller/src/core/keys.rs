//! Where things are in the store.
//!
//! | key | value |
//! |---|---|
//! | `anet/o/NOUN/ID`, for rules `anet/o/rule/GROUP/ID` | an object, as [`record`](super::record) encodes it |
//! | `anet/u/vni/N`, `anet/u/mac/NETWORK/MAC`, `anet/u/ip/SUBNET/ADDRESS`, `anet/u/host-address/ADDRESS` | who has it: the owner's id |
//! | `anet/r/NOUN/ID/NOUN2/ID2` | empty: the object `NOUN2/ID2` needs `NOUN/ID` |
//! | `anet/k/SCOPE/HASH` | the answer to a request with an idempotency key |
//! | `anet/t/HASH`, `anet/t-used/HASH` | a join token; who used it |
//! | `anet/counter` | put by every write: how many objects it changed |
//! | `anet/cluster` | the cluster's id and the incarnation of its history |
//!
//! A delete compares that no key needs the object: a range of `anet/r`, and for a network its MACs, for a subnet its addresses. The
//! rules of a group stand together, so that a group's delete is one operation however many there are.

use std::fmt;
use std::net::IpAddr;

use anet_model::host_plan::{NetworkId, SecurityGroupId, SubnetId};
use anet_model::id::Id;
use anet_packet::addr::{Mac, Vni};
use anet_store::{Key, KeyRange};

/// What every write puts.
pub const COUNTER: &[u8] = b"anet/counter";
/// The cluster's own record.
pub const CLUSTER: &[u8] = b"anet/cluster";
/// The scheme of what the controller's mirror follows.
const OBJECTS: &str = "anet/o/";

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Noun {
    /// A project.
    Project,
    /// A network.
    Network,
    /// A subnet.
    Subnet,
    /// A port.
    Port,
    /// A security group.
    SecurityGroup,
    /// A rule of a security group.
    Rule,
    /// A host.
    Host,
    /// A foreign tunnel endpoint.
    ForeignEndpoint,
}

impl Noun {
    /// All of them.
    pub const ALL: [Noun; 8] = [
        Noun::Project,
        Noun::Network,
        Noun::Subnet,
        Noun::Port,
        Noun::SecurityGroup,
        Noun::Rule,
        Noun::Host,
        Noun::ForeignEndpoint,
    ];

    /// As it stands in a key.
    pub const fn key(self) -> &'static str {
        match self {
            Noun::Project => "project",
            Noun::Network => "network",
            Noun::Subnet => "subnet",
            Noun::Port => "port",
            Noun::SecurityGroup => "security-group",
            Noun::Rule => "rule",
            Noun::Host => "host",
            Noun::ForeignEndpoint => "foreign-endpoint",
        }
    }

    /// As a person reads it.
    pub const fn words(self) -> &'static str {
        match self {
            Noun::SecurityGroup => "security group",
            Noun::Rule => "security group rule",
            Noun::ForeignEndpoint => "foreign endpoint",
            other => other.key(),
        }
    }

    fn of_key(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|noun| noun.key() == text)
    }
}

impl fmt::Display for Noun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// The key of an object that is no rule.
pub fn object<N>(noun: Noun, id: &Id<N>) -> Key {
    format!("{OBJECTS}{}/{id}", noun.key()).into_bytes()
}

/// The key of a rule.
pub fn rule<N>(group: &SecurityGroupId, id: &Id<N>) -> Key {
    format!("{OBJECTS}rule/{group}/{id}").into_bytes()
}

/// The rules of a group.
pub fn rules_of(group: &SecurityGroupId) -> KeyRange {
    KeyRange::prefix(format!("{OBJECTS}rule/{group}/"))
}

/// A segment in use.
pub fn vni(vni: Vni) -> Key {
    format!("anet/u/vni/{}", vni.get()).into_bytes()
}

/// A MAC in use in a network.
pub fn mac(network: &NetworkId, mac: Mac) -> Key {
    format!("anet/u/mac/{network}/{mac}").into_bytes()
}

/// The MACs in use in a network: none, where it has neither port nor station.
pub fn macs_of(network: &NetworkId) -> KeyRange {
    KeyRange::prefix(format!("anet/u/mac/{network}/"))
}

/// An address in use in a subnet.
pub fn address(subnet: &SubnetId, address: IpAddr) -> Key {
    format!("anet/u/ip/{subnet}/{address}").into_bytes()
}

/// The addresses in use in a subnet.
pub fn addresses_of(subnet: &SubnetId) -> KeyRange {
    KeyRange::prefix(format!("anet/u/ip/{subnet}/"))
}

/// A tunnel address in use.
pub fn host_address(address: IpAddr) -> Key {
    format!("anet/u/host-address/{address}").into_bytes()
}

/// The mark that `user` needs `used`.
pub fn reference<N, M>(used: Noun, id: &Id<N>, user: Noun, user_id: &Id<M>) -> Key {
    format!("anet/r/{}/{id}/{}/{user_id}", used.key(), user.key()).into_bytes()
}

/// The mark that a rule names a group of which it is no rule itself.
pub fn remote_reference<N>(remote: &SecurityGroupId, group: &SecurityGroupId, rule: &Id<N>) -> Key {
    format!("anet/r/security-group/{remote}/rule/{group}/{rule}").into_bytes()
}

/// The marks of one group's rules that name another one.
pub fn remote_references_of(remote: &SecurityGroupId, group: &SecurityGroupId) -> KeyRange {
    KeyRange::prefix(format!("anet/r/security-group/{remote}/rule/{group}/"))
}

/// The marks of all that need an object.
pub fn references<N>(used: Noun, id: &Id<N>) -> KeyRange {
    KeyRange::prefix(format!("anet/r/{}/{id}/", used.key()))
}

/// The answer that was given under an idempotency key, by the key's hash.
pub fn idempotency(scope: &str, hash: &str) -> Key {
    format!("anet/k/{scope}/{hash}").into_bytes()
}

/// A join token, by its secret's hash.
pub fn join_token(hash: &str) -> Key {
    format!("anet/t/{hash}").into_bytes()
}

/// Who used a join token.
pub fn used_token(hash: &str) -> Key {
    format!("anet/t-used/{hash}").into_bytes()
}

/// All join tokens.
pub fn join_tokens() -> KeyRange {
    KeyRange::prefix("anet/t/")
}

/// All that is known of used ones.
pub fn used_tokens() -> KeyRange {
    KeyRange::prefix("anet/t-used/")
}

/// What a mirror lists.
pub fn objects() -> KeyRange {
    KeyRange::prefix(OBJECTS)
}

/// What a mirror watches: the cluster's record, the counter, which tells it of every write, and the objects.
pub fn watched() -> KeyRange {
    KeyRange::between(CLUSTER, "anet/o0")
}

/// What a key of the watched range is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The cluster's own record.
    Cluster,
    /// The change counter.
    Counter,
    /// An object: its noun and its id's text. For a rule, its group's too.
    Object(Noun, String, Option<String>),
}

/// What a key is about; `None` for a key that is nobody's concern here, or no key of ours.
pub fn place(key: &[u8]) -> Option<Place> {
    match key {
        CLUSTER => return Some(Place::Cluster),
        COUNTER => return Some(Place::Counter),
        _ => {}
    }
    let text = std::str::from_utf8(key).ok()?.strip_prefix(OBJECTS)?;
    let (noun, rest) = text.split_once('/')?;
    let noun = Noun::of_key(noun)?;
    match (noun, rest.split_once('/')) {
        (Noun::Rule, Some((group, id))) if !id.contains('/') => {
            Some(Place::Object(noun, id.to_owned(), Some(group.to_owned())))
        }
        (Noun::Rule, _) | (_, Some(_)) => None,
        (_, None) => Some(Place::Object(noun, rest.to_owned(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anet_model::host_plan::{PortId, RuleId};

    fn id<N>(text: &str) -> Id<N> {
        Id::new(text).unwrap()
    }

    #[test]
    fn a_place_is_read_back_from_its_key() {
        for noun in Noun::ALL.into_iter().filter(|noun| *noun != Noun::Rule) {
            let key = object(noun, &id::<()>("a:b-c.d"));
            assert_eq!(place(&key), Some(Place::Object(noun, "a:b-c.d".to_owned(), None)));
            assert!(watched().contains(&key) && objects().contains(&key));
        }
        let rule_id: RuleId = id("r1");
        let key = rule(&id("web"), &rule_id);
        let expected = Place::Object(Noun::Rule, "r1".to_owned(), Some("web".to_owned()));
        assert_eq!(place(&key), Some(expected));
        assert!(rules_of(&id("web")).contains(&key) && !rules_of(&id("we")).contains(&key));
        assert_eq!(place(COUNTER), Some(Place::Counter));
        assert_eq!(place(CLUSTER), Some(Place::Cluster));
        assert!(watched().contains(CLUSTER));
        assert!(watched().contains(COUNTER) && !objects().contains(COUNTER));
    }

    #[test]
    fn keys_of_others_are_nobodys() {
        let keys: [&[u8]; 8] = [
            b"",
            b"anet/o/",
            b"anet/o/network",
            b"anet/o/rule/r1",
            b"anet/o/rule/g/r/x",
            b"anet/o/port/a/b",
            b"anet/o/unheard/x",
            b"anet/o/port\xff/x",
        ];
        for key in keys {
            assert_eq!(place(key), None, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn ranges_hold_what_belongs_to_one_owner_and_no_other() {
        let (network, port): (NetworkId, PortId) = (id("n1"), id("p1"));
        let range = references(Noun::Network, &network);
        assert!(range.contains(&reference(Noun::Network, &network, Noun::Port, &port)));
        assert!(!range.contains(&reference(Noun::Network, &id::<()>("n11"), Noun::Port, &port)));
        assert!(macs_of(&network).contains(&mac(&network, Mac([2, 0, 0, 0, 0, 1]))));
        let subnet: SubnetId = id("s1");
        assert!(addresses_of(&subnet).contains(&address(&subnet, "2001:db8::1".parse().unwrap())));
        let remote = remote_reference(&id("db"), &id("web"), &port);
        assert!(references(Noun::SecurityGroup, &id::<()>("db")).contains(&remote));
        assert!(remote_references_of(&id("db"), &id("web")).contains(&remote));
        assert!(!watched().contains(&remote) && !watched().contains(&vni(Vni::new(7).unwrap())));
    }
}
