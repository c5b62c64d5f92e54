//! The words of the command line.

use std::path::PathBuf;

use anet_api::Resource;
use anet_api::resource::{Access, Attribute, Initial};
use clap::{Arg, ArgAction, ArgGroup, Command, builder::EnumValueParser, value_parser};

use crate::flag::{self, Flag};
use crate::noun::Noun;
use crate::output::Format;
use crate::{events, host_token, lab, trace};

/// Everything that can be typed.
pub(crate) fn command() -> Command {
    let nouns = Noun::ALL.iter().map(|noun| noun_command(noun, noun.word));
    Command::new("anet")
        .about("Networks of virtual machines, defined once and enforced on every host")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .args(global())
        .subcommands(nouns)
        .subcommand(trace::command())
        .subcommand(
            Command::new("health").about("How the fabric is; exit status 1 where something needs a look"),
        )
        .subcommand(events::command())
        .subcommand(lab::command())
}

fn global() -> [Arg; 3] {
    [
        Arg::new("output")
            .short('o')
            .long("output")
            .global(true)
            .value_name("FORMAT")
            .value_parser(EnumValueParser::<Format>::new())
            .help("How answers look [default: table]"),
        Arg::new("config")
            .long("config")
            .global(true)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("File that says where the fabric is [default: found by itself]"),
        Arg::new("lab")
            .long("lab")
            .global(true)
            .value_name("NAME")
            .help("A lab on this machine, where there are several"),
    ]
}

/// A noun and its verbs, under the given word.
fn noun_command(noun: &'static Noun, word: &'static str) -> Command {
    let can = |access: fn(&Attribute) -> Access| {
        let attributes = noun.resource.attributes().iter();
        attributes.into_iter().any(|a| access(a) > Access::Nobody)
    };
    let mut command = Command::new(word)
        .about(noun.about)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(list(noun))
        .subcommand(show(noun));
    if can(|a| a.create) {
        command = command.subcommand(create(noun));
    }
    if can(|a| a.update) {
        command = command.subcommand(set(noun));
    }
    command = command.subcommand(delete(noun));
    match noun.resource {
        Resource::SecurityGroup => command.subcommand(noun_command(&Noun::RULE, "rule")),
        Resource::Host => command.subcommand(host_token::command()),
        _ => command,
    }
}

/// The argument that names an object.
fn object(noun: &Noun) -> Arg {
    let by = if noun.has_name() { "Name or id" } else { "Id" };
    Arg::new("object").value_name(noun.value).required(true).help(by)
}

fn columns() -> Arg {
    Arg::new("column")
        .short('c')
        .long("column")
        .value_name("NAME")
        .action(ArgAction::Append)
        .help("Show just this attribute; may be given several times")
}

fn show(noun: &'static Noun) -> Command {
    Command::new("show")
        .about("One of them")
        .arg(object(noun))
        .arg(columns())
}

fn delete(noun: &'static Noun) -> Command {
    let objects = object(noun).num_args(1..).action(ArgAction::Append);
    Command::new("delete").about("Delete some").arg(objects)
}

fn list(noun: &'static Noun) -> Command {
    let filters = noun.resource.attributes().iter().filter(|a| a.filter);
    let filters = filters.filter(|attribute| attribute.name != "id");
    let mut command = Command::new("list").about("All of them, or those that match");
    if noun.resource == Resource::SecurityGroupRule {
        command = command.arg(
            Arg::new("within")
                .value_name("GROUP")
                .help("Those of this group only"),
        );
    }
    command
        .args(filters.flat_map(|attribute| attribute_arguments(attribute, Use::Filter)))
        .arg(columns())
        .arg(
            Arg::new("long")
                .long("long")
                .action(ArgAction::SetTrue)
                .help("Show more attributes"),
        )
        .arg(
            Arg::new("sort")
                .long("sort")
                .value_name("NAME[:desc]")
                .action(ArgAction::Append)
                .help("Order by this attribute; may be given several times"),
        )
        .arg(
            Arg::new("limit")
                .long("limit")
                .value_name("N")
                .value_parser(value_parser!(u32))
                .help("At most so many"),
        )
}

