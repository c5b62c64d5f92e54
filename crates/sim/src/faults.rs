//! Everything that goes wrong, and is mended again, one thing at a time.

use anet_agent::core::Holder;
use anet_model::host_plan::Attachment;

use crate::violation::Violation;
use crate::world::World;

/// Interfaces that there are on a host: few, so that they are asked for twice.
const INTERFACES: usize = 4;

/// One thing.
#[derive(Debug, Clone, Copy)]
enum Fault {
    ControllerDies,
    ControllerBegins,
    AgentDies,
    AgentBegins,
    DataPlaneDies,
    DataPlaneBegins,
    PowerIsLost,
    WayIsCut,
    WaysAreMended,
    StoreIsCutOff,
    DataPlaneIsChangedBySomebody,
    DiskRefuses,
    DiskLosesWhatWasSynced,
    StoreIsBackedUp,
    StoreIsRestored,
}

/// How often each of them is to happen, in parts.
const PARTS: [(usize, Fault); 15] = [
    (6, Fault::ControllerDies),
    (16, Fault::ControllerBegins),
    (6, Fault::AgentDies),
    (14, Fault::AgentBegins),
    (6, Fault::DataPlaneDies),
    (10, Fault::DataPlaneBegins),
    (2, Fault::PowerIsLost),
    (4, Fault::WayIsCut),
    (4, Fault::WaysAreMended),
    (2, Fault::StoreIsCutOff),
    (4, Fault::DataPlaneIsChangedBySomebody),
    (8, Fault::DiskRefuses),
    (2, Fault::DiskLosesWhatWasSynced),
    (2, Fault::StoreIsBackedUp),
    (1, Fault::StoreIsRestored),
];

/// Something goes wrong, or is mended.
pub fn any(world: &mut World) -> Result<(), Violation> {
    let host = world.chance.below(world.hosts.len());
    let seat = world.chance.below(world.seats.len());
    let fault = draw(world);
    let now_ms = world.now_ms();
    let place = format_args!("host{host}, controller {seat}");
    world.log.note(now_ms, place, format_args!("{fault:?}"));
    match fault {
        Fault::ControllerDies => world.kill_controller(seat),
        Fault::ControllerBegins => world.start_controller(seat),
        Fault::AgentDies => world.kill_agent(host),
        Fault::AgentBegins => world.hosts[host].start_agent()?,
        Fault::DataPlaneDies => world.hosts[host].kill_plane(),
        Fault::DataPlaneBegins => world.hosts[host].start_plane(),
        Fault::PowerIsLost => world.lose_power(host),
        Fault::WayIsCut => world.cut(host, seat),
        Fault::WaysAreMended => mend_ways(world),
        Fault::StoreIsCutOff => world.cut_store(seat, true),
        Fault::DataPlaneIsChangedBySomebody => {
            let pick = world.chance.below(8);
            world.hosts[host].tamper(pick);
        }
        Fault::DiskRefuses => world.hosts[host].disk.refuse(now_ms),
        Fault::DiskLosesWhatWasSynced => world.lose_last(host),
        Fault::StoreIsBackedUp => world.back_up_store(),
        Fault::StoreIsRestored => world.restore_store()?,
    }
    Ok(())
}

fn draw(world: &mut World) -> Fault {
    let all = PARTS.iter().map(|(parts, _)| parts).sum();
    let mut pick = world.chance.below(all);
    for (parts, fault) in PARTS {
        match pick.checked_sub(parts) {
            Some(rest) => pick = rest,
            None => return fault,
        }
    }
    Fault::ControllerBegins
}

fn mend_ways(world: &mut World) {
    let trouble = world.network.trouble;
    world.network.heal();
    world.network.trouble = trouble;
    (0..world.seats.len()).for_each(|seat| world.cut_store(seat, false));
}

/// Nothing goes wrong any more, and everything lives.
pub fn end(world: &mut World) -> Result<(), Violation> {
    world.network.heal();
    world.trouble_store(false);
    for seat in 0..world.seats.len() {
        world.cut_store(seat, false);
        world.start_controller(seat);
    }
    for host in &mut world.hosts {
        host.disk.mend();
        host.start_plane();
        host.start_agent()?;
    }
    Ok(())
}

/// Somebody on a host attaches a port to something, or detaches it.
pub fn attach(world: &mut World) {
    let host = world.chance.below(world.hosts.len());
    let intent = world.truth.intent();
    let ports: Vec<_> = intent
        .ports
        .iter()
        .map(|(id, port)| (id.clone(), port.mac))
        .collect();
    let Some((port, mac)) = world.chance.pick(&ports).cloned() else {
        return;
    };
    let holder = match world.chance.per_thousand(300) {
        true => Holder::Mac(mac),
        false => Holder::Port(port),
    };
    let attachment = match world.chance.below(INTERFACES + 2) {
        number if number < INTERFACES => Attachment::Tap {
            interface: format!("tap{number}"),
            netns: None,
        },
        _ => Attachment::Detached,
    };
    let now_ms = world.now_ms();
    world.hosts[host].attach(now_ms, &holder, attachment);
}
