//! A rate, taken from a running program; and whether what came out is right.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::program::Running;
use super::results::{Snapshot, Way};
use super::traffic::{Choice, Order, Traffic};
use crate::error::{BenchError, require};

/// Caches fill, the processor finds its speed.
const WARM_UP: Duration = Duration::from_millis(400);
/// The same after a switch to another variant.
const SETTLE: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_millis(1_000);
/// Counters that do not move for this long have come to rest.
const REST: Duration = Duration::from_millis(30);
const PATIENCE: Duration = Duration::from_secs(5);
/// Slow enough to look at every byte of it on a busy machine.
const CHECKED_PACE: u32 = 100_000;
const CHECKED: Duration = Duration::from_millis(300);

/// What was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// Packets a second that came out at the far end.
    pub packets_per_second: f64,
    /// Which variant it was, where there are several.
    pub variant: Option<&'static str>,
    /// From generation to sending, of sampled packets, nanoseconds: half of them, and 99 of 100.
    pub latency: Option<(f64, f64)>,
}

/// The rate at which `traffic` comes out: the best of the program's variants. Void where a packet is lost, or more comes out
/// than went in, from the first packet of the first flow to the last.
pub fn rate(running: &mut Running, traffic: &Traffic) -> Result<Rate, BenchError> {
    let before = rest(running, traffic.queues)?;
    running.tell(traffic)?;
    sleep(WARM_UP);
    let variants: Vec<Option<usize>> = match running.variants.len() {
        0 => vec![None],
        count => (0..count).map(Some).collect(),
    };
    let mut best: Option<Rate> = None;
    for variant in variants {
        let measured = window(running, variant)?;
        if best
            .as_ref()
            .is_none_or(|best| measured.packets_per_second > best.packets_per_second)
        {
            best = Some(measured);
        }
    }
    let after = rest(running, traffic.queues)?;
    nothing_lost(&before, &after)?;
    best.ok_or_else(|| BenchError::Void("nothing was measured".to_owned()))
}

fn window(running: &mut Running, variant: Option<usize>) -> Result<Rate, BenchError> {
    let variant = variant.map(|index| &running.variants[index]);
    if let Some(variant) = variant {
        (variant.choose)()?;
        sleep(SETTLE);
    }
    let from = running.snapshot()?;
    sleep(WINDOW);
    let to = running.snapshot()?;
    let rate = to.rate_since(&from);
    require(rate > 0.0, || "nothing came out".to_owned())?;
    let latency = |share| to.latency_since(&from, share);
    Ok(Rate {
        packets_per_second: rate,
        variant: variant.map(|variant| variant.name),
        latency: latency(0.5).zip(latency(0.99)),
    })
}

/// Stops the generator and waits until everything that went in had time to come out.
fn rest(running: &mut Running, queues: u32) -> Result<Snapshot, BenchError> {
    running.tell(&Traffic::paused(queues))?;
    let started = Instant::now();
    let moved = |a: &Snapshot, b: &Snapshot| {
        [Way::In, Way::Out]
            .iter()
            .any(|way| a.packets(*way) != b.packets(*way))
    };
    let mut last = running.snapshot()?;
    loop {
        sleep(REST);
        let now = running.snapshot()?;
        if !moved(&last, &now) {
            return Ok(now);
        }
        require(started.elapsed() < PATIENCE, || {
            "packets come out though none go in any more".to_owned()
        })?;
        last = now;
    }
}

fn nothing_lost(before: &Snapshot, after: &Snapshot) -> Result<(), BenchError> {
    let (went, came) = (passed(before, after, Way::In), passed(before, after, Way::Out));
    require(went == came, || {
        format!("{went} packets went in, {came} came out")
    })?;
    let starved = after.no_buffer() - before.no_buffer();
    require(starved == 0, || {
        format!("the program's pool had no buffers {starved} times: what is measured is the pool")
    })
}

fn passed(before: &Snapshot, after: &Snapshot, way: Way) -> u64 {
    after.packets(way) - before.packets(way)
}

/// Lets `traffic` through slowly, both ways, a fraction of it forbidden, and looks at every byte that comes out. Void where one is
/// wrong, a packet is missing, or one that no rule allows comes out.
pub fn check(running: &mut Running, traffic: &Traffic) -> Result<u64, BenchError> {
    let traffic = Traffic {
        check: true,
        direction: Choice::Both,
        order: Order::Random,
        pace: CHECKED_PACE,
        establish_pace: CHECKED_PACE,
        ..traffic.clone()
    };
    let before = rest(running, traffic.queues)?;
    running.tell(&traffic)?;
    sleep(CHECKED);
    let after = rest(running, traffic.queues)?;
    if let Some(wrong) = after.wrong() {
        return Err(BenchError::Void(wrong));
    }
    let forbidden = after.forbidden(Way::In) - before.forbidden(Way::In);
    let (went, came) = (
        passed(&before, &after, Way::In),
        passed(&before, &after, Way::Out),
    );
    require(went == came + forbidden, || {
        format!("{went} packets went in, {forbidden} of them not allowed, and {came} came out")
    })?;
    require(came > u64::from(traffic.flows), || {
        format!("only {came} packets came out")
    })?;
    require((forbidden > 0) == (traffic.forbidden_every > 0), || {
        "no packet was generated that is not allowed".to_owned()
    })?;
    Ok(came)
}
