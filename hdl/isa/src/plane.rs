//! Plane words: K weight digits (+1 or -1), encoded as the dot unit consumes them.
//!
//! A quad's digits d0..d3 (true = +1) become a table address of three relative signs,
//! `a0 = d1 != d0`, `a1 = d3 != d2`, `a2 = d2 != d0`, and the quad's own sign `not d0`. The table holds
//! `f0 + (f1 ^ a2)` with `f0 = x0 + (x1 ^ a0)`, `f1 = x2 + (x3 ^ a1)`, where `^` complements every bit
//! of the sign-extended operand (that is -x - 1). Quads are summed by a binary tree, level by level, neighbours paired,
//! an odd last one passed on: `left + (right ^ n)`, `n = sign(left) != sign(right)`, the sum keeps the
//! left sign. The root is complemented by its sign, the word's top bit.
//!
//! Word: bits `3g..3g+3` the address of quad g, which is [`quad_at`] g of the chunk; then the tree's relative signs in the order of the levels;
//! then the root's sign. x is a byte of activation memory less [`INPUT_OFFSET`], which keeps every sum a bit narrower
//! than the byte itself would. The complements make a dot product differ from the exact one by a number that depends on the
//! word alone, [`offset`]; software folds it into the bias.

use crate::{QUAD, architecture::Architecture, timing::fill_turns};

/// What the array takes off every byte that it reads.
pub const INPUT_OFFSET: i64 = 128;

/// Input of the array for a byte of activation memory: -128 to 127.
#[must_use]
pub fn input(byte: u8) -> i8 {
    byte.cast_signed() ^ i8::MIN
}

/// Quad of a chunk that has place `place` in a plane word. With `fill_words` = 4 quads whose tables are filled from the same register are
/// neighbours, which leaves its wires short; else places are quads.
#[must_use]
pub fn quad_at(architecture: &Architecture, place: usize) -> usize {
    if fill_turns(architecture) == 1 {
        return place;
    }
    let words = architecture.fill_words;
    let part = architecture.quads / words;
    place % part * words + place / part
}

/// What belongs to a chunk's inputs (`len` = K) in the order of a plane word.
#[must_use]
pub fn ordered<T: Copy>(architecture: &Architecture, chunk: &[T]) -> Vec<T> {
    (0..architecture.quads)
        .flat_map(|place| &chunk[QUAD * quad_at(architecture, place)..][..QUAD])
        .copied()
        .collect()
}

/// Encodes digits (`len` = 4 x quads; true = +1) as a plane word, bit by bit.
#[must_use]
pub fn encode(digits: &[bool]) -> Vec<bool> {
    let mut word = Vec::with_capacity(digits.len());
    let mut signs = Vec::with_capacity(digits.len() / 4);
    for d in digits.chunks_exact(4) {
        word.extend([d[1] != d[0], d[3] != d[2], d[2] != d[0]]);
        signs.push(!d[0]);
    }
    while signs.len() > 1 {
        let mut next = Vec::with_capacity(signs.len().div_ceil(2));
        for pair in signs.chunks(2) {
            if let [left, right] = pair {
                word.push(left != right);
            }
            next.push(pair[0]);
        }
        signs = next;
    }
    word.extend(signs);
    word
}

/// What a dot unit computes for a plane word on given bytes (`len` = bits of the word).
#[must_use]
pub fn dot(word: &[bool], bytes: &[u8]) -> i64 {
    let complement = |value: i64, flag: bool| if flag { -value - 1 } else { value };
    let quads = word.len() / 4;
    let mut sums: Vec<i64> = (0..quads)
        .map(|g| {
            let x = |i: usize| i64::from(input(bytes[4 * g + i]));
            let f0 = x(0) + complement(x(1), word[3 * g]);
            let f1 = x(2) + complement(x(3), word[3 * g + 1]);
            f0 + complement(f1, word[3 * g + 2])
        })
        .collect();
    let mut sign = 3 * quads;
    while sums.len() > 1 {
        sums = sums
            .chunks(2)
            .map(|pair| {
                if let [left, right] = *pair {
                    sign += 1;
                    left + complement(right, word[sign - 1])
                } else {
                    pair[0]
                }
            })
            .collect();
    }
    complement(
        sums.first().copied().unwrap_or(0),
        word.last().copied().unwrap_or(false),
    )
}

/// `dot(word, x) - exact(word, x)`, the same for every x.
#[must_use]
pub fn offset(word: &[bool]) -> i64 {
    let zero = i8::MIN.cast_unsigned();
    dot(word, &vec![zero; word.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_dot_unit_is_exact_up_to_the_offset(quads in 2_usize..=20, seed in any::<u64>()) {
            let mut state = seed | 1;
            let mut random = || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
            let digits: Vec<bool> = (0..4 * quads).map(|_| random() & 1 == 1).collect();
            let inputs: Vec<u8> = (0..4 * quads).map(|_| (random() >> 8) as u8).collect();
            let exact: i64 = digits.iter().zip(&inputs)
                .map(|(&d, &x)| (d, i64::from(input(x)))).map(|(d, x)| if d { x } else { -x }).sum();
            let word = encode(&digits);
            prop_assert_eq!(word.len(), 4 * quads);
            prop_assert_eq!(dot(&word, &inputs), exact + offset(&word));
        }
    }

    #[test]
    fn the_all_ones_plane_is_the_zero_word() {
        assert!(encode(&[true; 72]).iter().all(|&bit| !bit));
    }
}
