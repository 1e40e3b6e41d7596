use std::fs;
use std::path::Path;

use crate::cache::{self, Lock, publish};
use crate::compile::{self, Effort};
use crate::error::{InFile, SimError, first_lines};
use crate::library::Library;
use crate::toolchain::Toolchain;
use crate::tools::Tool;
use crate::{ports, process, source};

/// What a model is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// The most cycles a second: no assertions, registers start at zero. Takes the longest to build.
    Fast,
    /// For tests: assertions on; registers, memories and `x` start with bits drawn from the seed, so that a design
    /// that reads what it never wrote gives different results for different seeds. Builds in the least time.
    Check,
    /// As `Check`, and can write waveforms.
    Trace,
    /// As `Check`, and counts which lines, branches and bits were exercised.
    Coverage,
}

impl Profile {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Profile::Fast => &["--no-assert", "--x-assign", "fast", "--x-initial", "unique"],
            Profile::Check => &["--assert", "--x-assign", "unique", "--x-initial", "unique"],
            Profile::Trace => &[
                "--assert",
                "--x-assign",
                "unique",
                "--x-initial",
                "unique",
                "--trace-fst",
            ],
            Profile::Coverage => &[
                "--assert",
                "--x-assign",
                "unique",
                "--x-initial",
                "unique",
                "--coverage-line",
                "--coverage-toggle",
                "--coverage-expr",
                "--coverage-user",
            ],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Profile::Fast => "fast",
            Profile::Check => "check",
            Profile::Trace => "trace",
            Profile::Coverage => "coverage",
        }
    }

    pub(crate) fn effort(self) -> Effort {
        match self {
            Profile::Fast => Effort::Native,
            _ => Effort::Quick,
        }
    }

    pub(crate) fn definitions(self) -> &'static [&'static str] {
        match self {
            Profile::Fast | Profile::Check => &[],
            Profile::Trace => &["-DBITWEFT_TRACE"],
            Profile::Coverage => &["-DBITWEFT_COVERAGE"],
        }
    }

    /// Files of Verilator's run-time library that only this profile needs.
    pub(crate) fn runtime_parts(self) -> &'static [&'static str] {
        match self {
            Profile::Fast | Profile::Check => &[],
            Profile::Trace => &["verilated_fst_c"],
            Profile::Coverage => &["verilated_cov"],
        }
    }

    pub(crate) fn libraries(self) -> &'static [&'static str] {
        match self {
            Profile::Trace => &["-lz", "-llz4"],
            _ => &[],
        }
    }

    pub(crate) fn randomizes(self) -> bool {
        self != Profile::Fast
    }
}

/// A design to be built into a [`Library`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Build {
    /// The top module. Its ports must be plain vectors.
    pub top: String,
    /// (file name, text). `*.v` and `*.sv` are compiled, other files are there to be included.
    pub verilog: Vec<(String, String)>,
    /// What the model is for.
    pub profile: Profile,
    /// The input that [`crate::Model::tick`] drives; `"clock"` unless said otherwise.
    pub clock: String,
    /// More arguments for Verilator, such as `-GLANES=4`.
    pub arguments: Vec<String>,
}

/// Arguments of every build. Functions of at most 200 statements compile two to three times as fast as Verilator's
/// default, and run as fast.
const ARGUMENTS: &[&str] = &[
    "--cc",
    "--Mdir",
    ".",
    "--prefix",
    "Vmodel",
    "--quiet",
    "-O3",
    "--output-split",
    "5000",
    "--output-split-cfuncs",
    "200",
];

impl Build {
    /// A design in one or more files.
    pub fn new(top: impl Into<String>, verilog: Vec<(String, String)>, profile: Profile) -> Self {
        Self {
            top: top.into(),
            verilog,
            profile,
            clock: "clock".to_owned(),
            arguments: Vec::new(),
        }
    }

