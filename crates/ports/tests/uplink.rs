//! The uplink between two namespaces: to itself, and to Linux's own VXLAN device.

// A test that cannot go on says where: that is what `unwrap` does.
#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anet_lab::{KernelVxlan, Namespace};
use anet_memory::buffer::{Buffer, Checksum, Meta, Pool, PoolSettings, SegmentKind, Segmentation};
use anet_packet::addr::{Mac, Vni};
use anet_packet::checksum;
use anet_packet::segment::{Cut, Layout};
use anet_ports::kernel::uplink::{Uplink, UplinkSettings};
use anet_ports::{Port, ReceiveQueue, TransmitQueue};
use etherparse::PacketBuilder;

const VNI: u8 = 7;
const OURS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THEIRS: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// Two namespaces on one wire, with an address of each family.
struct Underlay {
    left: Namespace,
    right: Namespace,
}

impl Underlay {
    /// `None`, with the reason printed, where this machine cannot.
    fn new(test: &str) -> Option<Self> {
        if let Some(reason) = anet_lab::missing_for(&["bridge"]) {
            anet_lab::skip(test, &reason);
            return None;
        }
        let (left, right) = (Namespace::new("left").unwrap(), Namespace::new("right").unwrap());
        anet_lab::wire::direct((&left, "under"), (&right, "under")).unwrap();
        for (namespace, host) in [(&left, 1), (&right, 2)] {
            namespace
                .add_address("under", &format!("10.9.0.{host}/24"))
                .unwrap();
            namespace
                .add_address("under", &format!("fd09::{host}/64"))
                .unwrap();
        }
        Some(Self { left, right })
    }
}

struct End {
    uplink: Uplink,
    receive: Box<dyn ReceiveQueue>,
    transmit: Box<dyn TransmitQueue>,
}

fn settings(namespace: &Namespace, address: &str) -> UplinkSettings {
    let address: IpAddr = address.parse().unwrap();
    UplinkSettings {
        namespace: Some(namespace.path()),
        ..UplinkSettings::new(address)
    }
}

fn end(settings: &UplinkSettings) -> End {
    let mut uplink = Uplink::open(settings).unwrap();
    let receive = uplink.receive_queue(0).unwrap();
    let transmit = uplink.transmit_queue().unwrap();
    End {
        uplink,
        receive,
        transmit,
    }
}

/// An outer frame around `inner`.
fn outer(from: &str, to: &str, source_port: u16, traffic_class: u8, inner: &[u8]) -> Vec<u8> {
    let mut payload = vec![8, 0, 0, 0, 0, 0, VNI, 0];
    payload.extend_from_slice(inner);
    let ethernet = PacketBuilder::ethernet2([0; 6], [0; 6]);
    let mut frame = Vec::new();
    let (from, to): (IpAddr, IpAddr) = (from.parse().unwrap(), to.parse().unwrap());
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut ip =
                etherparse::Ipv4Header::new(0, 33, etherparse::IpNumber::UDP, from.octets(), to.octets())
                    .unwrap();
            ip.dscp = etherparse::IpDscp::try_new(traffic_class >> 2).unwrap();
            ip.ecn = etherparse::IpEcn::try_new(traffic_class & 3).unwrap();
            let ip = etherparse::IpHeaders::Ipv4(ip, Default::default());
            // A payload beyond 65,507 bytes, as large segments have, has no legal length.
            let small = if payload.len() > 60_000 {
                &payload[..0]
            } else {
                &payload[..]
            };
            ethernet
                .ip(ip)
                .udp(source_port, 4789)
                .write(&mut frame, small)
                .unwrap();
            frame.extend_from_slice(&payload[small.len()..]);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let ip = etherparse::Ipv6Header {
                traffic_class,
                hop_limit: 33,
                source: from.octets(),
                destination: to.octets(),
                next_header: etherparse::IpNumber::UDP,
                ..Default::default()
            };
            let ip = etherparse::IpHeaders::Ipv6(ip, Default::default());
            let small = if payload.len() > 60_000 {
                &payload[..0]
            } else {
                &payload[..]
            };
            ethernet
                .ip(ip)
                .udp(source_port, 4789)
                .write(&mut frame, small)
                .unwrap();
            frame.extend_from_slice(&payload[small.len()..]);
        }
        _ => panic!("families differ"),
    }
    frame
}

