//! Which ports are to be open, which are, and when the others are tried again.
//!
//! Pure: whoever calls opens and closes, and tells what came of it; time is an argument in nanoseconds. A port that cannot
//! be opened is tried again after a pause that grows to a second, and keeps no other one waiting.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anet_model::host_plan::{Attachment, HostPlan, PortId};
use anet_packet::addr::Mac;
use anet_wire::control::report::{LinkState, PortState};

use super::tables::TableBuilder;

const FIRST_PAUSE: u64 = 50_000_000;
const LONGEST_PAUSE: u64 = 1_000_000_000;

/// Inner Ethernet, VXLAN, UDP and the longer outer IP header: IPv6's.
const TUNNEL_OVERHEAD: u32 = 14 + 8 + 8 + 40;

/// The name of the tunnel among ports in reports.
pub const TUNNEL: &str = "tunnel";

/// What is attached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The underlay.
    Uplink,
    /// A guest's port.
    Guest(PortId),
}

/// The device behind a port. With another device it is another port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// UDP sockets of the tunnel endpoint.
    Tunnel {
        /// Its address.
        address: IpAddr,
        /// Its UDP port.
        udp_port: u16,
    },
    /// A TAP that we hold.
    Tap {
        /// Index in the tables.
        index: u32,
        /// The interface.
        interface: String,
        /// Its namespace's path.
        netns: Option<String>,
        /// The guest's MAC, which the interface gets.
        mac: Mac,
    },
    /// A device whose other side somebody else holds.
    Packet {
        /// Index in the tables.
        index: u32,
        /// The interface.
        interface: String,
        /// Its namespace's path.
        netns: Option<String>,
    },
    /// A guest's, opened through DPDK.
    Dpdk {
        /// Index in the tables.
        index: u32,
        /// The device.
        device: String,
        /// Its buffers are made for this MTU.
        mtu: u32,
    },
    /// The underlay's, opened through DPDK.
    DpdkTunnel {
        /// The device.
        device: String,
        /// What the longest packet of any network needs with its tunnel header.
        mtu: u32,
    },
    /// None.
    Nothing,
}

/// What of a port can change while it stays open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// The network's MTU; 0 for the underlay, whose MTU is not ours.
    pub mtu: u32,
    /// False: administratively down.
    pub up: bool,
}

/// A port as the plan wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its device.
    pub device: Device,
    /// Its settings.
    pub settings: Settings,
}

/// What is to be done now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// To be closed before the tables change; their devices are not in the plan any more.
    pub close: Vec<Key>,
    /// Open, and to get these settings once the tables have changed.
    pub configure: Vec<(Key, Settings)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// To be opened at this time.
    Due {
        at: u64,
        attempts: u32,
        error: String,
    },
    /// Handed to the workers under this generation.
    Open(u64),
    Detached,
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    state: State,
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Attachments {
    entries: BTreeMap<Key, Entry>,
    generation: u64,
}

impl Attachments {
    /// Takes a new plan in, for which `builder` has already given out indexes.
    pub fn follow(&mut self, plan: &HostPlan, builder: &TableBuilder, now: u64) -> Steps {
        let wanted = wanted_by(plan, builder);
        let mut steps = Steps::default();
        self.entries.retain(|key, entry| {
            let same = wanted.get(key).filter(|new| new.device == entry.wanted.device);
            // One with another device is made anew below.
            match same {
                Some(new) => {
                    if new.settings != entry.wanted.settings && entry.state.is_open() {
                        steps.configure.push((key.clone(), new.settings));
                    }
                    entry.wanted = new.clone();
                    true
                }
                None => {
                    if entry.state.is_open() {
                        steps.close.push(key.clone());
                    }
                    false
                }
            }
        });
        for (key, wanted) in wanted {
            self.entries.entry(key).or_insert_with(|| {
                let state = match wanted.device {
                    Device::Nothing => State::Detached,
                    _ => State::due(now),
                };
                Entry { wanted, state }
            });
        }
        steps
    }

    /// Ports that are to be opened now.
    pub fn due(&self, now: u64) -> Vec<(Key, Wanted)> {
        let due = |entry: &Entry| matches!(entry.state, State::Due { at, .. } if at <= now);
        let entries = self.entries.iter().filter(|(_, entry)| due(entry));
        entries
            .map(|(key, entry)| (key.clone(), entry.wanted.clone()))
            .collect()
    }

    /// When the next port is to be opened.
    pub fn next_due(&self) -> Option<u64> {
        self.entries
            .values()
            .filter_map(|entry| match entry.state {
                State::Due { at, .. } => Some(at),
                _ => None,
            })
            .min()
    }

