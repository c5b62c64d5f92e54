//! Datagrams over loopback sockets: joined where they may be, each as it was.

use super::super::socket::Role;
use super::*;
use std::net::UdpSocket;
use std::time::Duration;

struct Loopback {
    sockets: Vec<Socket>,
    receiver: UdpSocket,
    storage: Storage,
}

impl Loopback {
    fn new(joins: bool) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let sockets = (0..2).map(|_| Socket::bind(any, Role::Send).unwrap()).collect();
        let receiver = UdpSocket::bind(any).unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        Self {
            sockets,
            receiver,
            storage: Storage::new(joins),
        }
    }

    fn route(&self, socket: usize) -> Route {
        let destination = self.receiver.local_addr().unwrap();
        Route {
            socket,
            destination,
            traffic_class: 0,
            time_to_live: 9,
        }
    }

    fn next(&self) -> Vec<u8> {
        let mut room = vec![0; 70_000];
        let (len, _) = self.receiver.recv_from(&mut room).unwrap();
        room.truncate(len);
        room
    }
}

/// Sends `payloads`, each behind two bytes of header, and gives what came and how many trains it took.
fn send(joins: bool, payloads: &[Vec<u8>]) -> (Vec<Vec<u8>>, usize) {
    let mut loopback = Loopback::new(joins);
    let route = loopback.route(1);
    let mut outgoing = Outgoing::new(&mut loopback.storage, &loopback.sockets);
    for (index, payload) in payloads.iter().enumerate() {
        outgoing.begin_frame();
        let header = (index as u16).to_be_bytes();
        let (first, second) = payload.split_at(payload.len() / 2);
        let slices = [first, second].into_iter();
        outgoing
            .push(route, 2, |to| to.copy_from_slice(&header), slices)
            .unwrap();
    }
    let trains = outgoing.storage.trains.len();
    assert_eq!(outgoing.finish(), Sent::default());
    (payloads.iter().map(|_| loopback.next()).collect(), trains)
}

fn check(joins: bool, sizes: &[usize], trains: usize) {
    let payloads: Vec<Vec<u8>> = sizes.iter().map(|size| vec![*size as u8; *size]).collect();
    let (received, took) = send(joins, &payloads);
    for (index, (received, payload)) in received.iter().zip(&payloads).enumerate() {
        assert_eq!(received[..2], (index as u16).to_be_bytes());
        assert_eq!(received[2..], payload[..]);
    }
    assert_eq!(took, trains, "{sizes:?}");
}

#[test]
fn equal_datagrams_are_one_train_and_only_the_last_may_be_shorter() {
    check(true, &[100, 100, 100], 1);
    check(true, &[100, 100, 40], 1);
    check(true, &[100, 40, 100, 100], 2);
    check(true, &[40, 100], 2);
    check(true, &[30_000, 30_000, 30_000], 2);
    check(true, &[10; 65], 2);
}

#[test]
fn without_trains_each_datagram_goes_alone() {
    check(false, &[100, 100, 40], 3);
    // More than are kept under way: some have gone before the last is pushed.
    check(false, &[50; MESSAGES + 6], 6);
}

#[test]
fn other_routes_are_other_trains() {
    let mut loopback = Loopback::new(true);
    let routes = [
        loopback.route(0),
        loopback.route(1),
        Route {
            traffic_class: 3,
            ..loopback.route(1)
        },
    ];
    let payload = [7; 20];
    let mut outgoing = Outgoing::new(&mut loopback.storage, &loopback.sockets);
    for route in routes {
        outgoing.begin_frame();
        outgoing
            .push(route, 0, |_| (), [&payload[..]].into_iter())
            .unwrap();
    }
    assert_eq!(outgoing.storage.trains.len(), 3);
    assert_eq!(outgoing.finish(), Sent::default());
    routes.iter().for_each(|_| assert_eq!(loopback.next(), payload));
}

#[test]
fn what_no_message_can_hold_is_refused() {
    let mut loopback = Loopback::new(true);
    let route = loopback.route(0);
    let (byte, long) = ([1], vec![0; 65_508]);
    let mut outgoing = Outgoing::new(&mut loopback.storage, &loopback.sockets);
    let slices = std::iter::repeat_n(&byte[..], SLICES_MAX);
    assert_eq!(
        outgoing.push(route, 1, |_| (), slices.clone()),
        Err(TooManySlices)
    );
    assert_eq!(outgoing.push(route, 0, |_| (), slices), Ok(()));
    outgoing.begin_frame();
    outgoing.push(route, 0, |_| (), [&long[..]].into_iter()).unwrap();
    assert_eq!(
        outgoing.finish(),
        Sent {
            too_big: 1,
            ..Sent::default()
        }
    );
    assert_eq!(loopback.next(), [1; SLICES_MAX]);
}
