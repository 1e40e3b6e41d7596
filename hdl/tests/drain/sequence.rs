//! Descriptors of all kinds, one after another: none leaves anything behind.

use crate::{add, assembly::Side, convolution, pooling, support::Random, support::architectures};

#[test]
fn kinds_follow_each_other() {
    for (seed, a) in (41..).zip(architectures()) {
        let mut random = Random::new(seed);
        let mut side = Side::new(&a, seed);
        let mut memory = add::memory(&mut random, &a);
        for _ in 0..60 {
            match random.range(0, 2) {
                0 => {
                    let case = convolution::Case::new(&mut random, &a);
                    convolution::run(&mut side, &mut random, &case);
                }
                1 => {
                    let taps = random.range(1, 30);
                    pooling::run(&mut side, &mut random, taps);
                }
                _ => {
                    let words = random.range(1, 9);
                    add::run(&mut side, &mut random, &mut memory, words);
                }
            }
        }
        assert!(side.written > 1000);
    }
}
