//! Rows and fields that most resources have.

use anet_model::intent::{Common, ProjectId};
use serde_json::{Map, Value, json};

use super::attribute::{Attribute, Kind, Literal};
use crate::timestamp;

/// Characters of names and the like.
pub(super) const TEXT: usize = 255;

pub(super) const ID: Attribute = Attribute::shown("id", Kind::Id, "id");
pub(super) const NAME: Attribute =
    Attribute::settable("name", Kind::Text(TEXT), "name for people").initially(Literal::Text(""));
pub(super) const DESCRIPTION: Attribute =
    Attribute::settable("description", Kind::Text(TEXT), "description for people")
        .initially(Literal::Text(""));
pub(super) const PROJECT: Attribute = Attribute::fixed("project_id", Kind::Id, "project that owns it");
pub(super) const TENANT: Attribute = Attribute::fixed("tenant_id", Kind::Id, "older name of project_id");
pub(super) const ADMIN_STATE_UP: Attribute =
    Attribute::settable("admin_state_up", Kind::Boolean, "whether it passes packets")
        .initially(Literal::Boolean(true));
pub(super) const TAGS: Attribute = Attribute::shown("tags", Kind::Made, "tags, which there are none of");
pub(super) const REVISION: Attribute = Attribute::shown(
    "revision_number",
    Kind::Integer(0, i64::MAX),
    "number of changes so far",
);
pub(super) const CREATED: Attribute = Attribute::shown("created_at", Kind::Text(32), "when it was made");
pub(super) const UPDATED: Attribute =
    Attribute::shown("updated_at", Kind::Text(32), "when it was last changed");

/// Id, description and times.
pub(super) fn common(id: &str, common: &Common) -> Map<String, Value> {
    let mut object = Map::new();
    let fields = [
        ("id", json!(id)),
        ("description", json!(common.description)),
        ("revision_number", json!(common.revision_number)),
        ("created_at", json!(timestamp::to_text(common.created_at))),
        ("updated_at", json!(timestamp::to_text(common.updated_at))),
    ];
    add(&mut object, fields);
    object
}

/// What objects of projects have beside [`common`].
pub(super) fn owned(id: &str, of: &Common, project: &ProjectId) -> Map<String, Value> {
    let mut object = common(id, of);
    let fields = [
        ("name", json!(of.name)),
        ("project_id", json!(project)),
        ("tenant_id", json!(project)),
        ("tags", json!([])),
    ];
    add(&mut object, fields);
    object
}

pub(super) fn add<const N: usize>(object: &mut Map<String, Value>, fields: [(&str, Value); N]) {
    object.extend(fields.map(|(name, value)| (name.to_string(), value)));
}
