//! Hosts. They join by themselves; what can be said of one later stands here.

use std::net::IpAddr;

use anet_model::intent::{Host, HostId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::attribute::{Attribute, Kind};
use super::shared::{self, CREATED, DESCRIPTION, ID, REVISION, UPDATED};
use super::{Attributes, Names, Operation, Request, Resource};
use crate::error::ApiError;
use crate::timestamp;

const fn only_changed(attribute: Attribute) -> Attribute {
    Attribute {
        create: super::Access::Nobody,
        initial: super::Initial::Chosen,
        ..attribute
    }
}

pub(super) const NAMES: Names = Names {
    singular: "host",
    plural: "hosts",
    path: "/anet/v1/hosts",
    title: "Host",
    not_found: "HostNotFound",
    in_use: "HostInUse",
};

pub(super) const ATTRIBUTES: &[Attribute] = &[
    ID,
    Attribute::shown("name", Kind::Id, "its name, which is its id"),
    only_changed(DESCRIPTION).set_by_admin(),
    only_changed(Attribute::settable(
        "tunnel_address",
        Kind::Address,
        "address of its tunnel endpoint",
    ))
    .nullable()
    .set_by_admin(),
    only_changed(Attribute::settable(
        "tunnel_port",
        Kind::Integer(1, 65_535),
        "UDP port of its tunnel endpoint",
    ))
    .set_by_admin(),
    Attribute::shown(
        "status",
        Kind::Text(16),
        "UP, DOWN, or NEW where it has not been heard yet",
    ),
    Attribute::shown("last_heard_at", Kind::Made, "when its agent was last heard"),
    Attribute::shown("software", Kind::Made, "version of its agent"),
    Attribute::shown("machine", Kind::Made, "what it runs on"),
    Attribute::shown("desired_revision", Kind::Made, "revision that it should be at"),
    Attribute::shown(
        "applied_revision",
        Kind::Made,
        "revision that its data plane is at",
    ),
    Attribute::shown(
        "in_step",
        Kind::Made,
        "whether its data plane is exactly as planned",
    ),
    Attribute::shown("ports", Kind::Made, "number of its ports"),
    Attribute::shown("troubles", Kind::Made, "what is wrong with it"),
    Attribute::shown(
        "identity",
        Kind::Text(64),
        "SHA-256 of the public key it joined with",
    ),
    REVISION,
    CREATED,
    UPDATED,
];

/// What changes; `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostUpdate {
    /// For people.
    pub description: Option<String>,
    /// `Some(None)`: no tunnel endpoint.
    pub tunnel_address: Option<Option<IpAddr>>,
    /// UDP port of its tunnel endpoint.
    pub tunnel_port: Option<u16>,
}

impl Request for HostUpdate {
    const RESOURCE: Resource = Resource::Host;
    const OPERATION: Operation = Operation::Update;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            description: attributes.take("description")?,
            tunnel_address: attributes.take("tunnel_address")?,
            tunnel_port: attributes.take("tunnel_port")?,
        })
    }
}

/// Whether a host is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HostState {
    /// It has not been heard since it joined, or since the controller started.
    #[default]
    New,
    /// Its agent is there.
    Up,
    /// Its agent has been silent for too long. Its guests may well go on.
    Down,
}

/// What a controller knows of a host beside intent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostObserved {
    /// Whether it is heard.
    pub status: HostState,
    /// When it was last heard, in seconds since 1970.
    pub last_heard_at: Option<i64>,
    /// Version of its agent.
    pub software: Option<String>,
    /// What it runs on.
    pub machine: Option<String>,
    /// The revision that it should be at.
    pub desired_revision: Option<u64>,
    /// The revision that its data plane is at.
    pub applied_revision: Option<u64>,
    /// Whether its data plane is exactly as planned, by digest.
    pub in_step: Option<bool>,
    /// Number of its ports.
    pub ports: u64,
    /// What is wrong, one sentence each.
    pub troubles: Vec<String>,
}

/// As administrators see it.
pub fn host_to_json(id: &HostId, host: &Host, observed: &HostObserved) -> Map<String, Value> {
    let mut object = shared::common(id.as_str(), &host.common);
    let fields = [
        ("name", json!(id)),
        ("tunnel_address", json!(host.tunnel_address)),
        ("tunnel_port", json!(host.tunnel_port)),
        ("identity", json!(host.identity)),
        ("status", json!(observed.status)),
        (
            "last_heard_at",
            json!(observed.last_heard_at.map(timestamp::to_text)),
        ),
        ("software", json!(observed.software)),
        ("machine", json!(observed.machine)),
        ("desired_revision", json!(observed.desired_revision)),
        ("applied_revision", json!(observed.applied_revision)),
        ("in_step", json!(observed.in_step)),
        ("ports", json!(observed.ports)),
        ("troubles", json!(observed.troubles)),
    ];
    shared::add(&mut object, fields);
    object
}
