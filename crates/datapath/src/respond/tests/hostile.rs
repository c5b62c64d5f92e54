//! Whatever is done to a frame, there is an outcome, no panic, and no reply beyond its bound.

use proptest::prelude::*;

use super::*;
use crate::respond::REPLY_MAX;

/// One good frame of each kind.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = vec![
        arp::request(GUEST_V4, OTHER_V4),
        neighbor::solicitation(OTHER_V6),
        neighbor::probe(OTHER_V6),
        neighbor::router_solicitation(),
        echo::echo_v4(GATEWAY_V4, SERVICE_MAC),
        echo::echo_v6(GATEWAY_V6),
        dhcp_v4::discover().frame(),
        dhcp_v4::select().frame(),
    ];
    frames.extend(dhcp_v6::conversations());
    frames
}

/// Asks with a checksum that counts as verified, so that a changed byte reaches the message's own checks.
fn ask(fixture: &Fixture, frame: &[u8]) -> Outcome {
    let mut out = Vec::new();
    let Ok(layout) = anet_packet::layout(frame, frame.len()) else {
        return Outcome::NotForUs;
    };
    let outcome = fixture.with_port(|port| {
        let request = Request {
            bytes: frame,
            layout: &layout,
            checksum: Checksum::Valid,
        };
        answer(request, port, |address| fixture.resolve(address), &mut out)
    });
    assert_eq!(
        !out.is_empty(),
        matches!(outcome, Outcome::Reply(_)),
        "{outcome:?}"
    );
    assert!(out.len() <= REPLY_MAX);
    if !out.is_empty() {
        anet_packet::layout(&out, out.len()).unwrap();
    }
    outcome
}

#[test]
fn good_frames_are_answered() {
    for (number, frame) in frames().iter().enumerate() {
        assert!(
            matches!(ask(&Fixture::default(), frame), Outcome::Reply(_)),
            "frame {number}"
        );
    }
}

#[test]
fn every_truncation_and_every_flipped_bit() {
    let fixture = Fixture::default();
    for frame in frames() {
        for length in 0..frame.len() {
            assert!(
                !matches!(ask(&fixture, &frame[..length]), Outcome::Reply(_)),
                "{length} bytes of {frame:?}"
            );
        }
        for bit in 0..frame.len() * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            ask(&fixture, &flipped);
        }
    }
}

#[test]
fn padding_is_no_part_of_a_message() {
    let fixture = Fixture::default();
    for frame in frames() {
        let mut padded = frame.clone();
        padded.extend([0xff; 30]);
        assert_eq!(fixture.answer(&padded), fixture.answer(&frame));
    }
}

#[test]
fn a_message_whose_end_is_not_in_the_head_is_refused() {
    let fixture = Fixture::default();
    for frame in frames() {
        let layout = anet_packet::layout(&frame, frame.len()).unwrap();
        for length in 0..frame.len() {
            let outcome = fixture.with_port(|port| {
                let request = Request {
                    bytes: &frame[..length],
                    layout: &layout,
                    checksum: Checksum::Valid,
                };
                answer(request, port, |address| fixture.resolve(address), &mut Vec::new())
            });
            assert!(
                !matches!(outcome, Outcome::Reply(_)),
                "{length} bytes: {outcome:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn overwritten_and_extended_frames(
        which in 0usize..1_000,
        at in 0usize..400,
        bytes in prop::collection::vec(any::<u8>(), 1..40),
        tail in prop::collection::vec(any::<u8>(), 0..200),
        stretch in any::<bool>(),
    ) {
        let frames = frames();
        let mut frame = frames[which % frames.len()].clone();
        for (to, from) in frame.iter_mut().skip(at).zip(&bytes) {
            *to = *from;
        }
        frame.extend(&tail);
        if stretch {
            stretch_to_end(&mut frame);
        }
        ask(&Fixture::default(), &frame);
    }

    #[test]
    fn arbitrary_messages(kind in 0usize..2, options in prop::collection::vec(any::<u8>(), 0..1_000)) {
        let base = if kind == 0 { dhcp_v4::discover().frame() } else { dhcp_v6::conversations()[0].clone() };
        let message_at = if kind == 0 { 42 + 240 } else { 62 + 4 };
        let mut frame = base[..message_at].to_vec();
        frame.extend(options);
        stretch_to_end(&mut frame);
        ask(&Fixture::default(), &frame);
    }
}

/// Makes the IP and UDP lengths, and the IPv4 header checksum, say that everything in the frame is payload.
fn stretch_to_end(frame: &mut [u8]) {
    let length = (frame.len() - 14) as u16;
    match frame[12..14] {
        [8, 0] => {
            frame[16..18].copy_from_slice(&length.to_be_bytes());
            frame[24..26].fill(0);
            let checksum = anet_packet::checksum::of(&frame[14..34]);
            frame[24..26].copy_from_slice(&checksum.to_be_bytes());
            if frame[23] == 17 {
                frame[38..40].copy_from_slice(&(length - 20).to_be_bytes());
            }
        }
        [0x86, 0xdd] => {
            frame[18..20].copy_from_slice(&(length - 40).to_be_bytes());
            if frame[20] == 17 {
                frame[58..60].copy_from_slice(&(length - 40).to_be_bytes());
            }
        }
        _ => {}
    }
}
