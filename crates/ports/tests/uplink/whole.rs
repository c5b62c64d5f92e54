//! Large segments that leave whole through the uplink TAP.

use anet_lab::Namespace;
use anet_memory::buffer::{Buffer, Checksum, Pool};
use anet_packet::segment::{Layout, Transport};
use anet_ports::Port;
use anet_ports::kernel::uplink::{LargeSegments, Uplink, UplinkSettings};

use crate::packets::{THEIRS, bytes, outer, segment, tcp_inner, udp_inner};
use crate::underlay::{End, FAMILIES, Underlay, end, receive, receive_for, settings};

/// An uplink that sends segments whole; `None`, with the reason printed, where this kernel cannot.
fn sender(test: &str, namespace: &Namespace, address: &str) -> Option<End> {
    let whole = UplinkSettings {
        large_segments: LargeSegments::Tap,
        ..settings(namespace, address)
    };
    if let Some(why) = missing(&whole) {
        anet_lab::skip(test, &why);
        return None;
    }
    Some(end(&whole))
}

/// Why segments cannot leave whole from there: only where this kernel or process cannot do what it takes.
pub fn missing(settings: &UplinkSettings) -> Option<String> {
    let why = Uplink::open(settings).err()?.to_string();
    ["6.17", "6.6", "CAP_"]
        .iter()
        .any(|need| why.contains(need))
        .then_some(why)
}

fn payload_of(packet: &Buffer, outer_len: usize) -> Vec<u8> {
    let bytes = packet.to_vec();
    let layout = Layout::of(&bytes[outer_len + 8..]).unwrap();
    bytes[outer_len + 8 + layout.payload_at..].to_vec()
}

