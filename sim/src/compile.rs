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

    fn name(self) -> &'static str {
        match self {
            Effort::Quick => "quick",
            Effort::Native => "native",
        }
    }
}

/// Everything that decides what models share.
pub(crate) fn identity(toolchain: &Toolchain) -> String {
    let flags = [
        FLAGS,
        RUNTIME_FLAGS,
        LINK_FLAGS,
        Effort::Quick.flags(),
        Effort::Native.flags(),
    ]
    .concat();
    let fields = [toolchain.identity(), RUNTIME_HEADER, RUNTIME_SOURCE];
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
    let header = runtime.precompiled_header(profile.effort())?;
    let mut jobs = Vec::new();
    let mut objects = Vec::new();
    for (index, unit) in units(&generated_files(folder)?).iter().enumerate() {
        let name = format!("unit{index}.cc");
        let source = folder.join(&name);
        let object = folder.join(format!("unit{index}.o"));
        fs::write(&source, unit_text(unit, index == 0)).in_file(&source)?;
        let mut command = base_command(toolchain)?;
        command
            .current_dir(folder)
            .args(profile.effort().flags())
            .args(profile.definitions());
        command
            .arg("-I")
            .arg(&header)
            .args(["-include", "runtime.h"]);
        command
            .arg("-I")
            .arg(folder)
            .arg("-c")
            .arg(&source)
            .arg("-o")
            .arg(&object);
        jobs.push((command, name));
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

/// A C++ file that Verilator made. Code in a `slow` file runs once.
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

/// Groups files into units of like size, one if the model is small. Each file goes into the first unit that has
/// room for it.
fn units(files: &[Generated]) -> Vec<Vec<&Generated>> {
    let bytes = |files: &[&Generated]| files.iter().map(|file| file.bytes).sum::<u64>();
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    let bytes_max = (total / JOBS_MAX as u64 + 1).clamp(SMALL_BYTES, UNIT_BYTES_MAX);
    let mut units: Vec<Vec<&Generated>> = Vec::new();
    for file in files {
        match units
            .iter_mut()
            .find(|unit| bytes(unit) + file.bytes <= bytes_max)
        {
            Some(unit) => unit.push(file),
            None => units.push(vec![file]),
        }
    }
    units
}

/// The text of a unit. Code that runs once is not optimized: that is half of the code, and the tables of a traced
/// model would take three times as long.
fn unit_text(files: &[&Generated], with_shim: bool) -> String {
    let mut text = String::from("#include \"runtime.h\"\n");
    if with_shim {
        text += "#include \"shim.cpp\"\n";
    }
    let (once, often): (Vec<&Generated>, Vec<&Generated>) =
        files.iter().partition(|file| file.slow);
    for file in often {
        text += &format!("#include \"{}\"\n", file.name);
    }
    text += "#pragma GCC optimize(\"O0\")\n";
    for file in once {
        text += &format!("#include \"{}\"\n", file.name);
    }
    text
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

    fn names(units: &[Vec<&Generated>]) -> Vec<String> {
        let name = |unit: &Vec<&Generated>| -> String {
            unit.iter()
                .map(|file| file.name.as_str())
                .collect::<Vec<_>>()
                .join(",")
        };
        units.iter().map(name).collect()
    }

    #[test]
    fn a_small_model_is_one_unit_and_a_large_one_is_spread_evenly() {
        let small = [
            file("a.cpp", 60_000, false),
            file("b__Slow.cpp", 40_000, true),
        ];
        assert_eq!(names(&units(&small)), ["a.cpp,b__Slow.cpp"]);
        let large = [
            file("a.cpp", 900_000, false),
            file("b__Slow.cpp", 500_000, true),
            file("c.cpp", 300_000, false),
        ];
        assert_eq!(names(&units(&large)), ["a.cpp", "b__Slow.cpp,c.cpp"]);
    }

    #[test]
    fn only_code_that_runs_once_follows_the_pragma() {
        let files = [
            file("b__Slow.cpp", 500_000, true),
            file("c.cpp", 300_000, false),
        ];
        let text = unit_text(&files.iter().collect::<Vec<_>>(), true);
        let at = |part: &str| text.find(part).expect("included");
        assert!(at("shim.cpp") < at("c.cpp") && at("c.cpp") < at("#pragma"));
        assert!(at("#pragma") < at("b__Slow.cpp"));
    }
}
