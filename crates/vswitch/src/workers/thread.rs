//! A worker's life: sleep, look at commands, one round over the queues that have packets.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use anet_datapath::burst::{BURST, Stage, Surroundings, Worker, WorkerSettings};
use anet_datapath::counters::WorkerCounters;
use anet_datapath::egress::Egress;
use anet_datapath::interface::Interface;
use anet_datapath::pipeline::Environment;
use anet_datapath::respond::router_advertisement::INTERVAL_S;
use anet_datapath::tables::Tables;
use anet_datapath::verdict::DropReason;
use anet_memory::buffer::{Buffer, Pool};
use anet_memory::pool::PoolSettings;
use anet_ports::kernel::wait::Waiter;
use anet_ports::{Disposition, PortError};
use left_right::ReadHandle;

use super::laps::{Laps, StageCycles};
use super::places::{Losses, Places};
use super::rhythm::{Pause, Rhythm};
use super::{Command, Event, Settings, Shared};
use crate::clock::{self, MILLISECOND, SECOND};
use crate::log;

/// What a worker does beside packets. It writes, others read.
#[derive(Debug, Default)]
pub(super) struct Activity {
    rounds: AtomicU64,
    sleeps: AtomicU64,
    stages: StageCycles,
}

impl Activity {
    pub(super) fn stage_cycles(&self) -> &StageCycles {
        &self.stages
    }

    pub(super) fn get(&self) -> (u64, u64) {
        (
            self.rounds.load(Ordering::Relaxed),
            self.sleeps.load(Ordering::Relaxed),
        )
    }

    fn count(counter: &AtomicU64) {
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// What a thread is started with.
pub(super) struct Seat {
    pub(super) number: usize,
    pub(super) settings: Settings,
    pub(super) shared: Shared,
    pub(super) waiter: Waiter,
    pub(super) inbox: Receiver<Command>,
    pub(super) activity: Arc<Activity>,
}

/// Everything that a worker works with, except the tables, which it has for a round at a time.
struct Desk<'d> {
    seat: Seat,
    pool: Pool,
    worker: Worker,
    counters: Arc<WorkerCounters>,
    egress: Egress,
    burst: Vec<Buffer>,
    places: Places,
    rhythm: Rhythm,
    laps: Laps,
    events: &'d dyn Fn(Event),
    /// It was put on a processor because it polls.
    settled: bool,
    refreshed_at: u64,
    advertised_at: u64,
}

/// The thread's body. Tells `ready` its counters, or why it cannot work.
pub(super) fn main(
    seat: Seat,
    tables: &ReadHandle<Tables>,
    events: &dyn Fn(Event),
    ready: &Sender<Result<Arc<WorkerCounters>, String>>,
) {
    if !seat.settings.processors.is_empty()
        && let Err(error) = pin(seat.number, &seat.settings.processors)
    {
        // A worker that may not be pinned works all the same.
        log::line(format_args!("worker {} is not pinned: {error}", seat.number));
    }
    let pool = match Pool::new(PoolSettings::default()) {
        Ok(pool) => pool,
        Err(error) => return drop(ready.send(Err(error.to_string()))),
    };
    let worker = Worker::new(WorkerSettings {
        number: seat.number as u16,
        flows: seat.settings.flows,
        seed: seat.settings.seed,
    });
    let counters = worker.counters().clone();
    let _ = ready.send(Ok(counters.clone()));
    let number = seat.number;
    let rhythm = Rhythm::new(seat.settings.polling);
    let laps = Laps::new(seat.settings.stage_cycles);
    let mut desk = Desk {
        seat,
        pool,
        worker,
        counters,
        egress: Egress::default(),
        burst: Vec::with_capacity(BURST),
        places: Places::default(),
        rhythm,
        laps,
        events,
        settled: false,
        refreshed_at: 0,
        advertised_at: clock::now(),
    };
    // A panic outside a burst ends the worker, and its siblings and the control thread live on to tell.
    let lived = catch_unwind(AssertUnwindSafe(|| desk.live(tables)));
    desk.worker.finish_endings(&desk.seat.shared.connections);
    if !matches!(lived, Ok(Ended::Asked)) {
        events(Event::Ended(number));
    }
}

enum Ended {
    Asked,
    ByItself,
}

impl Desk<'_> {
    fn live(&mut self, tables: &ReadHandle<Tables>) -> Ended {
        let mut ready = Vec::with_capacity(64);
        loop {
            let Ok(woken) = self.pause(&mut ready) else {
                return Ended::ByItself;
            };
            if woken && self.obey().is_break() {
                return Ended::Asked;
            }
            let now = clock::now();
            self.places.unmute(&self.seat.waiter, now);
            self.advertise(tables, now);
            ready.extend(
                self.places
                    .polled
                    .iter()
                    .map(|interface| u64::from(interface.get())),
            );
            if ready.is_empty() {
                if self.worker.has_endings() {
                    self.worker.finish_endings(&self.seat.shared.connections);
                } else if !woken && self.rhythm.falls_asleep() {
                    self.give_back();
                }
                continue;
            }
            let Some(packets) = self.round(tables, &ready, now) else {
                return Ended::ByItself;
            };
            if self.rhythm.after_round(packets, now) {
                self.give_back();
            }
            self.refresh(now);
        }
    }