fn devices(namespace: &Namespace) -> Vec<String> {
    let text = namespace.ip(&["-o", "link", "show"]).unwrap();
    let names = text.lines().filter_map(|line| line.split(": ").nth(1));
    names
        .filter(|name| name.starts_with("anet-"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_segment_crosses_a_virtual_underlay_whole() {
    const TEST: &str = "a_segment_crosses_a_virtual_underlay_whole";
    let Some(underlay) = Underlay::new(TEST) else {
        return;
    };
    let pool = Pool::default();
    for (from, to, outer_len) in FAMILIES {
        let Some(mut left) = sender(TEST, &underlay.left, from) else {
            return;
        };
        let mut right = end(&settings(&underlay.right, to));
        for inner_six in [false, true] {
            let frame = outer(from, to, 50_001, 0xb8, &tcp_inner(inner_six, &bytes(60_000)));
            let small = outer(from, to, 50_001, 0xb8, &tcp_inner(inner_six, &bytes(100)));
            let mut burst = vec![
                pool.copy_from(&small).unwrap(),
                unfinished(&pool, &frame, outer_len == 62),
                pool.copy_from(&small).unwrap(),
            ];
            assert_eq!(left.transmit.transmit(&mut burst).sent, 3);
            let packets = receive(&mut *right.receive, &pool, 3);
            let payloads: Vec<usize> = packets.iter().map(|p| payload_of(p, outer_len).len()).collect();
            assert_eq!(payloads, [100, 60_000, 100], "in order");
            assert_eq!(payload_of(&packets[1], outer_len), bytes(60_000));
            let meta = packets[1].meta;
            assert!(matches!(meta.checksum, Checksum::Partial { offset: 16, .. }));
            assert!((1_000..=1_280).contains(&meta.segmentation.size), "{meta:?}");
            let outers: Vec<_> = packets.iter().map(|p| ports_and_hops(p, outer_len)).collect();
            assert!(
                outers.iter().all(|outer| *outer == outers[0] && outer.2 == 33),
                "one flow for the underlay: {outers:?}"
            );
        }
        assert_eq!(left.uplink.statistics().whole, 2);
    }
}

/// As a guest's kernel hands it over: with the pseudo header's sum in the checksum field.
fn unfinished(pool: &Pool, frame: &[u8], six: bool) -> Buffer {
    let at = if six { 70 } else { 50 };
    let layout = Layout::of(&frame[at..]).unwrap();
    assert_eq!(layout.transport, Transport::Tcp);
    let sum = layout.pseudo_header(&frame[at..]) + (frame.len() - at - layout.transport_at) as u64;
    let mut frame = frame.to_vec();
    let field = at + layout.transport_at + 16;
    frame[field..field + 2].copy_from_slice(&anet_packet::checksum::fold(sum).to_be_bytes());
    segment(pool, &frame, six, 1_300)
}

fn ports_and_hops(packet: &Buffer, outer_len: usize) -> (u16, u16, u8) {
    let head = packet.head();
    let port = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let hops = if outer_len == 62 { head[21] } else { head[22] };
    (port(outer_len - 8), port(outer_len - 6), hops)
}

#[test]
fn the_kernel_cuts_it_right_where_the_underlay_takes_no_segments() {
    const TEST: &str = "the_kernel_cuts_it_right_where_the_underlay_takes_no_segments";
    let Some(underlay) = Underlay::new(TEST) else {
        return;
    };
    let off = ["-K", "under", "tso", "off", "gso", "off", "tx", "off"];
    underlay.left.run("ethtool", &off).unwrap();
    let pool = Pool::default();
    for (from, to, outer_len) in FAMILIES {
        let Some(mut left) = sender(TEST, &underlay.left, from) else {
            return;
        };
        let mut right = end(&settings(&underlay.right, to));
        for inner_six in [false, true] {
            let inner = tcp_inner(inner_six, &bytes(13_500));
            let frame = outer(from, to, 50_001, 0, &inner);
            let mut burst = vec![unfinished(&pool, &frame, outer_len == 62)];
            assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
            let packets = receive(&mut *right.receive, &pool, 11);
            let mut payload = Vec::new();
            for packet in &packets {
                let whole = packet.to_vec();
                let parsed = etherparse::PacketHeaders::from_ethernet_slice(&whole[outer_len + 8..]).unwrap();
                let tcp = parsed.transport.as_ref().and_then(|t| t.clone().tcp()).unwrap();
                let checksum = match parsed.net.as_ref().unwrap() {
                    etherparse::NetHeaders::Ipv4(ip, _) => {
                        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                        tcp.calc_checksum_ipv4(ip, parsed.payload.slice()).unwrap()
                    }
                    etherparse::NetHeaders::Ipv6(ip, _) => {
                        tcp.calc_checksum_ipv6(ip, parsed.payload.slice()).unwrap()
                    }
                    _ => panic!("not IP"),
                };
                assert_eq!(tcp.checksum, checksum);
                assert_eq!(tcp.sequence_number, 77 + payload.len() as u32);
                assert!(packet.len() - 14 <= 1_500);
                payload.extend_from_slice(parsed.payload.slice());
            }
            assert_eq!(payload, bytes(13_500));
        }
        assert_eq!(left.uplink.statistics().whole, 2);
    }
}

#[test]
fn it_needs_no_forwarding_and_passes_no_netfilter_chain() {
    const TEST: &str = "it_needs_no_forwarding_and_passes_no_netfilter_chain";
    if let Some(reason) = anet_lab::missing_for(&["nft"]) {
        return anet_lab::skip(TEST, &reason);
    }
    let Some(underlay) = Underlay::new(TEST) else {
        return;
    };
    let filter = |text: &str| underlay.left.run("nft", &[text]).unwrap();
    filter("table inet strict { chain f { type filter hook forward priority 0; policy drop; }; }");
    for (knob, value) in [
        ("ip_forward", "0"),
        ("conf.all.rp_filter", "1"),
        ("conf.all.accept_local", "0"),
    ] {
        underlay.left.sysctl(&format!("net.ipv4.{knob}"), value).unwrap();
    }
    let (from, to, _) = FAMILIES[0];
    let Some(mut left) = sender(TEST, &underlay.left, from) else {
        return;
    };
    let mut right = end(&settings(&underlay.right, to));
    let pool = Pool::default();
    let frame = outer(from, to, 1, 0, &tcp_inner(false, &bytes(30_000)));
    let mut send = || {
        let mut burst = vec![unfinished(&pool, &frame, false)];
        assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
        receive_for(&mut *right.receive, &pool, 200).len()
    };
    assert_eq!(send(), 1);
    // Linux skips the device's own chain as well for packets that were redirected: who needs it takes the sockets.
    filter(
        "table netdev strict { chain e { type filter hook egress device under priority 0; policy drop; }; }",
    );
    assert_eq!(send(), 1);
    assert_eq!(left.uplink.statistics().whole, 2);
}

#[test]
fn what_cannot_leave_whole_is_cut() {
    const TEST: &str = "what_cannot_leave_whole_is_cut";
    let Some(underlay) = Underlay::new(TEST) else {
        return;
    };
    let (from, to, outer_len) = FAMILIES[0];
    let Some(mut left) = sender(TEST, &underlay.left, from) else {
        return;
    };
    let mut right = end(&settings(&underlay.right, to));
    let pool = Pool::default();
    // Longer than an IP packet with its outer header.
    let mut too_long = unfinished(
        &pool,
        &outer(from, to, 1, 0, &tcp_inner(false, &bytes(65_495))),
        false,
    );
    // What a receiver would take for an ordinary packet.
    let mut short = unfinished(
        &pool,
        &outer(from, to, 1, 0, &tcp_inner(false, &bytes(1_300))),
        false,
    );
    short.meta.segmentation.size = 600;
    // Packets so small that a hostile guest would make the kernel cut thousands.
    let mut tiny = unfinished(
        &pool,
        &outer(from, to, 1, 0, &tcp_inner(false, &bytes(2_000))),
        false,
    );
    tiny.meta.segmentation.size = 100;
    too_long.meta.segmentation.size = 1_400;
    for (frame, len) in [(too_long, 65_495), (short, 1_300), (tiny, 2_000)] {
        assert_eq!(left.transmit.transmit(&mut vec![frame]).sent, 1);
        let mut payload = Vec::new();
        while payload.len() < len {
            let packets = receive(&mut *right.receive, &pool, 1);
            assert!(!packets.is_empty(), "{} of {len} bytes", payload.len());
            packets
                .iter()
                .for_each(|packet| payload.extend(payload_of(packet, outer_len)));
        }
        assert_eq!(payload, bytes(len));
    }
    assert_eq!(left.uplink.statistics().whole, 0);
    // A path that has become narrower is known within a second.
    let narrow = ["route", "add", "10.9.0.2/32", "dev", "under", "mtu", "1300"];
    underlay.left.ip(&narrow).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    let frame = outer(from, to, 1, 0, &tcp_inner(false, &bytes(14_000)));
    let outcome = left
        .transmit
        .transmit(&mut vec![unfinished(&pool, &frame, false)]);
    assert_eq!((outcome.sent, outcome.dropped_unsupported), (0, 1), "{outcome:?}");
    let statistics = left.uplink.statistics();
    assert_eq!((statistics.whole, statistics.too_big), (0, 1));
}

#[test]
fn a_tap_that_refuses_costs_no_segment() {
    const TEST: &str = "a_tap_that_refuses_costs_no_segment";
    let Some(underlay) = Underlay::new(TEST) else {
        return;
    };
    let (from, to, outer_len) = FAMILIES[0];
    let Some(mut left) = sender(TEST, &underlay.left, from) else {
        return;
    };
    let mut right = end(&settings(&underlay.right, to));
    let pool = Pool::default();
    let tap = left.uplink.whole_through().unwrap().to_owned();
    underlay.left.ip(&["link", "set", &tap, "down"]).unwrap();
    let frame = outer(from, to, 1, 0, &tcp_inner(false, &bytes(26_000)));
    let mut burst = vec![unfinished(&pool, &frame, false), unfinished(&pool, &frame, false)];
    assert_eq!(left.transmit.transmit(&mut burst).sent, 2);
    let mut received = 0;
    while received < 52_000 {
        let packets = receive(&mut *right.receive, &pool, 1);
        assert!(!packets.is_empty(), "{received} bytes");
        received += packets
            .iter()
            .map(|packet| payload_of(packet, outer_len).len())
            .sum::<usize>();
    }
    let statistics = left.uplink.statistics();
    assert_eq!((statistics.whole, statistics.whole_refused), (0, 1));
    underlay.left.ip(&["link", "set", &tap, "up"]).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    let mut burst = vec![unfinished(&pool, &frame, false)];
    assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
    assert_eq!(left.uplink.statistics().whole, 1, "it is used again");
}

#[test]
fn the_tap_is_found_again_and_goes_when_it_is_told_to() {
    const TEST: &str = "the_tap_is_found_again_and_goes_when_it_is_told_to";
    let Some(underlay) = Underlay::new(TEST) else {
        return;
    };
    let setting = |name: &str| underlay.left.run("sysctl", &["-n", name]).unwrap();
    let names = ["net.ipv4.ip_forward", "net.ipv4.conf.all.accept_local"];
    let settings_before = names.map(setting);
    let (mut found, mut identities) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let Some(end) = sender(TEST, &underlay.left, "10.9.0.1") else {
            return;
        };
        found.push(end.uplink.whole_through().unwrap().to_owned());
        assert_eq!(devices(&underlay.left), found[..1]);
        end.uplink.keep_tap().unwrap();
        identities.push(end.uplink.tap_identity());
    }
    assert_eq!(devices(&underlay.left), found[..1], "it stays for the next");
    assert!(identities.iter().all(|identity| *identity == identities[0]));
    let first = sender(TEST, &underlay.left, "10.9.0.1").unwrap();
    let second = sender(TEST, &underlay.left, "fd09::1").unwrap();
    assert_eq!(devices(&underlay.left).len(), 2, "an endpoint, a TAP");
    // The second was not kept.
    first.uplink.remove_tap_when_dropped();
    drop((first, second));
    assert_eq!(devices(&underlay.left), [""; 0]);
    assert_eq!(names.map(setting), settings_before);
}

#[test]
fn it_is_tried_beside_packets_that_flow_already() {
    const TEST: &str = "it_is_tried_beside_packets_that_flow_already";
    let Some(underlay) = Underlay::new(TEST) else {
        return;
    };
    let (from, to, outer_len) = FAMILIES[0];
    if sender(TEST, &underlay.left, from).is_none() {
        return;
    }
    let mut left = end(&UplinkSettings {
        large_segments: LargeSegments::Auto,
        ..settings(&underlay.left, from)
    });
    let mut right = end(&settings(&underlay.right, to));
    let pool = Pool::default();
    let frame = outer(from, to, 1, 0, &tcp_inner(false, &bytes(13_000)));
    let mut send = |left: &mut End| {
        let mut burst = vec![unfinished(&pool, &frame, false)];
        assert_eq!(left.transmit.transmit(&mut burst).sent, 1);
        let mut received = 0;
        while received < 13_000 {
            let packets = receive(&mut *right.receive, &pool, 1);
            assert!(!packets.is_empty(), "{received} bytes");
            received += packets
                .iter()
                .map(|packet| payload_of(packet, outer_len).len())
                .sum::<usize>();
        }
        left.uplink.statistics().whole
    };
    assert_eq!(send(&mut left), 0);
    assert_eq!(left.uplink.whole_through(), None);
    let (teller, told) = std::sync::mpsc::channel();
    let tell = move |found: Result<&str, String>| teller.send(found.map(str::to_owned)).unwrap();
    left.uplink.try_tap(tell).unwrap();
    let name = told
        .recv_timeout(std::time::Duration::from_secs(5))
        .unwrap()
        .unwrap();
    assert_eq!(left.uplink.whole_through(), Some(&*name));
    assert_eq!(send(&mut left), 1);
}

#[test]
fn without_the_right_to_it_the_uplink_says_why_and_sockets_work() {
    const TEST: &str = "without_the_right_to_it_the_uplink_says_why_and_sockets_work";
    let Some(underlay) = Underlay::new(TEST) else {
        return;
    };
    let (teller, told) = std::sync::mpsc::channel();
    let open = |large_segments| {
        let teller = teller.clone();
        underlay.left.enter(move || {
            give_up_capabilities();
            let settings = UplinkSettings {
                large_segments,
                ..UplinkSettings::new("10.9.0.1".parse().unwrap())
            };
            let uplink = Uplink::open(&settings)?;
            let tell = move |found: Result<&str, String>| teller.send(found.map(str::to_owned)).unwrap();
            uplink.try_tap(tell).unwrap();
            Ok::<_, anet_ports::PortError>(uplink)
        })
    };
    let mut auto = open(LargeSegments::Auto).unwrap().unwrap();
    let why = told
        .recv_timeout(std::time::Duration::from_secs(5))
        .unwrap()
        .unwrap_err();
    assert!(why.contains("CAP_NET_ADMIN"), "{why}");
    assert_eq!(auto.whole_through(), None);
    let pool = Pool::default();
    let mut right = end(&settings(&underlay.right, "10.9.0.2"));
    let inner = udp_inner(THEIRS, [10, 0, 0, 2], 53, b"x");
    let frame = outer("10.9.0.1", "10.9.0.2", 9, 0, &inner);
    let mut burst = vec![pool.copy_from(&frame).unwrap()];
    let mut queue = underlay.left.enter(|| auto.transmit_queue().unwrap()).unwrap();
    assert_eq!(queue.transmit(&mut burst).sent, 1);
    assert_eq!(receive(&mut *right.receive, &pool, 1).len(), 1);
    drop((auto, queue));
    let refused = || open(LargeSegments::Tap).unwrap().unwrap_err().to_string();
    let mut error = refused();
    // A process that another test is just starting may still hold the sockets that were closed here.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while error.contains("in use") && std::time::Instant::now() < deadline {
        error = refused();
    }
    assert!(
        error.contains("CAP_NET_ADMIN") && error.contains("sockets alone"),
        "{error}"
    );
}

/// Takes all capabilities from this thread, which must be about to end.
fn give_up_capabilities() {
    let header: [u32; 2] = [0x2008_0522, 0];
    let none = [0_u32; 6];
    // SAFETY: version 3 of capset(2) reads a header of two words and three words twice.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    assert_eq!(result, 0);
}
