use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::cache;
use crate::error::{InFile, SimError};
use crate::tools::{Tool, ToolFolder, pinned_version};

/// The tools that build a model: Verilator and a C++ compiler, and what identifies them.
#[derive(Debug, Clone)]
pub struct Toolchain {
    pub(crate) tools: ToolFolder,
    pub(crate) compiler: PathBuf,
    identity: String,
}

impl Toolchain {
    /// The tools folder of this program, and the compiler that `CXX` names, or `g++`.
    /// Found once a process.
    ///
    /// # Errors
    /// [`SimError::Tool`] if `scripts/setup` has not been run; [`SimError::Compiler`] if the compiler does not run.
    pub fn locate() -> Result<Self, SimError> {
        static FOUND: OnceLock<Toolchain> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found.clone());
        }
        let compiler = std::env::var_os("CXX").filter(|name| !name.is_empty());
        let compiler = compiler.map_or_else(|| PathBuf::from("g++"), PathBuf::from);
        let found = Self::new(ToolFolder::locate()?, &compiler)?;
        Ok(FOUND.get_or_init(|| found).clone())
    }

    /// A given tools folder, whose cache folder also holds the models, and a given compiler.
    ///
    /// # Errors
    /// As [`Toolchain::locate`].
    pub fn new(tools: ToolFolder, compiler: &Path) -> Result<Self, SimError> {
        let verilator = tools.verilator()?;
        let verilator = cache::sha256(&std::fs::read(&verilator).in_file(&verilator)?);
        let version = Command::new(compiler)
            .arg("--version")
            .output()
            .map_err(|source| SimError::Compiler {
                compiler: compiler.to_path_buf(),
                source,
            })?;
        let identity = cache::key([
            Tool::Verilator
                .package()
                .and_then(pinned_version)
                .unwrap_or_default(),
            &verilator,
            &compiler.to_string_lossy(),
            &String::from_utf8_lossy(&version.stdout),
            &processor(),
        ]);
        Ok(Self {
            tools,
            compiler: compiler.to_path_buf(),
            identity,
        })
    }

    /// A hash of Verilator's binary, the compiler's version and the processor: a model built under another
    /// identity is never used.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The folder of built models and of what they share.
    pub(crate) fn folder(&self) -> PathBuf {
        self.tools.cache().join("sim")
    }
}

/// What `-march=native` depends on.
fn processor() -> String {
    let description = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = description.split("\n\n").next().unwrap_or_default();
    let lines = first.lines().filter(|line| {
        ["model name", "flags", "Features", "CPU part"]
            .iter()
            .any(|field| line.starts_with(field))
    });
    std::iter::once(std::env::consts::ARCH)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}
