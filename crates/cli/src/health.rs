//! `anet health`: how the fabric is.

use anet_api::events::{HEALTH_PATH, Health, Severity};

use crate::error::CliError;
use crate::output::table::Table;
use crate::{Session, output};

pub(crate) fn run(session: &mut Session<'_>) -> Result<u8, CliError> {
    let health: Health = session.client.get(HEALTH_PATH)?;
    let status = if health.healthy { 0 } else { 1 };
    if output::for_programs(session, &health)? {
        return Ok(status);
    }
    let word = if health.healthy { "healthy" } else { "needs a look" };
    writeln!(
        session.out,
        "{word}: cluster {}, incarnation {}, revision {}, {}",
        output::line(&health.cluster),
        health.incarnation,
        health.revision,
        output::line(&health.software)
    )?;
    let mut table = Table::new(["PART", "STATE", "WHAT"].map(str::to_string));
    for part in &health.parts {
        let state = match part.severity {
            Severity::Info => "ok",
            other => severity(other),
        };
        table.row([
            output::line(&part.name),
            state.to_string(),
            output::line(&part.message),
        ]);
    }
    table.write(session.out)?;
    Ok(status)
}

/// Its word.
pub(crate) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
