//! Broadcast and multicast: head-end copies to the members of the network, and to nobody else.

use anet_packet::vxlan::outer_source_port;

use super::forward::wrap;
use super::{Surroundings, Worker};
use crate::interface::Interface;
use crate::pipeline::{self, Walk};
use crate::tables::FloodMember;
use crate::verdict::DropReason;

impl Worker {
    /// Makes a copy for each member that may have one. Where nobody gets one, the packet is dropped for what kept it from
    /// the first member, or for there being none.
    pub(super) fn copies(&self, with: &mut Surroundings<'_>, interface: Interface, walk: &Walk<'_, '_>) {
        let members = walk.network.map_or(&[][..], |network| network.flood());
        let (mut sent, mut refused) = (0, None);
        for member in members {
            let copy = pipeline::flood_permits(walk, *member)
                .map(|permitted| permitted.and_then(|()| self.copy(with, walk, *member)));
            match copy {
                None => {}
                Some(Ok(())) => sent += 1,
                Some(Err(DropReason::NoBuffer)) => {
                    self.count_drop(interface, DropReason::NoBuffer);
                    refused = Some(DropReason::NoBuffer);
                }
                Some(Err(reason)) => refused = refused.or(Some(reason)),
            }
        }
        self.counters.copies.add(sent);
        match refused {
            _ if sent > 0 => {}
            Some(DropReason::NoBuffer) => {}
            reason => self.count_drop(interface, reason.unwrap_or(DropReason::NoMembers)),
        }
    }

    fn copy(
        &self,
        with: &mut Surroundings<'_>,
        walk: &Walk<'_, '_>,
        member: FloodMember,
    ) -> Result<(), DropReason> {
        let mut copy = with.pool.duplicate(walk.frame).ok_or(DropReason::NoBuffer)?;
        let target = match member {
            FloodMember::Port(port) => Interface::port(port),
            FloodMember::Endpoint(endpoint) => {
                let vni = walk.zone();
                let entropy = outer_source_port(u64::from(vni) << 32);
                if !wrap(walk.environment.tables, &mut copy, endpoint, vni, entropy) {
                    return Err(DropReason::NoTunnel);
                }
                Interface::UPLINK
            }
        };
        with.egress.push(target, copy);
        Ok(())
    }
}
