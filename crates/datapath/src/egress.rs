//! Where a worker puts what leaves: a list of buffers for each interface.

use anet_memory::buffer::Buffer;

use crate::interface::Interface;

/// Packets on their way out, by interface. Its lists keep their room from burst to burst.
#[derive(Debug, Default)]
pub struct Egress {
    ports: Vec<Vec<Buffer>>,
    uplink: Vec<Buffer>,
    touched: Vec<Interface>,
}

impl Egress {
    /// Adds a packet for an interface (a port or the uplink).
    #[inline]
    pub fn push(&mut self, interface: Interface, buffer: Buffer) {
        let index = interface.get() as usize;
        let list = if interface == Interface::UPLINK {
            &mut self.uplink
        } else {
            if index >= self.ports.len() {
                self.ports.resize_with(index + 1, || Vec::with_capacity(64));
            }
            &mut self.ports[index]
        };
        if list.is_empty() {
            self.touched.push(interface);
        }
        list.push(buffer);
    }

    /// Hands each interface's packets to `send`, which must empty the list (what it leaves is dropped).
    pub fn drain(&mut self, mut send: impl FnMut(Interface, &mut Vec<Buffer>)) {
        while let Some(interface) = self.touched.pop() {
            let list = match interface {
                Interface::UPLINK => &mut self.uplink,
                port => &mut self.ports[port.get() as usize],
            };
            send(interface, list);
            list.clear();
        }
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty()
    }
}
