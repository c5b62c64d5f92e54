//! Where the fabric is: a JSON file `{"url": …, "ca_file" or "ca_pem": …, "token": …}`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ClientError;

/// Names the file.
const FILE_VARIABLE: &str = "ANET_CONFIG";
/// The file of a machine.
const MACHINE: &str = "/etc/anet/client.json";
/// Its name in folders.
const FILE: &str = "client.json";
/// Where labs on this machine are, unless [`LABS_VARIABLE`] says otherwise: a folder for each.
const LABS: &str = "/run/anet/labs";
const LABS_VARIABLE: &str = "ANET_LABS";

/// How the fabric is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Address of the API, such as `https://192.0.2.1:9696`.
    pub url: String,
    /// Certificates of the authority that the controllers' certificates are checked by (PEM).
    pub ca_pem: String,
    /// What the caller is known by.
    pub token: String,
    /// The file it comes from.
    pub source: PathBuf,
}

/// The file as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_pem: Option<String>,
    #[serde(default)]
    token: String,
}

/// What a caller knows of where the file is.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The file itself.
    pub file: Option<PathBuf>,
    /// A lab on this machine.
    pub lab: Option<String>,
}

impl Configuration {
    /// The file of `place` or, where that says nothing, of `$ANET_CONFIG`, `$XDG_CONFIG_HOME/anet/client.json` (`~/.config` without
    /// it), `/etc/anet/client.json`, or of the only lab on this machine.
    pub fn discover(place: &Place) -> Result<Self, ClientError> {
        Self::discover_with(place, |name| std::env::var_os(name))
    }

    fn discover_with(
        place: &Place,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ClientError> {
        let variable = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let labs = variable(LABS_VARIABLE).unwrap_or_else(|| LABS.into());
        if let Some(file) = &place.file {
            return Self::read(file);
        }
        if let Some(lab) = &place.lab {
            return Self::read(&labs.join(lab).join(FILE));
        }
        if let Some(file) = variable(FILE_VARIABLE) {
            return Self::read(&file);
        }
        let home = variable("HOME").map(|home| home.join(".config"));
        let user = variable("XDG_CONFIG_HOME").or(home);
        let user = user.map(|folder| folder.join("anet").join(FILE));
        let mut candidates: Vec<PathBuf> = user.into_iter().chain([MACHINE.into()]).collect();
        if let Some(file) = candidates.iter().find(|file| file.exists()) {
            return Self::read(file);
        }
        match lab_files(&labs).as_slice() {
            [only] => Self::read(only),
            [] => {
                candidates.push(labs.join("*").join(FILE));
                Err(ClientError::NoConfiguration { looked: candidates })
            }
            several => Err(ClientError::SeveralLabs {
                files: several.to_vec(),
            }),
        }
    }

    /// Reads a file. A `ca_file` that is not absolute is beside it.
    pub fn read(file: &Path) -> Result<Self, ClientError> {
        let wrong = |problem: String| ClientError::Configuration {
            file: file.to_path_buf(),
            problem,
        };
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        let written: Written = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if !(written.url.starts_with("https://") || written.url.starts_with("http://")) {
            return Err(wrong(format!(
                "url `{}` does not begin with https://",
                written.url
            )));
        }
        let ca_pem = match (written.ca_pem, written.ca_file) {
            (Some(pem), _) => pem,
            (None, Some(ca)) => {
                let ca = file.parent().map_or(ca.clone(), |folder| folder.join(&ca));
                std::fs::read_to_string(&ca).map_err(|error| wrong(format!("{}: {error}", ca.display())))?
            }
            (None, None) => String::new(),
        };
        Ok(Self {
            url: written.url,
            ca_pem,
            token: written.token,
            source: file.to_path_buf(),
        })
    }

    /// The text of a file that says the same, with the authority's certificate inside.
    pub fn to_text(&self) -> String {
        let written = Written {
            url: self.url.clone(),
            ca_file: None,
            ca_pem: Some(self.ca_pem.clone()).filter(|pem| !pem.is_empty()),
            token: self.token.clone(),
        };
        serde_json::to_string_pretty(&written).unwrap_or_default() + "\n"
    }
}

fn lab_files(labs: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(labs).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = folders
        .map(|folder| folder.path().join(FILE))
        .filter(|file| file.exists())
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::{Configuration, Place};
    use crate::client::ClientError;

    /// A folder of the test's own, removed at its end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("anet-api-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let file = self.0.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
            file
        }

