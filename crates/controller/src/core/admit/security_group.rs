//! Security groups. A new one lets its ports out, as in Neutron; each project has one named `default`.

use std::collections::BTreeSet;

use anet_api::resource::{
    Requests, SecurityGroupCreate, SecurityGroupUpdate, security_group_rule_to_json, security_group_to_json,
};
use anet_api::{ApiError, Resource};
use anet_model::host_plan::{Direction, Family, Protocol, RuleId, SecurityGroupId};
use anet_model::intent::{ProjectId, Remote, SecurityGroup, SecurityGroupRule};
use anet_model::limits;
use serde_json::{Map, Value};

use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::draft::Draft;
use super::{Answer, Asked, Caller, Draw, Proposal, id_of, read_project, refuse_if_used, users};

/// Name of the group that every project has.
pub const DEFAULT: &str = "default";

/// Rules with their ids.
type Rules = Vec<(RuleId, SecurityGroupRule)>;

/// Admits a request.
pub fn admit(
    mirror: &Mirror,
    caller: &Caller,
    asked: Asked<SecurityGroupCreate, SecurityGroupUpdate>,
    draw: &mut Draw<'_>,
) -> Result<Proposal, ApiError> {
    let mut draft = Draft::new(mirror);
    match asked {
        Asked::Create(Requests::One(request)) => {
            let object = create(&mut draft, caller, request, draw)?;
            draft.finish(Answer::created(Resource::SecurityGroup, caller, object))
        }
        Asked::Create(Requests::Many(requests)) => {
            let mut objects = Vec::new();
            for request in requests {
                objects.push(create(&mut draft, caller, request, draw)?);
            }
            draft.finish(Answer::created_many(Resource::SecurityGroup, caller, objects))
        }
        Asked::Update(id, request) => {
            let (id, mut group) = find(mirror, caller, &id)?;
            let renamed = request
                .name
                .as_deref()
                .is_some_and(|name| name != group.common.name);
            if renamed && (group.common.name == DEFAULT || request.name.as_deref() == Some(DEFAULT)) {
                let text = "Updating the name of a default security group is not allowed, nor is naming another one so.";
                return Err(ApiError::conflict("SecurityGroupCannotUpdateDefault", text));
            }
            draw.touch(&mut group.common, request.name, request.description);
            draft.put(Noun::SecurityGroup, &id, &group)?;
            let object = show(mirror, &id, &group);
            draft.finish(Answer::shown(Resource::SecurityGroup, caller, object))
        }
        Asked::Delete(id) => {
            let (id, group) = find(mirror, caller, &id)?;
            if group.common.name == DEFAULT {
                let text =
                    "Insufficient rights for removing default security group: it goes with its project.";
                return Err(ApiError::conflict("SecurityGroupCannotRemoveDefault", text));
            }
            delete_group(&mut draft, mirror, &id)?;
            draft.finish(Answer::deleted())
        }
    }
}

/// A group that the caller may see.
pub fn find(
    mirror: &Mirror,
    caller: &Caller,
    id: &str,
) -> Result<(SecurityGroupId, SecurityGroup), ApiError> {
    let id: SecurityGroupId = id_of(Resource::SecurityGroup, id)?;
    match mirror.intent().security_groups.get(&id) {
        Some(group) if caller.sees(&group.project) => Ok((id, group.clone())),
        _ => Err(ApiError::not_found(Resource::SecurityGroup, id.as_str())),
    }
}

/// Refuses groups of a port whose rules would name more different remote groups than those of one port may; `more` are rules that
/// are about to be made.
pub fn check_sets(
    mirror: &Mirror,
    groups: &BTreeSet<SecurityGroupId>,
    more: &[&SecurityGroupRule],
) -> Result<(), ApiError> {
    let rules = groups
        .iter()
        .flat_map(|group| mirror.index().group_rules.of(group));
    let rules = rules.filter_map(|rule| mirror.intent().rules.get(rule));
    let more = more
        .iter()
        .copied()
        .filter(|rule| groups.contains(&rule.security_group));
    let remotes = rules.chain(more).filter_map(|rule| match &rule.remote {
        Remote::Group(remote) => Some(remote),
        _ => None,
    });
    let sets: BTreeSet<&SecurityGroupId> = remotes.collect();
    if sets.len() <= limits::ADDRESS_SETS_PER_PORT {
        return Ok(());
    }
    let text = format!(
        "Quota exceeded: the rules of all security groups of a port may name {} different remote groups together: name fewer as \
         remote_group_id, or give the port fewer security_groups.",
        limits::ADDRESS_SETS_PER_PORT
    );
    Err(ApiError::conflict("OverQuota", text))
}

