//! TCP throughput by `iperf3`.

use std::net::IpAddr;
use std::time::Duration;

use crate::{Folder, LabError, Namespace, Process};

/// What iperf3 measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throughput {
    /// Bits a second that arrived.
    pub bits_per_second: f64,
}

/// Sends TCP with the congestion control `cubic` from one namespace to an address of another for some seconds, on
/// a TCP port (5201 is iperf3's own). `arguments` are added to the client's, such as `-P 2`.
pub fn iperf(
    from: &Namespace,
    (to, address): (&Namespace, IpAddr),
    port: u16,
    seconds: u32,
    arguments: &[&str],
) -> Result<Throughput, LabError> {
    let folder = Folder::new()?;
    let (address, port, seconds) = (address.to_string(), port.to_string(), seconds.to_string());
    let mut command = to.command("iperf3");
    command.args([
        "--server",
        "--one-off",
        "--forceflush",
        "--port",
        &port,
        "--bind",
        &address,
    ]);
    let mut server = Process::spawn("iperf3-server", command, &folder)?;
    let log = server.log_path().to_owned();
    let listening = || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("Server listening"));
    server.wait_ready(Duration::from_secs(5), listening)?;
    let client = [
        "--client",
        &address,
        "--port",
        &port,
        "--time",
        &seconds,
        "--connect-timeout",
        "3000",
    ];
    let fixed = ["--congestion", "cubic", "--json"];
    let text = from.run("iperf3", &[&client[..], &fixed, arguments].concat())?;
    parse(&text).ok_or(LabError::NotUnderstood {
        what: "result of iperf3".to_owned(),
        found: text,
    })
}

fn parse(text: &str) -> Option<Throughput> {
    let sum = &text[text.find("\"sum_received\"")?..];
    let value = &sum[sum.find("\"bits_per_second\":")? + 18..];
    let number = value.split([',', '}']).next()?.trim();
    Some(Throughput {
        bits_per_second: number.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_received_sum_is_read() {
        let text = r#"{"end": {"sum_sent": {"bits_per_second": 2}, "sum_received": {
            "seconds": 1.0, "bytes": 12, "bits_per_second": 1.5e10, "sender": true}}}"#;
        assert_eq!(parse(text).unwrap().bits_per_second, 1.5e10);
        assert_eq!(parse("{}"), None);
    }
}
