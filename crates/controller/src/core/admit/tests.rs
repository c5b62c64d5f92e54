//! Admission against a store in memory: what is granted, what is refused and how, and who wins a race.

mod legal;

use std::collections::BTreeSet;

use anet_api::resource::{
    FixedIpRequest, NetworkCreate, NetworkUpdate, PortCreate, PortStatus, PortUpdate, ProjectCreate,
    Requests, SecurityGroupCreate, SecurityGroupRuleCreate, SubnetCreate, SubnetUpdate,
};
use anet_model::host_plan::{Direction, Family, PortRange, Protocol, SecurityGroupId};
use anet_model::intent::{HostId, Remote};
use anet_packet::addr::Mac;
use anet_plan::{Settings, recompute};
use anet_store::clock::ManualClock;
use anet_store::model::{ModelClient, ModelStore};
use anet_store::{KeyRange, RangeRequest, Store, WatchRequest, Watcher, list};

use super::super::keys;
use super::super::mirror::Followed;
use super::join::{JoinToken, Joining};
use super::*;

/// A store, and a mirror that follows it.
pub struct World {
    store: ModelClient,
    watcher: Box<dyn Watcher>,
    mirror: Mirror,
    random: u64,
    runtime: tokio::runtime::Runtime,
}

pub const PROJECT: &str = "blue";

fn range() -> (Vni, Vni) {
    (Vni::new(100).unwrap(), Vni::new(102).unwrap())
}

fn admin() -> Caller {
    Caller {
        project: Some(id(PROJECT)),
        admin: true,
    }
}

fn member(project: &str) -> Caller {
    Caller {
        project: Some(id(project)),
        admin: false,
    }
}

fn id<N>(text: &str) -> Id<N> {
    Id::new(text).unwrap()
}

fn field<'a>(answer: &'a Answer, noun: &str, name: &str) -> &'a str {
    answer.body[noun][name]
        .as_str()
        .unwrap_or_else(|| panic!("{noun}.{name} in {}", answer.body))
}