        fn variables(&self, also: &[(&str, PathBuf)]) -> impl Fn(&str) -> Option<OsString> {
            let mut all = vec![
                ("XDG_CONFIG_HOME".to_string(), self.0.join("xdg")),
                ("ANET_LABS".to_string(), self.0.join("labs")),
            ];
            all.extend(also.iter().map(|(name, path)| (name.to_string(), path.clone())));
            move |name| Some(all.iter().find(|(known, _)| known == name)?.1.clone().into())
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn text(port: u16) -> String {
        format!(r#"{{"url": "http://127.0.0.1:{port}", "token": "t"}}"#)
    }

    #[test]
    fn the_nearest_file_wins() {
        let folder = Folder::new("nearest");
        let discover = |place: Place, also: &[(&str, PathBuf)]| {
            Configuration::discover_with(&place, folder.variables(also)).map(|found| found.url)
        };
        let nowhere = discover(Place::default(), &[]);
        assert!(
            matches!(nowhere, Err(ClientError::NoConfiguration { .. })),
            "{nowhere:?}"
        );
        folder.write("labs/one/client.json", &text(1));
        assert_eq!(discover(Place::default(), &[]).unwrap(), "http://127.0.0.1:1");
        folder.write("labs/two/client.json", &text(2));
        let several = discover(Place::default(), &[]);
        assert!(
            matches!(several, Err(ClientError::SeveralLabs { .. })),
            "{several:?}"
        );
        let lab = Place {
            lab: Some("two".into()),
            file: None,
        };
        assert_eq!(discover(lab, &[]).unwrap(), "http://127.0.0.1:2");
        folder.write("xdg/anet/client.json", &text(3));
        assert_eq!(discover(Place::default(), &[]).unwrap(), "http://127.0.0.1:3");
        let named = folder.write("named.json", &text(4));
        let also = [("ANET_CONFIG", named)];
        assert_eq!(discover(Place::default(), &also).unwrap(), "http://127.0.0.1:4");
        let file = Place {
            lab: None,
            file: Some(folder.write("given.json", &text(5))),
        };
        assert_eq!(discover(file, &also).unwrap(), "http://127.0.0.1:5");
    }

    #[test]
    fn a_file_that_is_wrong_is_named() {
        let folder = Folder::new("wrong");
        let check = |text: &str, part: &str| {
            let file = folder.write("client.json", text);
            let error = Configuration::read(&file).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("client.json"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        };
        check("{", "EOF");
        check(r#"{"url": "ftp://x"}"#, "https://");
        check(r#"{"url": "https://x", "tokn": "a"}"#, "tokn");
        check(r#"{"url": "https://x", "ca_file": "none.pem"}"#, "none.pem");
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = Folder::new("written");
        let ca = folder.write("ca.pem", "-----BEGIN CERTIFICATE-----\n");
        assert!(ca.exists());
        let file = folder.write(
            "client.json",
            r#"{"url": "https://x", "ca_file": "ca.pem", "token": "t"}"#,
        );
        let mut read = Configuration::read(&file).unwrap();
        assert!(read.ca_pem.starts_with("-----BEGIN"));
        let again = folder.write("again.json", &read.to_text());
        read.source = again.clone();
        assert_eq!(Configuration::read(&again).unwrap(), read);
    }
}