    /// Waits for as long as there is nothing to do; true where somebody woke us.
    fn pause(&mut self, ready: &mut Vec<u64>) -> std::io::Result<bool> {
        let pause = self.rhythm.pause(!self.places.polled.is_empty());
        let mut timeout = match pause {
            Pause::None => {
                ready.clear();
                return Ok(false);
            }
            Pause::Wait(timeout) => timeout,
        };
        if self.worker.has_endings() {
            timeout = timeout.min(Duration::from_nanos(MILLISECOND));
        }
        if self.places.has_muted() {
            timeout = timeout.min(Duration::from_nanos(20 * MILLISECOND));
        }
        if !timeout.is_zero() {
            Activity::count(&self.seat.activity.sleeps);
        }
        self.seat.waiter.wait(Some(timeout), ready)
    }

    /// Nothing has come for a while.
    fn give_back(&mut self) {
        self.count_losses();
        self.pool.release_idle();
    }

    /// A burst of each queue that is ready. How many packets there were; `None` where the tables are gone.
    fn round(&mut self, tables: &ReadHandle<Tables>, ready: &[u64], now: u64) -> Option<usize> {
        let tables = tables.enter()?;
        let packets = ready
            .iter()
            .map(|token| self.serve(&tables, Interface::from_raw(*token as u32), now));
        let packets = packets.sum();
        // Also where there were none.
        self.worker
            .work_off_endings(&environment(&self.seat.shared, &tables, now));
        if packets > 0 {
            Activity::count(&self.seat.activity.rounds);
            self.laps.publish(&self.seat.activity.stages);
        }
        Some(packets)
    }

    /// Guests forget a default route that is not announced again.
    fn advertise(&mut self, tables: &ReadHandle<Tables>, now: u64) {
        if now.saturating_sub(self.advertised_at) < INTERVAL_S * SECOND {
            return;
        }
        self.advertised_at = now;
        let Some(tables) = tables.enter() else { return };
        let mut with = Surroundings {
            environment: environment(&self.seat.shared, &tables, now),
            pool: &self.pool,
            egress: &mut self.egress,
        };
        // Of a port with several queues one worker speaks.
        let (workers, own) = (self.seat.settings.workers.max(1), self.seat.number);
        for port in self
            .places
            .received_ports()
            .filter(|port| *port as usize % workers == own)
        {
            self.worker.advertise(&mut with, port);
        }
        drop(tables);
        self.send(now);
    }

