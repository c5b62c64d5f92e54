//! Making a controller's data folder.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anet_cluster::trust::Authority;
use anet_packet::addr::Vni;
use anet_plan::Settings;
use anet_store::redb::{Options as StoreOptions, RedbStore};
use anet_store::{Compare, Operation, Store};

use crate::configuration::{Configuration, Options};
use crate::core::admit::{Asked, Caller, Draw, project};
use crate::core::keys;
use crate::core::mirror::{Cluster, Mirror};
use crate::core::record;
use crate::error::StartError;
use crate::files::{self, DATA, Folder};
use crate::tokens::{self, ADMIN, Grant};

/// The file of a machine that the CLI looks into.
const MACHINE: &str = "/etc/anet/client.json";

/// Makes the folder. What is there is not touched: a second `init` is refused.
pub fn init(
    folder: &Folder,
    cluster: Option<String>,
    client: Option<PathBuf>,
    options: Options,
) -> Result<(), StartError> {
    if folder.is_made()? {
        return Err(StartError::Made(folder.path().to_owned()));
    }
    let configuration = Configuration::new(folder.path().to_owned(), options.clone())?;
    let cluster = match cluster {
        Some(cluster) => cluster,
        None => format!("anet-{}", &tokens::draw()?[..12]),
    };
    folder.create()?;
    let authority = Authority::create(folder.path(), &cluster, SystemTime::now())?;
    let settings =
        toml::to_string(&options).map_err(|error| StartError::content(&folder.configuration(), error))?;
    files::write(&folder.configuration(), &settings)?;
    fill(folder, cluster)?;
    let admin = project_id()?;
    let token = tokens::add(
        &folder.tokens(),
        Grant {
            project: Some(admin),
            roles: vec![ADMIN.to_owned()],
        },
    )?;
    let text = client_file(&configuration.url(), &authority.certificate().to_pem(), &token);
    files::write(&folder.client(), &text)?;
    println!("controller's data: {}", folder.path().display());
    println!("API: {}", configuration.url());
    println!("for the CLI: ANET_CONFIG={}", folder.client().display());
    match machine_file(folder, client) {
        Some(path) => write_client(&path, &text),
        None => Ok(()),
    }
}

/// The project of the administrator's token.
fn project_id() -> Result<anet_model::intent::ProjectId, StartError> {
    anet_model::intent::ProjectId::new(ADMIN).map_err(|error| StartError::Setting(error.to_string()))
}

fn client_file(url: &str, ca_pem: &str, token: &str) -> String {
    serde_json::json!({"url": url, "ca_pem": ca_pem, "token": token}).to_string()
}

fn machine_file(folder: &Folder, asked: Option<PathBuf>) -> Option<PathBuf> {
    let usual = || folder.path() == Path::new(DATA) && !Path::new(MACHINE).exists();
    asked.or_else(|| usual().then(|| PathBuf::from(MACHINE)))
}

fn write_client(path: &Path, text: &str) -> Result<(), StartError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|source| StartError::file(parent, "be made", source))?;
    }
    files::write(path, text)?;
    println!("for the CLI: {}", path.display());
    Ok(())
}

/// Puts the first things into a new store: the cluster's record, and the administrator's project.
fn fill(folder: &Folder, cluster: String) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StartError::Setting(format!("no runtime: {error}")))?;
    runtime.block_on(async {
        let store = RedbStore::create(folder.store(), StoreOptions::default())?;
        let value = record::encode(&Cluster {
            cluster,
            incarnation: 1,
        })?;
        let mut transaction = first_project()?;
        transaction = transaction
            .when(Compare::Absent(keys::CLUSTER.to_vec()))
            .then(Operation::put(keys::CLUSTER, value));
        store.transact(transaction).await?;
        Ok(())
    })
}

fn first_project() -> Result<anet_store::Transaction, StartError> {
    let asked = anet_api::resource::ProjectCreate {
        id: Some(project_id()?),
        name: ADMIN.to_owned(),
        description: "Project of the administrator's token".to_owned(),
    };
    let asked = Asked::Create(anet_api::resource::Requests::One(asked));
    let caller = Caller {
        project: None,
        admin: true,
    };
    let wrong = |error: &dyn std::fmt::Display| StartError::Setting(error.to_string());
    let now_s = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let vni = Vni::new(1).map_err(|error| wrong(&error))?;
    let mut draw = Draw {
        random: &mut rand::random::<u64>,
        now_s: i64::try_from(now_s).unwrap_or(i64::MAX),
        vnis: (vni, vni),
    };
    let mirror = Mirror::new(Settings::default());
    let proposal = project::admit(&mirror, &caller, asked, &mut draw).map_err(|error| wrong(&error))?;
    Ok(proposal.transaction)
}
