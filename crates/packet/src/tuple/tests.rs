//! Both directions of a connection are one, and errors find the one that they are about.

use super::*;
use crate::addr::Mac;
use crate::layout;
use crate::testing::{FrameBuilder, generators};
use proptest::prelude::*;
use std::collections::HashSet;

const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

fn tuple(frame: &[u8]) -> Tuple {
    Tuple::of(frame, &layout(frame, frame.len()).unwrap()).unwrap()
}

fn families() -> [(IpAddr, IpAddr); 2] {
    let pair = |a: &str, b: &str| (a.parse().unwrap(), b.parse().unwrap());
    [pair("10.0.0.1", "10.0.0.2"), pair("fd00::1", "fd00::2")]
}

#[test]
fn a_reply_is_the_request_reversed() {
    for (a, b) in families() {
        let there = tuple(&FrameBuilder::tcp(A, B, a, b, (4000, 80)).build());
        let back = tuple(&FrameBuilder::tcp(B, A, b, a, (80, 4000)).build());
        assert_eq!(back.reversed(), there);
        assert_ne!(back, there);
        assert_eq!((there.source_address(), there.destination_address()), (a, b));

        let request = tuple(&FrameBuilder::echo_request(A, B, a, b, 99, 1).build());
        let reply = tuple(&FrameBuilder::echo_reply(B, A, b, a, 99, 1).build());
        assert_eq!(reply.reversed(), request);
        assert_eq!(reply.symmetric_hash(5), request.symmetric_hash(5));
        let stranger = tuple(&FrameBuilder::echo_reply(B, A, b, a, 98, 1).build());
        assert_ne!(stranger.reversed(), request);
    }
}

#[test]
fn echoes_are_no_other_messages() {
    let (a, b) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let timestamp = tuple(&FrameBuilder::icmp4(A, B, a, b, (13, 0), [0; 4]).build());
    let echo = tuple(&FrameBuilder::echo_request(A, B, a.into(), b.into(), 0, 0).build());
    assert_ne!(timestamp, echo);
    assert_eq!((timestamp.icmp_type, timestamp.source_port), (13, 0));
}

#[test]
fn eight_quoted_bytes_are_enough_and_seven_are_not() {
    for (a, b) in families() {
        let header = if a.is_ipv4() { 20 } else { 40 };
        let frames = [
            FrameBuilder::udp(A, B, a, b, (7, 8)).payload(30),
            FrameBuilder::tcp(A, B, a, b, (7, 8)).payload(30),
            FrameBuilder::echo_request(A, B, a, b, 44, 1).payload(30),
        ];
        for frame in frames.map(|f| f.build()) {
            let packet = &frame[14..];
            assert_eq!(Tuple::of_embedded(&packet[..header + 8]), Ok(tuple(&frame)));
            assert_eq!(
                Tuple::of_embedded(&packet[..header + 7]),
                Err(Malformed::IcmpQuote)
            );
        }
    }
    assert_eq!(Tuple::of_embedded(&[]), Err(Malformed::IcmpQuote));
}

#[test]
fn quoted_fragments_tell_only_with_their_ports() {
    for (a, b) in families() {
        let pieces = FrameBuilder::udp(A, B, a, b, (7, 8)).payload(100).fragments(64);
        assert_eq!(Tuple::of_embedded(&pieces[0][14..]).map(|t| t.source_port), Ok(7));
        assert_eq!(Tuple::of_embedded(&pieces[1][14..]), Err(Malformed::IcmpQuote));
    }
}

#[test]
fn hashes_of_neighbouring_tuples_spread() {
    let (a, b) = families()[0];
    let base = tuple(&FrameBuilder::udp(A, B, a, b, (0, 0)).build());
    let n = 1u64 << 14;
    let ports = |i: u64| Tuple {
        source_port: i as u16,
        ..base
    };
    let hosts = |i: u64| Tuple {
        destination: base.destination + u128::from(i),
        ..base
    };
    let vary: [&dyn Fn(u64) -> Tuple; 2] = [&ports, &hosts];
    for make in vary {
        for shift in [0, 30, 50] {
            let buckets: HashSet<u64> = (0..n)
                .map(|i| make(i).symmetric_hash(77) >> shift & (n - 1))
                .collect();
            let hit = buckets.len() as f64 / n as f64;
            assert!(hit > 0.60, "bits {shift}: {hit}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn directions_share_a_hash(builder in generators::ordinary(), seed in any::<u64>()) {
        let there = tuple(&builder.build());
        prop_assert_eq!(there.symmetric_hash(seed), there.reversed().symmetric_hash(seed));
        prop_assert_eq!(there.reversed().reversed(), there);
    }

    #[test]
    fn an_error_quotes_its_connection(about in generators::ordinary(), cut in 0usize..40) {
        let frame = about.build();
        let needed = if frame[12] == 8 { 28 } else { 48 };
        let quote = &frame[14..(14 + needed).max(frame.len() - cut)];
        prop_assert_eq!(Tuple::of_embedded(quote), Ok(tuple(&frame)));
    }
}
