//! From generated C++ to a shared object.
//!
//! Reading Verilator's headers takes g++ longer than compiling a small model, so they are precompiled, its
//! run-time library is compiled once, and the many small files of a model are compiled as a few units.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::build::Profile;
use crate::cache::{Lock, key, publish};
use crate::error::{InFile, SimError, first_lines};
use crate::process;
use crate::toolchain::Toolchain;

const RUNTIME_HEADER: &str = include_str!("runtime/runtime.h");
const RUNTIME_SOURCE: &str = include_str!("runtime/runtime.cpp");
/// The C interface of a model.
pub(crate) const SHIM: &str = include_str!("runtime/shim.cpp");

/// Flags of every file. Without `-fno-gnu-unique` and hidden symbols, models loaded into one process would share
/// variables. The `VM_` macros only declare functions, so that one precompiled header serves every profile.
const FLAGS: &[&str] = &[
    "-std=gnu++17",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-w",
    "-DVERILATOR=1",
    "-DVL_TIME_CONTEXT",
    "-DVM_COVERAGE=0",
    "-DVM_SC=0",
    "-DVM_TIMING=0",
    "-DVM_TRACE=1",
    "-DVM_TRACE_FST=1",
    "-DVM_TRACE_VCD=0",
    "-DVM_TRACE_SAIF=0",
];
const RUNTIME_FLAGS: &[&str] = &["-O2"];
const LINK_FLAGS: &[&str] = &["-shared", "-Wl,-z,now", "-Wl,-z,nodelete", "-pthread"];

const JOBS_MAX: usize = 2;
/// A model of less generated C++ than this is one unit.
const SMALL_BYTES: u64 = 150_000;
const UNIT_BYTES_MAX: u64 = 1_000_000;

/// How much effort the compiler makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Compiles in the least time; `-Og` is faster than `-O1` on such code, to compile and to run.
    Quick,
    /// Runs in the least time, on this processor only.
    Native,
}

impl Effort {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Effort::Quick => &["-Og"],
            Effort::Native => &["-O3", "-march=native"],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Effort::Quick => "quick",
            Effort::Native => "native",
        }
    }
}

/// Everything besides the design that decides what is built.
pub(crate) fn identity(toolchain: &Toolchain) -> String {
    let flags = [
        FLAGS,
        RUNTIME_FLAGS,
        LINK_FLAGS,
        Effort::Quick.flags(),
        Effort::Native.flags(),
    ]
    .concat();
    let fields = [toolchain.identity(), RUNTIME_HEADER, RUNTIME_SOURCE, SHIM];
    key(fields.into_iter().chain(flags))
}

/// Compiles the generated files in `folder`, and links them with the run-time library into `output`.
pub(crate) fn compile(
    toolchain: &Toolchain,
    top: &str,
    profile: Profile,
    folder: &Path,
    output: &Path,
) -> Result<(), SimError> {
    let runtime = Runtime::new(toolchain)?;
    let mut jobs = Vec::new();
    let mut objects = Vec::new();
    for (index, unit) in units(generated_files(folder)?, profile.effort())
        .iter()
        .enumerate()
    {
        let source = folder.join(format!("unit{index}.cc"));
        let object = folder.join(format!("unit{index}.o"));
        let shim = if index == 0 { "shim.cpp" } else { "runtime.h" };
        let mut text = format!("#include \"{shim}\"\n");
        for file in &unit.files {
            text += &format!("#include \"{file}\"\n");
        }
        fs::write(&source, text).in_file(&source)?;
        let mut command = base_command(toolchain)?;
        command
            .current_dir(folder)
            .args(unit.effort.flags())
            .args(profile.definitions());
        command
            .arg("-I")
            .arg(runtime.precompiled_header(unit.effort)?)
            .args(["-include", "runtime.h"]);
        command
            .arg("-I")
            .arg(folder)
            .arg("-c")
            .arg(&source)
            .arg("-o")
            .arg(&object);
        jobs.push((command, format!("unit{index}.cc")));
        objects.push(object);
    }
    run_all(jobs, top)?;
    let mut command = Command::new(&toolchain.compiler);
    command
        .args(LINK_FLAGS)
        .arg("-o")
        .arg(output)
        .args(objects)
        .args(runtime.objects(profile)?);
    command.args(profile.libraries());
    run(command, top, "linking")
}

