//! Router advertisements that nobody asked for: guests forget a default route that is not announced again.

use super::{Surroundings, Worker};
use crate::interface::Interface;
use crate::pipeline::with_view;
use crate::respond::{Outcome, router_advertisement};

impl Worker {
    /// Sends a port (by index) the router advertisement of its network, where it has a subnet that is advertised. To be called
    /// when the port comes up, when its subnets change, and every [`router_advertisement::INTERVAL_S`]. True where one
    /// was sent.
    pub fn advertise(&mut self, with: &mut Surroundings<'_>, port: u32) -> bool {
        let tables = with.environment.tables;
        let Some(there) = tables.port(port).filter(|p| p.admin_up) else {
            return false;
        };
        let Some(network) = tables.network(there.network) else {
            return false;
        };
        let out = &mut self.state.reply;
        let outcome = with_view(network, there, |view| {
            router_advertisement::unsolicited(view, out)
        });
        if !matches!(outcome, Outcome::Reply(_)) {
            return false;
        }
        let Some(frame) = with.pool.copy_from(&self.state.reply) else {
            return false;
        };
        self.counters.replies.add(1);
        with.egress.push(Interface::port(port), frame);
        true
    }
}
