//! Soak: sessions on a link that goes wrong, until there have been so many faults and sessions.
//!
//! `cargo run --example soak -- [SESSIONS] [FAULTS] [SEED]` prints a line a round with its seed, and exits with 1 at the first
//! wrong answer or hang. The same seed gives the same faults.

#[path = "../tests/cases/mod.rs"]
mod cases;

use bitweft_isa::architecture::Architecture;
use cases::{
    faults::Rates,
    soak::{Soak, Tally},
};
use std::process::ExitCode;

/// Sessions of a round, each round on a device of its own.
const ROUND: usize = 50;
/// Rates of the rounds in turn: a bad line, a device that is reset, a link that breaks, all together.
const RATES: [Rates; 4] = [
    rates(150, 5000, 5000),
    rates(2000, 60, 5000),
    rates(1000, 5000, 60),
    rates(300, 150, 250),
];

const fn rates(bytes_per_fault: i64, sends_per_reset: i64, sends_per_break: i64) -> Rates {
    Rates {
        bytes_per_fault,
        sends_per_reset,
        sends_per_break,
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| {
        arguments
            .next()
            .map_or(Some(default), |text| text.parse().ok())
    };
    let (Some(sessions), Some(faults), Some(seed)) = (number(500), number(10_000), number(1))
    else {
        eprintln!("usage: soak [SESSIONS] [FAULTS] [SEED]");
        return ExitCode::from(2);
    };
    let architecture =
        Architecture::from_toml(include_str!("../constraints/tiny.toml")).expect("valid");
    let soak = Soak::new(&architecture);
    let mut tally = Tally::default();
    for round in 0.. {
        if tally.sessions as u64 >= sessions && tally.faults as u64 >= faults {
            break;
        }
        let (seed, before) = (seed + round, tally.faults);
        let rates = RATES[(round % RATES.len() as u64) as usize];
        soak.run(seed, ROUND, rates, &mut tally);
        println!(
            "seed {seed}: {} faults in {ROUND} sessions: {:?}",
            tally.faults - before,
            tally.last
        );
        if tally.wrong > 0 {
            println!("{} WRONG ANSWERS at seed {seed}", tally.wrong);
            return ExitCode::FAILURE;
        }
    }
    for (cause, count) in &tally.causes {
        println!("given up {count} times: {cause}");
    }
    println!(
        "{} faults, {} sessions ({} ended by a broken link, {} given up): {} answers, {} wrong, 0 hangs; {} requests repeated, {} inferences begun anew, at most {} calls a session",
        tally.faults,
        tally.sessions,
        tally.broken,
        tally.failed,
        tally.answers,
        tally.wrong,
        tally.repeated,
        tally.restarts,
        tally.calls_max
    );
    ExitCode::SUCCESS
}
