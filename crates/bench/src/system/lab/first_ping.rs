//! `port_to_ping_p50_ms`, `port_to_ping_p99_ms`: a port's way from the request that makes it to the first ping of its guest.

use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anet_api::resource::Resource;
use anet_lab::probe::FirstEcho;
use anet_lab::standing::{attach_by_mac, make_by_hand};
use anet_lab::{Guest as Interface, Namespace};
use anet_packet::addr::Mac;
use serde_json::{Value, json};

use super::{HOSTS, Lab, PATIENCE, percentile};
use crate::error::{BenchError, require};
use crate::figure::Figure;

/// A guest on each host, to be pinged from the next host. Addresses are set by hand.
const PARTNERS: &str = "
name: partners
hosts: {host-1: , host-2: , host-3: }
projects:
  one:
    networks:
      net: {subnets: {net-ipv4: {cidr: 10.0.0.0/16, dhcp: false}}}
    security_groups:
      open: {rules: [{protocol: icmp}]}
    guests:
      partner-1: {network: net, host: host-1, security_groups: [open], addresses: [10.0.255.1]}
      partner-2: {network: net, host: host-2, security_groups: [open], addresses: [10.0.255.2]}
      partner-3: {network: net, host: host-3, security_groups: [open], addresses: [10.0.255.3]}
";
const PORTS: u16 = 200;
const PACE: Duration = Duration::from_millis(1);
/// How long requests are sent that nobody can answer yet.
const BEFORE: Duration = Duration::from_millis(20);

/// A guest whose port there is not yet.
struct Waiting {
    namespace: Namespace,
    host: &'static str,
    mac: Mac,
    address: Ipv4Addr,
    partner: Ipv4Addr,
}

/// 200 guests on three hosts are made, and their interfaces attached by their MACs; then, for one after the other, its port is
/// made. From the request to the first echo reply from a guest of another host, with an echo request each millisecond. Addresses and
/// neighbours are set by hand at both ends: neither DHCP's pace nor that of the guests' ARP is in it.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let lab = Lab::up(PARTNERS)?;
    let waiting = (0..PORTS).map(|number| make(&lab, number));
    let waiting: Vec<Waiting> = waiting.collect::<Result<_, _>>()?;
    let common = Common::of(&lab)?;
    let mut times = Vec::new();
    for guest in &waiting {
        times.push(ping(&lab, &common, guest)?);
    }
    times.sort_by(f64::total_cmp);
    let mode = "200_ports_3_hosts_taps_icmp_each_ms";
    Ok(vec![
        Figure::new("port_to_ping_p50_ms", percentile(&times, 50), "ms").mode(mode),
        Figure::new("port_to_ping_p99_ms", percentile(&times, 99), "ms").mode(mode),
    ])
}

fn make(lab: &Lab, number: u16) -> Result<Waiting, BenchError> {
    let [high, low] = number.to_be_bytes();
    let at = usize::from(number) % HOSTS.len();
    let (mac, address) = (Mac([2, 0, 0, 1, high, low]), Ipv4Addr::new(10, 0, 1 + high, low));
    let name = format!("guest-{number}");
    let namespace = make_by_hand(&lab.place, &name, mac, &format!("{address}/16"))?;
    let partner = format!("partner-{}", (at + 1) % HOSTS.len() + 1);
    let state = lab.state.guest(&partner)?;
    let Some(IpAddr::V4(partner_address)) = state.addresses.first().copied() else {
        return Err(BenchError::Void(format!("{partner} has no IPv4 address")));
    };
    set_neighbour(&namespace, partner_address, &state.mac)?;
    set_neighbour(&lab.place.namespace(&partner), address, &mac.to_string())?;
    attach_by_mac(&lab.place, HOSTS[at], mac, &namespace.path())?;
    Ok(Waiting {
        namespace,
        host: HOSTS[at],
        mac,
        address,
        partner: partner_address,
    })
}

fn set_neighbour(of: &Namespace, address: Ipv4Addr, mac: &str) -> Result<(), BenchError> {
    let address = address.to_string();
    of.ip(&[
        "neighbour",
        "replace",
        &address,
        "lladdr",
        mac,
        "dev",
        Interface::INTERFACE,
        "nud",
        "permanent",
    ])?;
    Ok(())
}

/// What all ports have in common.
struct Common {
    network: Value,
    subnet: Value,
    groups: Value,
}

impl Common {
    fn of(lab: &Lab) -> Result<Self, BenchError> {
        let port = &lab.state.guest("partner-1")?.port;
        let port = lab.rest.client().show(Resource::Port, port);
        let port = Value::from(port.map_err(|error| BenchError::Void(error.to_string()))?);
        Ok(Self {
            network: port["network_id"].clone(),
            subnet: port["fixed_ips"][0]["subnet_id"].clone(),
            groups: port["security_groups"].clone(),
        })
    }
}

fn ping(lab: &Lab, common: &Common, guest: &Waiting) -> Result<f64, BenchError> {
    let echo = FirstEcho::start(&guest.namespace, guest.partner, PACE)?;
    sleep(BEFORE);
    require(!echo.is_answered(), || {
        format!("{} was heard before it had a port", guest.address)
    })?;
    let port = json!({
        "network_id": common.network,
        "mac_address": guest.mac.to_string(),
        "fixed_ips": [{"subnet_id": common.subnet, "ip_address": guest.address}],
        "security_groups": common.groups,
        "binding:host_id": guest.host,
    });
    let asked = Instant::now();
    lab.rest.create(Resource::Port, port)?;
    let answered = echo.wait(PATIENCE)?;
    Ok((answered - asked).as_secs_f64() * 1e3)
}
