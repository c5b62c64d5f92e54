//! What README.md shows under "One host by hand" does what it says: its commands are run as they stand there, in
//! namespaces of the test's own.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anet_lab::{Folder, LabError, Namespace, Process, Vswitch, missing_for, output_of, skip};

struct Shell {
    namespaces: BTreeMap<String, Namespace>,
    daemons: Vec<Process>,
    folder: Folder,
    program: PathBuf,
    said: String,
}

#[test]
fn one_host_by_hand_works_as_readme_says() {
    let name = "one_host_by_hand_works_as_readme_says";
    if let Some(reason) = missing_for(&[]) {
        return skip(name, &reason);
    }
    let program = match Vswitch::program() {
        Ok(program) => program,
        Err(not_built) => return skip(name, &not_built.to_string()),
    };
    let mut shell = Shell {
        namespaces: BTreeMap::new(),
        daemons: Vec::new(),
        folder: Folder::new().unwrap(),
        program,
        said: String::new(),
    };
    let commands = commands();
    assert!(commands.len() >= 8, "{commands:?}");
    commands.iter().for_each(|command| shell.run(command));
    assert!(
        shell.said.contains("firewall_ingress"),
        "the trace to port 23 says why: {}",
        shell.said
    );
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The lines of the first block of code below the heading.
fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let below = text.split("## One host by hand").nth(1).unwrap();
    let block = below
        .split("```sh\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    block.lines().map(ToOwned::to_owned).collect()
}

impl Shell {
    fn run(&mut self, line: &str) {
        let words: Vec<String> = line
            .split_whitespace()
            .map(|word| self.own(word, line.starts_with("ip ")))
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["ip", "netns", "add", role] => {
                self.namespaces
                    .insert((*role).to_owned(), Namespace::new(role).unwrap());
            }
            [program, arguments @ .., "&"] => {
                let mut command = Command::new(program);
                command.args(arguments);
                let mut daemon = Process::spawn("anet-vswitch", command, &self.folder).unwrap();
                let control = self.folder.file("host1.control");
                daemon
                    .wait_ready(Duration::from_secs(10), || control.exists())
                    .unwrap();
                self.daemons.push(daemon);
            }
            [program, arguments @ ..] => match output_of(Command::new(program).args(arguments)) {
                Ok(output) => self.said += &output,
                // A trace that ends in a drop says so with its exit status.
                Err(LabError::Command { status, output, .. }) if status == "exit status: 3" => {
                    self.said += &output
                }
                Err(error) => panic!("`{line}` of README.md: {error}"),
            },
            [] => {}
        }
    }

    /// A word of a command, with our namespaces, files and program in the place of README's.
    /// Ports of the plan are named as the namespaces are; only `ip` means these.
    fn own(&self, word: &str, of_ip: bool) -> String {
        if let Some(namespace) = self.namespaces.get(word).filter(|_| of_ip) {
            return namespace.name().to_owned();
        }
        match word {
            "target/release/anet-vswitch" => self.program.display().to_string(),
            "examples/host1.yaml" => self.own_plan(),
            _ => word.strip_prefix("/tmp/").map_or(word.to_owned(), |name| {
                self.folder.file(name).display().to_string()
            }),
        }
    }

    fn own_plan(&self) -> String {
        let mut plan = std::fs::read_to_string(repository().join("examples/host1.yaml")).unwrap();
        for (role, namespace) in &self.namespaces {
            plan = plan.replace(
                &format!("/run/netns/{role}}}"),
                &format!("{}}}", namespace.path().display()),
            );
        }
        self.folder
            .write("host1.yaml", &plan)
            .unwrap()
            .display()
            .to_string()
    }
}
