//! The requantizer against the record's formula in 128-bit integers.

use crate::support::{Bench, Random, scaled};
use bitweft_hdl::requantizer::requantizer;
use bitweft_isa::{
    record::Record,
    timing::{REQUANTIZER_LATENCY, SCALED_LATENCY},
};
use std::collections::VecDeque;

#[derive(Debug, Clone, Copy)]
struct Case {
    value: i64,
    mantissa: i64,
    left: i64,
    right: i64,
}

impl Case {
    fn record(&self) -> Record {
        Record {
            mantissa: u32::try_from(self.mantissa).expect("fits"),
            left: u8::try_from(self.left).expect("fits"),
            right: u8::try_from(self.right).expect("fits"),
            ..Record::default()
        }
    }

    fn y(&self, double: bool) -> i64 {
        scaled(&self.record(), double, self.value)
    }
}

/// A case whose v << left fits 32 bits; a share of corners, of exact ties and of results near a byte's range.
fn case(random: &mut Random) -> Case {
    let left = if random.once_in(2) {
        0
    } else {
        random.range(0, 15)
    };
    let right = match random.range(0, 9) {
        0 => 0,
        1 => 32,
        2 => 31,
        3 => 1,
        _ => random.range(0, 32),
    };
    let (low, high) = (-(1_i64 << 31) >> left, ((1_i64 << 31) - 1) >> left);
    let value = match random.range(0, 11) {
        0 => low,
        1 => high,
        2 => random.range(-3, 3).clamp(low, high),
        3 => random.range(low >> 16, high >> 16),
        4 => (1 << random.range(0, 30)).clamp(low, high),
        5 => -(1 << random.range(0, 30)).clamp(low, high),
        // y within the range of bytes or just beyond.
        6 | 7 => (random.range(-600, 600) << (right + 1)).clamp(low, high),
        _ => random.range(low, high),
    };
    let mantissa = match random.range(0, 7) {
        0 => (1 << 31) - 1,
        1 => 1 << 30,
        2 => 1 << random.range(0, 30),
        3 => random.range(0, 5),
        4 => random.range(0, (1 << 31) - 1),
        _ => random.range(1 << 30, (1 << 31) - 1),
    };
    Case {
        value,
        mantissa,
        left,
        right,
    }
}

fn check(mut bench: Bench, double: bool, seed: u64, count: usize) {
    let mut random = Random::new(seed);
    bench.set("rounding_double", i64::from(double));
    let (mut ties, mut inside) = (0, 0);
    // A batch of values a choice of clamp, since that must hold while values are under way.
    for _ in 0..count / 1000 {
        let zero = random.range(0, 255);
        let low = if random.once_in(2) {
            0
        } else {
            random.range(0, 255)
        };
        let high = if random.once_in(2) {
            255
        } else {
            random.range(low, 255)
        };
        for (name, value) in [("out_zero", zero), ("clamp_low", low), ("clamp_high", high)] {
            bench.set(name, value);
        }
        let mut way: VecDeque<Case> = VecDeque::new();
        for cycle in 0..1000 + REQUANTIZER_LATENCY {
            let case = case(&mut random);
            way.push_front(case);
            let before = way.get(1).unwrap_or(&case);
            for (name, value) in [
                ("value", case.value),
                ("left", case.left),
                ("mantissa", before.mantissa),
                ("right", before.right),
            ] {
                bench.set(name, value);
            }
            bench.tick();
            if cycle + 1 >= SCALED_LATENCY {
                let case = way[SCALED_LATENCY - 1];
                let y = bench.get_signed("scaled") + bench.get("scaled_round") as i64;
                assert_eq!(y, case.y(double), "{case:?} double {double}");
                ties += usize::from(case.right > 0 && bench.get("scaled_round") == 1);
            }
            if cycle + 1 >= REQUANTIZER_LATENCY {
                let case = way[REQUANTIZER_LATENCY - 1];
                let biased = zero + case.y(double);
                assert_eq!(
                    bench.get("output_byte") as i64,
                    biased.clamp(low, high),
                    "{case:?} double {double} zero {zero} clamp {low}..={high}"
                );
                inside += usize::from((low..=high).contains(&biased));
            }
        }
    }
    println!("{ties} rounded up, {inside} not clamped, of {count}");
    assert!(ties > count / 10 && inside > count / 10);
}

/// Each form of the requantizer, and the compact one with the cells that it has on an iCE40.
fn check_forms(double: bool, seed: u64) {
    for compact in [false, true] {
        let bench = Bench::new(&requantizer(compact), seed);
        check(bench, double, seed, 300_000);
    }
    let bench = Bench::ice40_cells(&requantizer(true), seed);
    check(bench, double, seed + 1, 100_000);
}

#[test]
fn single_rounding_is_the_formula() {
    check_forms(false, 1);
}

#[test]
fn double_rounding_is_the_formula() {
    check_forms(true, 2);
}