/// A group of generated files that are compiled as one.
struct Unit {
    files: Vec<String>,
    bytes: u64,
    effort: Effort,
}

struct Generated {
    name: String,
    bytes: u64,
    slow: bool,
}

fn generated_files(folder: &Path) -> Result<Vec<Generated>, SimError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).in_file(folder)? {
        let entry = entry.in_file(folder)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("Vmodel") && name.ends_with(".cpp") {
            let bytes = entry.metadata().in_file(&entry.path())?.len();
            let slow = name.ends_with("Slow.cpp");
            files.push(Generated { name, bytes, slow });
        }
    }
    // The largest first, so that the units come out even; the name makes the order, and so the build, the same.
    files.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    Ok(files)
}

/// Groups files into units of like size. Code that runs once (`slow`) is compiled quickly, unless the model is so
/// small that one unit is quicker still.
fn units(files: Vec<Generated>, effort: Effort) -> Vec<Unit> {
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    if total < SMALL_BYTES || effort == Effort::Quick {
        return pack(&files, effort);
    }
    let (once, often): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| file.slow);
    let mut units = pack(&often, effort);
    units.extend(pack(&once, Effort::Quick));
    units
}

/// Puts each file into the first unit that has room for it.
fn pack(files: &[Generated], effort: Effort) -> Vec<Unit> {
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    let bytes_max = (total / JOBS_MAX as u64 + 1).clamp(SMALL_BYTES, UNIT_BYTES_MAX);
    let mut units: Vec<Unit> = Vec::new();
    for file in files {
        match units
            .iter_mut()
            .find(|unit| unit.bytes + file.bytes <= bytes_max)
        {
            Some(unit) => {
                unit.files.push(file.name.clone());
                unit.bytes += file.bytes;
            }
            None => units.push(Unit {
                files: vec![file.name.clone()],
                bytes: file.bytes,
                effort,
            }),
        }
    }
    units
}

/// The compiler, with the flags and folders that every file needs.
fn base_command(toolchain: &Toolchain) -> Result<Command, SimError> {
    let include = toolchain.tools.verilator_root()?.join("include");
    let mut command = Command::new(&toolchain.compiler);
    command
        .args(FLAGS)
        .arg("-I")
        .arg(&include)
        .arg("-I")
        .arg(include.join("vltstd"));
    Ok(command)
}

fn run(mut command: Command, top: &str, step: &str) -> Result<(), SimError> {
    let outcome = process::run(&mut command)?;
    if outcome.success {
        return Ok(());
    }
    Err(SimError::Compile {
        top: top.to_owned(),
        step: step.to_owned(),
        text: first_lines(&outcome.text),
    })
}

/// Runs compilations, a few at once; the first failure is the result, and stops those not yet begun.
fn run_all(jobs: Vec<(Command, String)>, top: &str) -> Result<(), SimError> {
    let workers = jobs.len().min(JOBS_MAX);
    let queue = Mutex::new(jobs.into_iter());
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while failure.lock().is_ok_and(|failure| failure.is_none()) {
                    let Some((command, step)) =
                        queue.lock().ok().and_then(|mut queue| queue.next())
                    else {
                        return;
                    };
                    if let Err(error) = run(command, top, &step)
                        && let Ok(mut failure) = failure.lock()
                    {
                        failure.get_or_insert(error);
                    }
                }
            });
        }
    });
    match failure.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

/// What all models of a toolchain share: precompiled headers and the objects of the run-time library.
struct Runtime<'a> {
    toolchain: &'a Toolchain,
    folder: PathBuf,
}

