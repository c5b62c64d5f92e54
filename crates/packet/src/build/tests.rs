//! What the switch builds, an independent parser takes, and our own checks hold.

use super::*;
use crate::addr::IpPrefix;
use crate::arp;
use crate::ndp::{AdvertisedPrefix, MessageOption, Ndp, option};
use crate::testing::FrameBuilder;
use crate::{Malformed, layout};
use etherparse::{PacketHeaders, TransportHeader};

const STATIONS: Stations = Stations {
    destination: Mac([2, 0, 0, 0, 0, 0xa]),
    source: Mac([2, 0, 0, 0, 0, 0xb]),
};
const A4: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const B4: Ipv4Addr = Ipv4Addr::new(10, 4, 5, 6);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 7);
const LINK: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Writes a frame; it must be legal, and a slice one byte shorter too short.
fn written(write: impl Fn(&mut [u8]) -> Result<usize, NoRoom>) -> Vec<u8> {
    let mut out = vec![0xee; 2000];
    let length = write(&mut out).unwrap();
    assert_eq!(write(&mut out[..length - 1]), Err(NoRoom { needed: length }));
    assert!(out[length..].iter().all(|b| *b == 0xee), "wrote behind the end");
    out.truncate(length);
    assert_eq!(layout(&out, length).map(|l| l.length as usize), Ok(length));
    out
}

#[test]
fn datagrams_have_right_checksums() {
    for n in [0, 1, 2, 301] {
        let payload = vec![0xa5; n];
        let (s, d) = (SocketAddrV4::new(A4, 67), SocketAddrV4::new(B4, 68));
        let frame = written(|out| udp(out, STATIONS, s.into(), d.into(), &payload));
        let headers = PacketHeaders::from_ethernet_slice(&frame).unwrap();
        let Some(TransportHeader::Udp(udp_header)) = headers.transport else {
            panic!("{headers:?}")
        };
        let ours = udp::Udp::parse(&frame[34..]).unwrap();
        let mut ip =
            etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::UDP, A4.octets(), B4.octets()).unwrap();
        ip.total_len = (28 + n) as u16;
        assert_eq!(
            ours.checksum(),
            udp_header.calc_checksum_ipv4(&ip, &payload).unwrap()
        );
        assert!(ours.checksum_is_valid(A4.into(), B4.into()) && ours.payload() == payload);

        let (s, d) = (
            SocketAddrV6::new(LINK, 547, 0, 0),
            SocketAddrV6::new(A6, 546, 0, 0),
        );
        let frame = written(|out| udp(out, STATIONS, s.into(), d.into(), &payload));
        assert!(
            udp::Udp::parse(&frame[54..])
                .unwrap()
                .checksum_is_valid(LINK.into(), A6.into())
        );
        assert!(
            udp(
                &mut [0; 600],
                STATIONS,
                s.into(),
                SocketAddr::new(B4.into(), 1),
                &payload
            )
            .is_err()
        );
    }
    let huge = vec![0; 65_508];
    let (s, d) = (SocketAddrV4::new(A4, 67), SocketAddrV4::new(B4, 68));
    assert!(udp_v4(&mut vec![0; 70_000], STATIONS, s, d, &huge).is_err());
    assert!(udp_v4(&mut vec![0; 70_000], STATIONS, s, d, &huge[1..]).is_ok());
}

#[test]
fn arp_replies() {
    let request = FrameBuilder::arp_request(STATIONS.destination, A4, B4).build();
    let asked = Arp::parse(&request[14..]).unwrap();
    let frame = written(|out| arp(out, STATIONS, &asked.reply(STATIONS.source)));
    let reply = Arp::parse(&frame[14..]).unwrap();
    assert_eq!(
        (reply.operation, reply.sender, reply.sender_mac),
        (arp::REPLY, B4, STATIONS.source)
    );
}

#[test]
fn icmp_errors_quote_within_bounds_and_sum_up() {
    let about = FrameBuilder::udp4(STATIONS.destination, STATIONS.source, A4, B4, 1, 2)
        .payload(1400)
        .build();
    let header = icmp::Header {
        kind: 3,
        code: icmp::unreachable::FRAGMENTATION_NEEDED,
        rest: [0, 0, 5, 0xaa],
    };
    let frame = written(|out| icmp_error(out, STATIONS, B4, A4, &header, &about[14..]));
    assert_eq!(frame.len(), 14 + 576);
    let message = icmp::Icmp::parse(&frame[34..]).unwrap();
    assert!(message.checksum_is_valid() && message.sequence() == 0x05aa);
    assert_eq!(message.quote(), Some(&about[14..14 + QUOTE_V4_MAX]));

    let about = FrameBuilder::udp6(STATIONS.destination, STATIONS.source, A6, LINK, 1, 2)
        .payload(1400)
        .build();
    let header = icmpv6::Header {
        kind: icmpv6::kind::PACKET_TOO_BIG,
        code: 0,
        rest: 1280u32.to_be_bytes(),
    };
    let frame = written(|out| icmpv6_error(out, STATIONS, LINK, A6, &header, &about[14..]));
    assert_eq!(frame.len(), 14 + 1280);
    let message = icmpv6::Icmpv6::parse(&frame[54..]).unwrap();
    assert!(message.checksum_is_valid(LINK, A6) && message.word() == 1280u32.to_be_bytes());
}

