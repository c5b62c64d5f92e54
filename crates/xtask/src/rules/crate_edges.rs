//! Who may depend on whom: the table of ARCHITECTURE.md.

use crate::source::SourceFile;

use super::Violation;

/// A crate and the crates of the workspace that it may depend on. Dependencies of tests alone are free, and so are
/// the crates of [`FREE`]. Model's types are made of packet's address types, so who may know the one knows the other's
/// [`DOOR`].
const EDGES: [(&str, &[&str]); 15] = [
    ("packet", &[]),
    ("model", &["packet"]),
    ("plan", &["model"]),
    ("datapath", &["model", "packet", "memory"]),
    ("memory", &[]),
    ("ports", &["packet", "memory"]),
    ("store", &[]),
    ("cluster", &[]),
    ("wire", &["model"]),
    ("api", &["model"]),
    (
        "controller",
        &["model", "plan", "store", "cluster", "wire", "api"],
    ),
    ("agent", &["model", "cluster", "wire"]),
    (
        "vswitch",
        &["model", "datapath", "ports", "packet", "memory", "wire"],
    ),
    ("lab", &["model", "api"]),
    ("cli", &["api", "lab"]),
];

/// Not products: they may use anything, and nothing may use them.
const FREE: [&str; 4] = ["sim", "xtask", "fuzz", "bench"];

/// The one part of `packet` that crates know which may depend on `model` but not on `packet` itself.
const DOOR: &str = "anet_packet::addr";

/// Every edge in a `Cargo.toml` is one of the table.
pub fn crate_edges(files: &[SourceFile]) -> Vec<Violation> {
    let manifests = files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests
        .filter_map(|file| Some((file.crate_name()?, file)))
        .flat_map(edges_of)
        .collect()
}

fn edges_of((name, file): (&str, &SourceFile)) -> Vec<Violation> {
    let violation = |line, what| Violation {
        path: file.path.clone(),
        line,
        what,
    };
    let Some(allowed) = allowed_for(name) else {
        return vec![violation(
            0,
            format!("crate `{name}` is not in the table of crates: add it there first"),
        )];
    };
    let wrong = dependencies(&file.text)
        .into_iter()
        .filter(|(_, to)| !allowed(to));
    let text = |to: &str| format!("`{name}` may not depend on `{to}` (ARCHITECTURE.md, Crates)");
    wrong.map(|(line, to)| violation(line, text(&to))).collect()
}

/// What a crate may depend on, or `None` for a crate that nobody planned.
fn allowed_for(name: &str) -> Option<impl Fn(&str) -> bool> {
    let row = EDGES.iter().find(|(row, _)| *row == name).map(|(_, to)| *to);
    let free = FREE.contains(&name);
    (free || row.is_some()).then_some(move |to: &str| {
        let listed = row.is_some_and(|row| row.contains(&to) || (to == "packet" && row.contains(&"model")));
        listed || (free && !FREE.contains(&to))
    })
}

/// The workspace crates that a manifest's products and build script depend on, without `anet-`, with their lines.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for (index, line) in manifest.lines().map(str::trim).enumerate() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            // `[dependencies.anet-x]` names one in the header itself.
            let name = section
                .rsplit_once("dependencies.anet-")
                .map(|(_, name)| name.to_owned());
            found.extend(
                name.filter(|_| !section.contains("dev-"))
                    .map(|name| (index + 1, name)),
            );
        } else if section.ends_with("dependencies") && !section.ends_with("dev-dependencies") {
            let name = line
                .strip_prefix("anet-")
                .and_then(|rest| rest.split(['.', ' ', '=']).next());
            found.extend(name.map(|name| (index + 1, name.to_owned())));
        }
    }
    found
}

/// Crates that may know `model`, but not the whole of `packet`, use its address types only.
pub fn packet_door(files: &[SourceFile]) -> Vec<Violation> {
    let whole = |name: &str| {
        FREE.contains(&name)
            || EDGES
                .iter()
                .any(|(row, to)| *row == name && *row != "model" && to.contains(&"packet"))
    };
    let guests = files.iter().filter(|file| file.is_product());
    let guests = guests.filter(|file| {
        file.crate_name()
            .is_some_and(|name| name != "packet" && !whole(name))
    });
    guests.flat_map(beside_the_door).collect()
}

fn beside_the_door(file: &SourceFile) -> Vec<Violation> {
    let code = file.product_code();
    let lines = code.lines().enumerate();
    let wrong = lines.filter(|(_, line)| line.contains("anet_packet") && !line.contains(DOOR));
    let what = format!("this crate knows `{DOOR}` only, not the rest of `packet`");
    wrong
        .map(|(index, _)| Violation {
            path: file.path.clone(),
            line: index + 1,
            what: what.clone(),
        })
        .collect()
}
