//! The fast way says what the slow way says, or nothing.

use super::*;
use crate::addr::Mac;
use crate::layout;
use crate::testing::{FrameBuilder, generators};
use proptest::prelude::*;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);
const A4: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 3);
const B4: Ipv4Addr = Ipv4Addr::new(10, 4, 5, 6);
const A6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, 7);
const B6: Ipv6Addr = Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, 8);

/// Where the fast way answers, it agrees with the slow one; returns whether it answered.
fn agree(frame: &[u8], packet_len: usize) -> bool {
    let Some((key, brief)) = FlowKey::extract(7, frame, packet_len) else {
        return false;
    };
    let full = layout(frame, packet_len).expect("the slow way refuses what the fast way takes");
    assert_eq!(brief.layout(&key), full);
    assert_eq!(key.words, FlowKey::of(7, frame, &full).words);
    true
}

#[test]
fn words_are_where_the_page_says() {
    let frame = FrameBuilder::udp4(A, B, A4, B4, 0x1234, 0x5678).build();
    let (key, brief) = FlowKey::extract(0xdead_beef, &frame, frame.len()).unwrap();
    let words = [
        0xdead_beef_1104_0000,
        0x0200_0000_000a_1234,
        0x0200_0000_000b_5678,
        0x0a01_0203_0a04_0506,
        0,
        0,
        0,
    ];
    assert_eq!(key.words, words);
    assert_eq!((brief.length, brief.l4, brief.tcp_flags), (42, 34, 0));
    assert_eq!(
        (key.interface(), key.protocol(), key.ports(), key.len_words()),
        (0xdead_beef, 17, (0x1234, 0x5678), 4)
    );

    let frame = FrameBuilder::tcp6(A, B, A6, B6, 1, 2)
        .flags(0x18)
        .payload(5)
        .pad_to(100)
        .build();
    let (key, brief) = FlowKey::extract(1, &frame, frame.len()).unwrap();
    assert_eq!(key.words[0], 0x0000_0001_0606_0000);
    let addresses: Vec<u8> = key.words[3..].iter().flat_map(|w| w.to_be_bytes()).collect();
    assert_eq!(addresses, [A6.octets(), B6.octets()].concat());
    assert_eq!(
        (brief.length, brief.l4, brief.tcp_flags, key.len_words()),
        (79, 54, 0x18, 7)
    );
}

#[test]
fn icmp_keys_hold_identifier_type_and_code() {
    for (source, destination, kind) in [(IpAddr::V4(A4), IpAddr::V4(B4), 8), (A6.into(), B6.into(), 128)] {
        let frame = FrameBuilder::echo_request(A, B, source, destination, 0x77aa, 1).build();
        assert!(FlowKey::extract(1, &frame, frame.len()).is_none());
        let key = FlowKey::of(1, &frame, &layout(&frame, frame.len()).unwrap());
        assert_eq!(key.ports(), (0x77aa, kind << 8));
    }
    let error = FrameBuilder::icmp4(A, B, A4, B4, (3, 1), [0, 0, 9, 9])
        .payload(28)
        .build();
    let key = FlowKey::of(1, &error, &layout(&error, error.len()).unwrap());
    assert_eq!(key.ports(), (0, 0x0301));
}

#[test]
fn ordinary_packets_take_the_fast_way_and_unusual_ones_do_not() {
    let tcp = || FrameBuilder::tcp4(A, B, A4, B4, 1, 2);
    let udp = || FrameBuilder::udp6(A, B, A6, B6, 1, 2);
    for ordinary in [
        tcp(),
        tcp().payload(1400),
        tcp().tcp_options(&[1; 40]),
        udp(),
        udp().payload(3).pad_to(90),
    ] {
        let frame = ordinary.build();
        assert!(agree(&frame, frame.len()), "{ordinary:?}");
    }
    let hop_by_hop = udp().extension(protocol::HOP_BY_HOP, &[1, 4, 0, 0, 0, 0]);
    let vlan = tcp().vlan(crate::addr::Vlan::new(5).unwrap());
    for unusual in [
        tcp().flags(0x02),
        tcp().flags(0x11),
        tcp().flags(0x04),
        tcp().ipv4_options(&[1; 4]),
        hop_by_hop,
        vlan,
    ] {
        let frame = unusual.build();
        assert!(!agree(&frame, frame.len()), "{unusual:?}");
    }
    for fragment in tcp().payload(50).fragments(40) {
        assert!(!agree(&fragment, fragment.len()));
    }
}

#[test]
fn a_large_segment_is_judged_by_its_head() {
    let frame = FrameBuilder::tcp4(A, B, A4, B4, 1, 2).payload(65_495).build();
    assert_eq!(frame.len(), 14 + 65_535);
    assert!(agree(&frame[..256], frame.len()));
    assert!(FlowKey::extract(1, &frame[..256], frame.len() - 1).is_none());
}

#[test]
fn each_word_in_use_counts_in_equality_and_hash() {
    for family in [4u64, 6] {
        let mut key = FlowKey {
            words: [1, 2, 3, 4, 5, 6, 7],
        };
        key.words[0] = family << 16;
        for word in 0..7 {
            let mut other = key;
            other.words[word] ^= 1 << 40;
            let counts = word < key.len_words();
            assert_eq!(key != other, counts, "family {family} word {word}");
            assert_eq!(
                key.hash(9) != other.hash(9),
                counts,
                "family {family} word {word}"
            );
        }
        assert_ne!(key.hash(1), key.hash(2));
    }
}

/// Keys that differ by counting up in one or two fields, as real ones do, spread over buckets like random ones.
#[test]
fn hashes_of_neighbouring_keys_spread() {
    let frame = FrameBuilder::udp4(A, B, A4, B4, 0, 0).build();
    let (base, _) = FlowKey::extract(1, &frame, frame.len()).unwrap();
    let vary: [fn(&mut FlowKey, u64); 4] = [
        |key, i| key.words[1] += i,
        |key, i| key.words[3] += i << 32,
        |key, i| key.words[3] += i,
        |key, i| key.words[2] += i & 0xff | i >> 8 << 20,
    ];
    let n = 1 << 14;
    for (which, change) in vary.into_iter().enumerate() {
        for shift in [0, 24, 50] {
            let buckets: HashSet<u64> = (0..n)
                .map(|i| {
                    let mut key = base;
                    change(&mut key, i);
                    key.hash(0x1234_5678_9abc_def0) >> shift & (n - 1)
                })
                .collect();
            // n balls in n buckets leave 1/e of them empty: 63.2 % are hit.
            let hit = buckets.len() as f64 / n as f64;
            assert!(hit > 0.60, "change {which} bits {shift}: {hit}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_ordinary_frame_takes_the_fast_way(builder in generators::ordinary()) {
        let frame = builder.build();
        prop_assert!(agree(&frame, frame.len()));
    }

    #[test]
    fn legal_frames_agree(frame in generators::frame()) {
        agree(&frame, frame.len());
    }

    #[test]
    fn spoilt_frames_agree(frame in generators::spoilt_with_checksum(), less in 0usize..40) {
        agree(&frame, frame.len());
        // A claimed length that is not that of the head.
        agree(&frame, frame.len() + less);
        agree(&frame, frame.len().saturating_sub(less));
    }
}
