//! Devices come, go, and are refused.

use anet_memory::buffer::Pool;
use anet_ports::dpdk::{DpdkPort, Environment, Role};
use anet_ports::{Port, PortError, ReceiveQueue};

use crate::{Opened, device, settings, skipped};

#[test]
fn a_wrong_device_is_one_line_and_other_ports_go_on() {
    if skipped("a_wrong_device_is_one_line_and_other_ports_go_on") {
        return;
    }
    let mut good = Opened::new(&settings(&device("net_ring")));
    for wrong in [
        "net_nonsense0",
        "net_af_packet77,iface=nowhere",
        "0000:99:00.0",
        "",
        "net_null5,size=-1x",
        "class=eth",
        "bus=vdev,name=net_null3/class=eth",
        "net_failsafe0,exec(true)",
    ] {
        let error = DpdkPort::open(&settings(wrong)).err();
        let error = error.unwrap_or_else(|| panic!("`{wrong}` was opened"));
        let line = error.to_string();
        assert!(line.contains(&format!("`{wrong}` was refused")), "{line}");
        assert!(!line.contains('\n'), "{line}");
        let frame = good.pool.copy_from(&[7; 64]).unwrap();
        good.send(vec![frame]);
        assert_eq!(good.receive().len(), 1);
    }
}

#[test]
fn ports_come_and_go_and_their_memory_comes_back() {
    if skipped("ports_come_and_go_and_their_memory_comes_back") {
        return;
    }
    // Far more than there is memory for at one time.
    for turn in 0..60_u8 {
        let mut opened = Opened::new(&settings(&device("net_ring")));
        let frame = opened.pool.copy_from(&[turn; 100]).unwrap();
        opened.send(vec![frame]);
        let received = opened.receive();
        assert_eq!(received[0].head(), [turn; 100]);
        let Opened {
            receive,
            transmit,
            port,
            ..
        } = opened;
        // Buffers outlive their port, and queues too.
        drop(port);
        drop((receive, transmit));
        assert_eq!(received[0].head(), [turn; 100]);
    }
}

#[test]
fn a_device_that_another_port_has_is_refused_and_goes_on() {
    if skipped("a_device_that_another_port_has_is_refused_and_goes_on") {
        return;
    }
    let name = device("net_ring");
    let mut first = Opened::new(&settings(&name));
    for same in [name.clone(), format!("{name},x=1"), format!("vdev:{name}")] {
        let refused = DpdkPort::open(&settings(&same)).err();
        let refused = refused.unwrap_or_else(|| panic!("{same} was opened")).to_string();
        assert!(refused.contains("was refused"), "{refused}");
        let frame = first.pool.copy_from(&[5; 64]).unwrap();
        first.send(vec![frame]);
        assert_eq!(first.receive().len(), 1, "{same}");
    }
}

#[test]
fn the_same_device_again_is_the_same_after_it_was_closed() {
    if skipped("the_same_device_again_is_the_same_after_it_was_closed") {
        return;
    }
    let name = device("net_null");
    for _ in 0..3 {
        let port = DpdkPort::open(&settings(&name)).unwrap();
        assert_eq!((port.driver(), port.receive_queues()), ("net_null", 1));
    }
}

#[test]
fn a_queue_has_one_owner_at_a_time() {
    if skipped("a_queue_has_one_owner_at_a_time") {
        return;
    }
    let mut wanted = settings(&device("net_null"));
    (wanted.receive_queues, wanted.transmit_queues) = (2, 2);
    let mut port = DpdkPort::open(&wanted).unwrap();
    let first = port.receive_queue(0).unwrap();
    assert!(matches!(
        port.receive_queue(0),
        Err(PortError::NoQueue { queue: 0, .. })
    ));
    assert!(matches!(
        port.receive_queue(2),
        Err(PortError::NoQueue { queue: 2, .. })
    ));
    drop(first);
    assert!(port.receive_queue(0).is_ok());
    let queues = (port.transmit_queue().unwrap(), port.transmit_queue().unwrap());
    assert!(matches!(port.transmit_queue(), Err(PortError::NoQueue { .. })));
    drop(queues);
    assert!(port.transmit_queue().is_ok());
}

#[test]
fn two_threads_poll_two_queues_of_one_device() {
    if skipped("two_threads_poll_two_queues_of_one_device") {
        return;
    }
    let mut wanted = settings(&format!("{},size=100", device("net_null")));
    (wanted.receive_queues, wanted.transmit_queues) = (2, 2);
    let mut port = DpdkPort::open(&wanted).unwrap();
    let poll = |mut queue: Box<dyn ReceiveQueue>, mut out: Box<dyn anet_ports::TransmitQueue>| {
        move || {
            let (pool, mut burst, mut frames) = (Pool::default(), Vec::new(), 0);
            for _ in 0..2_000 {
                let got = queue.receive(&pool, &mut burst, 32).unwrap();
                assert!(
                    burst
                        .iter()
                        .all(|frame| frame.len() == 100 && frame.headroom() == 128)
                );
                assert_eq!(out.transmit(&mut burst).sent, got as u32);
                frames += got;
            }
            frames
        }
    };
    let pairs: Vec<_> = (0..2)
        .map(|n| (port.receive_queue(n).unwrap(), port.transmit_queue().unwrap()))
        .collect();
    let threads: Vec<_> = pairs
        .into_iter()
        .map(|(queue, out)| std::thread::spawn(poll(queue, out)))
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 64_000);
    }
}

#[test]
fn workers_share_the_queues_of_a_device_that_has_too_few() {
    if skipped("workers_share_the_queues_of_a_device_that_has_too_few") {
        return;
    }
    let mut wanted = settings(&device("net_ring"));
    // A ring has sixteen.
    wanted.transmit_queues = 20;
    let mut port = DpdkPort::open(&wanted).unwrap();
    let mut queues: Vec<_> = (0..20).map(|_| port.transmit_queue().unwrap()).collect();
    assert!(port.transmit_queue().is_err());
    let mut receive = port.receive_queue(0).unwrap();
    let (pool, mut burst) = (Pool::default(), Vec::new());
    // The first and the seventeenth lead to the same queue of the device, whose ring comes back as the first one's.
    let senders = [queues.swap_remove(16), queues.swap_remove(0)].map(|mut queue| {
        std::thread::spawn(move || {
            let pool = Pool::default();
            (0..200_u32)
                .map(|n| {
                    queue
                        .transmit(&mut vec![pool.copy_from(&[n as u8; 60]).unwrap()])
                        .sent
                })
                .sum::<u32>()
        })
    });
    let sent: u32 = senders.map(|thread| thread.join().unwrap()).iter().sum();
    while receive.receive(&pool, &mut burst, 32).unwrap() > 0 {}
    assert_eq!((sent, burst.len()), (400, 400));
}

#[test]
fn the_environment_names_itself() {
    if skipped("the_environment_names_itself") {
        return;
    }
    let environment = Environment::get().unwrap();
    assert!(
        environment.version().starts_with("DPDK"),
        "{}",
        environment.version()
    );
    assert!(environment.shim_path().exists());
    let mut port = DpdkPort::open(&settings(&device("net_ring"))).unwrap();
    assert_eq!(port.link().unwrap().mtu, 1500);
    assert_eq!(settings("x").role, Role::Guest);
}
