//! Linux's own VXLAN device as the other end.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anet_lab::KernelVxlan;
use anet_memory::buffer::{Buffer, Pool};
use anet_packet::addr::{Mac, Vni};

use crate::packets::{OURS, THEIRS, VNI, bytes, outer, udp_inner};
use crate::underlay::{FAMILIES, Underlay, end, receive, settings};

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
