//! `firewall_in`: the connection that exists is held against today's rules; the one that may begin is made.

use std::sync::Arc;

use anet_packet::parse::Kind;
use anet_packet::{Tuple, protocol, tcp};

use super::connection;
use super::firewall_out::{ask_in, ask_out, describe};
use super::walk::{Destination, Related, Verdict, Walk};
use crate::tables::{Port, Witness};
use crate::verdict::DropReason;

/// The stage.
pub(super) fn stage(walk: &mut Walk<'_, '_>) -> Verdict {
    let unicast = walk.destination != Some(Destination::Flood);
    if !connection::reaches_its_receiver(walk) {
        return DropReason::UnrelatedError.into();
    }
    let filtered = unicast && !walk.control && walk.related == Related::No;
    let secured = |port: Option<&Arc<Port>>| port.is_some_and(|p| p.firewall.is_some());
    let (true, Some(tuple)) = (filtered, walk.tuple) else {
        // What no rule can speak of does not come in.
        let unspeakable = filtered && secured(walk.destination_port());
        return if unspeakable {
            DropReason::EtherTypeForbidden.into()
        } else {
            unfiltered(walk)
        };
    };
    if !secured(walk.source_port) && !secured(walk.destination_port()) {
        return unfiltered(walk);
    }
    if walk.connection.is_some() && connection::resume(walk, &tuple) {
        return Verdict::Next;
    }
    match open(walk, &tuple) {
        Ok(()) => Verdict::Next,
        Err(reason) => {
            // A budget that is spent now may not be in a moment.
            walk.cacheable &= matches!(
                reason,
                DropReason::FirewallEgress | DropReason::FirewallIngress | DropReason::NotAConnection
            );
            reason.into()
        }
    }
}

/// No firewall has a say.
fn unfiltered(walk: &mut Walk<'_, '_>) -> Verdict {
    walk.connection = None;
    Verdict::Next
}

/// A new connection: both sides are asked, then it is made.
fn open(walk: &mut Walk<'_, '_>, tuple: &Tuple) -> Result<(), DropReason> {
    let displaced = walk.connection.take();
    if displaced.is_some()
        && let Some(port) = walk.source_port
    {
        // What `firewall_out` took for an established connection is none any more.
        walk.source_witness = ask_out(walk, port, tuple)?;
    }
    if let Some(port) = walk.destination_port() {
        walk.destination_witness = ask_in(walk, port, tuple)?;
    }
    let picked_up = walk.knows_ports() && begins_in_the_middle(walk);
    let may_be_picked_up = walk.environment.loose_pickup
        && walk.layout.protocol == protocol::TCP
        && walk.layout.tcp_flags & tcp::flag::RST == 0;
    if picked_up && !may_be_picked_up {
        walk.record(|_| format!("{} belongs to no known connection", describe(tuple)));
        return Err(DropReason::NotAConnection);
    }
    let local = |port: Option<_>, witness: Witness| if port.is_some() { witness } else { Witness::ALWAYS };
    let originator = local(walk.source_port, walk.source_witness);
    let responder = local(walk.destination_port(), walk.destination_witness);
    connection::create(walk, tuple, [originator, responder], picked_up, displaced)
}

/// TCP without SYN, or with the SYN of an answer; an ICMP answer that nobody asked for.
fn begins_in_the_middle(walk: &Walk<'_, '_>) -> bool {
    use tcp::flag::{ACK, RST, SYN};
    let (layout, icmp) = (&walk.layout, walk.icmp());
    let icmp_answer = match layout.kind {
        Kind::Ipv4 => matches!(icmp, Some((0 | 14 | 16 | 18, _))),
        _ => matches!(icmp, Some((129, _))),
    };
    icmp_answer || layout.protocol == protocol::TCP && layout.tcp_flags & (SYN | ACK | RST) != SYN
}
