//! `host_idle_cpu_percent`, `host_rss_mb`: agent and vswitch of a host together.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anet_lab::standing::Who;

use super::super::footprint::{cpu_seconds, resident_mb};
use super::{Lab, THREE_HOSTS};
use crate::error::BenchError;
use crate::figure::Figure;

const SETTLE: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(30);

/// Measures both.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let lab = Lab::up(THREE_HOSTS)?;
    let pids = [
        lab.pid(&Who::Agent("host-1".to_owned()))?,
        lab.pid(&Who::Vswitch("host-1".to_owned()))?,
    ];
    let used = || pids.iter().map(|pid| cpu_seconds(*pid)).sum::<Result<f64, _>>();
    sleep(SETTLE);
    let (before, started) = (used()?, Instant::now());
    sleep(WATCHED);
    let idle = (used()? - before) / started.elapsed().as_secs_f64() * 100.0;
    let rss = pids.iter().map(|pid| resident_mb(*pid)).sum::<Result<f64, _>>()?;
    Ok(vec![
        Figure::new("host_idle_cpu_percent", idle, "percent").mode("30s_2_guests"),
        Figure::new("host_rss_mb", rss, "MB").mode("2_guests_shared_pages_counted"),
    ])
}
