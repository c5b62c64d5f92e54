//! Files and functions stay small enough to be read at one go.

use crate::source::SourceFile;

use super::Violation;

/// Lines of a file, its tests not counted, from which on it is too long.
const FILE_LINES: usize = 700;
/// Lines of a function from which on it is too long.
const FUNCTION_LINES: usize = 70;

/// A file, or a function of it, that may be longer, and why.
#[derive(Debug, Clone, Copy)]
pub struct Exception {
    /// Its path.
    pub path: &'static str,
    /// The function; the whole file where `None`.
    pub function: Option<&'static str>,
    /// Why it is right as it is.
    pub reason: &'static str,
}

/// What may be longer. Each needs a reason that a reader would accept; one that is not needed any more fails.
pub const EXCEPTIONS: [Exception; 0] = [];

/// Files under 700 lines and functions under 70, outside tests.
pub fn sizes(files: &[SourceFile], exceptions: &[Exception]) -> Vec<Violation> {
    let product = files.iter().filter(|file| file.is_product());
    let long: Vec<Long> = product.flat_map(long_parts).collect();
    let excused = |long: &Long| exceptions.iter().any(|exception| long.is_meant_by(exception));
    let violations = long.iter().filter(|long| !excused(long)).map(Long::violation);
    let needed = |exception: &&Exception| !long.iter().any(|long| long.is_meant_by(exception));
    let stale = exceptions.iter().filter(needed).map(|exception| Violation {
        path: exception.path.to_owned(),
        line: 0,
        what: format!(
            "the exception for {:?} is not needed any more: remove it",
            exception.function
        ),
    });
    violations.chain(stale).collect()
}

struct Long {
    path: String,
    function: Option<String>,
    line: usize,
    lines: usize,
}

impl Long {
    fn is_meant_by(&self, exception: &Exception) -> bool {
        exception.path == self.path && exception.function == self.function.as_deref()
    }

    fn violation(&self) -> Violation {
        let what = match &self.function {
            Some(name) => format!(
                "function `{name}` has {} lines; under {FUNCTION_LINES} is right",
                self.lines
            ),
            None => format!("{} lines without tests; under {FILE_LINES} is right", self.lines),
        };
        Violation {
            path: self.path.clone(),
            line: self.line,
            what,
        }
    }
}

fn long_parts(file: &SourceFile) -> Vec<Long> {
    let code = file.product_code();
    // Comments count as lines of the file; what test modules held does not.
    let in_tests = file
        .code()
        .lines()
        .zip(code.lines())
        .filter(|(all, kept)| all != kept)
        .count();
    let lines = file.text.lines().count() - in_tests;
    let whole = Long {
        path: file.path.clone(),
        function: None,
        line: 0,
        lines,
    };
    let functions = functions(&code)
        .into_iter()
        .filter(|(_, _, lines)| *lines >= FUNCTION_LINES);
    let functions = functions.map(|(line, name, lines)| Long {
        path: file.path.clone(),
        function: Some(name),
        line,
        lines,
    });
    functions.chain((lines >= FILE_LINES).then_some(whole)).collect()
}

/// Each function's line, name and number of lines. Counts on rustfmt: the closing brace stands below the start.
fn functions(code: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = code.lines().collect();
    let starts = lines
        .iter()
        .enumerate()
        .filter_map(|(index, line)| Some((index, function_name(line)?)));
    let measured = starts.filter_map(|(index, name)| {
        let indentation = lines[index].len() - lines[index].trim_start().len();
        let closing = format!("{}}}", &lines[index][..indentation]);
        let one_line = lines[index].ends_with(['}', ';']);
        let end = lines[index..]
            .iter()
            .position(|line| *line == closing || one_line)?;
        Some((index + 1, name.to_owned(), end + 1))
    });
    measured.collect()
}

fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line
        .trim_start()
        .split_once("fn ")
        .map(|(b, a)| (b.trim_end(), a))?;
    let is_modifier = |word: &str| {
        word.starts_with("pub")
            || matches!(
                word,
                "const" | "async" | "unsafe" | "extern" | "super)" | "crate)"
            )
    };
    before
        .split_whitespace()
        .all(is_modifier)
        .then(|| after.split(['(', '<']).next())?
}
