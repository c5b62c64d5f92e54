//! Guests: a namespace with one interface that configures itself by DHCP, as a virtual machine would.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anet_packet::addr::Mac;

use crate::{Folder, LabError, Namespace, Process, output_of, wait_for};

/// How long an interface or a lease may take before it is an error.
const PATIENCE: Duration = Duration::from_secs(15);

/// The script by which `dhclient` changes interfaces and routes.
const DHCLIENT_SCRIPT: &str = "/sbin/dhclient-script";

/// What a guest asks for, as Debian's own settings do: host routes (RFC 3442) and MTU among it. First tries follow
/// each other quickly, because a lab is in a hurry.
const DHCLIENT_CONF: &str = "\
option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;
request subnet-mask, broadcast-address, routers, domain-name-servers, host-name, interface-mtu,
        rfc3442-classless-static-routes, dhcp6.name-servers;
timeout 12;
initial-interval 1;
";

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
        for kind in ["default", "all"] {
            // Addresses come from DHCPv6 alone; routes come from the router advertisement.
            namespace.sysctl(&format!("net.ipv6.conf.{kind}.accept_ra"), "2")?;
            namespace.sysctl(&format!("net.ipv6.conf.{kind}.autoconf"), "0")?;
        }
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
        let link_local = || parse_address(&self.addresses("-6", "link")?);
        wait_for("a link-local address", PATIENCE, link_local)?;
        self.start_client("-6")?;
        self.wait_address("-6", |namespace| {
            namespace
                .ip(&["-6", "route", "show", "dev", Self::INTERFACE])
                .is_ok_and(|routes| has_on_link(&routes))
        })
    }

    /// What the DHCP clients said, for a look when something failed.
    pub fn dhcp_log(&self) -> String {
        self.clients.iter().map(Process::log).collect()
    }

    fn start_client(&mut self, family: &str) -> Result<(), LabError> {
        let file = |kind: &str| self.folder.file(&format!("dhclient{family}.{kind}"));
        let script = self.private_script()?;
        std::fs::write(file("conf"), DHCLIENT_CONF).map_err(LabError::io("write dhclient.conf"))?;
        // A UTS namespace of its own, because the script may set the host name.
        let mut command = self.namespace.command("unshare");
        command.args(["--uts", "dhclient", family, "-d", "-1", "-v"]);
        command
            .arg("-cf")
            .arg(file("conf"))
            .arg("-lf")
            .arg(file("leases"))
            .arg("-pf")
            .arg(file("pid"));
        command.arg("-sf").arg(script).arg(Self::INTERFACE);
        self.clients.push(Process::spawn(
            &format!("dhclient{family}"),
            command,
            &self.folder,
        )?);
        Ok(())
    }

    /// Debian's script, except that it leaves the machine's name servers alone.
    fn private_script(&self) -> Result<PathBuf, LabError> {
        let original = std::fs::read_to_string(DHCLIENT_SCRIPT);
        let original = original.map_err(LabError::io(format!("read {DHCLIENT_SCRIPT}")))?;
        let head = "make_resolv_conf() {";
        if !original.contains(head) {
            let what = format!("{DHCLIENT_SCRIPT}, which has no `{head}`");
            return Err(LabError::NotUnderstood {
                what,
                found: String::new(),
            });
        }
        let path = self.folder.write(
            "dhclient-script",
            &original.replace(head, &format!("{head}\n    return 0")),
        )?;
        output_of(std::process::Command::new("chmod").arg("755").arg(&path))?;
        Ok(path)
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
            found = self
                .addresses(family, "global")
                .and_then(|text| parse_address(&text));
            found.is_some() && complete(&self.namespace)
        });
        self.clients.push(client);
        ready.map(|()| found.expect("readiness includes having found it"))
    }

    /// What `ip` says about the addresses of a family (`-4`, `-6`) and scope.
    fn addresses(&self, family: &str, scope: &str) -> Option<String> {
        self.namespace
            .ip(&[
                family,
                "-o",
                "address",
                "show",
                "dev",
                Self::INTERFACE,
                "scope",
                scope,
            ])
            .ok()
    }
}

/// The first address that may be used: its duplicate address detection is over.
fn parse_address(text: &str) -> Option<IpAddr> {
    let line = text.lines().find(|line| !line.contains("tentative"))?;
    let mut words = line
        .split_whitespace()
        .skip_while(|word| !word.starts_with("inet"));
    words.nth(1)?.split('/').next()?.parse().ok()
}

/// True where a route leads to a prefix (not a host) other than the link-local one.
fn has_on_link(routes: &str) -> bool {
    let destinations = routes.lines().filter_map(|line| line.split_whitespace().next());
    destinations
        .filter(|destination| destination.contains('/'))
        .any(|prefix| !prefix.starts_with("fe80"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_when_they_may_be_used() {
        let four =
            "2: eth0    inet 10.0.0.4/24 brd 10.0.0.255 scope global dynamic eth0\\       valid_lft 86s";
        assert_eq!(parse_address(four), Some("10.0.0.4".parse().unwrap()));
        let six = "2: eth0    inet6 fd00:10::4/128 scope global \\       valid_lft 3600sec";
        assert_eq!(parse_address(six), Some("fd00:10::4".parse().unwrap()));
        assert_eq!(
            parse_address("2: eth0    inet6 fd00::4/128 scope global tentative \\ "),
            None
        );
        assert_eq!(parse_address(""), None);
    }

    #[test]
    fn the_on_link_route_is_told_from_others() {
        assert!(has_on_link(
            "fd00:10::11 dev eth0\nfd00:10::/64 dev eth0 proto kernel\nfe80::/64 dev eth0\n"
        ));
        assert!(!has_on_link(
            "fd00:10::11 dev eth0\nfe80::/64 dev eth0\ndefault via fe80::1\n"
        ));
    }
}
