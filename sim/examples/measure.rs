//! Measures build times and speeds of every profile, on an array of AND-and-add units of three sizes.
//!
//!     cargo run --release -p bitweft-sim --example measure
//!
//! Processor time is given beside the time that passed, so that figures of a busy machine can be read too. Linux only.

use std::fmt::Write as _;
use std::time::Instant;

use bitweft_sim::tools::ToolFolder;
use bitweft_sim::{Build, Profile, SimError, Toolchain};

/// `filters` units, each of which ANDs `lanes` pairs of bits, adds them in a registered tree, and accumulates.
fn array(lanes: u32, filters: u32) -> String {
    let mut text = format!(
        "module array (
    input clock,
    input reset,
    input valid,
    input [2:0] shift,
    input [{}:0] activation,
    input [{}:0] weight,
    output [{}:0] result
);
",
        lanes - 1,
        lanes * filters - 1,
        32 * filters - 1
    );
    for filter in 0..filters {
        let _ = writeln!(
            text,
            "    dot dot{filter} (.clock(clock), .reset(reset), .valid(valid), .shift(shift), \
             .activation(activation), .weight(weight[{} +: {lanes}]), .result(result[{} +: 32]));",
            filter * lanes,
            filter * 32
        );
    }
    let high = lanes - 1;
    let _ = writeln!(
        text,
        "endmodule
module dot (
    input clock,
    input reset,
    input valid,
    input [2:0] shift,
    input [{high}:0] activation,
    input [{high}:0] weight,
    output reg [31:0] result
);
    reg [{high}:0] product;
    always @(posedge clock) product <= activation & weight;"
    );
    let mut terms: Vec<String> = (0..lanes).map(|lane| format!("product[{lane}]")).collect();
    let mut bits = 1;
    while terms.len() > 1 {
        let mut sums = Vec::new();
        for (index, pair) in terms.chunks(2).enumerate() {
            let sum = format!("sum{bits}_{index}");
            let _ = writeln!(text, "    reg [{bits}:0] {sum};");
            let (a, b) = (&pair[0], pair.get(1).map_or("1'b0", String::as_str));
            let _ = writeln!(
                text,
                "    always @(posedge clock) {sum} <= {{1'b0, {a}}} + {{1'b0, {b}}};"
            );
            sums.push(sum);
        }
        terms = sums;
        bits += 1;
    }
    let _ = writeln!(
        text,
        "    wire [31:0] term = {{{}'d0, {}}} << shift;
    always @(posedge clock) if (reset) result <= 32'd0; else if (valid) result <= result + term;
    always @(posedge clock) assert (!valid || shift != 3'd7);
endmodule",
        32 - bits,
        terms[0]
    );
    text
}

/// Processor time of the processes that this one ran, in seconds.
fn children_cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields = after_name.split_whitespace().skip(13).take(2);
    // In units of 10 ms on every Linux of today.
    fields
        .filter_map(|field| field.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// Processor time of this thread, in seconds.
fn thread_cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|field| field.parse::<f64>().ok())
        .unwrap_or_default()
        / 1e9
}

fn main() -> Result<(), SimError> {
    let toolchain = Toolchain::locate()?;
    let installed = ToolFolder::locate()?;
    println!(
        "tools {}, {} CPU(s)\n",
        toolchain.identity(),
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    println!(
        "| array | profile | build, s | build, CPU s | from cache, ms | kcycle/CPU s |\n|---|---|---|---|---|---|"
    );
    let salt = std::time::UNIX_EPOCH
        .elapsed()
        .map_or(0, |time| time.as_nanos());
    for (lanes, filters) in [(32, 4), (64, 64), (512, 64)] {
        for profile in [
            Profile::Check,
            Profile::Trace,
            Profile::Coverage,
            Profile::Fast,
        ] {
            if (lanes, profile) == (512, Profile::Coverage) {
                continue;
            }
            // The first build of a profile also compiles what all models share.
            Build::from_text("empty", "module empty; endmodule\n", profile)
                .build_with(&toolchain)?;
            // The comment makes the design new to the cache.
            let text = format!("// {salt}\n{}", array(lanes, filters));
            let build = Build::from_text("array", text, profile);
            let started = (Instant::now(), children_cpu_s());
            let library = build.build_with(&toolchain)?;
            let built_s = started.0.elapsed().as_secs_f64();
            let built_cpu_s = children_cpu_s() - started.1;
            let started = Instant::now();
            let cached = build.build_with(&Toolchain::new(installed.clone(), "g++".as_ref())?)?;
            let cached_ms = started.elapsed().as_secs_f64() * 1e3;
            assert_eq!(library.path(), cached.path());
            let speed = kilocycles_per_second(&library)?;
            println!(
                "| {lanes} x {filters} | {profile:?} | {built_s:.1} | {built_cpu_s:.1} | {cached_ms:.0} | {speed:.0} |"
            );
            let _ = std::fs::remove_file(library.path());
        }
    }
    Ok(())
}

/// Runs with changing inputs for about a second of processor time.
fn kilocycles_per_second(library: &bitweft_sim::Library) -> Result<f64, SimError> {
    let mut model = library.instantiate(1)?;
    let [reset, valid, shift, activation, weight] =
        ["reset", "valid", "shift", "activation", "weight"].map(|name| model.signal(name));
    let (reset, valid, shift, activation, weight) = (reset?, valid?, shift?, activation?, weight?);
    model.set(reset, 1);
    model.tick(1)?;
    model.set(reset, 0);
    model.set(valid, 1);
    let mut weights = vec![0u32; weight.words()];
    let mut activations = vec![0u32; activation.words()];
    let mut state = 1u32;
    let started = thread_cpu_s();
    let mut cycles = 0u32;
    while thread_cpu_s() - started < 1.0 {
        for _ in 0..64 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let index = state as usize >> 8;
            let (a, w) = (index % activations.len(), index % weights.len());
            activations[a] = state;
            weights[w] = !state;
            model.set_words(activation, &activations);
            model.set_words(weight, &weights);
            model.set(shift, u64::from(state >> 29).min(6));
            model.tick(1)?;
        }
        cycles += 64;
    }
    Ok(f64::from(cycles) / (thread_cpu_s() - started) / 1e3)
}
