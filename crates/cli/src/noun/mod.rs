//! What can be done with each kind of object.

mod change;
mod list;
mod rule;

use anet_api::Resource;
use clap::ArgMatches;

use crate::error::CliError;
use crate::{Session, host_token, output, resolve};

/// A kind of object on the command line.
#[derive(Debug)]
pub(crate) struct Noun {
    /// What it is to the API.
    pub(crate) resource: Resource,
    /// Its word.
    pub(crate) word: &'static str,
    /// How help calls one of them.
    pub(crate) value: &'static str,
    /// What they are.
    pub(crate) about: &'static str,
    /// The attribute that `create` takes without a flag.
    pub(crate) positional: &'static str,
    /// Columns of a list.
    columns: &'static [&'static str],
    /// Further columns of a long list.
    more: &'static [&'static str],
}

impl Noun {
    /// Rules, which have two places on the command line.
    pub(crate) const RULE: Noun = Noun {
        resource: Resource::SecurityGroupRule,
        word: "security-group-rule",
        value: "RULE",
        about: "Rules of security groups: what they allow",
        positional: "security_group_id",
        columns: &[
            "id",
            "direction",
            "ethertype",
            "protocol",
            "port_range_min",
            "port_range_max",
            "remote_ip_prefix",
            "remote_group_id",
            "security_group_id",
        ],
        more: &["description", "project_id"],
    };

    /// All of them.
    pub(crate) const ALL: [Noun; 8] = [
        Noun {
            resource: Resource::Project,
            word: "project",
            value: "PROJECT",
            about: "Projects: who owns networks, isolated from each other",
            positional: "name",
            columns: &["id", "name", "description"],
            more: &["created_at"],
        },
        Noun {
            resource: Resource::Network,
            word: "network",
            value: "NETWORK",
            about: "Networks: layer-2 segments of a project",
            positional: "name",
            columns: &["id", "name", "subnets"],
            more: &["project_id", "admin_state_up", "mtu", "provider:segmentation_id"],
        },
        Noun {
            resource: Resource::Subnet,
            word: "subnet",
            value: "SUBNET",
            about: "Subnets: IP ranges of a network",
            positional: "name",
            columns: &["id", "name", "network_id", "cidr"],
            more: &[
                "project_id",
                "gateway_ip",
                "allocation_pools",
                "enable_dhcp",
                "dns_nameservers",
            ],
        },
        Noun {
            resource: Resource::Port,
            word: "port",
            value: "PORT",
            about: "Ports: interfaces of guests",
            positional: "name",
            columns: &[
                "id",
                "name",
                "mac_address",
                "fixed_ips",
                "binding:host_id",
                "status",
            ],
            more: &[
                "project_id",
                "network_id",
                "security_groups",
                "device_owner",
                "device_id",
            ],
        },
        Noun {
            resource: Resource::SecurityGroup,
            word: "security-group",
            value: "GROUP",
            about: "Security groups: sets of rules that ports obey",
            positional: "name",
            columns: &["id", "name", "description", "project_id"],
            more: &["created_at"],
        },
        Self::RULE,
        Noun {
            resource: Resource::Host,
            word: "host",
            value: "HOST",
            about: "Hosts: where guests run; a host joins with a token",
            positional: "name",
            columns: &["id", "status", "tunnel_address", "ports", "in_step", "troubles"],
            more: &[
                "description",
                "tunnel_port",
                "desired_revision",
                "applied_revision",
                "last_heard_at",
                "software",
                "machine",
            ],
        },
        Noun {
            resource: Resource::ForeignEndpoint,
            word: "foreign-endpoint",
            value: "ENDPOINT",
            about: "Foreign endpoints: VXLAN devices that are no hosts of the fabric",
            positional: "name",
            columns: &["id", "name", "network_id", "ip_address", "udp_port", "stations"],
            more: &["description"],
        },
    ];

    /// True where objects can be found by name.
    pub(crate) fn has_name(&self) -> bool {
        self.resource.attribute("name").is_some()
    }

    pub(crate) fn positional_value(&self) -> &'static str {
        if self.positional == "name" {
            "NAME"
        } else {
            "GROUP"
        }
    }

    pub(crate) fn positional_help(&self) -> &'static str {
        if self.positional == "name" {
            "Name for people"
        } else {
            "Group that it belongs to, by name or id"
        }
    }
}

/// Does what is asked of a noun.
pub(crate) fn run(session: &mut Session<'_>, word: &str, matches: &ArgMatches) -> Result<u8, CliError> {
    let unknown = || CliError::Usage(format!("`{word}` is not a command"));
    let noun = Noun::ALL
        .iter()
        .find(|noun| noun.word == word)
        .ok_or_else(unknown)?;
    verb(session, noun, matches)
}

fn verb(session: &mut Session<'_>, noun: &Noun, matches: &ArgMatches) -> Result<u8, CliError> {
    match matches.subcommand() {
        Some(("list", inner)) => list::list(session, noun, inner),
        Some(("show", inner)) => show(session, noun, inner),
        Some(("create", inner)) => change::create(session, noun, inner),
        Some(("set", inner)) => change::set(session, noun, inner),
        Some(("delete", inner)) => delete(session, noun, inner),
        Some(("rule", inner)) => verb(session, &Noun::RULE, inner),
        Some(("token", inner)) => host_token::run(session, inner),
        other => Err(CliError::Usage(format!(
            "`{}` is not done with a {}",
            other.map_or("", |(word, _)| word),
            noun.word
        ))),
    }
}

fn show(session: &mut Session<'_>, noun: &Noun, matches: &ArgMatches) -> Result<u8, CliError> {
    let object = session.client.find(noun.resource, text(matches, "object"), &[])?;
    output::object(session, noun.resource, &object, &texts(matches, "column"))
}

/// Deletes all that can be; one that cannot does not keep the others.
fn delete(session: &mut Session<'_>, noun: &Noun, matches: &ArgMatches) -> Result<u8, CliError> {
    let mut failures = Vec::new();
    for name in texts(matches, "object") {
        let found = session.client.find(noun.resource, name, &[]);
        let deleted = found.and_then(|object| session.client.delete(noun.resource, resolve::id_of(&object)));
        failures.extend(deleted.err());
    }
    if failures.len() > 1 {
        let all: Vec<String> = failures.iter().map(ToString::to_string).collect();
        return Err(CliError::Several(format!(
            "{} were not deleted: {}",
            all.len(),
            all.join("; ")
        )));
    }
    failures.pop().map_or(Ok(0), |error| Err(error.into()))
}

/// A text of the command line; empty where it was not given.
pub(crate) fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

/// All texts given by a flag.
pub(crate) fn texts<'a>(matches: &'a ArgMatches, name: &str) -> Vec<&'a str> {
    let values = matches.get_many::<String>(name).unwrap_or_default();
    values.map(String::as_str).collect()
}
