//! A controller that cannot start says what is in its way and what to do.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use support::{Controller, Folder, free_port, program, run};

fn refused(arguments: &[&str], expected: &[&str]) {
    told(run(arguments), expected);
}

fn told(done: Output, expected: &[&str]) {
    let told = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    for text in expected {
        assert!(told.contains(text), "`{text}` in: {told}");
    }
}

#[test]
fn what_is_not_there_or_there_already() {
    let folder = Folder::new("start");
    let data = folder.0.join("data");
    let data = data.to_str().unwrap();
    refused(
        &["run", "--data", data],
        &["holds no controller's data", "anet-controller init"],
    );
    refused(
        &["token", "--data", data, "--project", "p"],
        &["anet-controller init"],
    );
    assert!(run(&["init", "--data", data]).status.success());
    refused(&["init", "--data", data], &["holds a controller's data already"]);
    refused(
        &["run", "--data", data, "--vni-range", "9-1"],
        &["--vni-range", "FIRST-LAST"],
    );
    refused(&["token", "--data", data], &["needs --project"]);
    let mode = std::fs::metadata(data).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "keys and tokens are nobody else's");
    std::fs::write(Path::new(data).join("controller.toml"), "listen = 1\n").unwrap();
    refused(&["run", "--data", data], &["controller.toml", "unknown field"]);
    std::fs::write(Path::new(data).join("controller.toml"), "").unwrap();
    std::fs::write(Path::new(data).join("tokens.json"), "{").unwrap();
    refused(&["run", "--data", data], &["tokens.json"]);
}

#[test]
fn ports_that_others_have_and_a_store_in_use() {
    let mut controller = Controller::start("ports");
    let data = controller.data();
    let (api, hosts) = (
        format!("127.0.0.1:{}", free_port()),
        format!("127.0.0.1:{}", free_port()),
    );
    refused(
        &[
            "run",
            "--data",
            &data,
            "--listen-api",
            &api,
            "--listen-hosts",
            &hosts,
        ],
        &["store.redb", "in use by another process"],
    );
    controller.kill();
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(
        &[
            "run",
            "--data",
            &data,
            "--listen-api",
            &address,
            "--listen-hosts",
            &hosts,
        ],
        &[&address, "another program has the port", "--listen-api"],
    );
    refused(
        &[
            "run",
            "--data",
            &data,
            "--listen-api",
            &api,
            "--listen-hosts",
            &address,
        ],
        &[&address, "--listen-hosts"],
    );
    let away = "192.0.2.77:1";
    refused(
        &[
            "run",
            "--data",
            &data,
            "--listen-api",
            away,
            "--listen-hosts",
            &hosts,
        ],
        &[away, "this machine has no such address"],
    );
}

#[test]
fn data_of_a_newer_version_is_left_alone() {
    let mut controller = Controller::start("newer");
    controller.kill();
    let data = controller.data();
    let store = Path::new(&data).join("store.redb");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        use anet_store::Store;
        let store = anet_store::redb::RedbStore::open(&store, anet_store::redb::Options::default()).unwrap();
        store
            .put(b"anet/o/network/n1".to_vec(), b"\x02{}".to_vec())
            .await
            .unwrap();
    });
    drop(runtime);
    refused(
        &["run", "--data", &data],
        &["network n1", "version 2", "start the newer controller"],
    );
}

/// Runs the program as somebody who may do nothing here. `copy` is one that everybody can reach: where it was built not everybody can.
fn as_somebody_else(copy: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(copy);
    command.args(arguments);
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.output().unwrap()
}

#[test]
fn who_may_not_look_is_told_so_and_what_to_do() {
    let folder = Folder::new("rights");
    let data = folder.0.join("data");
    let text = data.to_str().unwrap();
    assert!(run(&["init", "--data", text]).status.success());
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let copy = folder.0.join("anet-controller");
    std::fs::copy(program(), &copy).unwrap();
    mode(&folder.0, 0o755);
    mode(&copy, 0o755);
    let remedy = "run as the user who owns it, or give that user the right to";
    mode(&data, 0o000);
    for arguments in [
        &["run", "--data", text][..],
        &["token", "--data", text, "--role", "admin"],
        &["init", "--data", text],
    ] {
        told(as_somebody_else(&copy, arguments), &["Permission denied", remedy]);
    }
    mode(&data, 0o755);
    mode(&data.join("tokens.json"), 0o644);
    mode(&data.join("controller.toml"), 0o644);
    mode(&data.join("authority.pem"), 0o000);
    told(
        as_somebody_else(&copy, &["run", "--data", text]),
        &["authority.pem", remedy],
    );
    let error = anet_store::redb::OpenError::Io {
        path: data.join("store.redb"),
        source: std::io::ErrorKind::PermissionDenied.into(),
    };
    assert!(error.to_string().ends_with(remedy), "{error}");
    mode(&data, 0o700);
}

#[test]
fn what_is_damaged_or_missing_is_one_line() {
    let (folder, ports) = (Folder::new("damage"), (free_port(), free_port()));
    let data = folder.0.join("data");
    let text = data.to_str().unwrap();
    let (api, hosts) = (format!("127.0.0.1:{}", ports.0), format!("127.0.0.1:{}", ports.1));
    let init = [
        "init",
        "--data",
        text,
        "--listen-api",
        &api,
        "--listen-hosts",
        &hosts,
    ];
    assert!(run(&init).status.success());
    std::fs::remove_file(data.join("tokens.json")).unwrap();
    refused(
        &["run", "--data", text],
        &["tokens.json is not there", "anet-controller token --role admin"],
    );
    let made = run(&["token", "--role", "admin", "--data", text]);
    assert!(made.status.success(), "{made:?}");
    let store = std::fs::OpenOptions::new()
        .write(true)
        .open(data.join("store.redb"))
        .unwrap();
    store.set_len(4_096).unwrap();
    refused(
        &["run", "--data", text],
        &["store.redb is damaged", "restore the last backup"],
    );
}
