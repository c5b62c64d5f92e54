//! A real `anet-vswitch` on a host, started, killed and started again.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Folder, LabError, Namespace, Process, output_of, wait_for};

/// How long it may take to answer on its control socket, or to apply a plan.
const PATIENCE: Duration = Duration::from_secs(10);

/// The path of a program of this workspace: what the environment variable says, else beside the running program
/// (or, in a test, one folder above it).
pub fn workspace_program(name: &str, variable: &'static str) -> Result<PathBuf, LabError> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let here = std::env::current_exe().unwrap_or_default();
    let beside = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    beside.ok_or_else(|| LabError::NotBuilt {
        program: name.to_owned(),
        variable,
    })
}

/// The daemon of one host, running alone from a plan file. Killed when dropped.
#[derive(Debug)]
pub struct Vswitch {
    process: Process,
    namespace: Namespace,
    folder: Folder,
    program: PathBuf,
    arguments: Vec<String>,
}

impl Vswitch {
    /// The path of `anet-vswitch`: `ANET_VSWITCH`, or beside this program.
    pub fn program() -> Result<PathBuf, LabError> {
        workspace_program("anet-vswitch", "ANET_VSWITCH")
    }

    /// Starts the daemon in a host's namespace with a plan's text, and waits until it answers. `arguments` are
    /// added to `anet-vswitch run`.
    pub fn start(namespace: &Namespace, plan: &str, arguments: &[&str]) -> Result<Self, LabError> {
        Self::start_program(&Self::program()?, namespace, plan, arguments)
    }

    /// The same with another program file.
    pub fn start_program(
        program: &Path,
        namespace: &Namespace,
        plan: &str,
        arguments: &[&str],
    ) -> Result<Self, LabError> {
        let folder = Folder::new()?;
        folder.write("plan.yaml", plan)?;
        let program = program.to_owned();
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let process = spawn(&program, namespace, &folder, &arguments)?;
        let mut vswitch = Self {
            process,
            namespace: namespace.clone(),
            folder,
            program,
            arguments,
        };
        vswitch.wait_ready()?;
        Ok(vswitch)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// A file of its folder: `control`, `connections` and what lies beside them.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.file(name)
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again with the same plan and connection file, after a kill. Returns at once; see
    /// [`Vswitch::wait_ready`].
    pub fn start_again(&mut self) -> Result<(), LabError> {
        self.process = spawn(&self.program, &self.namespace, &self.folder, &self.arguments)?;
        Ok(())
    }

    /// Waits until it answers on its control socket.
    pub fn wait_ready(&mut self) -> Result<(), LabError> {
        let (program, socket) = (&self.program, self.folder.file("control"));
        self.process
            .wait_ready(PATIENCE, || control(program, &socket, ["counters"]).is_ok())
    }

    /// `anet-vswitch ctl ARGUMENTS`: what it prints.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, LabError> {
        control(&self.program, &self.folder.file("control"), arguments)
    }

    /// `anet-vswitch ctl trace ARGUMENTS`: whether the packet would get through, and the trace.
    pub fn trace(&self, arguments: &[&str]) -> Result<(bool, String), LabError> {
        /// The exit status that says "dropped", which is an answer and not a failure.
        const DROPPED: i32 = 3;
        let mut command = Command::new(&self.program);
        command
            .args(["ctl", "--control"])
            .arg(self.folder.file("control"))
            .arg("trace")
            .args(arguments);
        let output = command
            .output()
            .map_err(LabError::io("run anet-vswitch ctl trace"))?;
        if output.status.code() == Some(DROPPED) {
            return Ok((false, String::from_utf8_lossy(&output.stdout).into_owned()));
        }
        output_of(&mut command).map(|text| (true, text))
    }

    /// Replaces the plan file; the daemon will see it.
    pub fn write_plan(&self, plan: &str) -> Result<(), LabError> {
        self.folder.write("plan.yaml", plan).map(drop)
    }

    /// Replaces the plan file and waits until the daemon's digest says that it was applied. Where the new plan
    /// means the same as the old one, this is an error after some seconds.
    pub fn replace_plan(&self, plan: &str) -> Result<(), LabError> {
        let before = self.ctl(&["digest"])?;
        self.write_plan(plan)?;
        let applied = || self.ctl(&["digest"]).ok().filter(|now| *now != before).map(drop);
        wait_for("the new plan to be applied", PATIENCE, applied)
    }
}

fn control<A: AsRef<OsStr>>(
    program: &Path,
    socket: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Result<String, LabError> {
    output_of(
        Command::new(program)
            .args(["ctl", "--control"])
            .arg(socket)
            .args(arguments),
    )
}

fn spawn(
    program: &Path,
    host: &Namespace,
    folder: &Folder,
    arguments: &[String],
) -> Result<Process, LabError> {
    let mut command = host.command(program);
    command.arg("run").arg("--plan").arg(folder.file("plan.yaml"));
    command.arg("--control").arg(folder.file("control"));
    command
        .arg("--connections")
        .arg(folder.file("connections"))
        .args(arguments);
    Process::spawn("anet-vswitch", command, folder)
}
