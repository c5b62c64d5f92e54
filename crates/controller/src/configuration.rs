//! How a controller is set up: what stands in `controller.toml`, and what a command line says instead.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anet_packet::addr::Vni;
use serde::{Deserialize, Serialize};

use crate::error::StartError;
use crate::files::{self, Folder};

/// What can be set. Each option of the command line stands before the file's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Where the API is listened for, ADDRESS:PORT [default: 0.0.0.0:9696]
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_api: Option<SocketAddr>,
    /// Where hosts' streams are listened for, ADDRESS:PORT [default: 0.0.0.0:9697]
    #[arg(long, value_name = "ADDRESS:PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen_hosts: Option<SocketAddr>,
    /// Name or address that hosts and clients reach this controller by; may be given several times [default: the address it listens
    /// on, 127.0.0.1 where that is any]
    #[arg(long, value_name = "HOST")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advertise: Vec<String>,
    /// Segments that are given to networks that ask for none, FIRST-LAST [default: 1-16777215]
    #[arg(long, value_name = "FIRST-LAST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vni_range: Option<String>,
    /// Seconds that guests' DHCP leases last [default: 86400]
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_s: Option<u32>,
}

impl Options {
    /// The options of a file, if it is there.
    pub fn of_file(path: &std::path::Path) -> Result<Self, StartError> {
        let text = files::read(path)?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.matches('\n').count() + 1);
            StartError::content(path, format!("line {line}: {}", error.message()))
        })
    }

    /// These, and for what they leave open, those of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            listen_api: self.listen_api.or(other.listen_api),
            listen_hosts: self.listen_hosts.or(other.listen_hosts),
            advertise: match self.advertise.is_empty() {
                true => other.advertise,
                false => self.advertise,
            },
            vni_range: self.vni_range.or(other.vni_range),
            lease_s: self.lease_s.or(other.lease_s),
        }
    }
}

/// All settings.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// The data folder.
    pub folder: Folder,
    /// Where the API is listened for.
    pub listen_api: SocketAddr,
    /// Where hosts' streams are listened for.
    pub listen_hosts: SocketAddr,
    /// Names and addresses it is reached by; at least one.
    pub advertise: Vec<String>,
    /// Segments that are given.
    pub vnis: (Vni, Vni),
    /// Seconds of DHCP leases.
    pub lease_s: u32,
}

impl Configuration {
    /// Settings out of options.
    pub fn new(data: PathBuf, options: Options) -> Result<Self, StartError> {
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let listen_api = options.listen_api.unwrap_or(any(9_696));
        let advertise = match options.advertise.is_empty() {
            true => vec![reachable(listen_api.ip()).to_string()],
            false => options.advertise,
        };
        let lease_s = options.lease_s.unwrap_or(86_400);
        if lease_s < anet_model::limits::LEASE_SECONDS_MINIMUM {
            let text = format!(
                "--lease-s {lease_s}: expected {} seconds or more",
                anet_model::limits::LEASE_SECONDS_MINIMUM
            );
            return Err(StartError::Setting(text));
        }
        Ok(Self {
            folder: Folder::new(data),
            listen_api,
            listen_hosts: options.listen_hosts.unwrap_or(any(9_697)),
            advertise,
            vnis: vni_range(options.vni_range.as_deref().unwrap_or("1-16777215"))?,
            lease_s,
        })
    }

    /// The API's address for clients.
    pub fn url(&self) -> String {
        format!(
            "https://{}",
            authority(&self.advertise[0], self.listen_api.port())
        )
    }

    /// The API's addresses for agents that join.
    pub fn urls(&self) -> Vec<String> {
        let url = |name: &String| format!("https://{}", authority(name, self.listen_api.port()));
        self.advertise.iter().map(url).collect()
    }

    /// The addresses of the hosts' streams.
    pub fn streams(&self) -> Vec<String> {
        self.advertise
            .iter()
            .map(|name| authority(name, self.listen_hosts.port()))
            .collect()
    }

    /// Names that its certificate has to have.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.advertise.clone();
        for local in ["localhost", "127.0.0.1", "::1"] {
            if !names.iter().any(|name| name == local) {
                names.push(local.to_owned());
            }
        }
        names
    }
}

fn reachable(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(address) if address.is_unspecified() => [127, 0, 0, 1].into(),
        IpAddr::V6(address) if address.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

fn authority(name: &str, port: u16) -> String {
    match name.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{name}:{port}"),
    }
}

fn vni_range(text: &str) -> Result<(Vni, Vni), StartError> {
    let wrong = || {
        StartError::Setting(format!(
            "--vni-range `{text}`: expected FIRST-LAST within 1-16777215, as 1000-1999"
        ))
    };
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let vni = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|vni| *vni > 0)
            .and_then(|vni| Vni::new(vni).ok())
    };
    match (vni(first), vni(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_stands_before_the_file() {
        let file: Options =
            toml::from_str("listen_api = \"192.0.2.1:1\"\nadvertise = [\"a\"]\nlease_s = 600\n").unwrap();
        let line = Options {
            advertise: vec!["2001:db8::1".to_owned()],
            ..Options::default()
        };
        let set = Configuration::new("data".into(), line.or(file)).unwrap();
        assert_eq!(
            (set.url().as_str(), set.lease_s),
            ("https://[2001:db8::1]:1", 600)
        );
        assert_eq!(set.streams(), ["[2001:db8::1]:9697"]);
        assert!(toml::from_str::<Options>("listen = 1").is_err());
    }

    #[test]
    fn any_address_is_reached_at_home() {
        let set = Configuration::new("data".into(), Options::default()).unwrap();
        assert_eq!(set.url(), "https://127.0.0.1:9696");
        assert!(set.names().contains(&"localhost".to_owned()));
    }

    #[test]
    fn a_range_of_segments_is_one() {
        assert!(vni_range("1-16777215").is_ok() && vni_range("7-7").is_ok());
        for wrong in ["", "7", "0-5", "9-8", "1-16777216", "a-b"] {
            assert!(vni_range(wrong).is_err(), "{wrong}");
        }
    }
}