impl World {
    /// With the project `blue`.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let store = ModelStore::new(ManualClock::default()).client();
        let mut mirror = Mirror::new(Settings::default());
        let listing = runtime.block_on(list(&store, &keys::objects(), 10)).unwrap();
        mirror.list(&listing, None, None).unwrap();
        let request = WatchRequest::new(keys::watched(), listing.revision + 1);
        let watcher = runtime.block_on(store.watch(request)).unwrap();
        let mut world = Self {
            store,
            watcher,
            mirror,
            random: 1,
            runtime,
        };
        world.project(PROJECT);
        world
    }

    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Admits without committing.
    fn propose(
        &mut self,
        admit: impl FnOnce(&Mirror, &mut Draw<'_>) -> Result<Proposal, ApiError>,
    ) -> Result<Proposal, ApiError> {
        let random = &mut self.random;
        let mut random = || {
            *random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *random ^ (*random >> 29)
        };
        let mut draw = Draw {
            random: &mut random,
            now_s: 1_000,
            vnis: range(),
        };
        admit(&self.mirror, &mut draw)
    }

    /// Commits, and lets the mirror follow; false where another write was faster.
    fn commit(&mut self, proposal: &Proposal) -> bool {
        let done = self
            .runtime
            .block_on(self.store.transact(proposal.transaction.clone()))
            .unwrap();
        if done.succeeded() {
            while self.mirror.revision() < done.revision {
                let batch = self.runtime.block_on(self.watcher.next()).unwrap();
                let followed = self.mirror.follow(&batch).unwrap();
                assert!(matches!(followed, Followed::Applied(_)), "a gap at {batch:?}");
            }
            self.check();
        }
        done.succeeded()
    }

    fn ask(
        &mut self,
        admit: impl FnOnce(&Mirror, &mut Draw<'_>) -> Result<Proposal, ApiError>,
    ) -> Result<Answer, ApiError> {
        let proposal = self.propose(admit)?;
        assert!(self.commit(&proposal), "nobody else writes");
        Ok(proposal.answer)
    }

    /// What is held in keys and indexes is what the objects say.
    fn check(&self) {
        let plans = recompute(self.mirror.intent(), &Settings::default());
        for (host, plan) in &plans {
            assert_eq!(
                self.mirror.planner().host_plan(host),
                Some(plan),
                "plan of {host}"
            );
        }
        let all = RangeRequest::new(KeyRange::prefix("anet/"));
        let kept = self.runtime.block_on(self.store.range(all)).unwrap().entries;
        let kept: BTreeSet<Vec<u8>> = kept.into_iter().map(|entry| entry.key).collect();
        let intent = self.mirror.intent();
        let mut unique = BTreeSet::new();
        for (id, network) in &intent.networks {
            unique.insert(keys::vni(network.vni));
            assert!(kept.contains(&keys::object(Noun::Network, id)));
        }
        for (id, port) in &intent.ports {
            unique.insert(keys::mac(&port.network, port.mac));
            unique.extend(
                port.fixed_ips
                    .iter()
                    .map(|fixed| keys::address(&fixed.subnet, fixed.address)),
            );
            assert!(kept.contains(&keys::object(Noun::Port, id)));
        }
        for endpoint in intent.foreign_endpoints.values() {
            unique.extend(
                endpoint
                    .stations
                    .iter()
                    .map(|station| keys::mac(&endpoint.network, station.mac)),
            );
        }
        unique.extend(
            intent
                .hosts
                .values()
                .filter_map(|host| host.tunnel_address)
                .map(keys::host_address),
        );
        let found: BTreeSet<Vec<u8>> = kept
            .into_iter()
            .filter(|key| key.starts_with(b"anet/u/"))
            .collect();
        assert_eq!(found, unique, "unique keys");
    }

    pub fn project(&mut self, name: &str) {
        let request = ProjectCreate {
            id: Some(id(name)),
            name: name.to_owned(),
            description: String::new(),
        };
        let asked = Asked::Create(Requests::One(request));
        self.ask(|mirror, draw| project::admit(mirror, &admin(), asked, draw))
            .unwrap();
    }

    pub fn host(&mut self, name: &str, tunnel: Option<&str>) {
        let hash = format!("secret-of-{name}");
        self.token(&hash);
        self.join(name, &hash, tunnel, "key").unwrap();
    }

    fn token(&mut self, hash: &str) {
        self.ask(|mirror, draw| Ok(join::admit_token(mirror, hash, None, None, draw)?.0))
            .unwrap();
    }

    fn join(&mut self, name: &str, hash: &str, tunnel: Option<&str>, key: &str) -> Result<Answer, ApiError> {
        let joining = Joining {
            hash: hash.to_owned(),
            host: id(name),
            identity: key.to_owned(),
            tunnel_address: tunnel.map(|address| address.parse().unwrap()),
            tunnel_port: None,
            machine: "test".to_owned(),
        };
        let token = JoinToken {
            host: None,
            expires_at: 2_000,
        };
        self.ask(|mirror, draw| join::admit(mirror, &joining, &token, draw))
    }

    pub fn network(&mut self) -> String {
        let answer = self.new_network(&admin(), None).unwrap();
        field(&answer, "network", "id").to_owned()
    }

    fn new_network(&mut self, caller: &Caller, vni: Option<u32>) -> Result<Answer, ApiError> {
        let request = network_request(vni);
        self.ask(|mirror, draw| network::admit(mirror, caller, Asked::Create(Requests::One(request)), draw))
    }

    pub fn subnet(&mut self, network: &str, cidr: &str) -> String {
        let answer = self.new_subnet(subnet_request(network, cidr)).unwrap();
        field(&answer, "subnet", "id").to_owned()
    }

    fn new_subnet(&mut self, request: SubnetCreate) -> Result<Answer, ApiError> {
        self.ask(|mirror, draw| subnet::admit(mirror, &admin(), Asked::Create(Requests::One(request)), draw))
    }

    pub fn port(&mut self, network: &str, host: Option<&str>) -> String {
        let request = PortCreate {
            host_id: host.map(id),
            ..port_request(network)
        };
        let answer = self.new_port(&admin(), request).unwrap();
        field(&answer, "port", "id").to_owned()
    }

    fn new_port(&mut self, caller: &Caller, request: PortCreate) -> Result<Answer, ApiError> {
        let asked = Asked::Create(Requests::One(request));
        self.ask(|mirror, draw| port::admit(mirror, caller, asked, &|_| PortStatus::Down, draw))
    }

    fn set_port(&mut self, id: &str, request: PortUpdate) -> Result<Answer, ApiError> {
        let asked = Asked::Update(id.to_owned(), request);
        self.ask(|mirror, draw| port::admit(mirror, &admin(), asked, &|_| PortStatus::Down, draw))
    }

    pub fn port_down(&mut self, id: &str) {
        let request = PortUpdate {
            admin_state_up: Some(false),
            ..PortUpdate::default()
        };
        self.set_port(id, request).unwrap();
    }

    pub fn no_groups(&mut self, id: &str) {
        let request = PortUpdate {
            security_groups: Some(BTreeSet::new()),
            ..PortUpdate::default()
        };
        self.set_port(id, request).unwrap();
    }

    pub fn network_down(&mut self, id: &str) {
        let request = NetworkUpdate {
            admin_state_up: Some(false),
            ..NetworkUpdate::default()
        };
        let asked = Asked::Update(id.to_owned(), request);
        self.ask(|mirror, draw| network::admit(mirror, &admin(), asked, draw))
            .unwrap();
    }

    pub fn default_group(&self) -> SecurityGroupId {
        security_group::default_of(&self.mirror, &id(PROJECT)).unwrap()
    }

    fn group(&mut self, name: &str) -> Result<SecurityGroupId, ApiError> {
        let request = SecurityGroupCreate {
            name: name.to_owned(),
            description: String::new(),
            project_id: None,
        };
        let asked = Asked::Create(Requests::One(request));
        let answer = self.ask(|mirror, draw| security_group::admit(mirror, &admin(), asked, draw))?;
        Ok(id(field(&answer, "security_group", "id")))
    }

    fn rule(&mut self, group: &SecurityGroupId, remote: Remote) -> Result<String, ApiError> {
        let request = rule_request(group, remote);
        let asked = Asked::Create(Requests::One(request));
        let answer = self.ask(|mirror, draw| rule::admit(mirror, &admin(), asked, draw))?;
        Ok(field(&answer, "security_group_rule", "id").to_owned())
    }

    fn delete(&mut self, noun: Noun, id: &str) -> Result<Answer, ApiError> {
        let caller = admin();
        self.ask(|mirror, draw| match noun {
            Noun::Project => project::admit(mirror, &caller, Asked::Delete(id.to_owned()), draw),
            Noun::Network => network::admit(mirror, &caller, Asked::Delete(id.to_owned()), draw),
            Noun::Subnet => subnet::admit(mirror, &caller, Asked::Delete(id.to_owned()), draw),
            Noun::Port => port::admit(
                mirror,
                &caller,
                Asked::Delete(id.to_owned()),
                &|_| PortStatus::Down,
                draw,
            ),
            Noun::SecurityGroup => security_group::admit(mirror, &caller, Asked::Delete(id.to_owned()), draw),
            Noun::Rule => rule::admit(mirror, &caller, Asked::Delete(id.to_owned()), draw),
            Noun::Host => {
                let observed = |_: &HostId| anet_api::resource::HostObserved::default();
                host::admit(mirror, &caller, Asked::Delete(id.to_owned()), &observed, draw)
            }
            Noun::ForeignEndpoint => {
                foreign_endpoint::admit(mirror, &caller, Asked::Delete(id.to_owned()), draw)
            }
        })
    }
}

fn network_request(vni: Option<u32>) -> NetworkCreate {
    NetworkCreate {
        name: "n".to_owned(),
        description: String::new(),
        project_id: None,
        admin_state_up: true,
        mtu: None,
        segmentation_id: vni.map(|vni| Vni::new(vni).unwrap()),
    }
}

fn subnet_request(network: &str, cidr: &str) -> SubnetCreate {
    SubnetCreate {
        name: String::new(),
        description: String::new(),
        project_id: None,
        network_id: id(network),
        cidr: cidr.parse().unwrap(),
        gateway_ip: None,
        allocation_pools: None,
        dns_nameservers: Vec::new(),
        host_routes: Vec::new(),
        enable_dhcp: true,
        ipv6_address_mode: None,
    }
}

fn port_request(network: &str) -> PortCreate {
    PortCreate {
        name: String::new(),
        description: String::new(),
        project_id: None,
        network_id: id(network),
        admin_state_up: true,
        mac_address: None,
        fixed_ips: None,
        security_groups: None,
        port_security_enabled: true,
        allowed_address_pairs: Vec::new(),
        device_id: String::new(),
        device_owner: String::new(),
        dns_name: None,
        host_id: None,
    }
}

fn rule_request(group: &SecurityGroupId, remote: Remote) -> SecurityGroupRuleCreate {
    SecurityGroupRuleCreate {
        description: String::new(),
        project_id: None,
        security_group_id: group.clone(),
        direction: Direction::Ingress,
        family: Family::Ipv4,
        protocol: Protocol::Tcp(PortRange { first: 80, last: 80 }),
        remote,
    }
}

fn with_address(network: &str, subnet: Option<&str>, address: Option<&str>) -> PortCreate {
    PortCreate {
        fixed_ips: Some(vec![FixedIpRequest {
            subnet_id: subnet.map(id),
            ip_address: address.map(|address| address.parse().unwrap()),
        }]),
        ..port_request(network)
    }
}

fn address_of(answer: &Answer) -> &str {
    answer.body["port"]["fixed_ips"][0]["ip_address"]
        .as_str()
        .unwrap()
}

#[test]
fn the_lowest_free_address_is_given_and_a_freed_one_again() {
    let mut world = World::new();
    let network = world.network();
    world.subnet(&network, "10.0.0.0/29");
    let given: Vec<String> = (0..5)
        .map(|_| address_of(&world.new_port(&admin(), port_request(&network)).unwrap()).to_owned())
        .collect();
    assert_eq!(
        given,
        ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    );
    let error = world.new_port(&admin(), port_request(&network)).unwrap_err();
    assert_eq!((error.status, error.kind), (409, "IpAddressGenerationFailure"));
    let second = world
        .mirror
        .intent()
        .ports
        .iter()
        .find(|(_, port)| port.fixed_ips[0].address.to_string() == "10.0.0.3");
    let second = second.unwrap().0.to_string();
    world.delete(Noun::Port, &second).unwrap();
    assert_eq!(
        address_of(&world.new_port(&admin(), port_request(&network)).unwrap()),
        "10.0.0.3"
    );
}

#[test]
fn of_two_who_race_for_the_last_address_one_gets_it() {
    let mut world = World::new();
    let network = world.network();
    world.subnet(&network, "10.0.0.0/30");
    let propose = |world: &mut World| {
        let asked = Asked::Create(Requests::One(port_request(&network)));
        world.propose(|mirror, draw| port::admit(mirror, &admin(), asked, &|_| PortStatus::Down, draw))
    };
    let (first, second) = (propose(&mut world).unwrap(), propose(&mut world).unwrap());
    assert!(world.commit(&first));
    assert!(!world.commit(&second));
    assert_eq!(
        propose(&mut world).unwrap_err().kind,
        "IpAddressGenerationFailure"
    );
    assert_eq!(world.mirror.intent().ports.len(), 1);
}

#[test]
fn a_network_deleted_in_the_same_moment_takes_no_port() {
    let mut world = World::new();
    let network = world.network();
    let asked = Asked::Create(Requests::One(port_request(&network)));
    let port = world
        .propose(|mirror, draw| port::admit(mirror, &admin(), asked, &|_| PortStatus::Down, draw))
        .unwrap();
    let asked = Asked::Delete(network.clone());
    let delete = world
        .propose(|mirror, draw| network::admit(mirror, &admin(), asked, draw))
        .unwrap();
    assert!(world.commit(&port));
    assert!(!world.commit(&delete), "it has a port now");
    let port = world.mirror.intent().ports.keys().next().unwrap().to_string();
    world.delete(Noun::Port, &port).unwrap();
    let asked = Asked::Create(Requests::One(port_request(&network)));
    let port = world
        .propose(|mirror, draw| port::admit(mirror, &admin(), asked, &|_| PortStatus::Down, draw))
        .unwrap();
    world.delete(Noun::Network, &network).unwrap();
    assert!(!world.commit(&port), "its network is gone");
    assert!(world.mirror.intent().ports.is_empty());
}

#[test]
fn overlapping_subnets_made_at_once_do_not_both_come() {
    let mut world = World::new();
    let network = world.network();
    let propose = |world: &mut World, cidr| {
        let asked = Asked::Create(Requests::One(subnet_request(&network, cidr)));
        world
            .propose(|mirror, draw| subnet::admit(mirror, &admin(), asked, draw))
            .unwrap()
    };
    let (wide, narrow) = (
        propose(&mut world, "10.0.0.0/16"),
        propose(&mut world, "10.0.3.0/24"),
    );
    assert!(world.commit(&wide));
    assert!(!world.commit(&narrow));
    let error = world
        .new_subnet(subnet_request(&network, "10.0.3.0/24"))
        .unwrap_err();
    assert_eq!(error.status, 400);
    assert!(
        error.message.contains("overlaps with subnet"),
        "{}",
        error.message
    );
}

#[test]
fn addresses_that_cannot_be_are_refused_with_what_could() {
    let mut world = World::new();
    let (network, other) = (world.network(), world.network());
    let subnet = world.subnet(&network, "10.0.0.0/24");
    let foreign = world.subnet(&other, "10.1.0.0/24");
    let first = with_address(&network, None, Some("10.0.0.9"));
    assert_eq!(address_of(&world.new_port(&admin(), first).unwrap()), "10.0.0.9");
    let cases = [
        (None, Some("10.0.0.9"), 409, "IpAddressInUse"),
        (None, Some("10.0.1.1"), 400, "InvalidIpForNetwork"),
        (Some(subnet.as_str()), Some("10.0.1.1"), 400, "InvalidIpForSubnet"),
        (
            Some(subnet.as_str()),
            Some("10.0.0.255"),
            400,
            "InvalidIpForSubnet",
        ),
        (
            Some(subnet.as_str()),
            Some("2001:db8::1"),
            400,
            "InvalidIpForSubnet",
        ),
        (Some(foreign.as_str()), None, 400, "InvalidInput"),
        (Some("nowhere"), None, 400, "InvalidInput"),
    ];
    for (subnet, address, status, kind) in cases {
        let error = world
            .new_port(&admin(), with_address(&network, subnet, address))
            .unwrap_err();
        assert_eq!(
            (error.status, error.kind),
            (status, kind),
            "{subnet:?} {address:?}: {}",
            error.message
        );
        assert!(
            error.message.contains("fixed_ips") || kind == "InvalidIpForSubnet",
            "{}",
            error.message
        );
        assert!(
            error.message.contains("10.0.0.0/24") || kind != "InvalidIpForNetwork",
            "{}",
            error.message
        );
    }
}

#[test]
fn a_dual_stack_network_gives_one_of_each() {
    let mut world = World::new();
    let network = world.network();
    world.subnet(&network, "10.0.0.0/24");
    world.subnet(&network, "2001:db8::/64");
    let answer = world.new_port(&admin(), port_request(&network)).unwrap();
    let fixed = answer.body["port"]["fixed_ips"].as_array().unwrap();
    let addresses: Vec<&str> = fixed
        .iter()
        .map(|one| one["ip_address"].as_str().unwrap())
        .collect();
    assert_eq!(addresses, ["10.0.0.2", "2001:db8::2"]);
}

#[test]
fn many_ports_at_once_get_an_address_each_or_none_comes() {
    let mut world = World::new();
    let network = world.network();
    world.subnet(&network, "10.0.0.0/28");
    let many = |world: &mut World, count| {
        let asked = Asked::Create(Requests::Many(vec![port_request(&network); count]));
        world.ask(|mirror, draw| port::admit(mirror, &admin(), asked, &|_| PortStatus::Down, draw))
    };
    let answer = many(&mut world, 10).unwrap();
    assert_eq!(answer.body["ports"].as_array().unwrap().len(), 10);
    assert_eq!(
        many(&mut world, 10).unwrap_err().kind,
        "IpAddressGenerationFailure"
    );
    assert_eq!(world.mirror.intent().ports.len(), 10);
    let far_too_many = many(&mut world, 100).unwrap_err();
    assert!(matches!(far_too_many.status, 400 | 409));
}

#[test]
fn a_port_that_changes_gives_up_what_it_had() {
    let mut world = World::new();
    world.host("h1", Some("192.0.2.1"));
    world.host("h2", Some("192.0.2.2"));
    let network = world.network();
    let subnet = world.subnet(&network, "10.0.0.0/24");
    let port = world.port(&network, Some("h1"));
    let group = world.group("web").unwrap();
    let update = PortUpdate {
        host_id: Some(Some(id("h2"))),
        mac_address: Some(Mac([2, 0, 0, 0, 0, 9])),
        security_groups: Some(BTreeSet::from([group.clone()])),
        fixed_ips: Some(vec![
            FixedIpRequest {
                subnet_id: Some(id(&subnet)),
                ip_address: None,
            },
            FixedIpRequest {
                subnet_id: None,
                ip_address: Some("10.0.0.77".parse().unwrap()),
            },
        ]),
        ..PortUpdate::default()
    };
    let answer = world.set_port(&port, update.clone()).unwrap();
    let addresses = answer.body["port"]["fixed_ips"].to_string();
    assert!(
        addresses.contains("10.0.0.77") && addresses.contains("10.0.0.2\""),
        "{addresses}"
    );
    assert_eq!(answer.body["port"]["revision_number"], 1);
    world.set_port(&port, update).unwrap();
    assert_eq!(world.delete(Noun::Host, "h2").unwrap_err().kind, "HostInUse");
    world.delete(Noun::Host, "h1").unwrap();
    assert_eq!(
        world
            .delete(Noun::SecurityGroup, group.as_str())
            .unwrap_err()
            .status,
        409
    );
    world.delete(Noun::Port, &port).unwrap();
    world.delete(Noun::SecurityGroup, group.as_str()).unwrap();
    world.delete(Noun::Host, "h2").unwrap();
}

#[test]
fn what_is_used_is_not_deleted_and_says_by_whom() {
    let mut world = World::new();
    let network = world.network();
    let subnet = world.subnet(&network, "10.0.0.0/24");
    let port = world.port(&network, None);
    let error = world.delete(Noun::Network, &network).unwrap_err();
    assert_eq!((error.status, error.kind), (409, "NetworkInUse"));
    assert!(
        error.message.contains(&port) && error.message.contains(&subnet),
        "{}",
        error.message
    );
    assert_eq!(
        world.delete(Noun::Subnet, &subnet).unwrap_err().kind,
        "SubnetInUse"
    );
    let error = world.delete(Noun::Project, PROJECT).unwrap_err();
    assert!(
        error.status == 409 && error.message.contains(&network),
        "{}",
        error.message
    );
    world.delete(Noun::Port, &port).unwrap();
    world.delete(Noun::Subnet, &subnet).unwrap();
    world.delete(Noun::Network, &network).unwrap();
    world.delete(Noun::Project, PROJECT).unwrap();
    assert!(world.mirror.intent().security_groups.is_empty() && world.mirror.intent().rules.is_empty());
    assert_eq!(world.delete(Noun::Network, &network).unwrap_err().status, 404);
}

/// As in Neutron: only ports keep a network.
#[test]
fn a_network_without_ports_goes_with_its_subnets() {
    let mut world = World::new();
    let network = world.network();
    for third in 0..anet_model::limits::SUBNETS_PER_NETWORK {
        world.subnet(&network, &format!("10.0.{third}.0/24"));
    }
    let asked = Asked::Delete(network.clone());
    let delete = world
        .propose(|mirror, draw| network::admit(mirror, &admin(), asked, draw))
        .unwrap();
    let port = world.port(&network, None);
    assert!(!world.commit(&delete), "it has a port now");
    world.delete(Noun::Port, &port).unwrap();
    let subnet = world.mirror.intent().subnets.keys().next().unwrap().to_string();
    world.delete(Noun::Subnet, &subnet).unwrap();
    let asked = Asked::Delete(network.clone());
    let delete = world
        .propose(|mirror, draw| network::admit(mirror, &admin(), asked, draw))
        .unwrap();
    world.subnet(&network, "10.9.0.0/24");
    assert!(!world.commit(&delete), "it has a subnet more");
    world.delete(Noun::Network, &network).unwrap();
    assert!(world.mirror.intent().networks.is_empty() && world.mirror.intent().subnets.is_empty());
    world.delete(Noun::Project, PROJECT).unwrap();
}

#[test]
fn segments_are_drawn_until_none_is_left_and_any_may_be_asked_for() {
    let mut world = World::new();
    let mut drawn: Vec<u64> = (0..3)
        .map(|_| {
            let answer = world.new_network(&admin(), None).unwrap();
            answer.body["network"]["provider:segmentation_id"]
                .as_u64()
                .unwrap()
        })
        .collect();
    drawn.sort_unstable();
    assert_eq!(drawn, [100, 101, 102]);
    assert_eq!(
        world.new_network(&admin(), None).unwrap_err().kind,
        "NoNetworkAvailable"
    );
    assert_eq!(
        world.new_network(&admin(), Some(101)).unwrap_err().kind,
        "TunnelIdInUse"
    );
    world.new_network(&admin(), Some(Vni::MAX)).unwrap();
}

#[test]
fn projects_do_not_see_each_other() {
    let mut world = World::new();
    world.project("red");
    let network = world.network();
    let subnet = world.subnet(&network, "10.0.0.0/24");
    let port = world.port(&network, None);
    let group = world.default_group();
    let (red, mirror) = (member("red"), &world.mirror);
    let statuses = [
        network::find(mirror, &red, &network).unwrap_err().status,
        subnet::find(mirror, &red, &subnet).unwrap_err().status,
        port::find(mirror, &red, &port).unwrap_err().status,
        security_group::find(mirror, &red, group.as_str())
            .unwrap_err()
            .status,
        host::find(mirror, &red, "h1").unwrap_err().status,
    ];
    assert_eq!(statuses, [404; 5]);
    assert!(port::find(mirror, &member(PROJECT), &port).is_ok());
    assert_eq!(
        world.new_port(&red, port_request(&network)).unwrap_err().kind,
        "NetworkNotFound"
    );
    let own = world.new_network(&red, None).unwrap();
    let own = field(&own, "network", "id").to_owned();
    let stolen = PortCreate {
        security_groups: Some(BTreeSet::from([group])),
        ..port_request(&own)
    };
    assert_eq!(
        world.new_port(&red, stolen).unwrap_err().kind,
        "SecurityGroupNotFound"
    );
    let foreign = NetworkCreate {
        project_id: Some(id(PROJECT)),
        ..network_request(None)
    };
    let asked = Asked::Create(Requests::One(foreign));
    let error = world
        .ask(|mirror, draw| network::admit(mirror, &red, asked, draw))
        .unwrap_err();
    assert_eq!(error.status, 403);
}

#[test]
fn groups_begin_with_two_rules_and_hold_together() {
    let mut world = World::new();
    let (web, db) = (world.group("web").unwrap(), world.group("db").unwrap());
    assert_eq!(world.mirror.index().group_rules.count(&web), 2);
    assert_eq!(
        world.group("default").unwrap_err().kind,
        "SecurityGroupDefaultAlreadyExists"
    );
    let rule = world.rule(&db, Remote::Group(web.clone())).unwrap();
    assert_eq!(
        world.rule(&db, Remote::Group(web.clone())).unwrap_err().kind,
        "SecurityGroupRuleExists"
    );
    world.rule(&db, Remote::Group(db.clone())).unwrap();
    let error = world.delete(Noun::SecurityGroup, web.as_str()).unwrap_err();
    assert!(
        error.status == 409 && error.message.contains(&rule),
        "{}",
        error.message
    );
    world.delete(Noun::SecurityGroup, db.as_str()).unwrap();
    assert!(!world.mirror.intent().rules.contains_key(&id(&rule)));
    world.delete(Noun::SecurityGroup, web.as_str()).unwrap();
    let default = world.default_group();
    assert_eq!(
        world
            .delete(Noun::SecurityGroup, default.as_str())
            .unwrap_err()
            .kind,
        "SecurityGroupCannotRemoveDefault"
    );
}

#[test]
fn subnets_keep_gateway_and_pools_apart() {
    let mut world = World::new();
    let network = world.network();
    let pool = |first: &str, last: &str| (first.parse().unwrap(), last.parse().unwrap());
    let with = |gateway: &str, pools| SubnetCreate {
        gateway_ip: Some(Some(gateway.parse().unwrap())),
        allocation_pools: Some(pools),
        ..subnet_request(&network, "10.0.0.0/24")
    };
    let cases = [
        (
            with("10.0.0.10", vec![pool("10.0.0.2", "10.0.0.20")]),
            409,
            "GatewayConflictWithAllocationPools",
        ),
        (
            with(
                "10.0.0.1",
                vec![pool("10.0.0.9", "10.0.0.20"), pool("10.0.0.2", "10.0.0.9")],
            ),
            409,
            "OverlappingAllocationPools",
        ),
        (
            with("10.0.0.1", vec![pool("10.0.0.9", "10.0.0.2")]),
            400,
            "InvalidAllocationPool",
        ),
        (
            with("10.0.0.1", vec![pool("10.0.0.2", "10.0.1.2")]),
            400,
            "OutOfBoundsAllocationPool",
        ),
        (with("10.0.1.1", vec![]), 400, "HTTPBadRequest"),
    ];
    for (request, status, kind) in cases {
        let error = world.new_subnet(request).unwrap_err();
        assert_eq!((error.status, error.kind), (status, kind), "{}", error.message);
    }
    let answer = world
        .new_subnet(with("10.0.0.1", vec![pool("10.0.0.9", "10.0.0.9")]))
        .unwrap();
    let subnet = field(&answer, "subnet", "id").to_owned();
    assert_eq!(
        address_of(&world.new_port(&admin(), port_request(&network)).unwrap()),
        "10.0.0.9"
    );
    let update = SubnetUpdate {
        gateway_ip: Some(None),
        allocation_pools: Some(vec![pool("10.0.0.1", "10.0.0.1")]),
        ..SubnetUpdate::default()
    };
    let asked = Asked::Update(subnet, update);
    world
        .ask(|mirror, draw| subnet::admit(mirror, &admin(), asked, draw))
        .unwrap();
    assert_eq!(
        address_of(&world.new_port(&admin(), port_request(&network)).unwrap()),
        "10.0.0.1"
    );
}

#[test]
fn a_token_lets_one_host_join_once() {
    let mut world = World::new();
    world.token("t1");
    world.join("h1", "t1", Some("192.0.2.1"), "key").unwrap();
    let joining = Joining {
        hash: "t1".to_owned(),
        host: id("h2"),
        identity: "other".to_owned(),
        tunnel_address: None,
        tunnel_port: None,
        machine: String::new(),
    };
    let token = JoinToken {
        host: None,
        expires_at: 2_000,
    };
    let again = world
        .propose(|mirror, draw| join::admit(mirror, &joining, &token, draw))
        .unwrap();
    assert!(!world.commit(&again), "the token is gone");
    world.token("t2");
    assert_eq!(
        world.join("h1", "t2", None, "thief").unwrap_err().kind,
        "HostExists"
    );
    assert_eq!(
        world
            .join("h3", "t2", Some("192.0.2.1"), "key3")
            .unwrap_err()
            .kind,
        "TunnelAddressInUse"
    );
    let named = JoinToken {
        host: Some(id("h1")),
        expires_at: 2_000,
    };
    let rejoin = Joining {
        hash: "t2".to_owned(),
        host: id("h1"),
        ..joining.clone()
    };
    world
        .ask(|mirror, draw| join::admit(mirror, &rejoin, &named, draw))
        .unwrap();
    let host = &world.mirror.intent().hosts[&id::<anet_model::intent::Host>("h1")];
    assert_eq!(
        (host.identity.as_str(), host.tunnel_address),
        ("other", Some("192.0.2.1".parse().unwrap()))
    );
    let late = JoinToken {
        host: None,
        expires_at: 1_000,
    };
    let error = world
        .propose(|mirror, draw| join::admit(mirror, &joining, &late, draw))
        .unwrap_err();
    assert_eq!(error.kind, "JoinTokenRefused");
}

#[test]
fn an_idempotency_key_answers_the_same_and_only_its_own_request() {
    let mut world = World::new();
    let lease = world
        .runtime
        .block_on(world.store.grant(std::time::Duration::from_secs(60)))
        .unwrap()
        .id;
    let keyed = idempotency::keyed(&admin(), "k1", "POST", "/v2.0/networks", b"{}").unwrap();
    let propose = |world: &mut World| {
        let asked = Asked::Create(Requests::One(network_request(None)));
        let proposal = world
            .propose(|mirror, draw| network::admit(mirror, &admin(), asked, draw))
            .unwrap();
        keyed.attach(proposal, lease).unwrap()
    };
    let (first, second) = (propose(&mut world), propose(&mut world));
    assert!(world.commit(&first));
    assert!(!world.commit(&second), "the key is there");
    let kept = world
        .runtime
        .block_on(world.store.get(keyed.key.clone()))
        .unwrap()
        .unwrap();
    assert_eq!(keyed.answer(&kept.value).unwrap(), first.answer);
    let other = idempotency::keyed(&admin(), "k1", "POST", "/v2.0/networks", b"{ }").unwrap();
    assert_eq!(other.answer(&kept.value).unwrap_err().status, 409);
    let members = idempotency::keyed(&member(PROJECT), "k1", "POST", "/v2.0/networks", b"{}").unwrap();
    assert_ne!(members.key, keyed.key, "other rights, other answers");
    assert!(idempotency::keyed(&admin(), "", "POST", "/", b"").is_err());
}

#[test]
fn ids_are_uuids() {
    let mut world = World::new();
    let network = world.network();
    let parts: Vec<usize> = network.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert!(network.split('-').nth(2).unwrap().starts_with('4'));
    assert!("89ab".contains(&network.split('-').nth(3).unwrap()[..1]));
}