/// A group as clients see it.
pub fn show(mirror: &Mirror, id: &SecurityGroupId, group: &SecurityGroup) -> Map<String, Value> {
    let rules = mirror.index().group_rules.of(id);
    let rules = rules.filter_map(|id| Some((id, mirror.intent().rules.get(id)?)));
    let of_default = group.common.name == DEFAULT;
    let rules = rules.map(|(id, rule)| security_group_rule_to_json(id, rule, of_default));
    security_group_to_json(id, group, rules.collect())
}

/// True for a project's default group.
pub fn is_default(mirror: &Mirror, id: &SecurityGroupId) -> bool {
    let group = mirror.intent().security_groups.get(id);
    group.is_some_and(|group| group.common.name == DEFAULT)
}

/// The default group of a project.
pub fn default_of(mirror: &Mirror, project: &ProjectId) -> Option<SecurityGroupId> {
    let mut groups = mirror.index().project_groups.of(project);
    groups.find(|id| is_default(mirror, id)).cloned()
}

fn create(
    draft: &mut Draft<'_>,
    caller: &Caller,
    request: SecurityGroupCreate,
    draw: &mut Draw<'_>,
) -> Result<Map<String, Value>, ApiError> {
    let project = caller.owner(request.project_id.as_ref())?;
    if request.name == DEFAULT {
        let text =
            format!("Default security group already exists in project {project}: choose another name.");
        return Err(ApiError::conflict("SecurityGroupDefaultAlreadyExists", text));
    }
    let mirror = draft.mirror();
    read_project(draft, mirror, &project)?;
    let group = SecurityGroup {
        common: draw.common(request.name, request.description),
        project,
    };
    let (id, rules) = put(draft, &group, false, draw)?;
    let rules = rules
        .iter()
        .map(|(id, rule)| security_group_rule_to_json(id, rule, false));
    Ok(security_group_to_json(&id, &group, rules.collect()))
}

/// Puts the group that every project has: all may leave, members reach each other.
pub fn put_default(draft: &mut Draft<'_>, project: &ProjectId, draw: &mut Draw<'_>) -> Result<(), ApiError> {
    let group = SecurityGroup {
        common: draw.common(DEFAULT.to_owned(), "Default security group".to_owned()),
        project: project.clone(),
    };
    put(draft, &group, true, draw).map(|_| ())
}

fn put(
    draft: &mut Draft<'_>,
    group: &SecurityGroup,
    members: bool,
    draw: &mut Draw<'_>,
) -> Result<(SecurityGroupId, Rules), ApiError> {
    let id: SecurityGroupId = draw.id();
    draft.put(Noun::SecurityGroup, &id, group)?;
    draft.refer(keys::reference(
        Noun::Project,
        &group.project,
        Noun::SecurityGroup,
        &id,
    ));
    let mut rules = Vec::new();
    for family in [Family::Ipv4, Family::Ipv6] {
        let mut add = |direction, remote| -> Result<(), ApiError> {
            let rule = SecurityGroupRule {
                common: draw.common(String::new(), String::new()),
                project: group.project.clone(),
                security_group: id.clone(),
                direction,
                family,
                protocol: Protocol::Any,
                remote,
            };
            let rule_id: RuleId = draw.id();
            draft.put_rule(&id, &rule_id, &rule)?;
            rules.push((rule_id, rule));
            Ok(())
        };
        add(Direction::Egress, Remote::Any)?;
        if members {
            add(Direction::Ingress, Remote::Group(id.clone()))?;
        }
    }
    Ok((id, rules))
}

/// Deletes a group with its rules, unless somebody uses it.
pub fn delete_group(draft: &mut Draft<'_>, mirror: &Mirror, id: &SecurityGroupId) -> Result<(), ApiError> {
    let index = mirror.index();
    let used = [
        users(Noun::Port, index.group_ports.of(id)),
        users(Noun::Rule, index.group_remotes.of(id)),
    ];
    refuse_if_used(Resource::SecurityGroup, id.as_str(), used)?;
    let Some(group) = mirror.intent().security_groups.get(id) else {
        return Ok(());
    };
    let rules = index.group_rules.of(id);
    let remotes = rules.filter_map(|rule| match &mirror.intent().rules.get(rule)?.remote {
        Remote::Group(remote) if remote != id => Some(remote),
        _ => None,
    });
    for remote in remotes.collect::<BTreeSet<_>>() {
        draft.delete_range(keys::remote_references_of(remote, id));
    }
    draft.delete_rules(id, index.group_rules.count(id));
    draft.delete(Noun::SecurityGroup, id);
    draft.unrefer(keys::reference(
        Noun::Project,
        &group.project,
        Noun::SecurityGroup,
        id,
    ));
    draft.none_in(keys::references(Noun::SecurityGroup, id));
    Ok(())
}
