//! The lab, and what rows do with it again and again.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anet_api::resource::Resource;
use anet_lab::probe::{Attempt, WebPage, attempt, curl, ping};
use anet_lab::standing::{Place, Rest, State, Who};
use anet_lab::{LabError, Namespace, output_of, standing, wait_for, workspace_program};
use anet_packet::addr::Mac;
use nix::sys::signal::Signal;

use super::port;
use crate::report::Seen;

/// How long an answer may take that is expected.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long one is waited for that is not expected.
const SILENCE: Duration = Duration::from_millis(700);

/// A lab with a web server in each guest.
pub struct Stage {
    pub place: Place,
    pub state: State,
    _pages: Vec<WebPage>,
}

impl Stage {
    pub fn new(place: Place, state: State) -> Result<Self, LabError> {
        let mut pages = Vec::new();
        for name in state.guests.keys() {
            for port in [port::WEB, port::CLOSED, port::DATABASE] {
                pages.push(WebPage::serve(&place.namespace(name), port, name)?);
            }
        }
        Ok(Self {
            place,
            state,
            _pages: pages,
        })
    }

    pub fn namespace(&self, member: &str) -> Namespace {
        self.place.namespace(member)
    }

    /// A guest's address of a family.
    pub fn address(&self, guest: &str, ipv6: bool) -> Result<IpAddr, LabError> {
        let addresses = &self.state.guest(guest)?.addresses;
        let found = addresses.iter().find(|address| address.is_ipv6() == ipv6);
        found
            .copied()
            .ok_or_else(|| LabError::Refused(format!("{guest} has no address of that family")))
    }

    pub fn target(&self, guest: &str, port: u16) -> Result<SocketAddr, LabError> {
        Ok(SocketAddr::new(self.address(guest, false)?, port))
    }

    /// Pings in both families: each request has to be answered.
    pub fn pings(&self, from: &str, to: &str) -> Result<Seen, LabError> {
        let parts = [false, true].map(|ipv6| {
            let pings = ping(&self.namespace(from), self.address(to, ipv6)?, 3)?;
            let text = format!("{from} to {to} {} of {}", pings.received, pings.sent);
            Ok(Seen::new(pings.all_answered(), text))
        });
        let parts: Result<Vec<_>, LabError> = parts.into_iter().collect();
        Ok(Seen::all(parts?))
    }

    /// Fetches a page from an address: `expected` has to be what it says.
    pub fn fetch(&self, from: &str, to: SocketAddr, expected: &str) -> Result<Seen, LabError> {
        let page = curl(&self.namespace(from), to, PATIENCE)?;
        let ok = page.as_deref() == Some(expected);
        let page = page.unwrap_or_else(|| "nothing".to_owned());
        Ok(Seen::new(ok, format!("{from}: http://{to} says {page}")))
    }

    /// Tries to connect: nobody may answer.
    pub fn is_silent(&self, from: &str, to: SocketAddr) -> Result<Seen, LabError> {
        let outcome = attempt(&self.namespace(from), to, SILENCE)?;
        Ok(Seen::new(
            outcome == Attempt::Silent,
            format!("{from} to {to}: {outcome:?}"),
        ))
    }

    /// Connects again and again until somebody answers.
    pub fn wait_open(&self, from: &str, to: SocketAddr) -> Result<(), LabError> {
        let namespace = self.namespace(from);
        wait_for(&format!("{to} to be open for {from}"), PATIENCE, || {
            let outcome = attempt(&namespace, to, Duration::from_millis(50));
            matches!(outcome, Ok(Attempt::Connected)).then_some(())
        })
    }

    /// Tries to connect again and again until nobody answers.
    pub fn wait_silent(&self, from: &str, to: SocketAddr) -> Result<(), LabError> {
        let namespace = self.namespace(from);
        wait_for(&format!("{to} to be silent for {from}"), PATIENCE, || {
            let outcome = attempt(&namespace, to, SILENCE);
            matches!(outcome, Ok(Attempt::Silent)).then_some(())
        })
    }

    /// Runs `anet ARGUMENTS` for this lab.
    pub fn anet(&self, arguments: &[&str]) -> Result<String, LabError> {
        output_of(&mut self.anet_command(arguments)?)
    }

    /// As [`Stage::anet`], also where it ends with another status than 0: what it wrote to standard output.
    pub fn anet_says(&self, arguments: &[&str]) -> Result<String, LabError> {
        let output = self.anet_command(arguments)?.output();
        let output = output.map_err(LabError::io("run anet"))?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn anet_command(&self, arguments: &[&str]) -> Result<Command, LabError> {
        let mut command = Command::new(workspace_program("anet", "ANET")?);
        command
            .env("ANET_CONFIG", self.place.client_file())
            .args(arguments);
        Ok(command)
    }

    /// Ends a daemon by a signal.
    pub fn end(&mut self, who: &Who, signal: Signal) -> Result<(), LabError> {
        standing::stop(&self.place, &mut self.state, who, signal).map(drop)
    }

    /// Starts a daemon and waits until it answers.
    pub fn start(&mut self, who: &Who) -> Result<(), LabError> {
        standing::start_ready(&self.place, &mut self.state, who)
    }

    /// The id of a project's security group.
    pub fn group(&self, project: &str, name: &str) -> Result<String, LabError> {
        let project = self.id_of(Resource::Project, &[("name", project)])?;
        self.id_of(
            Resource::SecurityGroup,
            &[("name", name), ("project_id", &project)],
        )
    }

    fn id_of(&self, resource: Resource, parameters: &[(&str, &str)]) -> Result<String, LabError> {
        let what = || format!("look for {} {parameters:?}", resource.singular());
        let found = Rest::of(&self.place)?.client().list(resource, parameters);
        let found = found.map_err(|error| LabError::Api {
            what: what(),
            why: error.to_string(),
        })?;
        let id = found.first().and_then(|object| object.get("id")?.as_str());
        id.map(str::to_owned).ok_or_else(|| LabError::Api {
            what: what(),
            why: "there is none".to_owned(),
        })
    }

    /// Waits until all hosts are as planned; those that are not.
    pub fn wait_in_step(&self, patience: Duration) -> Result<Vec<String>, LabError> {
        let rest = Rest::of(&self.place)?;
        let waited = wait_for("all hosts in step", patience, || {
            rest.behind().is_ok_and(|behind| behind.is_empty()).then_some(())
        });
        match waited {
            Ok(()) => Ok(Vec::new()),
            Err(_) => rest.behind(),
        }
    }

    /// `anet foreign-endpoint create` with one station.
    pub fn add_foreign_endpoint(
        &self,
        network: &str,
        address: IpAddr,
        station: (Mac, &[&str]),
    ) -> Result<(), LabError> {
        let addresses = station.1.iter().map(|address| format!(",ip-address={address}"));
        let station = format!("mac-address={}{}", station.0, addresses.collect::<String>());
        self.anet(&[
            "foreign-endpoint",
            "create",
            "linux",
            "--network",
            network,
            "--ip-address",
            &address.to_string(),
            "--station",
            &station,
        ])?;
        self.wait_in_step(PATIENCE).map(drop)
    }
}
