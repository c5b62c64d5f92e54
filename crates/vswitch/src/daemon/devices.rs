//! Devices behind ports: opened, set up, closed.

use std::sync::Arc;

use anet_ports::dpdk::{DpdkPort, DpdkSettings, Role};
use anet_ports::kernel::packet::{Packet, PacketSettings};
use anet_ports::kernel::tap::{Tap, TapIdentity, TapSettings};
use anet_ports::kernel::uplink::{LargeSegments, Uplink, UplinkSettings};
use anet_ports::{Port, PortError};
use anet_wire::control::report::TunnelCounters;

use super::tap_list::TapList;
use crate::core::attachments::{Device, Settings, Wanted};
use crate::workers::PortHealth;

/// A device that is open.
pub enum Open {
    /// A TAP that we hold; which one, where the switch has made it.
    Tap(Tap, Option<TapIdentity>),
    /// A device whose other side somebody else holds.
    Packet(Packet),
    /// The tunnel's sockets.
    Uplink(Uplink),
    /// A guest's or the underlay's, through DPDK.
    Dpdk(DpdkPort),
}

/// An open port and how its packets behave.
pub struct OpenPort {
    /// The device.
    pub device: Open,
    /// Shared with the worker that receives from it.
    pub health: Arc<PortHealth>,
}

impl OpenPort {
    /// Opens the device that is wanted for so many workers; `None` where none is. `name` is the port's, for
    /// messages. A TAP that is made here is noted in `taps`; `large_segments` is for an uplink.
    pub fn open(
        name: &str,
        wanted: &Wanted,
        workers: usize,
        taps: &mut TapList,
        large_segments: LargeSegments,
    ) -> Result<Option<Self>, PortError> {
        let dpdk = |device: &String, role, mtu| {
            let port = DpdkPort::open(&DpdkSettings {
                name: name.to_owned(),
                device: device.clone(),
                role,
                receive_queues: workers,
                transmit_queues: workers,
                mtu,
            })?;
            Ok::<_, PortError>(Open::Dpdk(port))
        };
        let device = match &wanted.device {
            Device::Nothing => return Ok(None),
            Device::Tunnel { address, udp_port } => Open::Uplink(Uplink::open(&UplinkSettings {
                udp_port: *udp_port,
                large_segments,
                ..UplinkSettings::new(*address)
            })?),
            Device::Tap {
                interface,
                netns,
                mac,
                ..
            } => {
                let settings = TapSettings {
                    name: interface.clone(),
                    namespace: netns.as_ref().map(Into::into),
                    mac: Some(*mac),
                    mtu: Some(wanted.settings.mtu),
                };
                open_tap(&settings, netns.as_deref(), taps)?
            }
            Device::Dpdk { device, mtu, .. } => dpdk(device, Role::Guest, *mtu)?,
            Device::DpdkTunnel { device, mtu } => dpdk(device, Role::Uplink, *mtu)?,
            Device::Packet { interface, netns, .. } => Open::Packet(Packet::open(&PacketSettings {
                name: interface.clone(),
                namespace: netns.as_ref().map(Into::into),
            })?),
        };
        let mut port = Self {
            device,
            health: Arc::default(),
        };
        if let Open::Tap(tap, _) = &mut port.device {
            tap.set_carrier(wanted.settings.up)?;
        }
        Ok(Some(port))
    }

    /// The device's face.
    pub fn port(&mut self) -> &mut dyn Port {
        match &mut self.device {
            Open::Tap(tap, _) => tap,
            Open::Packet(packet) => packet,
            Open::Uplink(uplink) => uplink,
            Open::Dpdk(port) => port,
        }
    }

    /// Sets what may change while it is open. A device of somebody else's keeps the MTU that it has.
    pub fn configure(&mut self, settings: Settings) -> Result<(), PortError> {
        match &mut self.device {
            Open::Tap(tap, _) => {
                if tap.capabilities().mtu != settings.mtu {
                    tap.set_mtu(settings.mtu)?;
                }
                tap.set_carrier(settings.up)
            }
            Open::Packet(_) | Open::Uplink(_) | Open::Dpdk(_) => Ok(()),
        }
    }

    /// The plan has it no more: a TAP that was made here goes with it, one that was there before stays.
    pub fn remove(&mut self, taps: &mut TapList) -> Result<(), PortError> {
        match &mut self.device {
            Open::Tap(tap, Some(identity)) => {
                tap.remove_when_dropped()?;
                taps.forget(*identity);
                Ok(())
            }
            Open::Uplink(uplink) => {
                uplink.remove_tap_when_dropped();
                uplink
                    .tap_identity()
                    .into_iter()
                    .for_each(|identity| taps.forget(identity));
                Ok(())
            }
            Open::Tap(_, None) | Open::Packet(_) | Open::Dpdk(_) => Ok(()),
        }
    }

    /// What became of the tunnel's frames, where it is the tunnel.
    pub fn tunnel_counters(&self) -> Option<TunnelCounters> {
        let Open::Uplink(uplink) = &self.device else {
            return None;
        };
        let (statistics, offloads) = (uplink.statistics(), uplink.offloads());
        Some(TunnelCounters {
            too_big: statistics.too_big,
            queue_full: statistics.full,
            refused: statistics.refused,
            icmp_errors: statistics.icmp_errors,
            trains_cut: statistics.trains_cut,
            whole: statistics.whole,
            whole_refused: statistics.whole_refused,
            segments: offloads.segment,
            merges: offloads.merge,
        })
    }
}

/// A new interface is noted before it is made to stay, so that a kill in between leaves none behind.
fn open_tap(settings: &TapSettings, netns: Option<&str>, taps: &mut TapList) -> Result<Open, PortError> {
    let mut tap = Tap::attach(settings)?;
    let identity = tap.identity();
    if tap.is_new() {
        if let Some(identity) = identity {
            taps.add(&settings.name, netns, identity);
        }
        tap.keep()?;
    }
    Ok(Open::Tap(tap, identity.filter(|identity| taps.has(*identity))))
}
