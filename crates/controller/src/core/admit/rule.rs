//! Rules of security groups. They are made and deleted, never changed; each of both counts as a change of the group, so that two
//! at once are held against each other.

use std::collections::BTreeSet;
use std::convert::Infallible;

use anet_api::resource::{Requests, SecurityGroupRuleCreate, security_group_rule_to_json};
use anet_api::{ApiError, Resource};
use anet_model::host_plan::{RuleId, SecurityGroupId};
use anet_model::intent::{Remote, SecurityGroup, SecurityGroupRule};
use anet_model::limits;
use serde_json::{Map, Value};

use super::super::keys::{self, Noun};
use super::super::mirror::Mirror;
use super::draft::Draft;
use super::{Answer, Asked, Caller, Draw, Proposal, id_of, security_group};

/// Admits a request.
pub fn admit(
    mirror: &Mirror,
    caller: &Caller,
    asked: Asked<SecurityGroupRuleCreate, Infallible>,
    draw: &mut Draw<'_>,
) -> Result<Proposal, ApiError> {
    let mut draft = Draft::new(mirror);
    match asked {
        Asked::Create(Requests::One(request)) => {
            let mut made = Vec::new();
            let object = create(&mut draft, caller, request, &mut made, draw)?;
            draft.finish(Answer::created(Resource::SecurityGroupRule, caller, object))
        }
        Asked::Create(Requests::Many(requests)) => {
            let (mut made, mut objects) = (Vec::new(), Vec::new());
            for request in requests {
                objects.push(create(&mut draft, caller, request, &mut made, draw)?);
            }
            draft.finish(Answer::created_many(Resource::SecurityGroupRule, caller, objects))
        }
        Asked::Update(_, never) => match never {},
        Asked::Delete(id) => {
            let (id, rule) = find(mirror, caller, &id)?;
            delete(draft, &id, &rule, draw)
        }
    }
}

/// A rule that the caller may see.
pub fn find(mirror: &Mirror, caller: &Caller, id: &str) -> Result<(RuleId, SecurityGroupRule), ApiError> {
    let id: RuleId = id_of(Resource::SecurityGroupRule, id)?;
    match mirror.intent().rules.get(&id) {
        Some(rule) if caller.sees(&rule.project) => Ok((id, rule.clone())),
        _ => Err(ApiError::not_found(Resource::SecurityGroupRule, id.as_str())),
    }
}

/// A rule as clients see it.
pub fn show(mirror: &Mirror, id: &RuleId, rule: &SecurityGroupRule) -> Map<String, Value> {
    let of_default = security_group::is_default(mirror, &rule.security_group);
    security_group_rule_to_json(id, rule, of_default)
}

fn create(
    draft: &mut Draft<'_>,
    caller: &Caller,
    request: SecurityGroupRuleCreate,
    made: &mut Vec<SecurityGroupRule>,
    draw: &mut Draw<'_>,
) -> Result<Map<String, Value>, ApiError> {
    let mirror = draft.mirror();
    let (group_id, group) = security_group::find(mirror, caller, request.security_group_id.as_str())?;
    if request
        .project_id
        .as_ref()
        .is_some_and(|project| *project != group.project)
    {
        return Err(ApiError::invalid_input(
            "a rule belongs to its group's project: leave project_id out",
        ));
    }
    if let Remote::Group(remote) = &request.remote {
        security_group::find(mirror, caller, remote.as_str())?;
    }
    let rule = SecurityGroupRule {
        common: draw.common(String::new(), request.description),
        project: group.project.clone(),
        security_group: group_id.clone(),
        direction: request.direction,
        family: request.family,
        protocol: request.protocol,
        remote: request.remote,
    };
    refuse_repeat(mirror, &rule, made)?;
    check_room(mirror, &group_id, made)?;
    check_sets(mirror, &rule, made)?;
    let id: RuleId = draw.id();
    draft.put_rule(&group_id, &id, &rule)?;
    if let Remote::Group(remote) = &rule.remote
        && *remote != group_id
    {
        draft.read(Noun::SecurityGroup, remote);
        draft.refer(keys::remote_reference(remote, &group_id, &id));
    }
    touch_group(draft, &group_id, &group, draw)?;
    made.push(rule.clone());
    Ok(show(mirror, &id, &rule))
}

