//! A real controller in a folder of its own, a client that speaks HTTP by hand, and an agent that applies what it gets.
#![allow(dead_code, reason = "each test uses some of it")]

pub mod agent;
pub mod http;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use http::{Client, Reply};
use serde_json::Value;

/// The program under test; an example gets it as its argument.
pub fn program() -> String {
    let built = option_env!("CARGO_BIN_EXE_anet-controller").map(str::to_owned);
    built
        .or_else(|| std::env::args().nth(1))
        .expect("the path of anet-controller as argument")
}

/// Nothing here takes longer, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder that goes away.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("anet-controller-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    Command::new(program()).args(arguments).output().unwrap()
}

/// Waits until something is so.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "{what}: it did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A controller.
#[derive(Debug)]
pub struct Controller {
    pub folder: Folder,
    pub api: u16,
    pub hosts: u16,
    child: Option<Child>,
}

impl Controller {
    /// A new one, running.
    pub fn start(name: &str) -> Self {
        let folder = Folder::new(name);
        let (api, hosts) = (free_port(), free_port());
        let mut controller = Self {
            folder,
            api,
            hosts,
            child: None,
        };
        let (api, hosts) = (format!("127.0.0.1:{api}"), format!("127.0.0.1:{hosts}"));
        let data = controller.data();
        let done = run(&[
            "init",
            "--data",
            &data,
            "--cluster",
            name,
            "--listen-api",
            &api,
            "--listen-hosts",
            &hosts,
        ]);
        assert!(done.status.success(), "{done:?}");
        controller.run_again();
        controller
    }

    pub fn data(&self) -> String {
        self.folder.0.join("data").to_str().unwrap().to_owned()
    }

    /// Starts it on the data that is there.
    pub fn run_again(&mut self) {
        let mut options = std::fs::OpenOptions::new();
        let log = options
            .create(true)
            .append(true)
            .open(self.folder.0.join("log"))
            .unwrap();
        let child = Command::new(program())
            .args(["run", "--data", &self.data()])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        until("the API answers", || {
            std::net::TcpStream::connect(("127.0.0.1", self.api)).ok()
        });
    }

    /// What it has written into its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("log")).unwrap()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn process(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// A client with the administrator's token.
    pub fn client(&self) -> Client {
        let text = std::fs::read_to_string(Path::new(&self.data()).join("client.json")).unwrap();
        let told: Value = serde_json::from_str(&text).unwrap();
        Client::new(
            self.api,
            told["ca_pem"].as_str().unwrap(),
            told["token"].as_str().unwrap(),
        )
    }

    /// A client with a new token of a project.
    pub fn member(&self, project: &str) -> Client {
        let done = run(&["token", "--data", &self.data(), "--project", project]);
        assert!(done.status.success(), "{done:?}");
        let token = String::from_utf8(done.stdout).unwrap();
        let mut client = self.client();
        client.token = token.trim().to_owned();
        client
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The id of an object that was made.
pub fn id(reply: &Reply) -> String {
    assert_eq!(reply.status, 201, "{reply:?}");
    let object = reply.body.as_object().unwrap().values().next().unwrap();
    object["id"].as_str().unwrap().to_owned()
}

/// Neutron's type of an error.
pub fn kind(reply: &Reply) -> (u16, &str) {
    (
        reply.status,
        reply.body["NeutronError"]["type"].as_str().unwrap_or("no error"),
    )
}