    /// A generation that no device had: what a worker says of a device that is gone must not meet the one that came
    /// after it and has the same interface.
    pub fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// A port was opened, and its queues were handed over under this generation.
    pub fn opened(&mut self, key: &Key, generation: u64) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.state = State::Open(generation);
        }
    }

    /// True while the device of this generation is the port's.
    pub fn is_open_as(&self, key: &Key, generation: u64) -> bool {
        let entry = self.entries.get(key);
        entry.is_some_and(|entry| entry.state == State::Open(generation))
    }

    /// Interfaces that ports are to have: names, and the files of the namespaces they are in.
    pub fn interfaces(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let devices = self.entries.values().map(|entry| &entry.wanted.device);
        devices.filter_map(|device| match device {
            Device::Tap { interface, netns, .. } | Device::Packet { interface, netns, .. } => {
                Some((interface.as_str(), netns.as_deref()))
            }
            Device::Tunnel { .. } | Device::Dpdk { .. } | Device::DpdkTunnel { .. } | Device::Nothing => None,
        })
    }

    /// A port could not be opened, or its device went away. True where that is news.
    pub fn failed(&mut self, key: &Key, error: String, now: u64) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        let (attempts, before) = match &entry.state {
            State::Due { attempts, error, .. } => (*attempts, error.clone()),
            State::Open(_) | State::Detached => (0, String::new()),
        };
        let pause = (FIRST_PAUSE << attempts.min(8)).min(LONGEST_PAUSE);
        let news = error != before;
        entry.state = State::Due {
            at: now + pause,
            attempts: attempts.saturating_add(1),
            error,
        };
        news
    }

    /// What the plan wants of a port.
    pub fn wanted(&self, key: &Key) -> Option<&Wanted> {
        self.entries.get(key).map(|entry| &entry.wanted)
    }

    /// How it stands with each port; `quarantined` says whether one's packets are not looked at, and why.
    pub fn report(&self, quarantined: impl Fn(&Key) -> Option<String>) -> Vec<PortState> {
        let state = |(key, entry): (&Key, &Entry)| {
            let port = match key {
                Key::Guest(id) => id.clone(),
                Key::Uplink => PortId::new(TUNNEL).ok()?,
            };
            let link =
                quarantined(key).map_or_else(|| entry.link(), |error| LinkState::Quarantined { error });
            Some(PortState { port, link })
        };
        self.entries.iter().filter_map(state).collect()
    }
}

impl State {
    fn due(at: u64) -> Self {
        State::Due {
            at,
            attempts: 0,
            error: String::new(),
        }
    }

    fn is_open(&self) -> bool {
        matches!(self, State::Open(_))
    }
}

impl Entry {
    fn link(&self) -> LinkState {
        match &self.state {
            State::Due { attempts, error, .. } => LinkState::Retrying {
                error: error.clone(),
                attempts: *attempts,
            },
            State::Open(_) if self.wanted.settings.up => LinkState::Up,
            State::Open(_) => LinkState::Down,
            State::Detached => LinkState::Detached,
        }
    }
}

fn wanted_by(plan: &HostPlan, builder: &TableBuilder) -> BTreeMap<Key, Wanted> {
    let tunnel = plan.tunnel.as_ref().map(|tunnel| {
        let device = match &tunnel.dpdk {
            Some(underlay) => Device::DpdkTunnel {
                device: underlay.device.clone(),
                mtu: underlay_mtu(plan),
            },
            None => Device::Tunnel {
                address: tunnel.address,
                udp_port: tunnel.udp_port,
            },
        };
        let settings = Settings { mtu: 0, up: true };
        (Key::Uplink, Wanted { device, settings })
    });
    let ports = plan.ports.iter().filter_map(|(id, port)| {
        let index = builder.port_index(id)?;
        let mtu = plan
            .networks
            .get(&port.network)
            .map_or(0, |n| u32::from(n.mtu.get()));
        let device = match port.attachment.clone() {
            Attachment::Tap { interface, netns } => Device::Tap {
                index,
                interface,
                netns,
                mac: port.mac,
            },
            Attachment::Packet { interface, netns } => Device::Packet {
                index,
                interface,
                netns,
            },
            Attachment::Dpdk { device } => Device::Dpdk { index, device, mtu },
            Attachment::Detached => Device::Nothing,
        };
        let settings = Settings {
            mtu,
            up: port.admin_up,
        };
        Some((Key::Guest(id.clone()), Wanted { device, settings }))
    });
    tunnel.into_iter().chain(ports).collect()
}

