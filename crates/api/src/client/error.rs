//! Why a request has no answer.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use crate::error::excerpt;
use crate::resource::Resource;

/// What went wrong, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nothing says where the fabric is.
    #[error("no fabric is known: looked for {}; name a file with --config or ANET_CONFIG", names_of(.looked))]
    NoConfiguration {
        /// Where a file could have been.
        looked: Vec<PathBuf>,
    },
    /// More than one lab.
    #[error("several labs are up ({}): say which with --lab NAME", names_of(.files))]
    SeveralLabs {
        /// Their files.
        files: Vec<PathBuf>,
    },
    /// The file that says where the fabric is cannot be used.
    #[error("{}: {problem}", .file.display())]
    Configuration {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The controller cannot be reached.
    #[error("{url} cannot be reached: {problem}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What happened.
        problem: String,
    },
    /// The controller said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The answer is not that of a controller.
    #[error("{url} answers something else than expected: {what}")]
    NotUnderstood {
        /// Who answered.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// No object has that id or name.
    #[error("there is no {} with the id or name `{text}`", noun(*.resource))]
    NoMatch {
        /// What was looked for.
        resource: Resource,
        /// Its id or name.
        text: String,
    },
    /// Several objects have that name.
    #[error("{} {} are named `{text}`: give the id of one: {}", .ids.len(), plural(*.resource), .ids.join(", "))]
    Ambiguous {
        /// What was looked for.
        resource: Resource,
        /// Their name.
        text: String,
        /// Their ids.
        ids: Vec<String>,
    },
}

/// A controller's error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Neutron's name of the error.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// More, where there is more.
    pub detail: String,
}

impl Refusal {
    /// The error in a body, if it is one.
    pub(super) fn of(status: u16, body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let error = body.get("NeutronError")?;
        let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        Some(Self {
            status,
            kind: text("type").to_string(),
            message: text("message").to_string(),
            detail: text("detail").to_string(),
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |text: &str| text.replace(['\n', '\r'], " ");
        write!(
            f,
            "{} ({} {})",
            line(&self.message),
            self.status,
            line(&self.kind)
        )?;
        if self.detail.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", line(&self.detail))
    }
}

impl ClientError {
    pub(super) fn unreachable(url: &str, error: &ureq::Error) -> Self {
        let problem = match error {
            ureq::Error::Io(error) => error.to_string(),
            ureq::Error::Timeout(_) => "it does not answer in time".to_string(),
            ureq::Error::HostNotFound => "its name is not known".to_string(),
            other => other.to_string(),
        };
        Self::Unreachable {
            url: url.to_string(),
            problem: excerpt(&problem.replace('\n', " ")),
        }
    }
}

fn names_of(files: &[PathBuf]) -> String {
    let texts: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    texts.join(", ")
}

fn noun(resource: Resource) -> String {
    resource.singular().replace('_', " ")
}

fn plural(resource: Resource) -> String {
    resource.plural().replace('_', " ")
}