    fn obey(&mut self) -> ControlFlow<()> {
        while let Ok(command) = self.seat.inbox.try_recv() {
            match command {
                Command::Attach(attachment) => {
                    let device = attachment.device;
                    if let Err(source) = self.places.attach(&self.seat.waiter, attachment) {
                        let error = PortError::Refused {
                            port: format!("{:?}", device.interface),
                            what: "wait for its packets",
                            source,
                            advice: "raise the limit of watched descriptors (fs.epoll.max_user_watches)",
                        };
                        (self.events)(Event::Trouble(device, error));
                    }
                    self.settle();
                }
                Command::Detach(interface, reply) => {
                    let _ = reply.send(self.places.detach(&self.seat.waiter, interface));
                }
                Command::Flows(reply) => {
                    let flows = self.worker.cache().iter().map(|(key, flow)| (*key, *flow));
                    let _ = reply.send(flows.collect());
                }
                Command::Stop => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    /// A worker that polls stays on a processor, so that no two of them come to share one. One that sleeps until there are
    /// packets runs wherever the scheduler finds room beside the guests.
    fn settle(&mut self) {
        let polls = !self.places.polled.is_empty();
        if polls && !self.settled && self.seat.settings.workers > 1 {
            // Where processors are named, what went wrong was said at the start.
            let _ = pin(self.seat.number, &self.seat.settings.processors);
            self.settled = true;
        }
    }

    /// One burst of one interface, all the way. How many packets it had.
    fn serve(&mut self, tables: &Tables, interface: Interface, now: u64) -> usize {
        let Some(place) = self.places.get(interface) else {
            return 0;
        };
        let Some(queue) = place.receive.as_mut() else {
            return 0;
        };
        self.laps.end(Stage::Idle);
        let received = queue.receive(&self.pool, &mut self.burst, BURST);
        let closed = interface != Interface::UPLINK && place.health.is_closed(now);
        if let Err(error) = received {
            self.in_trouble(interface, error, now);
        }
        let packets = self.burst.len();
        if packets == 0 {
            return 0;
        }
        self.laps.end(Stage::Receive);
        if closed {
            self.refuse_burst(interface);
            return packets;
        }
        self.process(tables, interface, now);
        self.send(now);
        self.laps.end(Stage::Transmit);
        packets
    }

    fn process(&mut self, tables: &Tables, interface: Interface, now: u64) {
        let environment = environment(&self.seat.shared, tables, now);
        let (worker, pool, egress) = (&mut self.worker, &self.pool, &mut self.egress);
        let (burst, laps) = (&mut self.burst, &mut self.laps);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(test)]
            crate::planted::fault_in(burst);
            let mut with = Surroundings {
                environment,
                pool,
                egress,
            };
            match laps.clock() {
                Ok(clock) => worker.process_measured(&mut with, interface, burst, clock),
                Err(_) => worker.process(&mut with, interface, burst),
            }
        }));
        if outcome.is_err() {
            self.recover(interface, now);
        }
    }

    /// After a panic: the burst is lost, and whatever it may have left half done is forgotten.
    #[cold]
    fn recover(&mut self, interface: Interface, now: u64) {
        self.burst.clear();
        self.egress.drain(|_, list| list.clear());
        self.worker.forget_flows();
        self.counters.panics.add(1);
        // The underlay is everybody's: closing it would be the greater harm.
        if interface == Interface::UPLINK {
            return;
        }
        if let Some(place) = self.places.get(interface)
            && place.health.panicked(now)
        {
            (self.events)(Event::Quarantined(place.device));
        }
    }

    fn refuse_burst(&mut self, interface: Interface) {
        let counters = self.counters.interface(interface);
        let packets = self.burst.len() as u64;
        counters.received_packets.add(packets);
        counters
            .received_bytes
            .add(self.burst.iter().map(|buffer| buffer.len() as u64).sum());
        counters.drops[DropReason::Quarantined.index()].add(packets);
        self.burst.clear();
    }

    fn send(&mut self, now: u64) {
        let (places, counters, events) = (&mut self.places, &self.counters, self.events);
        self.egress.drain(|interface, list| {
            let counters = counters.interface(interface);
            let Some(place) = places.get(interface) else {
                counters.send_drops.add(list.len() as u64);
                return;
            };
            let outcome = place.transmit.transmit(list);
            counters.sent_packets.add(u64::from(outcome.sent));
            counters.sent_bytes.add(outcome.sent_bytes);
            counters.send_drops.add(u64::from(outcome.dropped()));
            if let Some(error) = outcome.error
                && place.may_tell(now)
            {
                // A device may be gone without its receive queue saying so again.
                events(match error.disposition() {
                    Disposition::Detach => Event::Lost(place.device, error),
                    Disposition::RetryLater => Event::Trouble(place.device, error),
                });
            }
        });
    }

    #[cold]
    fn in_trouble(&mut self, interface: Interface, error: PortError, now: u64) {
        let gone = error.disposition() == Disposition::Detach;
        match gone {
            true => self.places.stop_receiving(&self.seat.waiter, interface),
            false => self.places.mute(&self.seat.waiter, interface, now),
        }
        let Some(place) = self.places.get(interface) else {
            return;
        };
        if gone {
            (self.events)(Event::Lost(place.device, error));
        } else if place.may_tell(now) {
            (self.events)(Event::Trouble(place.device, error));
        }
    }

    /// Once a second, while there are packets.
    fn refresh(&mut self, now: u64) {
        if now.saturating_sub(self.refreshed_at) >= SECOND {
            self.refreshed_at = now;
            self.count_losses();
        }
    }

    /// What was lost in front of the queues is a drop like any other.
    fn count_losses(&mut self) {
        for (interface, place) in self.places.iter_mut() {
            let Losses {
                no_buffer,
                malformed,
                queue_full,
            } = place.new_losses();
            if no_buffer + malformed + queue_full > 0 {
                let drops = &self.counters.interface(interface).drops;
                drops[DropReason::NoBuffer.index()].add(no_buffer);
                drops[DropReason::Malformed.index()].add(malformed);
                drops[DropReason::ReceiveQueueFull.index()].add(queue_full);
            }
        }
    }
}

fn environment<'e>(shared: &'e Shared, tables: &'e Tables, now: u64) -> Environment<'e> {
    Environment {
        tables,
        connections: &shared.connections,
        new_connections: &shared.new_connections,
        now,
        loose_pickup: shared.loose_pickup,
    }
}

/// Keeps the thread on one of `processors`, or of those that this process may use where there are none.
fn pin(number: usize, processors: &[usize]) -> Result<(), String> {
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;
    let this = Pid::from_raw(0);
    let mut usable = processors.to_vec();
    if usable.is_empty() {
        let allowed = sched_getaffinity(this).map_err(|error| error.to_string())?;
        usable.extend((0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)));
    }
    let mut one = CpuSet::new();
    let Some(cpu) = usable.get(number % usable.len().max(1)) else {
        return Ok(());
    };
    let pinned = one.set(*cpu).and_then(|()| sched_setaffinity(this, &one));
    pinned.map_err(|error| {
        format!("processor {cpu}: {error}; give --processors such as there are, and this process may use")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_is_not_there_is_named() {
        for processor in [1023, 1_000_000] {
            let error = pin(1, &[0, processor]).unwrap_err();
            assert!(error.starts_with(&format!("processor {processor}: ")), "{error}");
        }
    }
}