fn create(noun: &'static Noun) -> Command {
    let given = noun
        .resource
        .attributes()
        .iter()
        .filter(|a| a.create > Access::Nobody);
    let flags = given.filter(|attribute| attribute.name != noun.positional);
    let positional = Arg::new(noun.positional)
        .value_name(noun.positional_value())
        .required(true);
    let command = Command::new("create")
        .about("Make one")
        .arg(positional.help(noun.positional_help()))
        .args(flags.flat_map(|attribute| attribute_arguments(attribute, Use::Create)));
    match noun.resource {
        Resource::SecurityGroupRule => command.args(rule_arguments()),
        _ => command,
    }
}

fn set(noun: &'static Noun) -> Command {
    let given = noun
        .resource
        .attributes()
        .iter()
        .filter(|a| a.update > Access::Nobody);
    Command::new("set")
        .about("Change one")
        .arg(object(noun))
        .args(
            given
                .clone()
                .flat_map(|attribute| attribute_arguments(attribute, Use::Set)),
        )
        .group(
            ArgGroup::new("changes")
                .required(true)
                .multiple(true)
                .args(given.flat_map(argument_names)),
        )
}

fn argument_names(attribute: &'static Attribute) -> Vec<&'static str> {
    let Some(flag) = flag::of(attribute) else {
        return Vec::new();
    };
    let opposite = Some(flag.opposite).filter(|opposite| !opposite.is_empty());
    [attribute.name].into_iter().chain(opposite).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Create,
    Set,
    Filter,
}

/// The flag of an attribute, and its opposite.
fn attribute_arguments(attribute: &'static Attribute, used: Use) -> Vec<Arg> {
    let Some(flag) = flag::of(attribute) else {
        return Vec::new();
    };
    let help = attribute_help(attribute, used);
    let mut arguments = Vec::new();
    let base = Arg::new(attribute.name).long(flag.name).help(help);
    if flag::is_switch(attribute) {
        let opposite = opposite(flag).overrides_with(attribute.name);
        arguments.push(base.action(ArgAction::SetTrue));
        arguments.push(opposite);
        return arguments;
    }
    let base = base.value_name(flag.value).allow_hyphen_values(true);
    arguments.push(match used {
        Use::Filter => base.action(ArgAction::Append),
        _ if flag::is_list(attribute.kind) => base.action(ArgAction::Append),
        Use::Create => base.required(attribute.initial == Initial::Required),
        Use::Set => base,
    });
    if used != Use::Filter && !flag.opposite.is_empty() {
        arguments.push(opposite(flag));
    }
    arguments
}

fn opposite(flag: &'static Flag) -> Arg {
    Arg::new(flag.opposite)
        .long(flag.opposite)
        .action(ArgAction::SetTrue)
        .help(format_help(flag))
}

fn format_help(flag: &Flag) -> &'static str {
    match flag.name {
        "ingress" => "Packets from the guest",
        "enable" | "dhcp" | "enable-port-security" => "The opposite",
        _ => "None of it, or none of what there was",
    }
}

fn attribute_help(attribute: &Attribute, used: Use) -> String {
    let several = if flag::is_list(attribute.kind) && used != Use::Filter {
        "; may be given several times"
    } else {
        ""
    };
    match attribute.name {
        "direction" => "Packets to the guest".to_string(),
        _ => {
            let mut letters = attribute.help.chars();
            let first = letters
                .next()
                .map(|c| c.to_uppercase().to_string())
                .unwrap_or_default();
            format!("{first}{}{several}", letters.as_str())
        }
    }
}

/// Ports and ICMP's fields share two attributes.
fn rule_arguments() -> [Arg; 3] {
    [
        Arg::new("dst-port")
            .long("dst-port")
            .value_name("PORT[:PORT]")
            .conflicts_with_all(["icmp-type", "icmp-code"])
            .help("Destination port, or first and last one"),
        Arg::new("icmp-type")
            .long("icmp-type")
            .value_name("N")
            .value_parser(value_parser!(u8))
            .help("ICMP type"),
        Arg::new("icmp-code")
            .long("icmp-code")
            .value_name("N")
            .value_parser(value_parser!(u8))
            .requires("icmp-type")
            .help("ICMP code"),
    ]
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn the_words_fit_together() {
        command().debug_assert();
    }
}
