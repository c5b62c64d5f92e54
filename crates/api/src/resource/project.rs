//! Projects: who owns.

use anet_model::intent::{Project, ProjectId};
use serde_json::{Map, Value, json};

use super::attribute::{Attribute, Kind};
use super::shared::{self, CREATED, DESCRIPTION, REVISION, TEXT, UPDATED};
use super::{Attributes, Names, Operation, Request, Resource};
use crate::error::ApiError;

pub(super) const NAMES: Names = Names {
    singular: "project",
    plural: "projects",
    path: "/v2.0/projects",
    title: "Project",
    not_found: "ProjectNotFound",
    in_use: "ProjectInUse",
};

pub(super) const ATTRIBUTES: &[Attribute] = &[
    Attribute::fixed("id", Kind::Id, "id; one is made where none is given").set_by_admin(),
    Attribute::settable("name", Kind::Text(TEXT), "name for people")
        .required()
        .set_by_admin(),
    DESCRIPTION.set_by_admin(),
    REVISION,
    CREATED,
    UPDATED,
];

/// A project to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectCreate {
    /// Its id where it has one already, in Keystone for example.
    pub id: Option<ProjectId>,
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
}

/// What changes; `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectUpdate {
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
}

impl Request for ProjectCreate {
    const RESOURCE: Resource = Resource::Project;
    const OPERATION: Operation = Operation::Create;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            id: attributes.take("id")?,
            name: attributes.demand("name")?,
            description: attributes.demand("description")?,
        })
    }
}

impl Request for ProjectUpdate {
    const RESOURCE: Resource = Resource::Project;
    const OPERATION: Operation = Operation::Update;
    fn from_attributes(mut attributes: Attributes) -> Result<Self, ApiError> {
        Ok(Self {
            name: attributes.take("name")?,
            description: attributes.take("description")?,
        })
    }
}

/// As clients see it.
pub fn project_to_json(id: &ProjectId, project: &Project) -> Map<String, Value> {
    let mut object = shared::common(id.as_str(), &project.common);
    shared::add(&mut object, [("name", json!(project.common.name))]);
    object
}
