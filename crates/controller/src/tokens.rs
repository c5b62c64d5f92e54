//! Who may ask: a table of token hashes in a file. The tokens themselves are kept by whoever has them.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anet_model::intent::ProjectId;
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::core::admit::Caller;
use crate::core::admit::idempotency::hex;
use crate::error::StartError;
use crate::files;

/// The role that may everything.
pub const ADMIN: &str = "admin";

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The project it belongs to.
    #[serde(default)]
    pub project: Option<ProjectId>,
    /// `admin`, `member`.
    pub roles: Vec<String>,
}

/// The table as it stands in its file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Table(HashMap<String, Grant>);

/// The table of a running controller: read again when the file has changed.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    read: Mutex<(Option<Seen>, Table)>,
}

/// What tells one state of the file from another. Its time alone does not: two tokens may be made in one tick of the kernel's
/// clock. A file that was written is another one, and with a token more it is longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    modified: SystemTime,
    inode: u64,
    length: u64,
}

impl Tokens {
    /// The table of a file.
    pub fn open(path: &Path) -> Result<Self, StartError> {
        if !files::is_there(path)? {
            return Err(StartError::NoTokens(path.to_owned()));
        }
        // Looked at first: what is changed in between is read again.
        let seen = seen(path);
        let table = read_table(path)?;
        Ok(Self {
            path: path.to_owned(),
            read: Mutex::new((seen, table)),
        })
    }

    /// Who has a token.
    pub fn caller(&self, token: &str) -> Option<Caller> {
        let hash = hash(token);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seen(&self.path);
        if now != read.0
            && let Ok(table) = read_table(&self.path)
        {
            *read = (now, table);
        }
        let grant = read.1.0.get(&hash)?;
        Some(Caller {
            project: grant.project.clone(),
            admin: grant.roles.iter().any(|role| role == ADMIN),
        })
    }
}

fn seen(path: &Path) -> Option<Seen> {
    let data = std::fs::metadata(path).ok()?;
    Some(Seen {
        modified: data.modified().ok()?,
        inode: data.ino(),
        length: data.len(),
    })
}

fn read_table(path: &Path) -> Result<Table, StartError> {
    serde_json::from_str(&files::read(path)?).map_err(|error| StartError::content(path, error))
}

/// Makes a token, adds it to a file, and answers it.
pub fn add(path: &Path, grant: Grant) -> Result<String, StartError> {
    let mut table = match files::is_there(path)? {
        true => read_table(path)?,
        false => Table::default(),
    };
    let token = draw()?;
    table.0.insert(hash(&token), grant);
    let text = serde_json::to_string_pretty(&table).map_err(|error| StartError::content(path, error))?;
    files::write(path, &text)?;
    Ok(token)
}

/// 192 random bits, in hexadecimal.
pub fn draw() -> Result<String, StartError> {
    let mut bytes = [0; 24];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| StartError::Setting(format!("no random numbers: {error}")))?;
    Ok(hex(&bytes))
}

/// As which a secret is kept.
pub fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_as_soon_as_it_is_in_the_file() {
        let folder = std::env::temp_dir().join(format!("anet-tokens-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("tokens.json");
        let grant = |role: &str, project: Option<&str>| Grant {
            project: project.map(|id| ProjectId::new(id).unwrap()),
            roles: vec![role.to_owned()],
        };
        let admin = add(&path, grant(ADMIN, None)).unwrap();
        let tokens = Tokens::open(&path).unwrap();
        assert!(tokens.caller(&admin).unwrap().admin);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&admin) && text.contains(&hash(&admin)));
        // In the same tick of the clock.
        let time = |path: &Path| std::fs::metadata(path).unwrap().modified().unwrap();
        let before = time(&path);
        let member = add(&path, grant("member", Some("blue"))).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(before).unwrap();
        assert_eq!(time(&path), before);
        let caller = tokens.caller(&member).unwrap();
        assert_eq!((caller.admin, caller.project.unwrap().as_str()), (false, "blue"));
        assert!(tokens.caller("guessed").is_none() && tokens.caller("").is_none());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
