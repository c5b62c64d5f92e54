//! A tiny controller: HTTP without TLS, objects in memory, requests checked by the API's own table.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anet_api::query::{Object, Query};
use anet_api::resource::{Attributes, Operation, Requests, SecurityGroupRuleCreate, decode, request_one};
use anet_api::{ApiError, Resource, Role};
use serde_json::{Value, json};

/// What it has, and what it answers elsewhere.
#[derive(Default)]
pub struct State {
    pub objects: BTreeMap<Resource, Vec<Object>>,
    /// Answers by method and path.
    pub answers: BTreeMap<String, Value>,
    /// `METHOD PATH BODY` of each request.
    pub seen: Vec<String>,
    made: BTreeMap<Resource, u32>,
}

pub struct Fake {
    pub state: Arc<Mutex<State>>,
    folder: PathBuf,
}

impl Fake {
    pub fn new(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        let folder = std::env::temp_dir().join(format!("anet-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let text = json!({"url": format!("http://{address}"), "token": "secret"}).to_string();
        std::fs::write(folder.join("client.json"), text).unwrap();
        Self { state, folder }
    }

    /// Runs a command line against it: exit status, answer, errors.
    pub fn run(&self, line: &str) -> (u8, String, String) {
        let mut words: Vec<String> = line
            .split(' ')
            .map(|word| word.replace('_', " ").replace('~', "_"))
            .collect();
        words.insert(0, "anet".to_string());
        words.push(format!("--config={}", self.folder.join("client.json").display()));
        run(&words)
    }

    /// The answer of a command that succeeds.
    pub fn ok(&self, line: &str) -> String {
        let (status, out, errors) = self.run(line);
        assert_eq!((status, errors.as_str()), (0, ""), "{line}");
        out
    }

    /// The one line of a command that fails.
    pub fn fails(&self, line: &str) -> (u8, String) {
        let (status, out, errors) = self.run(line);
        assert_eq!(out, "", "{line}");
        assert_eq!(errors.lines().count(), 1, "{line}: {errors}");
        (status, errors.trim_end().to_string())
    }

    /// The body of the last request of a method.
    pub fn last(&self, method: &str) -> Value {
        let state = self.state.lock().unwrap();
        let request = state
            .seen
            .iter()
            .rev()
            .find(|seen| seen.starts_with(method))
            .unwrap();
        serde_json::from_str(request.splitn(3, ' ').nth(2).unwrap()).unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn run(words: &[String]) -> (u8, String, String) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let status = anet_cli::run(words.iter().map(Into::into), &mut out, &mut errors);
    (
        status,
        String::from_utf8(out).unwrap(),
        String::from_utf8(errors).unwrap(),
    )
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let header = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| {
                line.to_lowercase()
                    .strip_prefix(name)
                    .map(|v| v.trim().to_string())
            })
        };
        let length = header("content-length:").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut words = head.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let known = header("x-auth-token:").as_deref() == Some("secret");
        let answer = match known {
            true => answer(&mut state.lock().unwrap(), method, path, &body),
            false => Err(ApiError::unauthorized()),
        };
        let (status, text) = match answer {
            Ok(Value::Null) => (204, String::new()),
            Ok(value) => (200, value.to_string()),
            Err(error) => (error.status, error.body().to_string()),
        };
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", text.len());
        if stream.write_all(format!("{head}{text}").as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(state: &mut State, method: &str, path: &str, body: &[u8]) -> Result<Value, ApiError> {
    state
        .seen
        .push(format!("{method} {path} {}", String::from_utf8_lossy(body)));
    if let Some(answer) = state.answers.get(&format!("{method} {path}")) {
        return Ok(answer.clone());
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (collection, id) = Resource::ALL
        .into_iter()
        .find_map(|resource| {
            let rest = path.strip_prefix(resource.path())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| (resource, rest.trim_start_matches('/')))
        })
        .ok_or_else(|| ApiError::no_such_path(path))?;
    let objects = state.objects.entry(collection).or_default();
    let at = objects.iter().position(|object| object["id"] == id);
    let missing = || ApiError::not_found(collection, id);
    match method {
        "GET" if id.is_empty() => {
            Query::parse(collection, Role::Admin, query)?.list(objects.clone(), "http://fake/")
        }
        "GET" => Ok(json!({collection.singular(): objects[at.ok_or_else(missing)?]})),
        "DELETE" => {
            objects.remove(at.ok_or_else(missing)?);
            Ok(Value::Null)
        }
        "PUT" => {
            let at = at.ok_or_else(missing)?;
            let new = one(decode::decode(collection, Operation::Update, Role::Admin, body)?);
            objects[at].extend(new);
            Ok(json!({collection.singular(): objects[at]}))
        }
        _ => {
            if collection == Resource::SecurityGroupRule {
                request_one::<SecurityGroupRuleCreate>(Role::Admin, body)?;
            }
            let mut new = one(decode::decode(collection, Operation::Create, Role::Admin, body)?);
            let count = state.made.entry(collection).or_default();
            *count += 1;
            new.insert(
                "id".to_string(),
                json!(format!("{}-{count}", collection.singular())),
            );
            objects.push(new.clone());
            Ok(json!({collection.singular(): new}))
        }
    }
}

fn one(requests: Requests<Attributes>) -> Object {
    let Requests::One(attributes) = requests else {
        panic!("one object at a time");
    };
    let resource = attributes.resource();
    attributes
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_json(resource.attribute(name).unwrap())))
        .collect()
}
