//! Guests: a namespace with one interface that configures itself by DHCP, as a virtual machine would.

use std::net::IpAddr;
use std::time::Duration;

use anet_packet::addr::Mac;

use crate::{Folder, LabError, Namespace, Process, dhcp, wait_for};

/// How long an interface or a lease may take before it is an error.
const PATIENCE: Duration = Duration::from_secs(15);

/// A guest. Its interface [`Guest::INTERFACE`] comes from outside: a TAP that the vswitch makes inside the guest's
/// namespace, or one end of a wire.
#[derive(Debug)]
pub struct Guest {
    clients: Vec<Process>,
    namespace: Namespace,
    mac: Mac,
    folder: Folder,
}

impl Guest {
    /// What its interface is called.
    pub const INTERFACE: &str = "eth0";

    /// A guest whose interface has yet to come.
    pub fn new(role: &str, mac: Mac) -> Result<Self, LabError> {
        let namespace = Namespace::new(role)?;
        dhcp::prepare(&namespace)?;
        Ok(Self {
            clients: Vec::new(),
            namespace,
            mac,
            folder: Folder::new()?,
        })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its MAC.
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Waits for the interface, gives it the guest's MAC and brings it up.
    pub fn bring_up(&self) -> Result<(), LabError> {
        let what = format!("interface {} in {}", Self::INTERFACE, self.namespace.name());
        wait_for(&what, PATIENCE, || {
            self.namespace.has_interface(Self::INTERFACE).then_some(())
        })?;
        // Down first, and without what an earlier MAC left: the link-local address follows from the MAC.
        let mac = self.mac.to_string();
        let steps: [&[&str]; 4] = [
            &["link", "set", Self::INTERFACE, "down"],
            &["-6", "address", "flush", "dev", Self::INTERFACE],
            &["link", "set", Self::INTERFACE, "address", &mac],
            &["link", "set", Self::INTERFACE, "up"],
        ];
        steps
            .iter()
            .try_for_each(|step| self.namespace.ip(step).map(drop))
    }

    /// Starts `dhclient -4`, which stays, and waits for the address it gets.
    pub fn dhcp4(&mut self) -> Result<IpAddr, LabError> {
        self.start_client("-4")?;
        self.wait_address("-4", |_| true)
    }

    /// Starts `dhclient -6`, which stays, and waits until the address it gets may be used and the router
    /// advertisement has given the on-link route (the address itself comes as a /128).
    pub fn dhcp6(&mut self) -> Result<IpAddr, LabError> {
        let link_local = || dhcp::address(&self.namespace, Self::INTERFACE, "-6", "link");
        wait_for("a link-local address", PATIENCE, link_local)?;
        self.start_client("-6")?;
        self.wait_address("-6", |namespace| dhcp::knows_its_link(namespace, Self::INTERFACE))
    }

    /// What the DHCP clients said, for a look when something failed.
    pub fn dhcp_log(&self) -> String {
        self.clients.iter().map(Process::log).collect()
    }

    fn start_client(&mut self, family: &str) -> Result<(), LabError> {
        let command = dhcp::client(
            &self.namespace,
            (Self::INTERFACE, family),
            self.folder.path(),
            &[],
        )?;
        self.clients.push(Process::spawn(
            &format!("dhclient{family}"),
            command,
            &self.folder,
        )?);
        Ok(())
    }

    /// Waits for a global address and for whatever else has to be there.
    fn wait_address(
        &mut self,
        family: &str,
        complete: impl Fn(&Namespace) -> bool,
    ) -> Result<IpAddr, LabError> {
        let mut client = self.clients.pop().expect("was just started");
        let mut found = None;
        let ready = client.wait_ready(PATIENCE, || {
            found = dhcp::address(&self.namespace, Self::INTERFACE, family, "global");
            found.is_some() && complete(&self.namespace)
        });
        self.clients.push(client);
        ready.map(|()| found.expect("readiness includes having found it"))
    }
}
