//! A host's switch, asked over its control socket.

use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;

use anet_lab::standing::{Place, vswitch_socket};
use anet_model::digest::Digest;
use anet_wire::client::Client;
use anet_wire::control::report::NounDigest;
use anet_wire::control::{Request, Response};

use crate::error::BenchError;

/// Entries of the plan that a switch has, by kind.
pub type Sizes = BTreeMap<String, u64>;

/// One connection to it.
#[derive(Debug)]
pub struct Switch(Client<UnixStream>);

impl Switch {
    /// Connects to the switch of a host.
    pub fn of(place: &Place, host: &str) -> Result<Self, BenchError> {
        let path = vswitch_socket(place, host);
        let stream = UnixStream::connect(&path).map_err(BenchError::system(path.display().to_string()))?;
        let client = Client::greet(stream, "anet-bench");
        client.map(Self).map_err(|error| trouble(&error))
    }

    /// How many entries of each kind its plan has. The cheapest question about a plan: its cost does not grow with it.
    pub fn sizes(&mut self) -> Result<Sizes, BenchError> {
        let answer = self.0.call(&Request::Counters);
        let Response::Counters(counters) = answer.map_err(|error| trouble(&error))? else {
            return Err(trouble(&"no counters were answered"));
        };
        let tables = counters.tables.into_iter();
        let of_plan = tables.filter(|table| table.table != "connections");
        Ok(of_plan.map(|table| (table.table, table.entries)).collect())
    }

    /// The digest of its plan as kept, and as read back from its tables.
    pub fn digests(&mut self) -> Result<(Digest, Digest), BenchError> {
        let answer = self.0.call(&Request::Digest);
        let Response::Digest(report) = answer.map_err(|error| trouble(&error))? else {
            return Err(trouble(&"no digest was answered"));
        };
        let sum = |of: fn(&NounDigest) -> Digest| {
            let all = report.nouns.iter().map(of);
            all.fold(Digest::default(), Digest::plus)
        };
        Ok((sum(|noun| noun.kept), sum(|noun| noun.read_back)))
    }
}

fn trouble(what: &impl std::fmt::Display) -> BenchError {
    BenchError::Program {
        program: "anet-vswitch".to_owned(),
        what: what.to_string(),
    }
}
