//! `two_workers_vs_one`: the same packets by one worker, and shared between two on processors of their own.
//!
//! A million flows (500,000 connections, both directions), TCP and UDP, half between guests of the host, half between
//! a guest and a peer behind a tunnel; frames of 64 bytes. Half of the connections have their two directions on different
//! workers. Rounds alternate. A round's time is the processor time of the thread that took longest: workers never sleep
//! in it, so on an idle machine that is the time that passed, and on a busy one it leaves out who else was running.

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use anet_datapath::tables::Tables;
use anet_memory::cpu;
use left_right::ReadHandle;
use nix::time::{ClockId, clock_gettime};

use super::fabric::{Fabric, Shared, Station};
use super::lane::{Carried, Lane};
use super::random::Random;
use super::traffic::{Connection, Path, Replay, Side};
use crate::error::{BenchError, require};
use crate::figure::Figure;
use crate::statistics::Runs;

const CONNECTIONS: usize = 500_000;
/// Pairs of rounds.
const ROUNDS: usize = 9;

/// Measures.
pub fn run() -> Result<Vec<Figure>, BenchError> {
    let processors = cpu::allowed().map_err(BenchError::system("which processors there are"))?;
    if processors.len() < 2 {
        return Err(BenchError::Missing(
            "two processors are needed, and one is there".to_owned(),
        ));
    }
    let fabric = Fabric::new(10, CONNECTIONS + 1024)?;
    let paths = [Path::Local, Path::Out, Path::Local, Path::In];
    let connections: Vec<Connection> = (0..CONNECTIONS)
        .map(|n| {
            Connection::new(
                if paths[n % 4] == Path::Local { n / 2 } else { n / 4 },
                paths[n % 4],
                10,
            )
        })
        .collect();
    let replays = share(&fabric, &connections)?;
    Lane::of(&fabric, 1024)?.open(&fabric, &connections)?;
    let times = rounds(&fabric, &replays, &processors)?;
    let packets = (replays[0].len() + replays[1].len()) as f64;
    let rate = |nanoseconds: u64| packets * 1000.0 / nanoseconds as f64;
    let ratios = times.iter().map(|[one, two]| *one as f64 / *two as f64);
    let side = |which: usize| Runs::of(times.iter().map(|pair| rate(pair[which]))).median;
    let figure = Figure::of_runs("two_workers_vs_one", Runs::of(ratios), "ratio");
    Ok(vec![figure.sides(side(1), side(0)).mode("1m_flows_mpps")])
}

/// Who receives what: ports by their number, the underlay's packets so that half of its connections cross.
fn share(fabric: &Fabric, connections: &[Connection]) -> Result<[Replay; 2], BenchError> {
    let mut packets = [Vec::new(), Vec::new()];
    let mut crossing = 0;
    for (number, connection) in connections.iter().enumerate() {
        let queue = |side| match (connection.sender(side), connection.sender(other(side))) {
            (Station::Local(port), _) => port % 2,
            (_, Station::Local(port)) => (port + number / 8) % 2,
            _ => 0,
        };
        for side in [Side::Client, Side::Server] {
            let interface = fabric.interface(connection.sender(side));
            packets[queue(side)].push((interface, connection.frame(side)));
        }
        crossing += usize::from(queue(Side::Client) != queue(Side::Server));
    }
    let share = crossing * 100 / connections.len();
    require((45..=55).contains(&share), || {
        format!("{share} % of the connections cross, and it should be half")
    })?;
    let mut random = Random::new(7);
    Ok(packets.map(|packets| Replay::shuffled(packets, &mut random)))
}

fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

/// Nanoseconds of each pair of rounds: one worker, two workers.
fn rounds(fabric: &Fabric, replays: &[Replay; 2], processors: &[usize]) -> Result<Vec<[u64; 2]>, BenchError> {
    let (go, told) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    let both = [&replays[0], &replays[1]];
    let (shared, reader) = (fabric.shared(), fabric.reader());
    let helper = move |told: Receiver<()>, answer: Sender<Result<u64, BenchError>>| {
        let made = pinned(processors[1]).and_then(|()| prepared(shared, reader, 2, &both[1..]));
        let mut lane = match made {
            Ok(lane) => lane,
            Err(error) => return drop(answer.send(Err(error))),
        };
        _ = answer.send(Ok(0));
        while told.recv().is_ok() {
            _ = answer.send(timed(&mut lane, &both[1..]));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(move || helper(told, answer));
        let gone = |_| BenchError::Void("the second worker's thread ended".to_owned());
        pinned(processors[0])?;
        let mut alone = prepared(fabric.shared(), fabric.reader(), 0, &both)?;
        let mut first = prepared(fabric.shared(), fabric.reader(), 1, &both[..1])?;
        answers.recv().map_err(gone)??;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let one = timed(&mut alone, &both)?;
            _ = go.send(());
            let mine = timed(&mut first, &both[..1])?;
            let theirs = answers.recv().map_err(gone)??;
            times.push([one, mine.max(theirs)]);
        }
        drop(go);
        Ok(times)
    })
}

fn pinned(processor: usize) -> Result<(), BenchError> {
    cpu::pin(processor).map_err(BenchError::system(format!("run on processor {processor}")))
}

/// A worker that knows all flows of the replays.
fn prepared<'f>(
    shared: Shared<'f>,
    reader: ReadHandle<Tables>,
    number: u16,
    replays: &[&Replay],
) -> Result<Lane<'f>, BenchError> {
    let flows: usize = replays.iter().map(|replay| replay.len()).sum();
    let mut lane = Lane::new(number, flows * 2, shared, reader)?;
    for replay in replays {
        lane.play(replay)?;
    }
    let misses = lane.worker.counters().misses.get();
    timed(&mut lane, replays)?;
    let misses = lane.worker.counters().misses.get() - misses;
    require(misses * 1000 < flows as u64, || {
        format!("{misses} of {flows} packets were no hit")
    })?;
    Ok(lane)
}

/// Nanoseconds of processor time that it takes to play the replays, burst by burst in turns.
fn timed(lane: &mut Lane<'_>, replays: &[&Replay]) -> Result<u64, BenchError> {
    let before = thread_time()?;
    let mut total = Carried::default();
    let mut turns: Vec<_> = replays.iter().map(|replay| replay.bursts()).collect();
    let mut left = turns.len();
    while left > 0 {
        left = 0;
        for turn in &mut turns {
            if let Some((interface, frames)) = turn.next() {
                left += 1;
                total += lane
                    .carry(interface, frames)
                    .ok_or_else(|| BenchError::Void("the pool of buffers ran dry".to_owned()))?;
            }
        }
    }
    let time = thread_time()?.saturating_sub(before);
    require(total.sent == total.packets, || {
        format!(
            "{} of {} packets were lost",
            total.packets - total.sent,
            total.packets
        )
    })?;
    Ok(time.as_nanos() as u64)
}

/// Processor time of this thread.
pub(super) fn thread_time() -> Result<Duration, BenchError> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .map_err(|errno| BenchError::system("read the thread's clock")(errno.into()))
}