#[test]
fn errors_are_not_sent_about_what_they_must_not() {
    let (a, b) = (STATIONS.destination, STATIONS.source);
    let judge = |frame: &[u8]| may_cause_error(frame, &layout(frame, frame.len()).unwrap());
    assert!(judge(&FrameBuilder::udp4(a, b, A4, B4, 1, 2).build()));
    assert!(judge(
        &FrameBuilder::echo_request(a, b, A6.into(), LINK.into(), 1, 2).build()
    ));
    let error4 = FrameBuilder::icmp4(a, b, A4, B4, (3, 1), [0; 4])
        .payload(28)
        .build();
    let error6 = FrameBuilder::icmp6(a, b, A6, LINK, (1, 0), [0; 4])
        .payload(48)
        .build();
    let group = FrameBuilder::udp4(a, b, A4, Ipv4Addr::new(224, 0, 0, 9), 1, 2).build();
    let broadcast = FrameBuilder::udp4(a, Mac::BROADCAST, A4, B4, 1, 2).build();
    let nobody = FrameBuilder::udp4(a, b, Ipv4Addr::UNSPECIFIED, B4, 1, 2).build();
    let later = FrameBuilder::udp4(a, b, A4, B4, 1, 2)
        .payload(90)
        .fragments(48)
        .remove(1);
    let arp = FrameBuilder::arp_request(a, A4, B4).build();
    for frame in [error4, error6, group, broadcast, nobody, later, arp] {
        assert!(!judge(&frame), "{frame:02x?}");
    }
}

fn ndp_of(frame: &[u8]) -> Result<Option<Ndp<'_>>, Malformed> {
    let ip = Ipv6::parse(&frame[14..])?;
    assert!(icmpv6::Icmpv6::parse(&frame[54..])?.checksum_is_valid(ip.source(), ip.destination()));
    Ndp::parse(&ip, &frame[54..])
}

#[test]
fn neighbor_advertisements_are_read_back() {
    let advertisement = NeighborAdvertisement {
        target: LINK,
        mac: STATIONS.source,
        is_router: true,
        is_solicited: true,
        is_override: false,
    };
    let frame = written(|out| neighbor_advertisement(out, STATIONS, LINK, A6, &advertisement));
    let Some(Ndp::NeighborAdvertisement {
        target,
        is_router,
        is_solicited,
        is_override,
        options,
    }) = ndp_of(&frame).unwrap()
    else {
        panic!("no advertisement")
    };
    assert_eq!(
        (target, is_router, is_solicited, is_override),
        (LINK, true, true, false)
    );
    assert_eq!(
        (options.target_mac(), options.source_mac()),
        (Some(STATIONS.source), None)
    );
}

#[test]
fn router_advertisements_are_read_back() {
    let prefix = |text: &str| AdvertisedPrefix {
        prefix: text.parse::<IpPrefix>().unwrap(),
        is_on_link: true,
        is_autonomous: false,
        valid_seconds: 86_400,
        preferred_seconds: 14_400,
    };
    let prefixes = [prefix("fd00:1::/64"), prefix("10.0.0.0/8"), prefix("fd00:2::/48")];
    let advertisement = RouterAdvertisement {
        hop_limit: 64,
        is_managed: true,
        is_other: true,
        lifetime_seconds: 1800,
        mac: STATIONS.source,
        mtu: 1450,
        prefixes: &prefixes,
    };
    let frame = written(|out| router_advertisement(out, STATIONS, LINK, A6, &advertisement));
    assert_eq!(frame[58..60], [64, 0xc0]);
    let Some(Ndp::RouterAdvertisement {
        lifetime_seconds,
        options,
    }) = ndp_of(&frame).unwrap()
    else {
        panic!("no advertisement")
    };
    assert_eq!(
        (lifetime_seconds, options.source_mac()),
        (1800, Some(STATIONS.source))
    );
    let read: Vec<MessageOption<'_>> = options.collect();
    let kinds: Vec<u8> = read.iter().map(|o| o.kind).collect();
    assert_eq!(
        kinds,
        [
            option::SOURCE_LINK_LAYER,
            option::MTU,
            option::PREFIX,
            option::PREFIX
        ]
    );
    assert_eq!(crate::ndp::mtu(&read[1]), Some(1450));
    assert_eq!(read[3].data[..2], [48, 0x80]);
}

#[test]
fn discovery_that_breaks_rfc_4861_is_refused() {
    use Malformed::*;
    let mac = STATIONS.source;
    let solicitation = FrameBuilder::neighbor_solicitation(mac, A6, LINK);
    let good = solicitation.build();
    let parse = |frame: &[u8]| Ndp::parse(&Ipv6::parse(&frame[14..])?, &frame[54..]).map(|m| m.is_some());
    assert_eq!(parse(&good), Ok(true));
    assert_eq!(
        parse(&solicitation.clone().time_to_live(254).build()),
        Err(NdpForm)
    );
    let set = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        frame
    };
    assert_eq!(parse(&set(55, 1)), Err(NdpForm), "a code");
    assert_eq!(parse(&set(62, 0xff)), Err(NdpForm), "a multicast target");
    assert_eq!(parse(&set(79, 0)), Err(NdpOption), "an option of no length");
    assert_eq!(parse(&set(79, 2)), Err(NdpOption), "an option past the end");
    assert_eq!(parse(&good[..77]), Err(NdpTruncated));
    assert_eq!(parse(&set(54, 128)), Ok(false), "an echo");
    let mut probe = good.clone();
    probe[22..38].fill(0);
    assert_eq!(parse(&probe), Err(NdpForm), "a probe that tells a MAC");
    assert_eq!(
        parse(&FrameBuilder::neighbor_solicitation(mac, Ipv6Addr::UNSPECIFIED, LINK).build()),
        Ok(true)
    );
    let rogue = FrameBuilder::icmp6(mac, mac, A6, LINK, (134, 0), [0; 4])
        .payload_bytes(&[0; 8])
        .build();
    assert_eq!(
        parse(&rogue),
        Err(NdpForm),
        "a router's address that is not link-local"
    );
}
