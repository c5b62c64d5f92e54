//! Fragments as the firewall's stages see them: a later one is a packet of its first one's connection.

use anet_packet::Tuple;
use anet_packet::parse::{self, Fragment};

use super::walk::{Effects, Walk};
use crate::fragments::PacketName;

/// A first fragment's ports are noted; a later one gets those of its first, where that is known. Comes after the guard and the
/// responders: what they stop tells nothing, and no later fragment is taken for one of theirs.
pub(super) fn follow_first(walk: &mut Walk<'_, '_>) {
    let Some(name) = name(walk) else { return };
    let (now, source) = (walk.environment.now, walk.source);
    if walk.layout.fragment == Fragment::First {
        if walk.effects == Effects::Lasting {
            walk.state.fragments.note(source, name, walk.layout.ports, now);
        }
        return;
    }
    walk.ports_of_first = walk.state.fragments.find(source, &name, now);
    if let Some(ports) = walk.ports_of_first {
        walk.tuple = Tuple::of(walk.frame.head(), &walk.layout.with_ports_of_first(ports));
    }
    walk.record(|w| match w.ports_of_first {
        Some(_) => "a later fragment; it follows the first one of its packet".to_string(),
        None => "a later fragment whose first one is not known: only rules for any protocol speak of it"
            .to_string(),
    });
}

fn name(walk: &Walk<'_, '_>) -> Option<PacketName> {
    let bare = parse::Layout {
        fragment: Fragment::Later,
        ..walk.layout
    };
    Some(PacketName {
        tuple: Tuple::of(walk.frame.head(), &bare)?,
        identification: parse::identification(walk.frame.head(), &walk.layout)?,
    })
}