fn udp_inner(destination: [u8; 6], to: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let ethernet = PacketBuilder::ethernet2(OURS, destination);
    ethernet
        .ipv4([10, 0, 0, 1], to, 64)
        .udp(5555, port)
        .write(&mut frame, payload)
        .unwrap();
    frame
}

fn tcp_inner(six: bool, payload: &[u8]) -> Vec<u8> {
    let ethernet = PacketBuilder::ethernet2(OURS, THEIRS);
    let ip = if six {
        ethernet.ipv6([0xfd; 16], [0xfe; 16], 64)
    } else {
        ethernet.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
    };
    let mut frame = Vec::new();
    ip.tcp(1000, 2000, 77, 500)
        .ack(9)
        .psh()
        .write(&mut frame, payload)
        .unwrap();
    frame
}

/// What a guest hands over: a large segment whose checksum is the pseudo header's.
fn segment(pool: &Pool, frame: &[u8], six: bool, size: u16) -> Buffer {
    let outer_len = if six { 62 } else { 42 };
    let mut buffer = pool.copy_from(frame).unwrap();
    let layout = Layout::of(&frame[outer_len + 8..]).unwrap();
    let start = (outer_len + 8 + layout.transport_at) as u16;
    let kind = if layout.network == anet_packet::segment::Network::V6 {
        SegmentKind::TcpV6
    } else {
        SegmentKind::TcpV4
    };
    buffer.meta = Meta {
        checksum: Checksum::Partial { start, offset: 16 },
        segmentation: Segmentation {
            kind,
            size,
            ecn: false,
        },
        ..Meta::default()
    };
    buffer
}

/// Receives until `enough` packets are there.
fn receive(queue: &mut dyn ReceiveQueue, pool: &Pool, enough: usize) -> Vec<Buffer> {
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut packets = Vec::new();
    while packets.len() < enough && Instant::now() < deadline {
        if queue.receive(pool, &mut packets, 8).unwrap() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    packets
}

/// Receives for some milliseconds.
fn receive_for(queue: &mut dyn ReceiveQueue, pool: &Pool, millis: u64) -> Vec<Buffer> {
    let deadline = Instant::now() + Duration::from_millis(millis);
    let mut packets = Vec::new();
    while Instant::now() < deadline {
        queue.receive(pool, &mut packets, 8).unwrap();
    }
    packets
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 249) as u8).collect()
}

const FAMILIES: [(&str, &str, usize); 2] = [("10.9.0.1", "10.9.0.2", 42), ("fd09::1", "fd09::2", 62)];

