//! Reading a description.

use std::path::Path;

use super::Description;
use super::check::check;
use crate::LabError;

/// Longest file that is read.
const LONGEST: u64 = 1 << 20;

/// Reads and checks a file.
pub fn read(path: &Path) -> Result<Description, LabError> {
    let what = format!("read {}", path.display());
    let length = std::fs::metadata(path).map_err(LabError::io(what.clone()))?.len();
    if length > LONGEST {
        return Err(LabError::Description {
            file: path.display().to_string(),
            why: format!("it has {length} bytes, at most {LONGEST} are read"),
        });
    }
    let text = std::fs::read_to_string(path).map_err(LabError::io(what))?;
    parse(&text).map_err(|why| LabError::Description {
        file: path.display().to_string(),
        why,
    })
}

/// Reads and checks a text; the error says where what is wrong.
pub fn parse(text: &str) -> Result<Description, String> {
    let description = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|place| (place.line(), place.column()));
        let said = error.without_snippet().to_string();
        // The parser says the place once more, in its own way.
        let said = said.split(" at line ").next().unwrap_or_default();
        match place
            .filter(|(line, _)| *line > 0)
            .or_else(|| place_of(said, text))
        {
            Some((line, column)) => format!("line {line}, column {column}: {said}"),
            None => said.to_owned(),
        }
    })?;
    check(&description)?;
    Ok(description)
}

/// Where the value stands that an error quotes, for errors about values whose place the parser does not know. None where
/// it stands in several places.
fn place_of(said: &str, text: &str) -> Option<(u64, u64)> {
    let value = said.split('`').nth(1).filter(|value| !value.is_empty())?;
    let mut lines = (1..)
        .zip(text.lines())
        .filter_map(|(number, line)| Some((number, line.find(value)? as u64 + 1)));
    let first = lines.next();
    first.filter(|_| lines.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::{LayerFourPorts, UnderlayKind};

    const SMALL: &str = "
name: small
underlay: {kind: routed, mtu: 1600, ipv6: 2001:db8::/64}
hosts: {zebra: , ant: {}}
projects:
  red:
    networks:
      front: {vni: 100, subnets: {front-4: {cidr: 10.0.0.0/24}, front-6: {cidr: fd00:10::/64}}}
    security_groups:
      web:
        rules: [{protocol: tcp, ports: 80}, {protocol: udp, ports: 8000-8010, remote_group: web}]
    guests:
      web-1: {network: front, host: zebra, security_groups: [web], addresses: [10.0.0.11]}
      web-2: {network: front, host: ant, mac: 02:00:00:00:00:12}
";

    #[test]
    fn a_description_is_read_in_its_order() {
        let lab = parse(SMALL).unwrap();
        assert_eq!(lab.hosts.names().collect::<Vec<_>>(), ["zebra", "ant"]);
        assert_eq!(lab.underlay.kind, UnderlayKind::Routed);
        let web = lab
            .projects
            .get("red")
            .unwrap()
            .security_groups
            .get("web")
            .unwrap();
        assert_eq!(web.rules[0].ports, Some(LayerFourPorts { first: 80, last: 80 }));
        assert_eq!(web.rules[1].ports.unwrap().to_string(), "8000-8010");
        let guests: Vec<_> = lab.guests().map(|guest| (guest.project, guest.name)).collect();
        assert_eq!(guests, [("red", "web-1"), ("red", "web-2")]);
    }

    #[test]
    fn a_description_survives_its_written_form() {
        let lab = parse(SMALL).unwrap();
        let text = serde_json::to_string(&lab).unwrap();
        assert_eq!(serde_json::from_str::<Description>(&text).unwrap(), lab);
    }

    #[test]
    fn what_is_unknown_or_malformed_is_refused_with_its_place() {
        for (from, to, line, word) in [
            ("protocol: tcp", "protcol: tcp", 11, "protcol"),
            ("mtu: 1600", "mtu: much", 3, "mtu"),
            ("cidr: 10.0.0.0/24", "cidr: 10.0.0.1/24", 8, "10.0.0.1/24"),
            ("ports: 8000-8010", "ports: 8010-8000", 11, "8010-8000"),
            ("ant: {}", "zebra: {}", 4, "zebra"),
            ("kind: routed", "kind: flat", 3, "flat"),
        ] {
            let error = parse(&SMALL.replace(from, to)).unwrap_err();
            assert!(error.contains(&format!("line {line}")), "{to}: {error}");
            assert!(error.contains(word) || word == "mtu", "{to}: {error}");
        }
    }

    #[test]
    fn the_examples_are_fine() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        for (file, hosts, guests) in [("two-hosts.yaml", 2, 2), ("three-hosts.yaml", 3, 5)] {
            let lab = read(&folder.join(file)).unwrap();
            assert_eq!((lab.hosts.len(), lab.guests().count()), (hosts, guests), "{file}");
        }
    }

    #[test]
    fn hostile_texts_are_refused() {
        for text in [
            "",
            "[]",
            "name: [",
            "name: &a [*a]",
            "{}",
            "\u{0}",
            "name: x\nhosts: 7",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).is_err());
    }
}