fn touch_group(
    draft: &mut Draft<'_>,
    id: &SecurityGroupId,
    group: &SecurityGroup,
    draw: &Draw<'_>,
) -> Result<(), ApiError> {
    let mut group = group.clone();
    draw.touch(&mut group.common, None, None);
    draft.put(Noun::SecurityGroup, id, &group)
}

fn is_the_same(a: &SecurityGroupRule, b: &SecurityGroupRule) -> bool {
    a.security_group == b.security_group
        && (a.direction, a.family, a.protocol) == (b.direction, b.family, b.protocol)
        && a.remote == b.remote
}

fn refuse_repeat(
    mirror: &Mirror,
    rule: &SecurityGroupRule,
    made: &[SecurityGroupRule],
) -> Result<(), ApiError> {
    let ids = mirror.index().group_rules.of(&rule.security_group);
    let mut there = ids.filter_map(|id| Some((id, mirror.intent().rules.get(id)?)));
    if let Some((id, _)) = there.find(|(_, other)| is_the_same(rule, other)) {
        let text = format!("Security group rule already exists. Rule id is {id}.");
        return Err(ApiError::conflict("SecurityGroupRuleExists", text));
    }
    match made.iter().any(|other| is_the_same(rule, other)) {
        true => Err(ApiError::new(
            400,
            "DuplicateSecurityGroupRuleInPost",
            "Duplicate Security Group Rule in POST.",
        )),
        false => Ok(()),
    }
}

/// Refuses a rule that would give one of the group's ports more than a port may have.
fn check_room(mirror: &Mirror, group: &SecurityGroupId, made: &[SecurityGroupRule]) -> Result<(), ApiError> {
    let index = mirror.index();
    let new = made.iter().filter(|rule| rule.security_group == *group).count() + 1;
    let own = index.group_rules.count(group) + new;
    let too_many = |port: &anet_model::host_plan::PortId| {
        let groups = mirror.intent().ports.get(port).map(|port| &port.security_groups);
        let others = groups.into_iter().flatten().filter(|other| *other != group);
        others.map(|other| index.group_rules.count(other)).sum::<usize>() + own > limits::RULES_PER_PORT
    };
    // Up to here not even a port with all the groups that it may have has too many, so that most rules look at no port.
    let surely_fits = |count: usize| count <= limits::RULES_PER_PORT / limits::SECURITY_GROUPS_PER_PORT;
    let fits =
        own <= limits::RULES_PER_PORT && (surely_fits(own) || !index.group_ports.of(group).any(too_many));
    match fits {
        true => Ok(()),
        false => {
            let text = format!(
                "Quota exceeded: the rules of all security groups of a port are at most {} together.",
                limits::RULES_PER_PORT
            );
            Err(ApiError::conflict("OverQuota", text))
        }
    }
}

/// Refuses a remote group that would be one too many for one of the group's ports. Ports of the same groups are looked at once.
fn check_sets(mirror: &Mirror, rule: &SecurityGroupRule, made: &[SecurityGroupRule]) -> Result<(), ApiError> {
    if !matches!(rule.remote, Remote::Group(_)) {
        return Ok(());
    }
    let more: Vec<&SecurityGroupRule> = made.iter().chain([rule]).collect();
    let ports = mirror.index().group_ports.of(&rule.security_group);
    let ports = ports.filter_map(|port| mirror.intent().ports.get(port));
    let policies: BTreeSet<_> = ports.map(|port| &port.security_groups).collect();
    policies
        .into_iter()
        .try_for_each(|groups| security_group::check_sets(mirror, groups, &more))
}

fn delete(
    mut draft: Draft<'_>,
    id: &RuleId,
    rule: &SecurityGroupRule,
    draw: &Draw<'_>,
) -> Result<Proposal, ApiError> {
    let group = draft
        .mirror()
        .intent()
        .security_groups
        .get(&rule.security_group)
        .cloned();
    draft.delete_rule(&rule.security_group, id);
    if let Remote::Group(remote) = &rule.remote
        && *remote != rule.security_group
    {
        draft.unrefer(keys::remote_reference(remote, &rule.security_group, id));
    }
    if let Some(group) = group {
        touch_group(&mut draft, &rule.security_group, &group, draw)?;
    }
    draft.finish(Answer::deleted())
}
