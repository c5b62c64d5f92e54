//! What happened, and how the fabric is: `GET /anet/v1/events` and `GET /anet/v1/health`.

use serde::{Deserialize, Serialize};

/// Where events are.
pub const EVENTS_PATH: &str = "/anet/v1/events";
/// Where health is.
pub const HEALTH_PATH: &str = "/anet/v1/health";

/// The answer to `GET /anet/v1/events?after=SEQUENCE&limit=N`, oldest first: those behind SEQUENCE, the last N of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Events {
    /// The events.
    pub events: Vec<Event>,
    /// The number of the last event there is; lower than one that was seen where another process answers now.
    #[serde(default)]
    pub last: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number; a later event has a higher one. Numbers belong to one controller process.
    pub sequence: u64,
    /// When, ISO 8601.
    pub time: String,
    /// How much it matters.
    pub severity: Severity,
    /// What kind of event it is, such as `host_up`.
    pub kind: String,
    /// The host it is about.
    #[serde(default)]
    pub host: Option<String>,
    /// For people: what happened, and what to do.
    pub message: String,
}

/// How much an event or a trouble matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Something does not work.
    Error,
}

/// The answer to `GET /anet/v1/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// True where nothing needs a look.
    pub healthy: bool,
    /// The cluster's id.
    pub cluster: String,
    /// The incarnation of the store.
    pub incarnation: u64,
    /// The store's revision.
    pub revision: u64,
    /// The software that answers.
    pub software: String,
    /// Its parts, each with its state.
    pub parts: Vec<HealthPart>,
}

/// A part of the fabric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPart {
    /// What it is: `store`, `host h1`.
    pub name: String,
    /// How it is.
    pub severity: Severity,
    /// For people: how it is, and what to do.
    pub message: String,
}
