//! Large segments: one cut into many packets, many merged into one.

use anet_packet::checksum;
use anet_packet::segment::{Cut, Layout, Merge};
use anet_packet::tcp::flag::{ACK, PSH};

use crate::fabric;

/// Two bytes of size and flags, then packets, each behind its length in two bytes.
pub fn seeds() -> Vec<Vec<u8>> {
    let packet = |n: u32, length: usize, flags| {
        fabric::tcp("a", "b", (9, 80), flags)
            .numbers(1000 + n * 100, 7)
            .payload(length)
            .build()
    };
    let six = |from: &str, to: &str| {
        anet_packet::testing::FrameBuilder::tcp(
            fabric::mac(from),
            fabric::mac(to),
            fabric::ipv6(from),
            fabric::ipv6(to),
            (9, 80),
        )
    };
    let sequences = [
        vec![packet(0, 100, ACK), packet(1, 100, ACK), packet(2, 50, ACK | PSH)],
        vec![packet(0, 900, ACK | PSH)],
        vec![fabric::udp("a", "b", (9, 53)).payload(700).build()],
        vec![
            six("a", "b").numbers(0, 0).payload(100).build(),
            six("a", "b").numbers(100, 0).payload(100).build(),
        ],
    ];
    let with_lengths = |packets: &Vec<Vec<u8>>| {
        let mut bytes = vec![0, 100];
        for packet in packets {
            bytes.extend((packet.len() as u16).to_be_bytes());
            bytes.extend(packet);
        }
        bytes
    };
    sequences.iter().map(with_lengths).collect()
}

/// What is cut adds up to what it was; what is merged is cut into what it was.
pub fn target(input: &[u8]) {
    let Some((&[ecn, size], mut rest)) = input.split_first_chunk() else {
        return;
    };
    let mut packets = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
        packets.push(&behind[..length]);
        rest = &behind[length..];
    }
    for packet in &packets {
        let _ = Layout::of(packet);
        cut(packet, u16::from(size), ecn & 1 == 1);
    }
    merge(&packets);
}

fn cut(frame: &[u8], size: u16, ecn: bool) -> Vec<Vec<u8>> {
    let Ok(cut) = Cut::new(frame, frame.len(), size, ecn) else {
        return Vec::new();
    };
    let payload = &frame[cut.header_len()..];
    let mut whole = 0;
    let pieces = (0..cut.count()).map(|index| {
        let part = &payload[cut.payload(index)];
        whole += part.len();
        let mut piece = vec![0; cut.header_len()];
        cut.write_headers(index, checksum::sum(part), &mut piece);
        piece.extend_from_slice(part);
        piece
    });
    let pieces: Vec<Vec<u8>> = pieces.collect();
    assert_eq!(whole, payload.len(), "every byte once");
    pieces
}

fn merge(packets: &[&[u8]]) {
    let Some((first, others)) = packets.split_first() else {
        return;
    };
    let Some(mut merge) = Merge::start(first, checksum::sum) else {
        return;
    };
    let header = merge.header_len();
    let mut whole = first.to_vec();
    let mut taken = vec![*first];
    for packet in others {
        if !merge.accept(first, packet, checksum::sum) {
            break;
        }
        whole.extend_from_slice(&packet[header..]);
        taken.push(packet);
    }
    let merged = merge.finish(&mut whole[..header]);
    assert_eq!(
        (merged.count, merged.payload_len),
        (taken.len(), whole.len() - header)
    );
    if merged.count < 2 || merged.size < anet_packet::segment::SIZE_MIN {
        return;
    }
    let again = cut(&whole, merged.size, merged.ecn);
    assert_eq!(again.len(), taken.len());
    for (ours, theirs) in again.iter().zip(taken) {
        // IPv4 identification and with it the header's checksum may differ: nobody needs them where nothing is fragmented.
        assert_eq!(ours.len(), theirs.len());
        assert_eq!(ours[26..], theirs[26..], "bytes behind the IP header's middle");
    }
}
