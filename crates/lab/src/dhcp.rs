//! The DHCP client of guests: Debian's `dhclient`, as people use it, kept away from the machine's own settings.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{LabError, Namespace, output_of};

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

/// Lets scripts of a folder be run, also where its file system (often `/run`) runs none: in the client's own view of the mounts
/// alone. Then becomes the client.
const EXECUTABLE: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,exec \"$0\"; exec \"$@\"";

/// Addresses come from DHCPv6 alone; routes come from the router advertisement.
pub(crate) fn prepare(namespace: &Namespace) -> Result<(), LabError> {
    let knobs = ["default", "all"].map(|kind| {
        [
            format!("net.ipv6.conf.{kind}.accept_ra=2"),
            format!("net.ipv6.conf.{kind}.autoconf=0"),
        ]
    });
    let mut arguments = vec!["-q", "-w"];
    arguments.extend(knobs.as_flattened().iter().map(String::as_str));
    namespace.run("sysctl", &arguments).map(drop)
}

/// `dhclient` of a family (`-4`, `-6`) on an interface, with its files in `folder`. `before` comes before it on the
/// command line.
pub(crate) fn client(
    namespace: &Namespace,
    (interface, family): (&str, &str),
    folder: &Path,
    before: &[&str],
) -> Result<Command, LabError> {
    let file = |kind: &str| folder.join(format!("dhclient{family}.{kind}"));
    let script = private_script(folder)?;
    std::fs::write(file("conf"), DHCLIENT_CONF).map_err(LabError::io("write dhclient.conf"))?;
    // A UTS namespace of its own, because the script may set the host name.
    let mut command = namespace.command("unshare");
    command
        .args(["--uts", "--mount", "sh", "-c", EXECUTABLE])
        .arg(folder)
        .args(before);
    command.args(["dhclient", family, "-d", "-1", "-v"]);
    command
        .arg("-cf")
        .arg(file("conf"))
        .arg("-lf")
        .arg(file("leases"))
        .arg("-pf")
        .arg(file("pid"));
    command.arg("-sf").arg(script).arg(interface);
    Ok(command)
}

/// Debian's script, except that it leaves the machine's name servers alone.
fn private_script(folder: &Path) -> Result<PathBuf, LabError> {
    use std::os::unix::fs::PermissionsExt;
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
    let path = folder.join("dhclient-script");
    // The client of the other family may be reading it: beside it first, then moved.
    let fresh = folder.join(format!(".dhclient-script.{:?}", std::thread::current().id()));
    let written = std::fs::write(&fresh, original.replace(head, &format!("{head}\n    return 0")))
        .and_then(|()| std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)))
        .and_then(|()| std::fs::rename(&fresh, &path));
    written.map_err(LabError::io(format!("write {}", path.display())))?;
    Ok(path)
}

/// The first address of a family (`-4`, `-6`) and scope that may be used.
pub(crate) fn address(namespace: &Namespace, interface: &str, family: &str, scope: &str) -> Option<IpAddr> {
    let show = [family, "-o", "address", "show", "dev", interface, "scope", scope];
    parse_addresses(&namespace.ip(&show).ok()?).next()
}

/// All addresses that may be used and reach further than the link.
pub(crate) fn global_addresses(namespace: &Namespace, interface: &str) -> Vec<IpAddr> {
    let show = ["-o", "address", "show", "dev", interface, "scope", "global"];
    output_of(Command::new("ip").args(["-n", namespace.name()]).args(show))
        .map(|text| parse_addresses(&text).collect())
        .unwrap_or_default()
}

/// True where the interface has a route to a prefix beside the link-local one: a router advertisement was heard. The
/// address of DHCPv6 itself comes as a /128.
pub(crate) fn knows_its_link(namespace: &Namespace, interface: &str) -> bool {
    let routes = namespace.ip(&["-6", "route", "show", "dev", interface]);
    routes.is_ok_and(|routes| has_on_link(&routes))
}

/// The addresses whose duplicate address detection is over.
fn parse_addresses(text: &str) -> impl Iterator<Item = IpAddr> {
    let usable = text
        .lines()
        .filter(|line| !line.contains("tentative") && !line.contains("dadfailed"));
    usable.filter_map(|line| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| !word.starts_with("inet"));
        words.nth(1)?.split('/').next()?.parse().ok()
    })
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

    fn parse_address(text: &str) -> Option<IpAddr> {
        parse_addresses(text).next()
    }

    #[test]
    fn addresses_are_read_when_they_may_be_used() {
        let four =
            "2: eth0    inet 10.0.0.4/24 brd 10.0.0.255 scope global dynamic eth0\\       valid_lft 86s";
        assert_eq!(parse_address(four), Some("10.0.0.4".parse().unwrap()));
        let six = "2: eth0    inet6 fd00:10::4/128 scope global \\       valid_lft 3600sec";
        assert_eq!(parse_address(six), Some("fd00:10::4".parse().unwrap()));
        assert_eq!(parse_addresses(&format!("{four}\n{six}\n")).count(), 2);
        assert_eq!(
            parse_address("2: eth0    inet6 fd00::4/128 scope global tentative \\ "),
            None
        );
        assert_eq!(parse_address(""), None);
    }

    #[test]
    fn scripts_run_where_the_file_system_runs_none() {
        if let Some(reason) = crate::missing_for(&["unshare", "mount"]) {
            return crate::skip("scripts_run_where_the_file_system_runs_none", &reason);
        }
        let folder = crate::Folder::new().unwrap();
        // All of it in a view of the mounts that ends with the command.
        let script = "mount -t tmpfs -o noexec tmpfs \"$0\" && printf '#!/bin/sh\\necho ran\\n' >\"$0/script\" \
                      && chmod 755 \"$0/script\" && ! \"$0/script\" 2>/dev/null && exec sh -c \"$1\" \"$0\" \"$0/script\"";
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script])
            .arg(folder.path())
            .arg(EXECUTABLE);
        assert_eq!(output_of(&mut command).unwrap(), "ran\n");
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
