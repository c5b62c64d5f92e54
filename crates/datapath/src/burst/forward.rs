//! The fast path's last step: a flow's verdict carried out.

use anet_memory::buffer::Buffer;

use super::{Seen, Stage, StageClock, Surroundings, Worker};
use crate::connections::Half;
use crate::flow_cache::{Action, Flow};
use crate::interface::Interface;
use crate::pipeline::{self, Environment, Recheck};
use crate::tables::Tables;

/// Where what the flow rests on is as it was: the half of its connection, if it has one. Beside its witnesses that is: does
/// its connection live, may no connection made since allow what it drops?
#[inline]
fn fresh_half<'e>(environment: &Environment<'e>, flow: &Flow) -> Option<Option<Half<'e>>> {
    let witnesses = environment.tables.witnesses();
    if !witnesses.is_fresh(flow.source) || !witnesses.is_fresh(flow.destination) {
        return None;
    }
    match (flow.half, flow.action) {
        (Some(_), _) => half_of(environment, flow).map(Some),
        (None, Action::Drop(_)) => environment.new_connections.is_fresh(flow.mark).then_some(None),
        (None, _) => Some(None),
    }
}

/// The half of the connection that a flow keeps up to date, while the connection lives.
#[inline]
fn half_of<'e>(environment: &Environment<'e>, flow: &Flow) -> Option<Half<'e>> {
    let half = flow.half?;
    environment.connections.half(half.connection, half.direction)
}

impl Worker {
    /// A packet with a key: by its flow where there is a fresh one, through the pipeline otherwise.
    #[inline]
    pub(super) fn hit_or_miss(
        &mut self,
        with: &mut Surroundings<'_>,
        source: Interface,
        seen: &Seen,
        buffer: Buffer,
        clock: &mut impl StageClock,
    ) {
        // Without a position another way had the same tag, or an earlier packet of this burst made the flow.
        let flow = self
            .cache
            .at(seen.position, &seen.key)
            .or_else(|| self.cache.find(seen.hash, &seen.key));
        if let Some(flow) = flow
            && seen.uncut <= flow.longest
            && let Some(half) = fresh_half(&with.environment, flow)
        {
            self.counters.hits.add(1);
            return self.forward(with, source, seen, half, flow.action, buffer);
        }
        let stale = flow.copied();
        clock.lap(Stage::Verdicts);
        match stale {
            Some(flow) => self.ask_again(with, source, seen, &flow, buffer),
            None => self.miss(with, source, seen.source, buffer),
        }
        clock.lap(Stage::Misses);
    }

    /// A packet whose flow does not stand, or not for one so long. Where only rules have changed, they alone are asked.
    #[cold]
    fn ask_again(
        &mut self,
        with: &mut Surroundings<'_>,
        source: Interface,
        seen: &Seen,
        flow: &Flow,
        buffer: Buffer,
    ) {
        self.counters.revalidations.add(1);
        let fits = seen.uncut <= flow.longest;
        let recheck = fits.then(|| pipeline::recheck(&with.environment, &seen.key, flow));
        let Some(recheck) = recheck.flatten() else {
            return self.miss(with, source, seen.source, buffer);
        };
        self.counters.rechecks.add(1);
        if let Some(flow) = self.cache.find_mut(seen.position, seen.hash, &seen.key) {
            recheck.renew(flow);
        }
        match recheck {
            Recheck::Allowed(_) => {
                let half = half_of(&with.environment, flow);
                self.forward(with, source, seen, half, flow.action, buffer);
            }
            Recheck::Denied(denial) => {
                if let Some(connection) = denial.ended {
                    self.endings.add(connection, &with.environment);
                }
                self.count_drop(source, denial.reason);
            }
        }
    }

    /// Keeps the connection's half up to date, where there is one, and carries the action out.
    #[inline(always)]
    fn forward(
        &self,
        with: &mut Surroundings<'_>,
        source: Interface,
        seen: &Seen,
        half: Option<Half<'_>>,
        action: Action,
        mut buffer: Buffer,
    ) {
        if let Some(half) = half {
            half.touch(with.environment.now, seen.length, seen.tcp_flags);
        }
        match action {
            Action::Deliver(port) => with.egress.push(Interface::port(port), buffer),
            Action::Encapsulate {
                adjacency,
                vni,
                source_port,
            } => {
                if encapsulate(with.environment.tables, &mut buffer, adjacency, vni, source_port) {
                    with.egress.push(Interface::UPLINK, buffer);
                } else {
                    self.count_drop(source, crate::verdict::DropReason::NoTunnel);
                }
            }
            Action::Drop(reason) => self.count_drop(source, reason),
        }
    }
}

/// Puts the outer header of an adjacency in front. False where the adjacency or the headroom is not there.
#[inline(always)]
pub(super) fn encapsulate(
    tables: &Tables,
    buffer: &mut Buffer,
    adjacency: u32,
    vni: u32,
    source_port: u16,
) -> bool {
    let Some(adjacency) = tables.adjacency(adjacency) else {
        return false;
    };
    wrap(tables, buffer, adjacency.endpoint, vni, source_port)
}

/// Puts the outer header of an endpoint in front.
#[inline(always)]
pub(super) fn wrap(tables: &Tables, buffer: &mut Buffer, endpoint: u32, vni: u32, source_port: u16) -> bool {
    let Some(header) = tables.endpoint(endpoint) else {
        return false;
    };
    let inner = buffer.len();
    let tos = congestion_field(buffer.head());
    match buffer.prepend(header.length()) {
        Ok(front) => {
            header.write(front, inner, vni, source_port, tos);
            true
        }
        Err(_) => false,
    }
}

/// The traffic class of the outer header: the inner one's DSCP and ECN, as a whole (RFC 6040 normal mode; RFC 2983
/// uniform model, so that the underlay's queues see the guests' marking).
#[inline]
fn congestion_field(head: &[u8]) -> u8 {
    match head.get(12..16) {
        Some(&[0x08, 0x00, _, tos]) => tos,
        Some(&[0x86, 0xdd, high, low]) => high << 4 | low >> 4,
        _ => 0,
    }
}
