//! The generator: building the plug-in, telling it what to do, reading what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anet_lab::output_of;

use super::results::{Phase, Snapshot};
use super::traffic::Traffic;
use crate::error::BenchError;

/// The plug-in's source, so that this program needs no checkout beside it.
const SOURCES: [(&str, &str); 11] = [
    ("check.c", include_str!("../../generator/check.c")),
    ("configuration.c", include_str!("../../generator/configuration.c")),
    ("configuration.h", include_str!("../../generator/configuration.h")),
    ("control.c", include_str!("../../generator/control.c")),
    ("packet.c", include_str!("../../generator/packet.c")),
    ("packet.h", include_str!("../../generator/packet.h")),
    ("results.h", include_str!("../../generator/results.h")),
    ("sink.c", include_str!("../../generator/sink.c")),
    ("sink.h", include_str!("../../generator/sink.h")),
    ("source.c", include_str!("../../generator/source.c")),
    ("source.h", include_str!("../../generator/source.h")),
];
const FLAGS: [&str; 8] = [
    "-std=c11",
    "-D_GNU_SOURCE",
    "-O3",
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",
    "-fPIC",
    "-shared",
];
/// Named here so that the plug-in finds its functions also in a program that loaded DPDK for itself only.
const LIBRARIES: [&str; 4] = ["-lrte_ethdev", "-lrte_mbuf", "-lrte_mempool", "-lrte_eal"];

/// Builds the plug-in in `folder`, which only root may write to: EAL refuses one from anywhere else.
pub fn build(folder: &Path) -> Result<PathBuf, BenchError> {
    let source = folder.join("generator");
    fs::create_dir_all(&source).map_err(BenchError::system(format!("make {}", source.display())))?;
    for (name, text) in SOURCES {
        let path = source.join(name);
        fs::write(&path, text).map_err(BenchError::system(format!("write {}", path.display())))?;
    }
    let object = folder.join("generator.so");
    let mut command = Command::new("cc");
    command.args(FLAGS).arg("-o").arg(&object);
    command.args(package_flags("--cflags")?);
    let files = SOURCES.iter().filter(|(name, _)| name.ends_with(".c"));
    command.args(files.map(|(name, _)| source.join(name)));
    command.args(package_flags("--libs-only-L")?).args(LIBRARIES);
    output_of(&mut command)?;
    Ok(object)
}

fn package_flags(which: &str) -> Result<Vec<String>, BenchError> {
    let text = output_of(Command::new("pkg-config").args([which, "libdpdk"]))?;
    Ok(text.split_whitespace().map(ToOwned::to_owned).collect())
}

/// The generator inside one started program.
#[derive(Debug)]
pub struct Session {
    object: PathBuf,
    configuration: PathBuf,
    results: PathBuf,
    generation: u64,
}

impl Session {
    /// For a program that is about to start; it begins with `traffic`. `name` is not used by any other session in `folder`.
    pub fn new(object: &Path, folder: &Path, name: &str, traffic: &Traffic) -> Result<Self, BenchError> {
        let mut session = Self {
            object: object.to_owned(),
            configuration: folder.join(format!("{name}.traffic")),
            results: folder.join(format!("{name}.results")),
            generation: 0,
        };
        session.write(traffic)?;
        Ok(session)
    }

    /// What the program needs in its environment.
    pub fn environment(&self) -> [(&'static str, &Path); 2] {
        [
            ("ANET_GENERATOR", &self.configuration),
            ("ANET_GENERATOR_RESULTS", &self.results),
        ]
    }

    /// Arguments of EAL: the plug-in; no PCI devices, no files of EAL's own, nothing shared with other DPDK programs.
    pub fn eal(&self) -> Vec<String> {
        let plug_in = self.object.display().to_string();
        ["-d", &plug_in, "--in-memory", "--no-pci", "--no-telemetry"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Tells the generator what to do from now on.
    pub fn write(&mut self, traffic: &Traffic) -> Result<(), BenchError> {
        self.generation += 1;
        let fresh = self.configuration.with_extension("new");
        let written = fs::write(&fresh, traffic.to_text(self.generation));
        written
            .and_then(|()| fs::rename(&fresh, &self.configuration))
            .map_err(BenchError::system("write the generator's configuration"))
    }

    /// What it says now; `None` before the plug-in is loaded.
    pub fn snapshot(&self) -> Option<Snapshot> {
        Snapshot::of_bytes(&fs::read(&self.results).ok()?)
    }

    /// `Some` once it does what it was told last, or refuses to.
    pub fn reached(&self) -> Option<Result<(), BenchError>> {
        let snapshot = self.snapshot()?;
        if snapshot.phase == Phase::Refused {
            return Some(Err(BenchError::Void(format!(
                "the generator refuses its configuration: {}",
                snapshot.error
            ))));
        }
        let there = matches!(snapshot.phase, Phase::Paused | Phase::Running);
        (there && snapshot.generation == self.generation).then_some(Ok(()))
    }
}
