//! Sabotage: mutates the emitted Verilog, unit by unit, and sees whether the co-simulation notices.
//!
//! `cargo run --example sabotage -- [MUTATIONS] [SEED]` prints a line a mutation and exits with 1 if any survives.
//! Every case of `tests/cases` runs on the mutated processor through its host port; wrong bytes, wrong
//! counters, a refused or unanswered request, or Verilog that no longer builds count as caught.

#[path = "../tests/cases/mod.rs"]
mod cases;
#[path = "../hdl/formal/mutation.rs"]
mod mutation;

use bitweft_isa::architecture::Architecture;
use bitweft_sim::{Build, Library, Profile};
use std::process::ExitCode;

/// How the co-simulation noticed, or `None`.
fn caught(library: &Library, architecture: &Architecture, cases: &[cases::Case]) -> Option<String> {
    cases::check::run(
        library,
        architecture,
        cases,
        1,
        Some(cases::check::POLLS_MAX),
    )
    .err()
}

fn main() -> ExitCode {
    let number = |at: usize, default: u64| {
        std::env::args()
            .nth(at)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (count, seed) = (number(1, 24), number(2, 1));
    // Four words a fill: everything that fills tables in pairs and halves is there too.
    let architecture = Architecture {
        lane_rows: 4,
        fill_words: 4,
        ..cases::architecture(2, 4)
    };
    let verilog = bitweft_hdl::verilog(&architecture).expect("emits");
    let cases = cases::cases();
    let build = |text: String| {
        Build::from_text(bitweft_hdl::TOP, text, Profile::Check)
            .argument("-Wno-fatal")
            .build()
    };
    let sound = build(verilog.clone()).expect("the processor builds");
    assert_eq!(
        caught(&sound, &architecture, &cases),
        None,
        "the processor itself must pass"
    );
    let mut random = cases::Random::new(seed);
    let chosen = mutation::choose(
        mutation::sites(&verilog),
        usize::try_from(count).unwrap_or(24),
        |count| random.count(0, count - 1),
    );
    let mut survivors = 0;
    for mutation in &chosen {
        let notice = match build(mutation.apply(&verilog)) {
            Ok(library) => caught(&library, &architecture, &cases),
            Err(_) => Some("it does not build".into()),
        };
        survivors += usize::from(notice.is_none());
        println!(
            "{:<10} {:<24} {}  ->  {}   [{}]",
            if notice.is_some() {
                "caught"
            } else {
                "SURVIVES"
            },
            mutation.module,
            mutation.from.trim(),
            mutation.to.trim(),
            notice.unwrap_or_default()
        );
    }
    println!(
        "{} mutations, {} caught, {survivors} survive (seed {seed})",
        chosen.len(),
        chosen.len() - survivors
    );
    if survivors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
