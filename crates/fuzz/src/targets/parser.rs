//! The parser: a frame's layout, its flow key, its tuple, the packet that an ICMP error quotes.

use anet_packet::flow_key::FlowKey;
use anet_packet::{Fragment, Tuple, layout};

use super::pipeline::frames;

/// Legal frames.
pub fn seeds() -> Vec<Vec<u8>> {
    frames()
}

/// Whole and cut after a buffer's least head; the fast way must never take what the slow one refuses, nor read it otherwise.
pub fn target(frame: &[u8]) {
    for head in [frame, &frame[..frame.len().min(256)]] {
        let slow = layout(head, frame.len());
        if let Some((key, brief)) = FlowKey::extract(7, head, frame.len()) {
            let slow = slow.expect("what has a key has a layout");
            assert_eq!((FlowKey::of(7, head, &slow), brief.layout(&key)), (key, slow));
            assert_eq!(Tuple::of(head, &slow), Some(Tuple::of_key(&key)));
        }
        let Ok(slow) = slow else { continue };
        assert!(slow.length as usize <= frame.len() && usize::from(slow.l4) <= head.len());
        let Some(tuple) = Tuple::of(head, &slow) else {
            assert!(!slow.is_ip());
            continue;
        };
        assert_eq!(tuple.reversed().reversed(), tuple);
        assert_eq!(tuple.symmetric_hash(3), tuple.reversed().symmetric_hash(3));
        let quoted = Tuple::of_embedded(&head[usize::from(slow.l3)..]);
        if slow.fragment == Fragment::None && slow.length as usize <= head.len() && tuple.protocol == 17 {
            assert_eq!(quoted, Ok(tuple), "a packet quoted whole is itself");
        }
    }
    let _ = Tuple::of_embedded(frame);
}
