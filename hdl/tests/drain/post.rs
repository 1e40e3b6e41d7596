//! A post alone: values and fields of changing slots, cycle by cycle.

use crate::support::{Bench, Random, architectures, scaled};
use bitweft_hdl::post::{post, row_bits};
use bitweft_isa::{
    architecture::Architecture,
    record::Record,
    timing::{POST_BIAS, POST_HALVE, POST_SCALE, post_latency, post_scaled_latency},
};

/// What belongs to one value.
#[derive(Debug, Clone, Default)]
struct Step {
    drain: i64,
    pool: i64,
    add: i64,
    store: bool,
    clear: bool,
    halve: bool,
    row: usize,
    /// `row` is the one after that of the last step with a turn.
    turn: bool,
    record: Record,
    /// v, unless the row's X is being stored in the same cycle.
    v: Option<i64>,
}

/// `turns`: the row whose turn it is, where rows take turns.
fn step(
    random: &mut Random,
    way: usize,
    bits: usize,
    sums: &mut [Option<i64>],
    turns: Option<&mut usize>,
) -> Step {
    let limit = 1_i64 << (bits - 2);
    let mut row = random.range(0, sums.len() as i64 - 1) as usize;
    let mut turn = true;
    if let Some(turns) = turns {
        row = *turns;
        turn = !random.once_in(4);
        *turns = (*turns + usize::from(turn)) % sums.len();
    }
    let mut step = Step {
        row,
        turn,
        store: turn && random.once_in(3),
        clear: random.once_in(3),
        halve: random.once_in(2),
        ..Step::default()
    };
    match if way == 0 { random.range(0, 3) } else { 0 } {
        1 => step.pool = random.range(0, (1 << 18) - 1),
        2 => step.add = random.range(-(1 << 30), 1 << 30),
        _ => step.drain = random.range(-limit, limit - 1),
    }
    let left = if random.once_in(2) {
        0
    } else {
        random.range(0, 12)
    };
    let v = random.range(-(1 << (31 - left)), (1 << (31 - left)) - 1);
    step.record = Record {
        mantissa: random.range(0, (1 << 31) - 1) as u32,
        left: left as u8,
        right: random.range(0, 32) as u8,
        ..Record::default()
    };
    let x = if step.clear {
        Some(0)
    } else {
        sums[step.row].filter(|_| step.turn)
    };
    let value = step.drain + step.pool + step.add;
    if let (Some(x), false) = (x, step.store && !step.clear) {
        let doubled = if step.halve {
            2 * v + random.range(0, 1)
        } else {
            v
        };
        let bias = doubled - (value - x);
        if bias.abs() < 1 << 33 {
            step.record.bias = bias;
            step.v = Some(v);
        }
    }
    if step.store {
        sums[step.row] = Some(step.drain);
    }
    step
}

fn check(a: &Architecture, way: usize, seed: u64) {
    let mut random = Random::new(seed);
    let mut bench = Bench::new(&post(a, way), seed);
    assert_eq!(1 << row_bits(a), a.rows_per_way());
    let (zero, low, high) = (random.range(0, 255), 3, 250);
    for (name, value) in [
        ("rounding_double", 1),
        ("out_zero", zero),
        ("clamp_low", low),
        ("clamp_high", high),
    ] {
        bench.set(name, value);
    }
    let mut sums = vec![None; a.rows_per_way()];
    let mut turns = 0;
    let mut way_in: Vec<Step> = Vec::new();
    let mut checked = 0;
    for cycle in 0..20_000_usize {
        let turns = a.compact.then_some(&mut turns);
        let bits = a.accumulator_bits;
        way_in.push(step(&mut random, way, bits, &mut sums, turns));
        let back = |cycles: usize| {
            way_in
                .get((cycle + 1).wrapping_sub(1 + cycles))
                .cloned()
                .unwrap_or_default()
        };
        let now = back(0);
        bench.set("drain_data", now.drain);
        if way == 0 {
            bench.set("pool_value", now.pool);
            bench.set("add_value", now.add);
        }
        bench.set("x_store", i64::from(now.store));
        bench.set("x_clear", i64::from(now.clear));
        if a.compact {
            bench.set("next_row", i64::from(now.turn));
        } else {
            bench.set("row", now.row as i64);
        }
        bench.set("bias", back(POST_BIAS).record.bias);
        bench.set("halve", i64::from(back(POST_HALVE).halve));
        let record = back(POST_SCALE).record;
        bench.set("mantissa", i64::from(record.mantissa));
        bench.set("left", i64::from(back(POST_HALVE).record.left));
        bench.set("right", i64::from(record.right));
        bench.eval();
        if let (Some(v), 0) = (back(post_scaled_latency(a)).v, way) {
            let y = bench.get_signed("scaled") + bench.get("scaled_round") as i64;
            let step = back(post_scaled_latency(a));
            assert_eq!(y, scaled(&step.record, true, v), "{step:?}");
        }
        let step = back(post_latency(a));
        if let Some(v) = step.v {
            let y = scaled(&step.record, true, v);
            assert_eq!(
                bench.get("output_byte") as i64,
                (zero + y).clamp(low, high),
                "{step:?}"
            );
            checked += 1;
        }
        bench.tick();
    }
    assert!(checked > 10_000, "{checked}");
}

#[test]
fn values_become_bytes() {
    for (seed, a) in (1..).zip(architectures()) {
        for way in 0..a.drain_ways {
            check(&a, way, seed);
        }
    }
}
