//! `bitweft build`.

use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bitweft::flow::board::BoardFile;
use bitweft::flow::build::{BuildError, Design, Effort, Event, Outcome, Record, build};
use bitweft::flow::part::{Budget, Part};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::console::{Console, table};
use super::exit::{Exit, UsageError};
use super::options::{ArchitectureArguments, read_board, read_pins};
use super::signals;

/// Seeds of one sweep.
const SEEDS_MAX: u32 = 1000;

/// Build a board's bitstream: synthesis, place and route, packing, with a record of it all (build.json) in one folder.
///
/// With --seeds nextpnr is run seed after seed, as many at a time as --jobs says, until one meets the board's clock. If none
/// does, the build fails (exit code 1) and names the clock and its critical path. A build of what has not changed does nothing.
#[derive(Args)]
pub(crate) struct Build {
    /// Board by name, or a TOML file with the tables [architecture], [board] and [part].
    #[arg(long, value_name = "NAME|FILE")]
    board: String,
    /// Seed of placement (default: that of the file's [part], or 1).
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u32>,
    /// Seeds to try: FIRST..LAST (both included), or a list such as 3,1,7.
    #[arg(long, value_name = "SEEDS", value_parser = seeds)]
    seeds: Option<Seeds>,
    /// Limit in seconds of every tool's run.
    #[arg(long, value_name = "S", default_value_t = 14400, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
    /// Seeds at a time (default: one a core).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Route the processor alone, its pins anywhere, against the file's [budget]; there is no bitstream of it.
    #[arg(long)]
    processor_only: bool,
    /// Folder for all that is made (default: build/BOARD); made if need be.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone)]
struct Seeds(Vec<u32>);

fn seeds(text: &str) -> Result<Seeds, String> {
    let number = |text: &str| {
        let number = text.trim().parse::<u32>();
        number.map_err(|error| format!("`{text}`: {error}"))
    };
    let seeds = match text.split_once("..") {
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last.trim_start_matches('='))?);
            if first > last || last - first >= SEEDS_MAX {
                return Err(format!("from the lower to the higher, at most {SEEDS_MAX}"));
            }
            (first..=last).collect()
        }
        None => text.split(',').map(number).collect::<Result<Vec<_>, _>>()?,
    };
    Ok(Seeds(seeds))
}

/// What is printed.
#[derive(Serialize)]
struct Built {
    /// Folder of all that was made.
    folder: PathBuf,
    /// Whether it was there already.
    up_to_date: bool,
    /// What is over the budget.
    over_budget: Vec<String>,
    #[serde(flatten)]
    record: Record,
}

impl Build {
    pub(crate) fn run(&self, console: &Console) -> Result<Exit> {
        let text = read_board(&self.board)?;
        let budget = Budget::from_toml(&text).with_context(|| self.board.clone())?;
        let design = self.design(&text, budget.as_ref())?;
        let folder = self
            .output
            .clone()
            .unwrap_or_else(|| folder_of(&self.board));
        let stop = signals::flag(signals::END_OR_HANG_UP)?;
        let spinner = console.spinner("building");
        let observe = |event: Event<'_>| tell(&event, &spinner, console);
        let built = build(&design, &self.effort(&design), &folder, &stop, &observe);
        spinner.finish_and_clear();
        let budget = budget.filter(|_| self.processor_only);
        let print = |record: Record, up_to_date: bool| -> Result<Exit> {
            let built = Built {
                over_budget: over(&record, budget.as_ref()),
                folder: folder.clone(),
                up_to_date,
                record,
            };
            console.result(&built, || summary(&built, budget.as_ref()))?;
            Ok(match built.over_budget.is_empty() {
                true => Exit::Success,
                false => Exit::Failure,
            })
        };
        match built {
            Ok((record, up_to_date)) => print(record, up_to_date),
            Err(BuildError::Timing(record)) => {
                print(record.as_ref().clone(), false)?;
                Err(BuildError::Timing(record)).with_context(|| self.board.clone())
            }
            Err(error) => Err(error).with_context(|| self.board.clone()),
        }
    }

    fn effort(&self, design: &Design) -> Effort {
        let cores = || available_parallelism().map_or(1, |cores| cores.get());
        let seed = self.seed.or(design.part.seed).unwrap_or(1);
        Effort {
            seeds: self
                .seeds
                .clone()
                .map_or_else(|| vec![seed], |seeds| seeds.0),
            timeout: Duration::from_secs(u64::from(self.timeout)),
            jobs: self.jobs.map_or_else(cores, usize::from),
        }
    }