/// The longest outer packet, without its Ethernet header: at least what every underlay carries.
fn underlay_mtu(plan: &HostPlan) -> u32 {
    let inner = plan.networks.values().map(|network| u32::from(network.mtu.get()));
    inner
        .map(|mtu| (mtu + TUNNEL_OVERHEAD).min(u16::MAX.into()))
        .fold(1500, u32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::control::Control;

    const MILLISECOND: u64 = 1_000_000;

    /// A plan with ports of these interfaces, its indexes given out.
    fn control(ports: &[(&str, &str)], mtu: u16) -> Control {
        let ports: String = ports
            .iter()
            .enumerate()
            .map(|(n, (id, interface))| {
                format!("  {id}: {{network: blue, mac: '02:00:00:00:00:{n:02x}', tap: {{interface: {interface}}}}}\n")
            })
            .collect();
        let text = format!("networks:\n  blue: {{vni: 10, mtu: {mtu}, endpoints: []}}\nports:\n{ports}");
        let mut control = Control::new();
        let changeset = control
            .changeset_to(&anet_wire::plan_text::parse(&text).unwrap())
            .unwrap();
        control.apply(&changeset).unwrap();
        control
    }

    fn follow(attachments: &mut Attachments, control: &Control, now: u64) -> Steps {
        attachments.follow(control.plan(), control.builder(), now)
    }

    fn key(id: &str) -> Key {
        Key::Guest(id.parse().unwrap())
    }

    fn due(attachments: &Attachments, now: u64) -> Vec<Key> {
        attachments.due(now).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn what_fails_is_tried_again_ever_more_slowly_and_told_once() {
        let mut attachments = Attachments::default();
        follow(
            &mut attachments,
            &control(&[("a", "tap0"), ("b", "tap1")], 1450),
            0,
        );
        assert_eq!(due(&attachments, 0), [key("a"), key("b")]);
        attachments.opened(&key("b"), 1);
        let (mut now, mut pauses) = (0, Vec::new());
        for attempt in 0..8 {
            let news = attachments.failed(&key("a"), "busy".to_owned(), now);
            assert_eq!(news, attempt == 0);
            let next = attachments.next_due().unwrap();
            pauses.push((next - now) / MILLISECOND);
            assert_eq!(due(&attachments, next - 1), []);
            assert_eq!(due(&attachments, next), [key("a")]);
            now = next;
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        assert!(
            attachments.failed(&key("a"), "gone".to_owned(), now),
            "another error is news"
        );
        let links: Vec<LinkState> = attachments.report(|_| None).into_iter().map(|p| p.link).collect();
        assert!(
            matches!(
                &links[..],
                [LinkState::Retrying { attempts: 9, .. }, LinkState::Up]
            ),
            "{links:?}"
        );
    }

    #[test]
    fn what_is_said_of_an_old_device_does_not_meet_the_new_one() {
        let mut attachments = Attachments::default();
        follow(&mut attachments, &control(&[("a", "tap0")], 1450), 0);
        let (old, new) = (attachments.next_generation(), attachments.next_generation());
        attachments.opened(&key("a"), old);
        assert!(attachments.is_open_as(&key("a"), old));
        attachments.failed(&key("a"), "gone".to_owned(), 1);
        assert!(!attachments.is_open_as(&key("a"), old), "told twice");
        attachments.opened(&key("a"), new);
        assert!(!attachments.is_open_as(&key("a"), old) && attachments.is_open_as(&key("a"), new));
        assert!(!attachments.is_open_as(&key("b"), new));
        assert_eq!(attachments.interfaces().collect::<Vec<_>>(), [("tap0", None)]);
    }

    #[test]
    fn another_device_is_another_port_and_another_mtu_is_not() {
        let mut attachments = Attachments::default();
        follow(
            &mut attachments,
            &control(&[("a", "tap0"), ("b", "tap1")], 1450),
            0,
        );
        [key("a"), key("b")]
            .iter()
            .for_each(|key| attachments.opened(key, 1));
        assert_eq!(
            follow(
                &mut attachments,
                &control(&[("a", "tap0"), ("b", "tap1")], 1450),
                1
            ),
            Steps::default()
        );
        let steps = follow(
            &mut attachments,
            &control(&[("a", "tap0"), ("b", "tap2")], 1400),
            2,
        );
        assert_eq!(steps.close, [key("b")]);
        assert_eq!(steps.configure, [(key("a"), Settings { mtu: 1400, up: true })]);
        assert_eq!(due(&attachments, 2), [key("b")]);
        let steps = follow(&mut attachments, &control(&[("a", "tap0")], 1400), 3);
        assert_eq!(steps.close, [], "what was not open needs no closing");
        assert_eq!(attachments.next_due(), None);
        assert!(!attachments.failed(&key("b"), "gone".to_owned(), 4));
    }
}
