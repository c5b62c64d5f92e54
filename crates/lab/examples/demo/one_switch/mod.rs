//! One host's daemon alone, from plan files: two hosts, four guests on one network and two on another with the same
//! addresses, a Linux VXLAN device as a foreign peer.

mod addresses;
mod foreign;
mod policy;
mod reach;
mod survive;

use anet_lab::LabError;
use anet_lab::fabric::{Fabric, Layout, tcp, udp};
use anet_wire::plan_text;

use crate::report::{Report, Row};

/// Ports that guests may receive on.
mod port {
    pub const IPERF: u16 = 5201;
    pub const TCP_KEPT: u16 = 7000;
    pub const UDP_KEPT: u16 = 7001;
    pub const TCP_WITHDRAWN: u16 = 7010;
    pub const UDP_WITHDRAWN: u16 = 7011;
    pub const WHO: u16 = 7020;
    /// No rule allows this one.
    pub const BLOCKED: u16 = 8080;
}

/// All rows, in order.
const ROWS: &[&[Row<Fabric>]] = &[
    addresses::ROWS,
    reach::ROWS,
    policy::ROWS,
    survive::ROWS,
    foreign::ROWS,
];

/// Builds the fabric and runs all rows.
pub fn demonstrate(report: &mut Report) -> Result<(), LabError> {
    report.heading(
        "Hosts by themselves: two switches with plan files, six guests, two networks with the same addresses",
    );
    let failures = report.failures();
    let mut fabric = Fabric::build(layout(), plan_text::to_text)?;
    fabric.start(&[])?;
    for row in ROWS.iter().copied().flatten() {
        report.add(row, &mut fabric);
    }
    if report.failures() > failures {
        for host in fabric.layout.hosts.iter().filter(|host| !host.foreign) {
            let name = format!("anet-vswitch on {}", host.name);
            report.show_log(&name, &fabric.vswitch(host.name).log());
        }
    }
    Ok(())
}

fn layout() -> Layout {
    Layout::two_hosts(&[
        ("iperf", tcp(port::IPERF)),
        ("tcp-kept", tcp(port::TCP_KEPT)),
        ("udp-kept", udp(port::UDP_KEPT)),
        (policy::WITHDRAWN[0], tcp(port::TCP_WITHDRAWN)),
        (policy::WITHDRAWN[1], udp(port::UDP_WITHDRAWN)),
        ("who", tcp(port::WHO)),
    ])
}
