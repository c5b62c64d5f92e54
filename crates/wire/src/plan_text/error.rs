//! What is wrong with a plan's text, and where.

use std::fmt;

use super::document::Position;

/// One thing that is wrong. Text form: `LINE:COLUMN: PATH: PROBLEM; expected EXPECTED`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {path}: {problem}; expected {expected}")]
pub struct TextError {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Where in the plan, such as `ports.web1.mac`; `plan` for the file as a whole.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What would be accepted.
    pub expected: String,
}

impl TextError {
    pub(super) fn new(
        position: Position,
        path: impl fmt::Display,
        problem: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let path = Some(path.to_string())
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| "plan".to_owned());
        Self {
            line: position.line,
            column: position.column,
            path,
            problem: problem.into(),
            expected: expected.into(),
        }
    }
}

/// Everything that was found wrong with a text: at least one error, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextErrors(Vec<TextError>);

impl TextErrors {
    pub(super) fn new(mut errors: Vec<TextError>) -> Self {
        errors.sort_by_key(|error| (error.line, error.column));
        Self(errors)
    }

    /// The errors.
    pub fn errors(&self) -> &[TextError] {
        &self.0
    }

    /// One line an error, each beginning `FILE:LINE:COLUMN: `, for a terminal or log.
    pub fn in_file<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        InFile {
            file,
            errors: &self.0,
        }
    }
}

impl fmt::Display for TextErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(f, "", &self.0)
    }
}

impl std::error::Error for TextErrors {}

struct InFile<'a> {
    file: &'a str,
    errors: &'a [TextError],
}

impl fmt::Display for InFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_lines(f, self.file, self.errors)
    }
}

fn write_lines(f: &mut fmt::Formatter<'_>, file: &str, errors: &[TextError]) -> fmt::Result {
    for (index, error) in errors.iter().enumerate() {
        let newline = if index == 0 { "" } else { "\n" };
        let colon = if file.is_empty() { "" } else { ":" };
        write!(f, "{newline}{file}{colon}{error}")?;
    }
    Ok(())
}
