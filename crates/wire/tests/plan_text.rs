//! The text form of a host plan: what is written is read, examples and documentation are true, and errors say where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anet_model::host_plan::{Attachment, HostPlan, PortRange, Protocol, Remote};
use anet_model::testing::host_plan;
use anet_wire::plan_text::{KEYS, TEXT_BYTES_MAXIMUM, parse, to_text};
use proptest::prelude::*;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example(name: &str) -> String {
    fs::read_to_string(root().join("examples").join(name)).expect("the example is there")
}

/// The errors of a text, one a line, as a person reads them.
fn errors(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .in_file("f.yaml")
            .to_string()
            .lines()
            .map(str::to_owned)
            .collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(plan in host_plan()) {
        let text = to_text(&plan);
        prop_assert_eq!(parse(&text).map_err(|e| format!("{e}\n{text}")), Ok(plan));
    }

    #[test]
    fn mutated_plans_never_panic(edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, "[\\x00-\\x7f\u{e9}\u{2028}]{0,3}"), 1..8)) {
        let mut text: Vec<char> = example("host1.yaml").chars().collect();
        for (place, kind, inserted) in edits {
            if text.is_empty() {
                break;
            }
            let at = place.index(text.len());
            match kind {
                0 => drop(text.splice(at..at, inserted.chars())),
                1 => drop(text.splice(at..(at + 1).min(text.len()), inserted.chars())),
                2 => text.truncate(at.max(1)),
                _ => drop(text.drain(at..(at + 9).min(text.len() - 1).max(at))),
            }
        }
        let text: String = text.into_iter().collect();
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.errors().is_empty());
            prop_assert!(errors.errors().iter().all(|e| e.line >= 1 && e.column >= 1));
        }
    }

    #[test]
    fn yaml_soup_never_panics(text in "[ \\n\\t:\\[\\]{},&*!|>'\"%@#?0-9a-c-]{0,120}") {
        let _ = parse(&text);
    }
}

#[test]
fn examples_are_valid_and_fit_each_other() {
    let (one, two) = (
        parse(&example("host1.yaml")).unwrap(),
        parse(&example("host2.yaml")).unwrap(),
    );
    for (here, there) in [(&one, &two), (&two, &one)] {
        assert_eq!(
            (
                here.ports.len(),
                here.peers.len(),
                here.networks.len(),
                here.subnets.len()
            ),
            (2, 3, 1, 2)
        );
        assert_eq!(
            here.networks.values().next().unwrap().vni,
            there.networks.values().next().unwrap().vni
        );
        for (id, port) in &here.ports {
            let peer = &there.peers[id];
            assert_eq!(
                (peer.mac, &peer.addresses, &peer.network),
                (port.mac, &port.addresses, &port.network)
            );
            assert_eq!(
                there.endpoints[&peer.endpoint].address,
                here.tunnel.as_ref().unwrap().address
            );
            assert!(matches!(&port.attachment, Attachment::Tap { netns: Some(_), .. }));
        }
        assert_eq!(parse(&to_text(here)).as_ref(), Ok(here));
    }
}

#[test]
fn defaults_and_short_forms() {
    let plan = parse(
        "tunnel: {address: 192.0.2.1}\n\
         networks: {blue: {vni: 10}}\n\
         subnets: {v4: {network: blue, prefix: 10.0.0.0/24}}\n\
         ports:\n  web1: {network: blue, mac: 02:00:00:00:00:01, addresses: [10.0.0.11], security_groups: [web]}\n\
         peers:\n\
         security_groups:\n  none:\n  web:\n    rules:\n      \
           ssh: {direction: ingress, ethertype: IPv4, protocol: tcp, ports: 22, remote: 10.0.0.5}\n      \
           high: {direction: ingress, ethertype: IPv6, protocol: udp, ports: 1024 - 65535, remote: {set: a}}\n      \
           all: {direction: egress, ethertype: IPv4, protocol: tcp}\n\
         address_sets: {a: [fd00::1, 10.0.0.0/8], b: }\n",
    )
    .unwrap();
    assert_eq!(plan.tunnel.as_ref().unwrap().udp_port, 4789);
    assert_eq!(plan.networks[&"blue".parse().unwrap()].mtu.get(), 1450);
    assert_eq!(plan.subnets[&"v4".parse().unwrap()].lease_s, 86_400);
    let port = &plan.ports[&"web1".parse().unwrap()];
    assert!(port.port_security && port.admin_up && port.attachment == Attachment::Detached);
    let rules = &plan.security_groups[&"web".parse().unwrap()].rules;
    let rule = |name: &str| &rules[&name.parse().unwrap()];
    assert_eq!(
        rule("ssh").protocol,
        Protocol::Tcp(PortRange { first: 22, last: 22 })
    );
    assert_eq!(rule("ssh").remote, Remote::Prefix("10.0.0.5/32".parse().unwrap()));
    assert_eq!(
        rule("high").protocol,
        Protocol::Udp(PortRange {
            first: 1024,
            last: 65_535
        })
    );
    assert_eq!(rule("high").remote, Remote::Set("a".parse().unwrap()));
    assert_eq!(rule("all").protocol, Protocol::Tcp(PortRange::ALL));
    assert!(plan.address_sets[&"b".parse().unwrap()].members.is_empty());
}

