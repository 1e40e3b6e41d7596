//! Sabotage: mutates the emitted Verilog, unit by unit, and sees whether the co-simulation notices.
//!
//! `cargo run --example sabotage -- [MUTATIONS] [SEED]` prints a line a mutation and exits with 1 if any survives.
//! Every case of `tests/cases` runs on the mutated processor through its host port; wrong bytes, wrong
//! counters, a refused or unanswered request, or Verilog that no longer builds count as caught.

#[path = "../tests/cases/mod.rs"]
mod cases;

use bitweft::{
    compiler::{compile, cycles::predict},
    driver::{Session, Simulated},
    golden::network,
};
use bitweft_isa::architecture::Architecture;
use bitweft_sim::{Build, Library, Profile};
use std::process::ExitCode;

/// Text of one line that becomes another.
struct Mutation {
    module: String,
    line: usize,
    from: String,
    to: String,
}

/// Polls of the processor's state after which a run hangs.
const POLLS_MAX: usize = 2000;

/// What is replaced by what.
const RULES: [(&str, &str); 9] = [
    (" + ", " - "),
    (" - ", " + "),
    (" & ", " | "),
    (" | ", " & "),
    (" ^ ", " & "),
    (" == ", " != "),
    (" < ", " <= "),
    (" = ~", " = "),
    (" ? ", " == 1'b0 ? "),
];

/// Every line of behaviour that a rule applies to, by module.
fn sites(verilog: &str) -> Vec<Mutation> {
    let mut found = Vec::new();
    let mut module = String::new();
    // Cells of the tools stand behind macros that the simulation does not define.
    let mut hidden = 0;
    for (line, text) in verilog.lines().enumerate() {
        if let Some(rest) = text.trim_start().strip_prefix("module ") {
            module = rest
                .split([' ', '(', '#'])
                .next()
                .unwrap_or_default()
                .to_owned();
        }
        match text.trim() {
            macro_text if macro_text.starts_with("`ifdef") => hidden = 1,
            "`else" | "`endif" => hidden = 0,
            _ => {}
        }
        let behaviour = text.contains("assign ") || text.contains("<= ");
        if hidden == 1 || !behaviour || text.trim_start().starts_with("//") {
            continue;
        }
        for (pattern, replacement) in RULES {
            if text.contains(pattern) {
                let to = text.replacen(pattern, replacement, 1);
                found.push(Mutation {
                    module: module.clone(),
                    line,
                    from: text.into(),
                    to,
                });
            }
        }
    }
    found
}

/// One mutation a module in turn, until there are enough.
fn choose(mut sites: Vec<Mutation>, count: usize, random: &mut cases::Random) -> Vec<Mutation> {
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count && !sites.is_empty() {
        let mut modules: Vec<String> = sites.iter().map(|site| site.module.clone()).collect();
        modules.sort();
        modules.dedup();
        for module in modules {
            let of_module: Vec<usize> = (0..sites.len())
                .filter(|&at| sites[at].module == module)
                .collect();
            let pick = of_module[random.count(0, of_module.len() - 1)];
            chosen.push(sites.swap_remove(pick));
            if chosen.len() == count {
                break;
            }
        }
    }
    chosen
}

/// How the co-simulation noticed, or `None`.
fn caught(library: &Library, architecture: &Architecture, cases: &[cases::Case]) -> Option<String> {
    let simulated = match Simulated::new(library, 1) {
        Ok(simulated) => simulated,
        Err(error) => return Some(error.to_string()),
    };
    let mut session = match Session::open(simulated, architecture) {
        Ok(session) => session,
        Err(error) => return Some(error.to_string()),
    };
    // The longest descriptor of the cases takes fewer polls than that.
    session.limit_polls(POLLS_MAX);
    for case in cases {
        let compiled = compile(&case.network, architecture).expect("compiles");
        let expected = network::run(&case.network, case.inputs[0].view()).expect("runs");
        let bytes: Vec<u8> = case.inputs[0].iter().copied().collect();
        let mut descriptors = compiled.descriptors.iter();
        let mut notice = None;
        let result = session.run_layers(&compiled.image, &bytes, |run| {
            let layer = &compiled.image.layers[run.layer];
            let same = expected[layer.tensor].iter().eq(run.output.iter());
            let exact = run.counters.iter().all(|counters| {
                let cycles = predict(descriptors.next().expect("a descriptor"), architecture);
                counters.map(u64::from)
                    == [
                        cycles.cycles,
                        cycles.busy,
                        cycles.fill_stall,
                        cycles.drain_stall,
                    ]
            });
            if !same || !exact {
                let what = if same { "cycles" } else { "bytes" };
                notice = Some(format!("{what} of {}, {}", case.network.name, layer.name));
            }
            notice.is_none()
        });
        if let Err(error) = result {
            return Some(error.to_string());
        }
        if notice.is_some() {
            return notice;
        }
    }
    None
}

fn main() -> ExitCode {
    let number = |at: usize, default: u64| {
        std::env::args()
            .nth(at)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (count, seed) = (number(1, 24), number(2, 1));
    // Two words a fill: the odd halves of the activation memory and the second generators of the tables are there too.
    let architecture = Architecture {
        fill_words: 2,
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
    let chosen = choose(
        sites(&verilog),
        usize::try_from(count).unwrap_or(24),
        &mut cases::Random::new(seed),
    );
    let mut survivors = 0;
    for mutation in &chosen {
        let lines: Vec<&str> = verilog
            .lines()
            .enumerate()
            .map(|(line, text)| {
                if line == mutation.line {
                    mutation.to.as_str()
                } else {
                    text
                }
            })
            .collect();
        let notice = match build(lines.join("\n")) {
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