#[test]
fn frames_come_out_as_they_went_in() {
    let Some(underlay) = Underlay::new("frames_come_out_as_they_went_in") else {
        return;
    };
    let pool = Pool::default();
    for (from, to, outer_len) in FAMILIES {
        let (mut left, mut right) = (
            end(&settings(&underlay.left, from)),
            end(&settings(&underlay.right, to)),
        );
        let inners: Vec<Vec<u8>> = (0..40_u16)
            .map(|i| {
                udp_inner(
                    THEIRS,
                    [10, 0, 0, 2],
                    53,
                    &bytes(if i < 20 { 100 } else { usize::from(i) * 30 }),
                )
            })
            .collect();
        // CE, and DSCP EF: what RFC 6040 puts on the outer header.
        let frames = inners
            .iter()
            .map(|inner| pool.copy_from(&outer(from, to, 50_001, 0xbb, inner)).unwrap());
        let mut burst: Vec<Buffer> = frames.collect();
        let outcome = left.transmit.transmit(&mut burst);
        assert_eq!((outcome.sent, outcome.dropped(), burst.len()), (40, 0, 0));
        let packets = receive(&mut *right.receive, &pool, 40);
        let mut ports = Vec::new();
        assert_eq!(packets.len(), 40);
        for (packet, inner) in packets.iter().zip(&inners) {
            let received = packet.to_vec();
            assert_eq!(received[outer_len + 8..], *inner);
            let parsed = etherparse::PacketHeaders::from_ethernet_slice(&received).unwrap();
            match parsed.net.unwrap() {
                etherparse::NetHeaders::Ipv4(ip, _) => {
                    assert_eq!(
                        (ip.dscp.value(), ip.ecn.value(), ip.time_to_live),
                        (0xbb >> 2, 3, 33)
                    );
                    assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                }
                etherparse::NetHeaders::Ipv6(ip, _) => {
                    assert_eq!((ip.traffic_class, ip.hop_limit), (0xbb, 33))
                }
                _ => panic!("not IP"),
            }
            ports.push(parsed.transport.unwrap().udp().unwrap().source_port);
            assert_eq!(packet.meta.checksum, Checksum::Unknown);
        }
        assert!(
            ports.iter().all(|port| *port == ports[0]),
            "a flow keeps its source port: {ports:?}"
        );
        assert_eq!(left.uplink.statistics(), Default::default());
        assert_eq!(left.uplink.capabilities().mtu, 1500);
    }
}

#[test]
fn a_large_segment_stays_large() {
    let Some(underlay) = Underlay::new("a_large_segment_stays_large") else {
        return;
    };
    let pool = Pool::default();
    for (from, to, outer_len) in FAMILIES {
        for inner_six in [false, true] {
            let (mut left, mut right) = (
                end(&settings(&underlay.left, from)),
                end(&settings(&underlay.right, to)),
            );
            assert!(
                left.uplink.offloads().segment && right.uplink.offloads().merge,
                "{:?}",
                left.uplink.offloads()
            );
            let inner = tcp_inner(inner_six, &bytes(65_000));
            let frame = outer(from, to, 50_001, 0, &inner);
            let mut burst = vec![segment(&pool, &frame, outer_len == 62, 1_300)];
            assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
            let packets = receive(&mut *right.receive, &pool, 2);
            assert!(packets.len() == 2, "{} packets", packets.len());
            let mut payload = Vec::new();
            for packet in &packets {
                let received = packet.to_vec();
                let layout = Layout::of(&received[outer_len + 8..]).unwrap();
                payload.extend_from_slice(&received[outer_len + 8 + layout.payload_at..]);
                assert_eq!(packet.meta.segmentation.size, 1_300);
                assert!(matches!(packet.meta.checksum, Checksum::Partial { .. }));
            }
            assert_eq!(payload, bytes(65_000));
        }
    }
}

#[test]
fn many_flows_arrive_each_in_order_over_several_ports() {
    let Some(underlay) = Underlay::new("many_flows_arrive_each_in_order_over_several_ports") else {
        return;
    };
    let pool = Pool::default();
    let (mut left, mut right) = (
        end(&settings(&underlay.left, "10.9.0.1")),
        end(&settings(&underlay.right, "10.9.0.2")),
    );
    let mut burst = Vec::new();
    for sequence in 0..10_u8 {
        for flow in 0..20_u8 {
            let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, &[flow, sequence]);
            burst.push(
                pool.copy_from(&outer(
                    "10.9.0.1",
                    "10.9.0.2",
                    50_000 + u16::from(flow),
                    0,
                    &inner,
                ))
                .unwrap(),
            );
        }
    }
    assert_eq!(left.transmit.transmit(&mut burst).sent, 200);
    let packets = receive(&mut *right.receive, &pool, 200);
    let mut next = [0_u8; 20];
    let mut ports = std::collections::BTreeSet::new();
    for packet in &packets {
        let head = packet.head();
        ports.insert([head[34], head[35]]);
        let &[flow, sequence] = head.last_chunk().unwrap();
        assert_eq!(sequence, next[usize::from(flow)]);
        next[usize::from(flow)] += 1;
    }
    assert_eq!(next, [10; 20]);
    assert_eq!(ports.len(), 16);
}