/// Each wrong text with the beginning of its error and a word that the error must say.
const WRONG_TEXTS: &[(&str, &str, &str)] = &[
    ("", "f.yaml:1:1: plan: there is nothing in it", "`{}`"),
    (
        "# only a comment\n",
        "f.yaml:1:1: plan: there is nothing in it",
        "`{}`",
    ),
    ("ports: [", "f.yaml:", "not YAML"),
    (
        "- a\n",
        "f.yaml:1:1: plan: a list does not belong here",
        "mapping",
    ),
    (
        "{}\n---\n{}\n",
        "f.yaml:2:1: plan: a second document",
        "one document",
    ),
    (
        "networks:\n  a: {vni: 1}\n  a: {vni: 2}\n",
        "f.yaml:3:3: networks.a: this key is there twice",
        "once",
    ),
    (
        "networks:\n  a: &x {vni: 1}\n",
        "f.yaml:2:6: networks.a: an anchor",
        "alone",
    ),
    (
        "networks:\n  a: !x {vni: 1}\n",
        "f.yaml:2:6: networks.a: a tag",
        "alone",
    ),
    (
        "prots: {}\n",
        "f.yaml:1:1: prots: a plan has no such key; did you mean `ports`?",
        "peers",
    ),
    (
        "networks:\n  a: {vnl: 1}\n",
        "f.yaml:2:7: networks.a.vnl: a network has no such key; did you mean `vni`?",
        "mtu",
    ),
    (
        "networks:\n  a: {mtu: 1500}\n",
        "f.yaml:2:6: networks.a: `vni` is missing",
        "vni",
    ),
    (
        "networks:\n  a: {vni: 16777216}\n",
        "f.yaml:2:12: networks.a.vni: `16777216`",
        "1 to 16777215",
    ),
    (
        "networks:\n  a: {vni: 0x10}\n",
        "f.yaml:2:12: networks.a.vni: `0x10`",
        "whole number",
    ),
    (
        "networks:\n  a: {vni: }\n",
        "f.yaml:2:",
        "networks.a.vni: the value is missing",
    ),
    (
        "networks:\n  a b: {vni: 1}\n",
        "f.yaml:2:3: networks.a b: this is not a name",
        "64 characters",
    ),
    (
        "subnets:\n  s: {network: n, prefix: 10.0.0.1/8}\n",
        "f.yaml:2:27: subnets.s.prefix: `10.0.0.1/8`",
        "10.0.0.0/24",
    ),
    (
        "tunnel: {address: [1]}\n",
        "f.yaml:1:19: tunnel.address: a list",
        "an address as",
    ),
    (
        "ports:\n  p:\n    network: n\n    mac: 02-00\n",
        "f.yaml:4:10: ports.p.mac: `02-00`",
        "02:00:00:00:00:01",
    ),
    (
        "ports:\n  p: {network: n, mac: 02:00:00:00:00:01, dhcp: yes}\n",
        "f.yaml:2:43: ports.p.dhcp: a port has no such key",
        "admin_up",
    ),
    (
        "ports:\n  p: {network: n, mac: 02:00:00:00:00:01, admin_up: yes}\n",
        "f.yaml:2:53: ports.p.admin_up: `yes`",
        "true or false",
    ),
    (
        "ports:\n  p:\n    network: n\n    mac: 02:00:00:00:00:01\n    tap: {interface: a}\n    packet: {interface: b}\n",
        "f.yaml:6:5: ports.p.packet: the port has a `tap` already",
        "either",
    ),
    (
        "address_sets:\n  a:\n    - 10.0.0.0/8\n    - ten\n",
        "f.yaml:4:7: address_sets.a[1]: `ten`",
        "prefix",
    ),
];