impl<'a> Runtime<'a> {
    fn new(toolchain: &'a Toolchain) -> Result<Self, SimError> {
        let folder = toolchain
            .folder()
            .join("runtime")
            .join(&identity(toolchain)[..16]);
        fs::create_dir_all(&folder).in_file(&folder)?;
        let header = folder.join("runtime.h");
        publish(&header, |path| {
            fs::write(path, RUNTIME_HEADER).in_file(path)
        })?;
        let source = folder.join("runtime.cpp");
        publish(&source, |path| {
            fs::write(path, RUNTIME_SOURCE).in_file(path)
        })?;
        Ok(Self { toolchain, folder })
    }

    /// Compiles `source` into `output` once, however many processes ask.
    fn compile_once(&self, source: &Path, output: &Path, flags: &[&str]) -> Result<(), SimError> {
        if output.is_file() {
            return Ok(());
        }
        let name = output
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let _lock = Lock::acquire(output.parent().unwrap_or(&self.folder), &name)?;
        publish(output, |temporary| {
            let mut command = base_command(self.toolchain)?;
            command.args(flags).arg(source).arg("-o").arg(temporary);
            run(command, "the run-time library", &name)
        })
    }

    /// The folder whose `runtime.h` is precompiled.
    fn precompiled_header(&self, effort: Effort) -> Result<PathBuf, SimError> {
        let folder = self.folder.join(effort.name());
        fs::create_dir_all(&folder).in_file(&folder)?;
        let header = folder.join("runtime.h");
        publish(&header, |path| {
            fs::write(path, RUNTIME_HEADER).in_file(path)
        })?;
        let flags = [effort.flags(), &["-x", "c++-header"]].concat();
        self.compile_once(&header, &folder.join("runtime.h.gch"), &flags)?;
        Ok(folder)
    }

    /// The objects that a model of this profile is linked with.
    fn objects(&self, profile: Profile) -> Result<Vec<PathBuf>, SimError> {
        let include = self.toolchain.tools.verilator_root()?.join("include");
        let mut sources = vec![self.folder.join("runtime.cpp")];
        for name in ["verilated", "verilated_threads"]
            .iter()
            .chain(profile.runtime_parts())
        {
            sources.push(include.join(name).with_extension("cpp"));
        }
        let header = self.folder.join("runtime.h").to_string_lossy().into_owned();
        let flags = [RUNTIME_FLAGS, &["-c", "-include", &header]].concat();
        let mut objects = Vec::new();
        for source in sources {
            let name = source.file_stem().unwrap_or_default();
            let object = self.folder.join(name).with_extension("o");
            self.compile_once(&source, &object, &flags)?;
            objects.push(object);
        }
        Ok(objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: u64, slow: bool) -> Generated {
        Generated {
            name: name.to_owned(),
            bytes,
            slow,
        }
    }

    #[test]
    fn a_small_model_is_one_unit() {
        let files = || {
            vec![
                file("a.cpp", 60_000, false),
                file("a__Slow.cpp", 40_000, true),
            ]
        };
        for effort in [Effort::Quick, Effort::Native] {
            let units = units(files(), effort);
            assert_eq!(units.len(), 1);
            assert_eq!(units[0].effort, effort);
        }
    }

    #[test]
    fn code_that_runs_once_is_compiled_quickly() {
        let files = vec![
            file("a.cpp", 900_000, false),
            file("b.cpp", 300_000, false),
            file("c__Slow.cpp", 500_000, true),
        ];
        let units = units(files, Effort::Native);
        let efforts: Vec<_> = units
            .iter()
            .map(|unit| (unit.files.join(","), unit.effort))
            .collect();
        let expected = [
            ("a.cpp".to_owned(), Effort::Native),
            ("b.cpp".to_owned(), Effort::Native),
            ("c__Slow.cpp".to_owned(), Effort::Quick),
        ];
        assert_eq!(efforts, expected);
    }
}
