//! What the generator is told: a text of lines `key = value` (`generator/configuration.h` reads it).

use std::fmt::Write as _;

use super::scene;

/// In which order flows come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// One after the other.
    Sequential,
    /// At random, each as likely as any other.
    Random,
    /// Every packet opens a flow that was not there before.
    New,
}

/// One of two, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Forward; IPv4; UDP.
    First,
    /// Reverse; IPv6; TCP.
    Second,
    /// Both.
    Both,
}

impl Choice {
    fn word(self, words: [&'static str; 2]) -> &'static str {
        match self {
            Self::First => words[0],
            Self::Second => words[1],
            Self::Both => "both",
        }
    }
}

/// What is generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// `false`: nothing.
    pub run: bool,
    /// Every flow once in each direction, before the measured order begins.
    pub establish: bool,
    /// VXLAN on the underlay's side; else plain frames on both sides.
    pub tunnelled: bool,
    /// Every byte that comes out is looked at. Not for timing.
    pub check: bool,
    /// Packets of the reverse direction of every other flow come on another queue than it forward ones.
    pub crossed: bool,
    /// The order.
    pub order: Order,
    /// From the guest, to the guest, or both.
    pub direction: Choice,
    /// IPv4, IPv6 or both.
    pub family: Choice,
    /// UDP, TCP or both.
    pub protocol: Choice,
    /// How many flows.
    pub flows: u32,
    /// Every so many-th flow goes to a port that no rule allows; 0: none.
    pub forbidden_every: u32,
    /// Bytes of an inner frame without its check sequence, 1518 at most; 0: IMIX. Never less than headers and mark need.
    pub size: u32,
    /// Remote stations, a power of two.
    pub peers: u32,
    /// Packets per second and direction; 0: as fast as the program takes them.
    pub pace: u32,
    /// The same while flows are established.
    pub establish_pace: u32,
    /// Receive queues of each device.
    pub queues: u32,
}

impl Traffic {
    /// 64-byte UDP over IPv4 from the guest, flows at random, nothing forbidden, as fast as it goes.
    pub fn forward(flows: u32) -> Self {
        Self {
            run: true,
            establish: true,
            tunnelled: true,
            check: false,
            crossed: false,
            order: Order::Random,
            direction: Choice::First,
            family: Choice::First,
            protocol: Choice::First,
            flows,
            forbidden_every: 0,
            size: 64,
            peers: scene::PEERS,
            pace: 0,
            establish_pace: 0,
            queues: 1,
        }
    }

    /// Nothing at all, but with as many queues as later.
    pub fn paused(queues: u32) -> Self {
        Self {
            run: false,
            queues,
            ..Self::forward(2 * queues)
        }
    }

    /// The text. `generation` comes back in the results once it is in force.
    pub fn to_text(&self, generation: u64) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            _ = writeln!(text, "{key} = {value}");
        };
        line("generation", &generation);
        line("guest", &scene::GUEST_DEVICE);
        line("underlay", &scene::UNDERLAY_DEVICE);
        line("queues", &self.queues);
        line("run", &yes_or_no(self.run));
        line("establish", &yes_or_no(self.establish));
        line("tunnelled", &yes_or_no(self.tunnelled));
        line("check", &yes_or_no(self.check));
        line("crossed", &yes_or_no(self.crossed));
        line("order", &order_word(self.order));
        line("direction", &self.direction.word(["forward", "reverse"]));
        line("family", &self.family.word(["ipv4", "ipv6"]));
        line("protocol", &self.protocol.word(["udp", "tcp"]));
        line("flows", &self.flows);
        line("forbidden_every", &self.forbidden_every);
        line("size", &self.size);
        line("peers", &self.peers);
        line("pace", &self.pace);
        line("establish_pace", &self.establish_pace);
        addresses(&mut line);
        text
    }
}

fn addresses(line: &mut dyn FnMut(&str, &dyn std::fmt::Display)) {
    line("guest_mac", &scene::GUEST_MAC);
    line("guest_ipv4", &scene::GUEST_IPV4);
    line("guest_ipv6", &scene::GUEST_IPV6);
    line("peer_mac", &scene::PEER_MAC);
    line("peer_ipv4", &scene::PEER_IPV4);
    line("peer_ipv6", &scene::PEER_IPV6);
    line("local_mac", &scene::LOCAL_MAC);
    line("local_ipv4", &scene::LOCAL_IPV4);
    line("remote_mac", &scene::REMOTE_MAC);
    line("remote_ipv4", &scene::REMOTE_IPV4);
    line("vni", &scene::VNI);
    line("udp_port", &scene::UDP_PORT);
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn order_word(order: Order) -> &'static str {
    match order {
        Order::Sequential => "sequential",
        Order::Random => "random",
        Order::New => "new",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_one_that_the_generator_knows() {
        let known = include_str!("../../generator/configuration.c");
        let text = Traffic::forward(1000).to_text(7);
        let mut keys: Vec<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once(" = ")?.0))
            .collect();
        for key in &keys {
            assert!(known.contains(&format!("KEY({key}, ")), "{key}");
        }
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(
            keys.len(),
            known.matches("KEY(").count() - 1,
            "each key once, none left out"
        );
    }

    #[test]
    fn words_are_the_generators() {
        let traffic = Traffic {
            direction: Choice::Second,
            family: Choice::Both,
            protocol: Choice::First,
            order: Order::New,
            ..Traffic::paused(2)
        };
        let text = traffic.to_text(3);
        for line in [
            "generation = 3",
            "run = no",
            "direction = reverse",
            "family = both",
            "protocol = udp",
            "order = new",
            "queues = 2",
            "flows = 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
