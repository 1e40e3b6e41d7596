//! Place and route with several seeds, some at a time, until one meets the clock.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use bitweft_hdl::pll::Family;

use super::blocks::Blocks;
use super::error::{BuildError, InFile};
use super::record::{Outcome, Seed};
use super::timing::{self, Timing};
use super::{Event, Job, stamp, steps};

/// nextpnr's result, in the folder of a seed.
pub(super) const ROUTED: &str = "routed";
/// nextpnr's report, there.
pub(super) const REPORT: &str = "report.json";
const LOG: &str = "nextpnr.txt";

/// The folder of a seed.
pub(super) fn folder(seed: u32) -> String {
    format!("seed-{seed}")
}

/// How a seed ended.
struct Tried {
    seed: Seed,
    timing: Option<Timing>,
    error: Option<BuildError>,
}

impl Job<'_> {
    /// All seeds that were tried, in their order, and the best with its timing: one that met the clock, else the fastest.
    pub(super) fn sweep(&self, keys: &stamp::Keys) -> Result<(Vec<Seed>, u32, Timing), BuildError> {
        let blocks = self.blocks()?;
        let next = AtomicUsize::new(0);
        let met = AtomicBool::new(false);
        let tried = Mutex::new(Vec::new());
        let work = || {
            while !met.load(Ordering::Relaxed) && !self.stop.load(Ordering::Relaxed) {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(&seed) = self.effort.seeds.get(at) else {
                    return;
                };
                let result = self.try_seed(seed, keys, &blocks, &met);
                (self.observe)(Event::Tried(&result.seed));
                if let Ok(mut tried) = tried.lock() {
                    tried.push((at, result));
                }
            }
        };
        let jobs = self.effort.jobs.clamp(1, self.effort.seeds.len().max(1));
        thread::scope(|scope| {
            for _ in 1..jobs {
                scope.spawn(work);
            }
            work();
        });
        if self.stop.load(Ordering::Relaxed) {
            return Err(BuildError::Stopped);
        }
        let mut tried = tried
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        tried.sort_by_key(|(at, _)| *at);
        choose(tried.into_iter().map(|(_, tried)| tried).collect())
    }

    /// The blocks of the netlist whose delays nextpnr does not know.
    fn blocks(&self) -> Result<Blocks, BuildError> {
        if self.design.family != Family::Ice40 {
            return Ok(Blocks::default());
        }
        let path = self.folder.join(steps::NETLIST);
        let text = fs::read_to_string(&path).in_file(&path)?;
        Blocks::of(&text, self.design.top)
            .map_err(|message| BuildError::Unreadable { path, message })
    }

    fn try_seed(&self, seed: u32, keys: &stamp::Keys, blocks: &Blocks, met: &AtomicBool) -> Tried {
        let result = self.route_seed(seed, keys, blocks, met);
        let (outcome, timing, seconds, error) = match result {
            Ok((timing, seconds)) => {
                let outcome = if timing.met() {
                    met.store(true, Ordering::Relaxed);
                    Outcome::Met
                } else {
                    Outcome::Slow
                };
                (outcome, Some(timing), seconds, None)
            }
            Err((error, seconds)) => {
                let outcome = match &error {
                    BuildError::TimedOut { .. } => Outcome::TimedOut,
                    BuildError::Stopped => Outcome::GivenUp,
                    _ => Outcome::Failed,
                };
                (outcome, None, seconds, Some(error))
            }
        };
        Tried {
            seed: Seed {
                seed,
                outcome,
                reached_mhz: timing.as_ref().map(|timing| timing.reached_mhz),
                seconds,
            },
            timing,
            error,
        }
    }

    /// Timing of a seed and nextpnr's seconds, from its folder if it has been routed before.
    fn route_seed(
        &self,
        seed: u32,
        keys: &stamp::Keys,
        blocks: &Blocks,
        met: &AtomicBool,
    ) -> Result<(Timing, f64), (BuildError, f64)> {
        let begin = Instant::now();
        let after = |error| (error, begin.elapsed().as_secs_f64());
        let path = self.folder.join(folder(seed));
        fs::create_dir_all(&path).in_file(&path).map_err(after)?;
        let (report, stamp) = (path.join(REPORT), path.join("stamp"));
        let key = stamp::key([keys.route.as_str(), &seed.to_string()]);
        let known = stamp::seconds(&stamp, &key).filter(|_| path.join(ROUTED).is_file());
        if known.is_none() {
            let nextpnr = steps::tools(self.design.family).nextpnr;
            let mut command = self.tools.command(nextpnr).map_err(|e| after(e.into()))?;
            command.args(self.route(seed).arguments());
            command.args(["--seed", &seed.to_string()]);
            let log = format!("{}/{LOG}", folder(seed));
            let given_up = || met.load(Ordering::Relaxed);
            self.tool(command, "nextpnr", &log, Some(seed), &given_up)
                .map_err(after)?;
        }
        let seconds = known.unwrap_or_else(|| begin.elapsed().as_secs_f64());
        let share = self.design.wanted_mhz / self.design.asked_mhz;
        let text = fs::read_to_string(&report)
            .in_file(&report)
            .map_err(after)?;
        let timing = timing::read(&text, self.design.family, share, blocks).map_err(|message| {
            after(BuildError::Unreadable {
                path: report.clone(),
                message,
            })
        })?;
        stamp::write(&stamp, &key, seconds).map_err(after)?;
        Ok((timing, seconds))
    }

    /// What nextpnr is asked for with a seed.
    pub(super) fn route(&self, seed: u32) -> steps::Route<'_> {
        steps::Route {
            family: self.design.family,
            part: &self.design.part,
            pins: self.pins_name(),
            routed: format!("{}/{ROUTED}", folder(seed)),
            report: format!("{}/{REPORT}", folder(seed)),
            mhz: self.design.asked_mhz,
            free_pins: !self.design.is_whole(),
        }
    }
}

fn choose(tried: Vec<Tried>) -> Result<(Vec<Seed>, u32, Timing), BuildError> {
    let mut best: Option<(u32, Timing)> = None;
    let mut failure = None;
    let mut seeds = Vec::new();
    for one in tried {
        if let Some(timing) = one.timing {
            let faster = |best: &(u32, Timing)| timing.margin() > best.1.margin();
            let first_met = seeds.iter().any(|seed: &Seed| seed.outcome == Outcome::Met);
            if best.as_ref().is_none_or(faster) && !first_met {
                best = Some((one.seed.seed, timing));
            }
        }
        if one.seed.outcome != Outcome::GivenUp {
            failure = failure.or(one.error);
        }
        seeds.push(one.seed);
    }
    let (seed, timing) = best.ok_or_else(|| failure.unwrap_or(BuildError::Stopped))?;
    Ok((seeds, seed, timing))
}
