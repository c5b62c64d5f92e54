//! The rules of the tree, each a function from files to violations. `tests/rules.rs` holds the repository against
//! all of them, and each of them against a planted violation.

mod crate_edges;
mod documents;
mod machine_traces;
mod purity;
mod size;

use std::fmt;

use crate::source::SourceFile;

pub use crate_edges::{crate_edges, packet_door};
pub use documents::{drop_reasons_documented, links_resolve, make_targets_exist};
pub use machine_traces::machine_traces;
pub use purity::{no_unfinished_code, pure_crates, unsafe_has_two_homes};
pub use size::{EXCEPTIONS, Exception, sizes};

/// A place where the tree breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The file.
    pub path: String,
    /// The line, counted from 1; 0 where the whole file is meant.
    pub line: usize,
    /// What is wrong, and what is right.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A rule.
pub type Rule = fn(&[SourceFile]) -> Vec<Violation>;

/// Every rule by name.
pub const RULES: [(&str, Rule); 10] = [
    ("crate_edges", crate_edges),
    ("packet_door", packet_door),
    ("unsafe_has_two_homes", unsafe_has_two_homes),
    ("pure_crates", pure_crates),
    ("no_unfinished_code", no_unfinished_code),
    ("sizes", |files| sizes(files, &EXCEPTIONS)),
    ("machine_traces", machine_traces),
    ("links_resolve", links_resolve),
    ("make_targets_exist", make_targets_exist),
    ("drop_reasons_documented", drop_reasons_documented),
];

/// The lines of `code` (of the file `path`) in which a word out of `words` stands; a word that starts or ends with a
/// letter stands alone there, not inside a longer name.
fn lines_with(path: &str, code: &str, words: &[&str], why: &str) -> Vec<Violation> {
    let lines = code.lines().enumerate();
    let found = lines.flat_map(|(index, line)| {
        let here = words.iter().filter(move |word| contains_word(line, word));
        here.map(move |word| (index + 1, word))
    });
    let violation = |(line, word)| Violation {
        path: path.to_owned(),
        line,
        what: format!("`{word}`: {why}"),
    };
    found.map(violation).collect()
}

fn contains_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let joined = |outside: Option<char>, edge: Option<char>| {
            outside.is_some_and(part_of_name) && edge.is_some_and(part_of_name)
        };
        !joined(before, word.chars().next()) && !joined(after, word.chars().next_back())
    })
}