#[test]
fn errors_name_line_column_path_and_remedy() {
    for (text, beginning, word) in WRONG_TEXTS {
        let errors = errors(text);
        let [error] = errors.as_slice() else {
            panic!("{text:?} gave {errors:?}")
        };
        assert!(error.starts_with(*beginning), "{text:?} gave {error}");
        assert!(error.contains(*word), "{text:?} gave {error}, which lacks {word}");
    }
}

#[test]
fn errors_of_rules() {
    let rule = |fields: &str| {
        let text = format!(
            "security_groups:\n  g:\n    rules:\n      r: {{direction: egress, ethertype: IPv4, {fields}}}\n"
        );
        errors(&text).pop().unwrap_or_default()
    };
    let cases = [
        ("protocol: http", "protocol: `http` is not a protocol"),
        ("protocol: 6", "protocol: 6 has a name; expected `tcp`"),
        ("protocol: 256", "`256` is not a protocol"),
        ("ports: 22", "ports: only TCP and UDP have ports"),
        ("protocol: udp, type: 8", "type: only ICMP"),
        ("protocol: icmp, code: 1", "code: code 1 has no type"),
        ("protocol: tcp, ports: 90-80", "ports: `90-80` is not a range"),
        ("protocol: tcp, ports: 65536", "ports: `65536` is not a range"),
        (
            "remote: \"::/0\"",
            "remote: ::/0 is not of the rule's family; expected an IPv4 prefix",
        ),
        ("remote: {set: x}", "remote: there is no address set x"),
        ("remote: {prefix: x}", "remote.prefix: a remote has no such key"),
    ];
    for (fields, expected) in cases {
        let error = rule(fields);
        let (place, at) = ("f.yaml:4:", format!("security_groups.g.rules.r.{expected}"));
        let at = if expected.starts_with('`') {
            expected.to_owned()
        } else {
            at
        };
        assert!(
            error.starts_with(place) && error.contains(&at),
            "{fields}: {error}"
        );
    }
}

#[test]
fn errors_of_the_model_stand_at_their_line() {
    let good = example("host1.yaml");
    let cases = [
        (
            "mac: 02:00:00:00:00:02",
            "mac: 02:00:00:00:00:01",
            "ports.web2.mac",
            "also the MAC of port web1",
        ),
        (
            "prefix: 10.0.0.0/24",
            "prefix: 10.7.0.0/24",
            "subnets.blue-v4.gateway",
            "inside 10.7.0.0/24",
        ),
        (
            "security_groups: [web]",
            "security_groups: [wob]",
            "ports.web1.security_groups",
            "no security group wob",
        ),
        (
            "endpoint: linux-vxlan}",
            "endpoint: linux}",
            "peers.printer.endpoint",
            "no endpoint linux",
        ),
        (
            "interface: tap-web2, netns: /run/netns/web2",
            "interface: tap/web2",
            "ports.web2.tap.interface",
            "not an interface name",
        ),
        (
            "address: 192.0.2.9",
            "address: 192.0.2.1",
            "endpoints.linux-vxlan.address",
            "own tunnel address",
        ),
    ];
    for (from, to, path, word) in cases {
        assert!(good.contains(from), "{from}");
        let text = good.replacen(from, to, 1);
        let line = good.lines().position(|line| line.contains(from)).unwrap() + 1;
        let errors = parse(&text).unwrap_err();
        let found = errors.errors().iter().find(|error| error.path == path);
        let error = found.unwrap_or_else(|| panic!("{to}: {errors}"));
        assert!(error.problem.contains(word), "{error}");
        let own_line = usize::try_from(error.line).unwrap();
        assert!(
            own_line == line || path.ends_with("gateway"),
            "line {line}: {error}"
        );
    }
}

#[test]
fn several_errors_are_told_at_once_in_the_order_of_the_file() {
    let text = "networks:\n  a: {vni: x}\n  b: {vni: 1}\n  c: {vni: y}\ntunnel: {address: z}\n";
    let errors = errors(text);
    let lines: Vec<&str> = errors
        .iter()
        .map(|error| error.split(": ").nth(1).unwrap())
        .collect();
    assert_eq!(lines, ["networks.a.vni", "networks.c.vni", "tunnel.address"]);
}

