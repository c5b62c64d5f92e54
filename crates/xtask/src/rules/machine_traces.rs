//! Nothing of the machine it was written on goes into the tree.

use crate::source::SourceFile;

use super::Violation;

/// Where people's and machines' own files lie. Put together here, so that this file passes its own rule.
const FOLDERS: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Us", "ers/"),
];

/// The only source of packages that a lock file may name.
const PACKAGES: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// No folder of a machine or person, no package source but the public one, no cargo settings.
pub fn machine_traces(files: &[SourceFile]) -> Vec<Violation> {
    let settings = files
        .iter()
        .filter(|file| file.path.starts_with(".cargo/"))
        .map(|file| Violation {
            path: file.path.clone(),
            line: 0,
            what: "cargo's settings belong to a machine, not to the tree".to_owned(),
        });
    files.iter().flat_map(traces_of).chain(settings).collect()
}

fn traces_of(file: &SourceFile) -> Vec<Violation> {
    let wrong = |line: &str| {
        let folder = FOLDERS
            .iter()
            .find(|folder| names_folder(line, folder))
            .map(|folder| format!("`{folder}`"));
        let source = line
            .strip_prefix("source = ")
            .filter(|source| source.trim_matches('"') != PACKAGES);
        folder.or(source
            .filter(|_| file.path.ends_with("Cargo.lock"))
            .map(ToOwned::to_owned))
    };
    let lines = file.text.lines().enumerate();
    let found = lines.filter_map(|(index, line)| Some((index + 1, wrong(line)?)));
    let violation = |(line, trace): (usize, String)| Violation {
        path: file.path.clone(),
        line,
        what: format!("{trace} is of one machine"),
    };
    found.map(violation).collect()
}

/// True where `line` has `folder` as the beginning of a path, not in the middle of one or of a web address.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}' | ')' | '/'))
    })
}
