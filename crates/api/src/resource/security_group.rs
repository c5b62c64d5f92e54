//! Security groups.

use anet_model::host_plan::SecurityGroupId;
use anet_model::intent::{ProjectId, SecurityGroup};
use serde_json::{Map, Value, json};

use super::attribute::{Attribute, Kind, Literal};
use super::shared::{self, CREATED, DESCRIPTION, ID, NAME, PROJECT, REVISION, TAGS, TENANT, UPDATED};
use super::{Attributes, Names, Operation, Request, Resource};
use crate::error::ApiError;

pub(super) const NAMES: Names = Names {
    singular: "security_group",
    plural: "security_groups",
    path: "/v2.0/security-groups",
    title: "Security group",
    not_found: "SecurityGroupNotFound",
    in_use: "SecurityGroupInUse",
};

pub(super) const ATTRIBUTES: &[Attribute] = &[
    ID,
    NAME.required(),
    DESCRIPTION,
    PROJECT,
    TENANT,
    Attribute::shown("security_group_rules", Kind::Made, "its rules"),
    Attribute::only("stateful", Literal::Boolean(true), "whether replies need no rule"),
    Attribute::shown("shared", Kind::Boolean, "whether other projects may use it"),
    TAGS,
    REVISION,
    CREATED,
    UPDATED,
];

/// A group to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityGroupCreate {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// Its owner; the caller's project where `None`.
    pub project_id: Option<ProjectId>,
}

/// What changes; `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityGroupUpdate {
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
}

impl Request for SecurityGroupCreate {
    const RESOURCE: Resource = Resource::SecurityGroup;
    const OPERATION: Operation = Operation::Create;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            name: attributes.demand("name")?,
            description: attributes.demand("description")?,
            project_id: attributes.take("project_id")?,
        })
    }
}

impl Request for SecurityGroupUpdate {
    const RESOURCE: Resource = Resource::SecurityGroup;
    const OPERATION: Operation = Operation::Update;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            name: attributes.take("name")?,
            description: attributes.take("description")?,
        })
    }
}

/// As clients see it; `rules` are its rules as [`super::security_group_rule_to_json`] gives them.
pub fn security_group_to_json(
    id: &SecurityGroupId,
    group: &SecurityGroup,
    rules: Vec<Map<String, Value>>,
) -> Map<String, Value> {
    let mut object = shared::owned(id.as_str(), &group.common, &group.project);
    let fields = [
        ("security_group_rules", json!(rules)),
        ("stateful", json!(true)),
        ("shared", json!(false)),
    ];
    shared::add(&mut object, fields);
    object
}