#[test]
fn a_partial_checksum_is_finished_and_a_wrong_one_is_not_repaired() {
    let Some(underlay) = Underlay::new("a_partial_checksum_is_finished_and_a_wrong_one_is_not_repaired")
    else {
        return;
    };
    let pool = Pool::default();
    let (mut left, mut right) = (
        end(&settings(&underlay.left, "10.9.0.1")),
        end(&settings(&underlay.right, "10.9.0.2")),
    );
    let whole = tcp_inner(false, &bytes(3_000));
    let cut = Cut::new(&whole, whole.len(), 1_000, false).unwrap();
    let inners: Vec<Vec<u8>> = (0..3)
        .map(|index| {
            let payload = &whole[54..][cut.payload(index)];
            let mut inner = vec![0; 54];
            cut.write_headers(index, checksum::sum(payload), &mut inner);
            inner.extend_from_slice(payload);
            inner
        })
        .collect();
    let mut partial = inners[0].clone();
    partial[50..52].copy_from_slice(&checksum::fold(0x0a00 + 1 + 0x0a00 + 2 + 6 + 1_020).to_be_bytes());
    let mut wrong = inners[1].clone();
    wrong[200] ^= 1;
    let frames = [&partial, &wrong, &inners[2]].map(|inner| outer("10.9.0.1", "10.9.0.2", 9, 0, inner));
    let mut burst: Vec<Buffer> = frames
        .iter()
        .map(|frame| pool.copy_from(frame).unwrap())
        .collect();
    burst[0].meta.checksum = Checksum::Partial {
        start: 42 + 8 + 34,
        offset: 16,
    };
    assert_eq!(left.transmit.transmit(&mut burst).sent, 3);
    let packets = receive(&mut *right.receive, &pool, 3);
    let received: Vec<Vec<u8>> = packets
        .iter()
        .map(|packet| packet.to_vec()[50..].to_vec())
        .collect();
    assert_eq!(received, [inners[0].clone(), wrong, inners[2].clone()]);
    assert_eq!(packets[1].meta.checksum, Checksum::Unknown);
}

#[test]
fn too_big_is_counted_or_fragmented_as_set() {
    let Some(underlay) = Underlay::new("too_big_is_counted_or_fragmented_as_set") else {
        return;
    };
    let pool = Pool::default();
    for (from, to, outer_len) in FAMILIES {
        let mut right = end(&settings(&underlay.right, to));
        let inner = tcp_inner(false, &bytes(14 * 1_460));
        let frame = outer(from, to, 50_001, 0, &inner);
        for dont_fragment in [true, false] {
            let mut left = end(&UplinkSettings {
                dont_fragment,
                ..settings(&underlay.left, from)
            });
            let mut burst = vec![segment(&pool, &frame, outer_len == 62, 1_460)];
            burst.push(
                pool.copy_from(&outer(from, to, 50_001, 0, &tcp_inner(false, &bytes(1_800))))
                    .unwrap(),
            );
            let outcome = left.transmit.transmit(&mut burst);
            if dont_fragment {
                assert_eq!((outcome.sent, outcome.dropped_unsupported), (0, 2), "{outcome:?}");
                assert_eq!(left.uplink.statistics().too_big, 2);
            } else {
                assert_eq!((outcome.sent, outcome.dropped()), (2, 0), "{outcome:?}");
                let packets = receive(&mut *right.receive, &pool, 15);
                let total: usize = packets
                    .iter()
                    .map(|packet| packet.len() - outer_len - 8 - 54)
                    .sum();
                assert_eq!(total, 14 * 1_460 + 1_800);
            }
        }
    }
}