    fn design(&self, text: &str, budget: Option<&Budget>) -> Result<Design> {
        let name = || self.board.clone();
        let missing = |table: &str| UsageError(format!("{}: no table [{table}]", self.board));
        let architecture = ArchitectureArguments::named(&self.board)
            .load()?
            .architecture;
        let board = BoardFile::from_toml(text).with_context(name)?;
        let part = Part::from_toml(text).with_context(name)?;
        let part = part.ok_or_else(|| missing("part"))?;
        let pins = read_pins(&self.board, &board)?;
        let hardware = board.hardware();
        let findings = [
            board.check(&pins),
            part.check(hardware.family, &architecture),
        ]
        .concat();
        if !findings.is_empty() {
            return Err(anyhow!("{}: {}", self.board, findings.join("\n")));
        }
        let part = (hardware.family, part);
        if self.processor_only {
            let budget = budget.ok_or_else(|| missing("budget"))?;
            let verilog =
                bitweft_hdl::verilog(&architecture).map_err(|error| anyhow!("Verilog: {error}"))?;
            let design = Design::processor(&self.board, verilog, part, &pins, budget.mhz)?;
            return Ok(design.anchored(&architecture));
        }
        let verilog = bitweft_hdl::board::verilog(&architecture, &hardware).with_context(name)?;
        let (pins, mhz) = (board.with_clock_rate(&pins), board.processor_mhz);
        Ok(Design::board(&self.board, verilog, part, pins, mhz).anchored(&architecture))
    }
}

/// Where a board is built unless said otherwise.
pub(crate) fn folder_of(board: &str) -> PathBuf {
    let name = PathBuf::from(board);
    PathBuf::from("build").join(name.file_stem().unwrap_or(name.as_os_str()))
}

fn tell(event: &Event<'_>, spinner: &ProgressBar, console: &Console) {
    let of_seed =
        |seed: &Option<u32>| seed.map_or_else(String::new, |seed| format!(" seed {seed}"));
    match event {
        Event::Started(tool, seed) => spinner.set_message(format!("{tool}{}", of_seed(seed))),
        Event::Line(tool, seed, line) => {
            let line: String = line.chars().take(70).collect();
            spinner.set_message(format!("{tool}{}: {line}", of_seed(seed)));
        }
        Event::Synthesised(seconds) => {
            spinner.suspend(|| console.note(format!("synthesised in {seconds:.0} s")));
        }
        Event::Tried(seed) => {
            let how = match (seed.outcome, seed.reached_mhz) {
                (Outcome::Met, Some(mhz)) => format!("{mhz:.1} MHz, meets the clock"),
                (_, Some(mhz)) => format!("{mhz:.1} MHz, too slow"),
                (Outcome::TimedOut, _) => "timed out".to_owned(),
                (Outcome::GivenUp, _) => "given up".to_owned(),
                _ => "failed".to_owned(),
            };
            let text = format!("seed {}: {how} ({:.0} s)", seed.seed, seed.seconds);
            spinner.suspend(|| console.note(text));
        }
    }
}

/// What takes more than its budget, or is slower.
fn over(record: &Record, budget: Option<&Budget>) -> Vec<String> {
    let Some(budget) = budget else {
        return Vec::new();
    };
    let exceeds = |name: &str, used: u64, available: u64| {
        let share = budget.share(name);
        share.is_some_and(|share| used as f64 > share * available as f64)
    };
    let utilisation = record.timing.utilisation.iter();
    let mut over: Vec<String> = utilisation
        .filter(|one| exceeds(&one.name, one.used, one.available))
        .map(|one| one.name.clone())
        .collect();
    if !record.met {
        over.push("fmax".to_owned());
    }
    over
}

fn summary(built: &Built, budget: Option<&Budget>) -> String {
    let record = &built.record;
    let rows = record.timing.utilisation.iter().map(|one| {
        let share = one.used as f64 / one.available.max(1) as f64;
        let budget = budget.and_then(|budget| budget.share(&one.name));
        let over = built.over_budget.contains(&one.name);
        vec![
            one.name.clone(),
            one.used.to_string(),
            one.available.to_string(),
            format!("{:.1}%", 100.0 * share),
            budget.map_or_else(String::new, |share| format!("{:.0}%", 100.0 * share)),
            if over { "over budget" } else { "" }.to_owned(),
        ]
    });
    let header = ["resource", "used", "there are", "share", "budget", ""];
    let verdict = if record.met { "" } else { "  too slow" };
    let mut lines = vec![
        table(&header, 1, rows.collect()),
        format!(
            "fmax {:.1} MHz, must be {:.1} MHz{verdict} (seed {})",
            record.timing.reached_mhz, record.timing.wanted_mhz, record.seed
        ),
    ];
    if let Some(bitstream) = &record.bitstream {
        let there = if built.up_to_date {
            " (up to date)"
        } else {
            ""
        };
        lines.push(format!(
            "{}{there}",
            built.folder.join(&bitstream.file).display()
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::seeds;

    #[test]
    fn seeds_are_a_range_or_a_list() {
        assert_eq!(seeds("3..5").expect("a range").0, [3, 4, 5]);
        assert_eq!(seeds("1..=2").expect("a range").0, [1, 2]);
        assert_eq!(seeds("7, 1").expect("a list").0, [7, 1]);
        for wrong in ["", "5..3", "1..", "a", "0..4000000000"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }
}
