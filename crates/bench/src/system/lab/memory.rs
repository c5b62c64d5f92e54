//! `controller_rss_mb_10k_ports`: the controller with its embedded store, and three hosts in session with it.

use std::thread::sleep;
use std::time::Duration;

use anet_lab::standing::Who;

use super::super::footprint::resident_mb;
use super::objects::Tenant;
use super::{BARE_HOSTS, Lab};
use crate::error::{BenchError, require};
use crate::figure::Figure;

const TENANTS: usize = 10;
const NETWORKS_EACH: usize = 5;
const PORTS_EACH: usize = 200;
const FILLED: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(10);

/// 10,000 ports, made through the API, of ten projects, each with five networks that are on all three hosts; once the hosts have
/// their plans.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let lab = Lab::up(BARE_HOSTS)?;
    for number in 0..TENANTS {
        let tenant = Tenant::new(&lab.rest, &format!("tenant-{number}"))?;
        for network in 0..NETWORKS_EACH {
            tenant.network(&format!("10.{network}.0.0/24"), PORTS_EACH, None)?;
        }
    }
    lab.wait_in_step(FILLED)?;
    sleep(SETTLE);
    let rss = resident_mb(lab.pid(&Who::Controller)?)?;
    let behind = lab.rest.behind()?;
    require(behind.is_empty(), || format!("hosts fell behind: {behind:?}"))?;
    Ok(vec![
        Figure::new("controller_rss_mb_10k_ports", rss, "MB").mode("50_networks_3_hosts_in_session"),
    ])
}