#[test]
fn what_cannot_be_sent_is_dropped_with_a_reason() {
    let Some(underlay) = Underlay::new("what_cannot_be_sent_is_dropped_with_a_reason") else {
        return;
    };
    let pool = Pool::default();
    let mut left = end(&settings(&underlay.left, "10.9.0.1"));
    let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, b"x");
    let mut lying = pool
        .copy_from(&outer("10.9.0.1", "10.9.0.2", 9, 0, &inner))
        .unwrap();
    lying.meta.segmentation = Segmentation {
        kind: SegmentKind::TcpV6,
        size: 100,
        ecn: false,
    };
    let mut far = pool
        .copy_from(&outer("10.9.0.1", "10.9.0.2", 9, 0, &inner))
        .unwrap();
    far.meta.checksum = Checksum::Partial {
        start: 60_000,
        offset: 6_000,
    };
    let mut burst = vec![
        pool.copy_from(&[0; 14]).unwrap(),
        pool.copy_from(&[]).unwrap(),
        lying,
        far,
        pool.copy_from(&outer("10.9.0.1", "192.0.2.1", 9, 0, &inner))
            .unwrap(),
    ];
    let outcome = left.transmit.transmit(&mut burst);
    assert_eq!(
        (outcome.sent, outcome.dropped_unsupported, outcome.dropped_error),
        (0, 4, 1),
        "{outcome:?}"
    );
    let error = outcome.error.unwrap().to_string();
    assert!(error.contains("no route"), "{error}");
}

#[test]
fn an_empty_pool_costs_packets_and_says_so() {
    let Some(underlay) = Underlay::new("an_empty_pool_costs_packets_and_says_so") else {
        return;
    };
    let pool = Pool::default();
    let (mut left, mut right) = (
        end(&settings(&underlay.left, "10.9.0.1")),
        end(&settings(&underlay.right, "10.9.0.2")),
    );
    let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, b"x");
    let frame = outer("10.9.0.1", "10.9.0.2", 9, 0, &inner);
    let mut burst = vec![pool.copy_from(&frame).unwrap()];
    assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
    let settings = PoolSettings {
        buffers: 1,
        slabs: 0,
        ..PoolSettings::default()
    };
    let small = Pool::new(settings).unwrap();
    let held = small.take().unwrap();
    assert_eq!(receive_for(&mut *right.receive, &small, 100).len(), 0);
    assert_eq!(right.receive.counters().dropped_pool_exhausted, 1);
    drop(held);
    let mut burst = vec![pool.copy_from(&frame).unwrap()];
    assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
    assert_eq!(receive(&mut *right.receive, &small, 1).len(), 1);
}

#[test]
fn errors_say_what_to_do() {
    let Some(underlay) = Underlay::new("errors_say_what_to_do") else {
        return;
    };
    let ours = settings(&underlay.left, "10.9.0.1");
    let mut first = Uplink::open(&ours).unwrap();
    let queue = first.receive_queue(0).unwrap();
    assert!(first.receive_queue(0).is_err() && first.receive_queue(1).is_err());
    drop(queue);
    assert!(first.receive_queue(0).is_ok());
    let error = |settings: UplinkSettings| Uplink::open(&settings).unwrap_err().to_string();
    assert!(error(ours.clone()).contains("ss -lunp"));
    assert!(
        error(UplinkSettings {
            receive_queues: 4,
            ..ours.clone()
        })
        .contains("ss -lunp")
    );
    assert!(error(settings(&underlay.left, "10.9.0.77")).contains("ip address add"));
    assert!(
        error(UplinkSettings {
            namespace: Some("/run/netns/none".into()),
            ..ours.clone()
        })
        .contains("ip netns list")
    );
    assert!(
        error(UplinkSettings {
            udp_port: 0,
            ..ours.clone()
        })
        .contains("4789")
    );
    assert!(error(settings(&underlay.left, "0.0.0.0")).contains("tunnel endpoint"));
    drop(first);
    KernelVxlan::new(
        &underlay.left,
        "vxlan0",
        Vni::new(7).unwrap(),
        "10.9.0.1".parse().unwrap(),
    )
    .unwrap();
    assert!(error(ours).contains("type vxlan"));
}

