//! Captures of every make, and hostile ones.

use super::*;
use proptest::prelude::*;

/// A capture as another machine would write it.
fn capture(swapped: bool, magic: u32, records: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let number = |n: u32| {
        if swapped {
            n.swap_bytes().to_ne_bytes()
        } else {
            n.to_ne_bytes()
        }
    };
    let mut bytes: Vec<u8> = [magic, 0x0004_0002, 0, 0, 65_535, 1]
        .into_iter()
        .flat_map(number)
        .collect();
    for (seconds, fraction, packet) in records {
        let len = packet.len() as u32;
        bytes.extend([*seconds, *fraction, len, len + 1].into_iter().flat_map(number));
        bytes.extend_from_slice(packet);
    }
    bytes
}

#[test]
fn both_byte_orders_and_both_clocks_are_read() {
    for (swapped, magic, expected) in [
        (false, MICROSECONDS, 5_000_007_000),
        (true, MICROSECONDS, 5_000_007_000),
        (false, NANOSECONDS, 5_000_000_007),
        (true, NANOSECONDS, 5_000_000_007_u64),
    ] {
        let bytes = capture(swapped, magic, &[(5, 7, &[1, 2, 3]), (6, 0, &[])]);
        let mut reader = Reader::new(&bytes[..]).unwrap();
        let mut packet = vec![9; 9];
        let record = reader.next_record(&mut packet).unwrap();
        assert_eq!(
            (record, &packet[..]),
            (
                Some(Record {
                    at_ns: expected,
                    original_len: 4
                }),
                &[1, 2, 3][..]
            )
        );
        assert!(reader.next_record(&mut packet).unwrap().is_some() && packet.is_empty());
        assert!(reader.next_record(&mut packet).unwrap().is_none());
    }
}

#[test]
fn a_hostile_file_is_an_error_that_says_where() {
    let good = capture(false, NANOSECONDS, &[(1, 1, &[1; 100])]);
    let error = |bytes: &[u8]| {
        let mut packet = Vec::new();
        let found = Reader::new(bytes).and_then(|mut reader| {
            while reader.next_record(&mut packet)?.is_some() {}
            Ok(())
        });
        found.unwrap_err().to_string()
    };
    assert!(error(&[]).contains("not a capture file"));
    assert!(error(&[0x0a; 24]).contains("editcap"));
    assert!(error(&good[..23]).contains("cut off"));
    assert!(error(&good[..100]).contains("byte 24"));
    assert!(error(&good[..40]).contains("cut off"));
    let mut long = good.clone();
    long[32..36].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert!(error(&long).contains("claims 4294967295 bytes"));
    let mut other = good;
    other[20] = 101;
    assert!(error(&other).contains("only Ethernet"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_file_panics_or_takes_unbounded_memory(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), known: bool) {
        if known && bytes.len() >= 24 {
            bytes[..24].copy_from_slice(&file_header());
        }
        let mut packet = Vec::new();
        if let Ok(mut reader) = Reader::new(&bytes[..]) {
            while let Ok(Some(_)) = reader.next_record(&mut packet) {}
            prop_assert!(packet.capacity() <= 2 * RECORD_MAX as usize);
        }
    }
}

#[test]
fn what_a_port_writes_it_can_read() {
    let path = std::env::temp_dir().join(format!("anet-pcap-{}.pcap", std::process::id()));
    let pool = Pool::default();
    let frames = [vec![1; 60], vec![2; 1984], vec![3; 65_000]];
    let mut port = PcapPort::open("p", None, Some(&path)).unwrap();
    let mut outputs = [port.transmit_queue().unwrap(), port.transmit_queue().unwrap()];
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!(
            outputs[i % 2]
                .transmit(&mut vec![pool.copy_from(frame).unwrap()])
                .sent,
            1
        );
    }
    let mut port = PcapPort::open("p", Some(&path), None).unwrap();
    let mut input = port.receive_queue(0).unwrap();
    let mut burst = Vec::new();
    assert_eq!(input.receive(&pool, &mut burst, 8).unwrap(), 3);
    assert_eq!(input.receive(&pool, &mut burst, 8).unwrap(), 0);
    assert!(
        burst
            .iter()
            .zip(frames)
            .all(|(buffer, frame)| buffer.to_vec() == frame)
    );
    std::fs::remove_file(path).unwrap();
    assert!(
        PcapPort::open("p", Some(Path::new("/none/such")), None)
            .unwrap_err()
            .to_string()
            .contains("/none/such")
    );
}
