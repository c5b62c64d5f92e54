//! `make demo`: two hosts, four guests on one network and two on another with the same addresses, a Linux VXLAN
//! device as a foreign peer, all on this machine, with the real daemon and real tools.
//!
//! Each row says what was tried, what was expected and what was seen. The exit code is 1 if any row failed. Nothing
//! stays behind, also after a failure or Ctrl-C.

mod addresses;
mod foreign;
mod policy;
mod reach;
mod report;
mod survive;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anet_lab::fabric::{Fabric, Layout, tcp, udp};
use anet_lab::{LabError, is_root, sweep, sweep_own};
use anet_wire::plan_text;
use nix::sys::signal::{SigSet, Signal};
use report::{Report, Row};

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

/// The whole demo, in order.
const ROWS: &[&[Row]] = &[
    addresses::ROWS,
    reach::ROWS,
    policy::ROWS,
    survive::ROWS,
    foreign::ROWS,
];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--sweep") {
        println!("removed {} leftovers of runs that were killed", sweep());
        return ExitCode::SUCCESS;
    }
    if !is_root() {
        eprintln!("the demo needs root, for network namespaces: sudo make demo");
        return ExitCode::FAILURE;
    }
    if let Err(error) = clean_up_on_signals() {
        eprintln!("signals cannot be caught ({error}): Ctrl-C would leave namespaces behind");
        return ExitCode::FAILURE;
    }
    sweep();
    match demonstrate() {
        Ok(report) => report.close(),
        Err(error) => {
            eprintln!("the fabric could not be built: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate() -> Result<Report, LabError> {
    let started = Instant::now();
    println!(
        "aNET: two hosts, six guests, two networks with the same addresses, one foreign VXLAN endpoint\n"
    );
    let mut fabric = Fabric::build(layout(), plan_text::to_text)?;
    fabric.start(&[])?;
    let mut report = Report::new(started);
    for row in ROWS.iter().copied().flatten() {
        report.add(row, (row.run)(&mut fabric));
    }
    if report.has_failures() {
        report.show_logs(&fabric);
    }
    Ok(report)
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

/// A thread waits for Ctrl-C and its like, removes everything of ours and ends the program.
fn clean_up_on_signals() -> Result<(), nix::errno::Errno> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    // Blocked here, before there is any other thread, so that only the waiting one takes them.
    signals.thread_block()?;
    std::thread::spawn(move || {
        let signal = signals.wait();
        report::STOPPED.store(true, Ordering::Relaxed);
        match signal {
            Ok(signal) => eprintln!("\nstopped by {signal}; cleaning up"),
            Err(error) => eprintln!("\nno signals can be waited for ({error}); cleaning up"),
        }
        sweep_own();
        std::process::exit(130);
    });
    Ok(())
}