#[test]
fn several_receive_queues_share_the_flows() {
    let Some(underlay) = Underlay::new("several_receive_queues_share_the_flows") else {
        return;
    };
    let pool = Pool::default();
    let mut left = end(&settings(&underlay.left, "10.9.0.1"));
    let mut right = Uplink::open(&UplinkSettings {
        receive_queues: 2,
        ..settings(&underlay.right, "10.9.0.2")
    })
    .unwrap();
    let mut queues = [right.receive_queue(0).unwrap(), right.receive_queue(1).unwrap()];
    let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, b"shared");
    let mut burst: Vec<Buffer> = (0..32_u16)
        .map(|flow| {
            pool.copy_from(&outer("10.9.0.1", "10.9.0.2", flow, 0, &inner))
                .unwrap()
        })
        .collect();
    assert_eq!(left.transmit.transmit(&mut burst).sent, 32);
    let deadline = Instant::now() + Duration::from_secs(3);
    let mut counts = [0, 0];
    while counts[0] + counts[1] < 32 && Instant::now() < deadline {
        for (queue, count) in queues.iter_mut().zip(&mut counts) {
            *count += queue.receive(&pool, &mut Vec::new(), 64).unwrap();
        }
    }
    assert_eq!(counts[0] + counts[1], 32);
    assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
}

#[test]
fn linux_is_understood_and_understands() {
    let Some(underlay) = Underlay::new("linux_is_understood_and_understands") else {
        return;
    };
    let pool = Pool::default();
    for (ours, theirs, outer_len) in FAMILIES {
        let host = &underlay.right;
        let vni = Vni::new(u32::from(VNI)).unwrap();
        let device = KernelVxlan::new(host, "vxlan0", vni, theirs.parse().unwrap()).unwrap();
        device.become_station(Mac(THEIRS), &["10.0.0.2/24"]).unwrap();
        device.forward(Mac(OURS), ours.parse().unwrap()).unwrap();
        let mac = Mac(OURS).to_string();
        host.ip(&["neighbor", "add", "10.0.0.1", "lladdr", &mac, "dev", "vxlan0"])
            .unwrap();
        let mut left = end(&settings(&underlay.left, ours));
        let guest = host.enter(|| UdpSocket::bind("10.0.0.2:7777").unwrap()).unwrap();
        guest.set_read_timeout(Some(Duration::from_secs(3))).unwrap();

        let payload = bytes(1_000);
        let inner = udp_inner(THEIRS, [10, 0, 0, 2], 7777, &payload);
        let frames = (0..5).map(|_| pool.copy_from(&outer(ours, theirs, 50_001, 0, &inner)).unwrap());
        let mut burst: Vec<Buffer> = frames.collect();
        assert_eq!(left.transmit.transmit(&mut burst).sent, 5);
        let mut room = vec![0; 2_000];
        for _ in 0..5 {
            let (len, from) = guest.recv_from(&mut room).unwrap();
            assert_eq!(
                (&room[..len], from),
                (&payload[..], "10.0.0.1:5555".parse::<SocketAddr>().unwrap())
            );
        }
        guest.send_to(b"and back", "10.0.0.1:5555").unwrap();
        let packets = receive(&mut *left.receive, &pool, 1);
        let received = packets[0].to_vec();
        assert_eq!(received[outer_len..outer_len + 8], [8, 0, 0, 0, 0, 0, VNI, 0]);
        let parsed = etherparse::PacketHeaders::from_ethernet_slice(&received[outer_len + 8..]).unwrap();
        assert_eq!(parsed.payload.slice(), b"and back");
        host.ip(&["link", "delete", "vxlan0"]).unwrap();
    }
}