#[test]
fn bombs_are_refused() {
    let deep = format!("ports: {}", "[".repeat(100_000));
    assert!(
        errors(&deep)[0].contains("nested too deep"),
        "{:?}",
        errors(&deep)
    );
    let deep = format!("ports: {}", "{a: ".repeat(100_000));
    assert!(
        errors(&deep)[0].contains("nested too deep"),
        "{:?}",
        errors(&deep)
    );
    let deep = format!("ports: {}", "[".repeat(20));
    assert!(
        errors(&deep)[0].contains("nested too deep"),
        "{:?}",
        errors(&deep)
    );
    let aliases = "ports: [*a]\n";
    assert!(!errors(aliases).is_empty());
    let long = "#".repeat(TEXT_BYTES_MAXIMUM + 1);
    assert!(errors(&long)[0].contains("bytes"));
}

/// `docs/host-plan.md` has a section for each object, with a table row for each key.
#[test]
fn the_documentation_names_every_key_and_no_other() {
    let text = fs::read_to_string(root().join("docs/host-plan.md")).expect("the page is there");
    let mut documented: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.to_owned();
        } else if let Some((key, _)) = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')) {
            documented
                .entry(section.clone())
                .or_default()
                .insert(key.to_owned());
        }
    }
    let known = KEYS.iter().map(|object| {
        (
            object.object.to_owned(),
            object
                .keys
                .iter()
                .map(|key| (*key).to_owned())
                .collect::<BTreeSet<_>>(),
        )
    });
    assert_eq!(documented, known.collect());
}

/// A plan with every key that there is; the next test holds it to that.
const EVERY_KEY: &str = "\
tunnel: {address: 192.0.2.1, udp_port: 4789, dpdk: {device: '0000:03:00.0', mac: 02:00:00:00:01:01}}
endpoints: {host2: {address: 192.0.2.2, udp_port: 4789, next_hop: 02:00:00:00:01:02}}
networks: {blue: {vni: 10, mtu: 1450, endpoints: [host2]}}
subnets:
  v4:
    network: blue
    prefix: 10.0.0.0/24
    gateway: 10.0.0.1
    dhcp: true
    ipv6_mode: dhcpv6-stateful
    dns_servers: [10.0.0.2]
    host_routes: [{destination: 10.1.0.0/16, next_hop: 10.0.0.3}]
    lease_s: 3600
ports:
  web1:
    network: blue
    mac: 02:00:00:00:00:01
    addresses: [10.0.0.11]
    allowed_address_pairs: [{prefix: 10.0.0.100, mac: 02:00:00:00:00:09}]
    port_security: true
    security_groups: [web]
    hostname: web1
    tap: {interface: tap-web1, netns: /run/netns/web1}
    budgets: {connections: 1, control_pps: 2, new_flows_pps: 3}
    admin_up: true
  web2: {network: blue, mac: 02:00:00:00:00:02, packet: {interface: veth0}}
  web3: {network: blue, mac: 02:00:00:00:00:04, dpdk: {device: 'net_af_packet0,iface=eth1'}}
peers:
  db1: {network: blue, mac: 02:00:00:00:00:03, addresses: [10.0.0.12], endpoint: host2}
security_groups:
  web:
    rules:
      a: {direction: ingress, ethertype: IPv4, protocol: tcp, ports: 22-23, remote: {set: admins}}
      b: {direction: ingress, ethertype: IPv4, protocol: icmp, type: 8, code: 0, remote: 10.0.0.0/8}
address_sets: {admins: [10.9.0.0/16]}
";

#[test]
fn every_key_is_accepted() {
    let plan: HostPlan = parse(EVERY_KEY).unwrap();
    assert_eq!(parse(&to_text(&plan)), Ok(plan));
    for object in KEYS {
        for key in object.keys {
            assert!(
                EVERY_KEY.contains(&format!("{key}:")),
                "{}: {key} is not tried",
                object.object
            );
            // A key that was not accepted would be refused under its own name.
            let changed = EVERY_KEY.replacen(&format!("{key}:"), &format!("{key}_x:"), 1);
            assert!(parse(&changed).is_err(), "{key}_x was accepted");
        }
    }
}
