//! Projects. A new one has its group named `default`, as Neutron's clients expect.

use anet_api::resource::{ProjectCreate, ProjectUpdate, Requests, project_to_json};
use anet_api::{ApiError, Resource};
use anet_model::intent::{Project, ProjectId};

use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::draft::Draft;
use super::security_group::put_default;
use super::{Answer, Asked, Caller, Draw, Proposal, id_of, refuse_if_used, users};

/// Admits a request.
pub fn admit(
    mirror: &Mirror,
    caller: &Caller,
    asked: Asked<ProjectCreate, ProjectUpdate>,
    draw: &mut Draw<'_>,
) -> Result<Proposal, ApiError> {
    caller.must_be_admin("Managing projects")?;
    let mut draft = Draft::new(mirror);
    match asked {
        Asked::Create(Requests::One(request)) => {
            let (id, project) = create(&mut draft, request, draw)?;
            draft.finish(Answer::created(
                Resource::Project,
                caller,
                project_to_json(&id, &project),
            ))
        }
        Asked::Create(Requests::Many(requests)) => {
            let mut objects = Vec::new();
            for request in requests {
                let (id, project) = create(&mut draft, request, draw)?;
                objects.push(project_to_json(&id, &project));
            }
            draft.finish(Answer::created_many(Resource::Project, caller, objects))
        }
        Asked::Update(id, request) => {
            let (id, mut project) = find(mirror, &id)?;
            draw.touch(&mut project.common, request.name, request.description);
            draft.put(Noun::Project, &id, &project)?;
            draft.finish(Answer::shown(
                Resource::Project,
                caller,
                project_to_json(&id, &project),
            ))
        }
        Asked::Delete(id) => delete(draft, mirror, &id),
    }
}

fn find(mirror: &Mirror, id: &str) -> Result<(ProjectId, Project), ApiError> {
    let id: ProjectId = id_of(Resource::Project, id)?;
    let project = mirror.intent().projects.get(&id);
    let project = project.ok_or_else(|| ApiError::not_found(Resource::Project, id.as_str()))?;
    Ok((id, project.clone()))
}

fn create(
    draft: &mut Draft<'_>,
    request: ProjectCreate,
    draw: &mut Draw<'_>,
) -> Result<(ProjectId, Project), ApiError> {
    let id = request.id.unwrap_or_else(|| draw.id());
    let key = keys::object(Noun::Project, &id);
    if draft.mirror().intent().projects.contains_key(&id) || draft.puts_key(&key) {
        let text = format!("Project {id} is there already: choose another id, or none.");
        return Err(ApiError::conflict("ProjectExists", text));
    }
    let project = Project {
        common: draw.common(request.name, request.description),
    };
    draft.put(Noun::Project, &id, &project)?;
    put_default(draft, &id, draw)?;
    Ok((id, project))
}

/// Its default group goes with it, if that is all it still has.
fn delete(mut draft: Draft<'_>, mirror: &Mirror, id: &str) -> Result<Proposal, ApiError> {
    let (id, _) = find(mirror, id)?;
    let index = mirror.index();
    let groups: Vec<_> = index.project_groups.of(&id).collect();
    let is_default = |group| super::security_group::is_default(mirror, group);
    let others = groups.iter().copied().filter(|group| !is_default(*group));
    let used = [
        users(Noun::Network, index.project_networks.of(&id)),
        users(Noun::Port, index.project_ports.of(&id)),
        users(Noun::SecurityGroup, others),
    ];
    refuse_if_used(Resource::Project, id.as_str(), used)?;
    for group in groups {
        super::security_group::delete_group(&mut draft, mirror, group)?;
    }
    draft.delete(Noun::Project, &id);
    draft.none_left_in(&keys::references(Noun::Project, &id));
    draft.finish(Answer::deleted())
}
