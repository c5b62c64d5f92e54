//! The resources: list, show, create, update, delete, the same for each noun.

use anet_api::query::Query;
use anet_api::resource::{Request, request, request_one};
use anet_api::{ApiError, Resource};
use http::Method;
use serde_json::Value;

use super::{Asking, Outcome, list};
use crate::core::admit::{
    Asked, Draw, Proposal, foreign_endpoint, host, network, port, project, revision, rule, security_group,
    subnet,
};
use crate::core::fabric::Fabric;
use crate::shared::Shared;

/// Requests to a collection.
pub async fn collection(shared: &Shared, resource: Resource, asking: &Asking) -> Outcome {
    match asking.method {
        Method::GET | Method::HEAD => {
            let query = Query::parse(resource, asking.caller.role(), &asking.query)?;
            shared.driver.catch_up().await?;
            let objects = list::all(&shared.driver.state(), resource, &asking.caller);
            Ok((200, query.list(objects, &asking.base)?))
        }
        Method::POST => create(shared, resource, asking).await,
        _ => Err(not_allowed(asking)),
    }
}

/// Requests to one object.
pub async fn one(shared: &Shared, resource: Resource, id: &str, asking: &Asking) -> Outcome {
    match asking.method {
        Method::GET | Method::HEAD => {
            let query = Query::parse(resource, asking.caller.role(), &asking.query)?;
            shared.driver.catch_up().await?;
            let object = list::one(&shared.driver.state(), resource, id, &asking.caller)?;
            Ok((200, query.show(object)))
        }
        Method::PUT => update(shared, resource, id, asking).await,
        Method::DELETE => delete(shared, resource, id, asking).await,
        _ => Err(not_allowed(asking)),
    }
}

fn not_allowed(asking: &Asking) -> ApiError {
    ApiError::method_not_allowed(asking.method.as_str(), &format!("/{}", asking.path.join("/")))
}

fn made<C: Request, U>(asking: &Asking) -> Result<Asked<C, U>, ApiError> {
    Ok(Asked::Create(request(asking.caller.role(), &asking.body)?))
}

fn changed<C, U: Request>(id: &str, asking: &Asking) -> Result<Asked<C, U>, ApiError> {
    Ok(Asked::Update(
        id.to_owned(),
        request_one(asking.caller.role(), &asking.body)?,
    ))
}

async fn write(
    shared: &Shared,
    asking: &Asking,
    propose: impl FnMut(&Fabric, &mut Draw<'_>) -> Result<Proposal, ApiError>,
) -> Outcome {
    let answer = shared.driver.write(asking.keyed.as_ref(), propose).await?;
    Ok((answer.status, answer.body))
}

/// As [`write`], for an object that is there. Who may not see it does not hear of its revision either.
async fn rewrite(
    shared: &Shared,
    asking: &Asking,
    (resource, id): (Resource, &str),
    mut propose: impl FnMut(&Fabric, &mut Draw<'_>) -> Result<Proposal, ApiError>,
) -> Outcome {
    write(shared, asking, |state, draw| {
        let proposal = propose(state, draw)?;
        if let Some(expected) = asking.expected {
            revision::check(state.mirror(), resource, id, expected)?;
        }
        Ok(proposal)
    })
    .await
}

async fn create(shared: &Shared, resource: Resource, asking: &Asking) -> Outcome {
    let caller = &asking.caller;
    macro_rules! create {
        ($noun:ident $(, $more:expr)?) => {{
            let asked = made(asking)?;
            write(shared, asking, |state, draw| {
                $noun::admit(state.mirror(), caller, asked.clone() $(, $more(state))?, draw)
            })
            .await
        }};
    }
    match resource {
        Resource::Project => create!(project),
        Resource::Network => create!(network),
        Resource::Subnet => create!(subnet),
        Resource::Port => {
            let asked = made(asking)?;
            write(shared, asking, |state, draw| {
                port::admit(
                    state.mirror(),
                    caller,
                    asked.clone(),
                    &|id| state.port_status(id),
                    draw,
                )
            })
            .await
        }
        Resource::SecurityGroup => create!(security_group),
        Resource::SecurityGroupRule => create!(rule),
        Resource::ForeignEndpoint => create!(foreign_endpoint),
        Resource::Host => Err(not_allowed(asking)
            .with_detail("a host joins with a token: `anet host token`, then `anet-agent join`")),
    }
}

async fn update(shared: &Shared, resource: Resource, id: &str, asking: &Asking) -> Outcome {
    let caller = &asking.caller;
    macro_rules! update {
        ($noun:ident) => {{
            let asked = changed(id, asking)?;
            rewrite(shared, asking, (resource, id), |state, draw| {
                $noun::admit(state.mirror(), caller, asked.clone(), draw)
            })
            .await
        }};
    }
    match resource {
        Resource::Project => update!(project),
        Resource::Network => update!(network),
        Resource::Subnet => update!(subnet),
        Resource::Port => {
            let asked = changed(id, asking)?;
            rewrite(shared, asking, (resource, id), |state, draw| {
                port::admit(
                    state.mirror(),
                    caller,
                    asked.clone(),
                    &|id| state.port_status(id),
                    draw,
                )
            })
            .await
        }
        Resource::SecurityGroup => update!(security_group),
        Resource::SecurityGroupRule => {
            Err(not_allowed(asking).with_detail("a rule never changes: delete it and make another one"))
        }
        Resource::ForeignEndpoint => update!(foreign_endpoint),
        Resource::Host => {
            let asked = changed(id, asking)?;
            rewrite(shared, asking, (resource, id), |state, draw| {
                host::admit(
                    state.mirror(),
                    caller,
                    asked.clone(),
                    &|id| state.observed(id),
                    draw,
                )
            })
            .await
        }
    }
}

async fn delete(shared: &Shared, resource: Resource, id: &str, asking: &Asking) -> Outcome {
    let caller = &asking.caller;
    let object = (resource, id);
    let id = || id.to_owned();
    rewrite(shared, asking, object, |state, draw| {
        let mirror = state.mirror();
        match resource {
            Resource::Project => project::admit(mirror, caller, Asked::Delete(id()), draw),
            Resource::Network => network::admit(mirror, caller, Asked::Delete(id()), draw),
            Resource::Subnet => subnet::admit(mirror, caller, Asked::Delete(id()), draw),
            Resource::Port => port::admit(
                mirror,
                caller,
                Asked::Delete(id()),
                &|id| state.port_status(id),
                draw,
            ),
            Resource::SecurityGroup => security_group::admit(mirror, caller, Asked::Delete(id()), draw),
            Resource::SecurityGroupRule => rule::admit(mirror, caller, Asked::Delete(id()), draw),
            Resource::Host => host::admit(
                mirror,
                caller,
                Asked::Delete(id()),
                &|id| state.observed(id),
                draw,
            ),
            Resource::ForeignEndpoint => foreign_endpoint::admit(mirror, caller, Asked::Delete(id()), draw),
        }
    })
    .await
    .map(|(status, _)| (status, Value::Null))
}
