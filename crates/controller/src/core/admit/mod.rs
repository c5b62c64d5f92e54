//! Admission: what is asked for, against what there is → one transaction, and the answer if it is committed.
//!
//! One file for each noun. Nothing is written here and no request is answered: the driver runs the transaction, and where one of its
//! compares fails (another write was faster), it asks again with a mirror that has caught up. Everything that admission has read
//! is compared, so that what was true when it was decided is true when it is written.

mod addresses;
pub mod draft;
pub mod foreign_endpoint;
pub mod host;
pub mod idempotency;
pub mod join;
mod legal;
pub mod network;
pub mod port;
pub mod project;
pub mod revision;
pub mod rule;
pub mod security_group;
pub mod subnet;
#[cfg(test)]
pub(crate) mod tests;

use anet_api::resource::visible;
use anet_api::{ApiError, Resource, Role};
use anet_model::id::Id;
use anet_model::intent::{Common, ProjectId};
use anet_packet::addr::Vni;
use anet_store::{Key, Transaction, Value as Bytes};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::keys::Noun;
use super::mirror::Mirror;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The project they are of.
    pub project: Option<ProjectId>,
    /// True: an administrator, who sees and may do everything.
    pub admin: bool,
}

impl Caller {
    /// For attributes' rights.
    pub const fn role(&self) -> Role {
        match self.admin {
            true => Role::Admin,
            false => Role::Member,
        }
    }

    /// True where an object of this owner is theirs to see.
    pub fn sees(&self, owner: &ProjectId) -> bool {
        self.admin || self.project.as_ref() == Some(owner)
    }

    /// Refuses who is no administrator.
    pub fn must_be_admin(&self, what: &str) -> Result<(), ApiError> {
        match self.admin {
            true => Ok(()),
            false => Err(ApiError::forbidden(what)),
        }
    }

    /// Whose a new object is to be: the project that is asked for, else the caller's own.
    pub fn owner(&self, asked: Option<&ProjectId>) -> Result<ProjectId, ApiError> {
        match (asked, &self.project) {
            (Some(asked), Some(own)) if asked == own => Ok(own.clone()),
            (Some(asked), _) if self.admin => Ok(asked.clone()),
            (Some(_), _) => Err(ApiError::forbidden("An object of another project")),
            (None, Some(own)) => Ok(own.clone()),
            (None, None) => Err(ApiError::bad_request(
                "Required attribute 'project_id' not specified: this token belongs to no project.",
            )),
        }
    }
}

/// What is not in the mirror: chance, time, and how this fabric is set up.
pub struct Draw<'a> {
    /// Gives random numbers.
    pub random: &'a mut dyn FnMut() -> u64,
    /// Seconds since 1970.
    pub now_s: i64,
    /// Segments that are given where none is asked for.
    pub vnis: (Vni, Vni),
}

impl Draw<'_> {
    /// A new id: a random UUID (RFC 9562, version 4).
    pub fn id<N>(&mut self) -> Id<N> {
        let (high, low) = ((self.random)(), (self.random)());
        let high = (high & !0xF000) | 0x4000;
        let low = (low & !(0b11 << 62)) | (0b10 << 62);
        let text = format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFFF,
            low >> 48,
            low & 0xFFFF_FFFF_FFFF
        );
        Id::new(&text).expect("a UUID is an id")
    }

    /// What a new object has.
    pub fn common(&self, name: String, description: String) -> Common {
        Common {
            name,
            description,
            revision_number: 0,
            created_at: self.now_s,
            updated_at: self.now_s,
        }
    }

    /// Notes a change.
    pub fn touch(&self, common: &mut Common, name: Option<String>, description: Option<String>) {
        common.revision_number += 1;
        common.updated_at = self.now_s;
        if let Some(name) = name {
            common.name = name;
        }
        if let Some(description) = description {
            common.description = description;
        }
    }
}

/// What a client gets if the transaction is committed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON; null for none.
    pub body: Value,
}

impl Answer {
    /// 201 with an object.
    pub fn created(resource: Resource, caller: &Caller, object: Map<String, Value>) -> Self {
        Self {
            status: 201,
            ..Self::shown(resource, caller, object)
        }
    }

    /// 200 with an object.
    pub fn shown(resource: Resource, caller: &Caller, object: Map<String, Value>) -> Self {
        let object = visible(resource, caller.role(), object);
        let mut body = Map::new();
        body.insert(resource.singular().to_owned(), Value::Object(object));
        Self {
            status: 200,
            body: Value::Object(body),
        }
    }

    /// 201 with several objects.
    pub fn created_many(resource: Resource, caller: &Caller, objects: Vec<Map<String, Value>>) -> Self {
        let objects = objects.into_iter();
        let list = objects.map(|object| Value::Object(visible(resource, caller.role(), object)));
        let mut body = Map::new();
        body.insert(resource.plural().to_owned(), list.collect());
        Self {
            status: 201,
            body: Value::Object(body),
        }
    }

    /// 204.
    pub const fn deleted() -> Self {
        Self {
            status: 204,
            body: Value::Null,
        }
    }
}

/// By what a transaction whose outcome is unknown is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Witness {
    /// It put this.
    Put(Key, Bytes),
    /// It deleted this.
    Deleted(Key),
}

/// A transaction that does what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// To be committed, whole or not at all.
    pub transaction: Transaction,
    /// What the client gets then.
    pub answer: Answer,
    /// By what it is known again; `None` where it changes nothing.
    pub witness: Option<Witness>,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked<C, U> {
    /// One object, or several, to be made.
    Create(anet_api::resource::Requests<C>),
    /// An object to be changed.
    Update(String, U),
    /// An object to be deleted.
    Delete(String),
}

/// The id of an object as it stands in a path; one that is no id names nothing.
pub fn id_of<N>(resource: Resource, text: &str) -> Result<Id<N>, ApiError> {
    Id::new(text).map_err(|_| ApiError::not_found(resource, text))
}

/// Says which objects use one, the first few by id.
fn users<'a, N: 'a>(noun: Noun, ids: impl Iterator<Item = &'a Id<N>>) -> Option<String> {
    const NAMED: usize = 3;
    let ids: Vec<&Id<N>> = ids.take(NAMED + 1).collect();
    let named: Vec<&str> = ids.iter().take(NAMED).map(|id| id.as_str()).collect();
    let more = match ids.len() > NAMED {
        true => " and others",
        false => "",
    };
    match named.len() {
        0 => None,
        1 => Some(format!("{noun} {}", named[0])),
        _ => Some(format!("{noun}s {}{more}", named.join(", "))),
    }
}

/// Refuses a delete of what is used.
fn refuse_if_used(
    resource: Resource,
    id: &str,
    users: impl IntoIterator<Item = Option<String>>,
) -> Result<(), ApiError> {
    let users: Vec<String> = users.into_iter().flatten().collect();
    match users.is_empty() {
        true => Ok(()),
        false => Err(ApiError::in_use(resource, id, users.join("; "))),
    }
}

/// Refuses a project that is not there.
fn read_project(draft: &mut draft::Draft<'_>, mirror: &Mirror, project: &ProjectId) -> Result<(), ApiError> {
    if !mirror.intent().projects.contains_key(project) {
        return Err(ApiError::not_found(Resource::Project, project.as_str()));
    }
    draft.read(Noun::Project, project);
    Ok(())
}
