//! Tokens for the API, made on the controller's own machine.

use anet_model::intent::ProjectId;

use crate::error::StartError;
use crate::files::Folder;
use crate::tokens::{self, ADMIN, Grant};

/// Makes a token and prints it: it is told this once. A running controller knows it at once.
pub fn make(folder: &Folder, project: Option<&str>, role: &str) -> Result<(), StartError> {
    folder.must_be_made()?;
    let project = project
        .map(|id| ProjectId::new(id).map_err(|error| StartError::Setting(format!("--project: {error}"))));
    let project = project.transpose()?;
    if project.is_none() && role != ADMIN {
        return Err(StartError::Setting("a member's token needs --project".to_owned()));
    }
    let roles = vec![role.to_owned()];
    println!("{}", tokens::add(&folder.tokens(), Grant { project, roles })?);
    Ok(())
}
