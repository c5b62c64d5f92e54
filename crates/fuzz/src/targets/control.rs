//! The control socket: frames on the stream, requests, answers, changesets, and what a changeset does to plan and tables.

use anet_datapath::tables::Tables;
use anet_model::changeset::{Change, Changeset};
use anet_model::diff::diff;
use anet_model::host_plan::HostPlan;
use anet_model::state::PlanState;
use anet_vswitch::core::tables::TableBuilder;
use anet_wire::codec::{
    decode_changeset, decode_request, decode_response, encode_changeset, encode_request, encode_response,
};
use anet_wire::control::{Hello, Request, Response};
use anet_wire::frame::read_request_frame;

use crate::fabric;

/// Messages of every kind that fits a line, and changesets of a whole plan and of parts of it.
pub fn seeds() -> Vec<Vec<u8>> {
    let hello = || Hello {
        protocol: 1,
        software: "fuzz".to_string(),
    };
    let changes = diff(&HostPlan::default(), &fabric::plan());
    let changeset = |changes: &[Change], snapshot| Changeset {
        from: 0,
        to: 1,
        snapshot,
        changes: changes.to_vec(),
        ..Changeset::default()
    };
    let mut changesets = vec![changeset(&changes, true)];
    changesets.extend(
        changes
            .iter()
            .map(|change| changeset(std::slice::from_ref(change), false)),
    );
    let mut seeds: Vec<Vec<u8>> = changesets.iter().map(encode_changeset).collect();
    seeds.extend(
        changesets
            .into_iter()
            .map(|changeset| encode_request(&Request::Apply(changeset))),
    );
    let requests = [
        Request::Hello(hello()),
        Request::Digest,
        Request::Dump,
        Request::Ports,
    ];
    seeds.extend(requests.iter().map(encode_request));
    seeds.push(encode_response(&Response::Hello(hello())));
    seeds
}

/// What is understood is understood again after it was written; a changeset is carried out whole or not at all.
pub fn target(bytes: &[u8]) {
    let _ = read_request_frame(&mut &bytes[..]);
    if let Ok(response) = decode_response(bytes) {
        assert_eq!(
            decode_response(&encode_response(&response)).as_ref(),
            Ok(&response)
        );
    }
    if let Ok(request) = decode_request(bytes) {
        assert_eq!(decode_request(&encode_request(&request)).as_ref(), Ok(&request));
        if let Request::Apply(changeset) = request {
            carry_out(&changeset);
        }
    }
    if let Ok(changeset) = decode_changeset(bytes) {
        assert_eq!(
            decode_changeset(&encode_changeset(&changeset)).as_ref(),
            Ok(&changeset)
        );
        carry_out(&changeset);
    }
}

fn carry_out(changeset: &Changeset) {
    for before in [HostPlan::default(), fabric::plan()] {
        let mut state =
            PlanState::new(before.clone(), changeset.incarnation, changeset.from).expect("a valid plan");
        match state.apply(changeset) {
            Ok(applied) => {
                state.plan().validate().expect("valid as before");
                into_tables(&before, state.plan(), &applied.changes);
                state.take_back(&applied).expect("what was done is undone");
            }
            Err(_) => assert_eq!(state.plan(), &before),
        }
        assert_eq!(state.plan(), &before);
    }
}

fn into_tables(before: &HostPlan, after: &HostPlan, changes: &[Change]) {
    let (mut builder, mut tables) = (TableBuilder::new(), Tables::new(3));
    let empty = HostPlan::default();
    let first = builder
        .apply(&empty, before, &diff(&empty, before))
        .expect("a small plan");
    first.iter().for_each(|op| tables.perform(op));
    match builder.apply(before, after, changes) {
        Ok(ops) => {
            ops.iter().for_each(|op| tables.perform(op));
            assert_eq!(builder.audit(&tables, after), []);
        }
        Err(_) => assert_eq!(builder.audit(&tables, before), []),
    }
}