    /// A design in one text.
    pub fn from_text(top: &str, text: impl Into<String>, profile: Profile) -> Self {
        Self::new(top, vec![(format!("{top}.v"), text.into())], profile)
    }

    /// Names the input that [`crate::Model::tick`] drives.
    pub fn clock(mut self, name: impl Into<String>) -> Self {
        self.clock = name.into();
        self
    }

    /// Adds an argument for Verilator.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Builds the model, or finds it in the cache, with the tools of this program.
    ///
    /// # Errors
    /// Missing tools; what Verilator or the compiler refuses, with their text. Verilator's default warnings are errors.
    pub fn build(&self) -> Result<Library, SimError> {
        self.build_with(&Toolchain::locate()?)
    }

    /// Like [`Build::build`], with given tools.
    ///
    /// # Errors
    /// As [`Build::build`].
    pub fn build_with(&self, toolchain: &Toolchain) -> Result<Library, SimError> {
        source::check_names(&self.verilog)?;
        let folder = toolchain.folder();
        let key = self.key(toolchain);
        let models = folder.join("models");
        let path = models.join(format!("{key}.so"));
        if !path.is_file() {
            let _lock = Lock::acquire(&folder.join("locks"), &key)?;
            if !path.is_file() {
                fs::create_dir_all(&models).in_file(&models)?;
                let work = folder.join("work").join(&key);
                let built = self.build_in(toolchain, &work, &path);
                // Also what a build that was killed left behind.
                let _ = fs::remove_dir_all(&work);
                built?;
                cache::prune(&models);
            }
        }
        cache::touch(&path);
        Library::open(path, self.profile, &self.clock)
    }

    /// The name of the model in the cache: a hash of all that decides what it is.
    fn key(&self, toolchain: &Toolchain) -> String {
        let shared = compile::identity(toolchain);
        let mut fields = vec![shared.as_str(), compile::SHIM];
        // The code that makes a model out of the design: with other code it may be another model.
        fields.extend([
            include_str!("build.rs"),
            include_str!("compile.rs"),
            include_str!("ports.rs"),
        ]);
        fields.extend([self.top.as_str(), &self.clock, self.profile.name()]);
        fields.extend(self.arguments.iter().map(String::as_str));
        fields.push("files");
        fields.extend(
            self.verilog
                .iter()
                .flat_map(|(name, text)| [name.as_str(), text]),
        );
        cache::key(fields)
    }

    fn build_in(&self, toolchain: &Toolchain, work: &Path, path: &Path) -> Result<(), SimError> {
        if work.exists() {
            fs::remove_dir_all(work).in_file(work)?;
        }
        fs::create_dir_all(work).in_file(work)?;
        source::write(work, &self.verilog)?;
        self.verilate(toolchain, work)?;
        let header = work.join("Vmodel.h");
        let members = ports::parse(&self.top, &fs::read_to_string(&header).in_file(&header)?)?;
        let header = work.join("model_ports.h");
        fs::write(&header, ports::header(&members, &self.clock)).in_file(&header)?;
        let shim = work.join("shim.cpp");
        fs::write(&shim, compile::SHIM).in_file(&shim)?;
        publish(path, |temporary| {
            compile::compile(toolchain, &self.top, self.profile, work, temporary)
        })
    }

    fn verilate(&self, toolchain: &Toolchain, work: &Path) -> Result<(), SimError> {
        let mut command = toolchain.tools.command(Tool::Verilator)?;
        command
            .current_dir(work)
            .args(ARGUMENTS)
            .args(self.profile.arguments());
        command
            .args(["--top-module", &self.top])
            .args(&self.arguments);
        command.args(
            self.verilog
                .iter()
                .map(|(name, _)| name)
                .filter(|name| source::is_source(name)),
        );
        let outcome = process::run(&mut command)?;
        if outcome.success {
            return Ok(());
        }
        Err(SimError::Verilator {
            top: self.top.clone(),
            text: first_lines(&outcome.text),
        })
    }
}
