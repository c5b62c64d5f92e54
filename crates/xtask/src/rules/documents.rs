//! Documents point at what is there.

use std::collections::BTreeSet;

use crate::source::SourceFile;

use super::Violation;

/// Every relative link of a Markdown file leads to a file or folder of the tree.
pub fn links_resolve(files: &[SourceFile]) -> Vec<Violation> {
    let mut there: BTreeSet<&str> = BTreeSet::new();
    for file in files {
        there.insert(&file.path);
        there.extend(file.path.match_indices('/').map(|(at, _)| &file.path[..at]));
    }
    let documents = files.iter().filter(|file| file.path.ends_with(".md"));
    documents.flat_map(|file| dead_links(file, &there)).collect()
}

fn dead_links(file: &SourceFile, there: &BTreeSet<&str>) -> Vec<Violation> {
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let lines = file.text.lines().enumerate();
    let targets = lines.flat_map(|(index, line)| links_of(line).map(move |target| (index + 1, target)));
    let dead = targets.filter(|(_, target)| {
        let path = target.split('#').next().unwrap_or_default();
        let elsewhere = target.contains("://") || target.starts_with("mailto:") || path.is_empty();
        !elsewhere
            && !resolve(folder, path).is_some_and(|path| path.is_empty() || there.contains(path.as_str()))
    });
    let what = |target: &str| format!("the link to `{target}` leads nowhere");
    dead.map(|(line, target)| Violation {
        path: file.path.clone(),
        line,
        what: what(target),
    })
    .collect()
}

/// The targets of `[text](target)`.
fn links_of(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("](")
        .filter_map(|(at, _)| line[at + 2..].split([')', ' ']).next())
}

/// `path` seen from `folder`, without `.` and `..`; `None` where it leaves the tree.
fn resolve(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.trim_end_matches('/').split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Every `make TARGET` that a Markdown file shows as a command is a target of the Makefile.
pub fn make_targets_exist(files: &[SourceFile]) -> Vec<Violation> {
    let makefile = files
        .iter()
        .find(|file| file.path == "Makefile")
        .map_or("", |file| &file.text);
    let is_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    let documents = files.iter().filter(|file| file.path.ends_with(".md"));
    let shown = documents.flat_map(|file| {
        let lines = file.text.lines().enumerate();
        lines.flat_map(move |(index, line)| commands_of(line).map(move |target| (file, index + 1, target)))
    });
    let missing = shown.filter(|(_, _, target)| !is_target(target));
    let what = |target: &str| format!("the Makefile has no target `{target}`");
    missing
        .map(|(file, line, target)| Violation {
            path: file.path.clone(),
            line,
            what: what(target),
        })
        .collect()
}

/// The targets of `make TARGET` after a backquote or at the beginning of a line.
fn commands_of(line: &str) -> impl Iterator<Item = &str> {
    let starts = line
        .match_indices("make ")
        .filter(|(at, _)| *at == 0 || line[..*at].ends_with('`'));
    let targets = starts.filter_map(|(at, _)| line[at + 5..].split([' ', '`', ',']).next());
    targets.filter(|target| !target.is_empty() && target.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
}

/// Where the closed list of drop reasons stands, and the page that explains it.
const VERDICTS: &str = "crates/datapath/src/verdict.rs";
const DROPS_PAGE: &str = "docs/features/drops.md";

/// Every drop reason has its row on the page about drops, and every row its reason.
pub fn drop_reasons_documented(files: &[SourceFile]) -> Vec<Violation> {
    let text_of = |path: &str| {
        files
            .iter()
            .find(|file| file.path == path)
            .map_or("", |file| file.text.as_str())
    };
    let table = text_of(VERDICTS).split("const TEXTS").nth(1).unwrap_or_default();
    let table = table.split("];").next().unwrap_or_default();
    let words = table.split('"').skip(1).step_by(2);
    let is_name = |word: &&str| {
        word.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    let reasons: BTreeSet<&str> = words.filter(is_name).collect();
    let rows = text_of(DROPS_PAGE)
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: BTreeSet<&str> = rows.collect();
    let violation = |path: &str, name: &&str, what: &str| Violation {
        path: path.to_owned(),
        line: 0,
        what: format!("drop reason `{name}` {what}"),
    };
    let unexplained = reasons
        .difference(&rows)
        .map(|name| violation(DROPS_PAGE, name, "has no row"));
    let unknown = rows
        .difference(&reasons)
        .map(|name| violation(DROPS_PAGE, name, "does not exist any more"));
    unexplained.chain(unknown).collect()
}
