//! CRC-32 (IEEE 802.3, reflected), one byte a step, as combinational logic.

use crate::builder::{Module, Net};

const POLYNOMIAL: u32 = 0xEDB8_8320;

/// Initial value of the register; the CRC of a message is the complement of the register after it.
pub(crate) const INITIAL: u32 = u32::MAX;

/// The register after one more byte.
pub(crate) fn step(module: &Module, register: &Net, byte: &Net) -> Net {
    // Bit i of the next register is the parity of the sources that reach it: bits 0..32 of the register, bits 32..40 the byte.
    let mut sources: Vec<u64> = (0..32).map(|bit| 1_u64 << bit).collect();
    for (bit, source) in sources.iter_mut().enumerate().take(8) {
        *source ^= 1 << (32 + bit);
    }
    for _ in 0..8 {
        let out = sources[0];
        sources = (0..32)
            .map(|bit| {
                let shifted = if bit == 31 { 0 } else { sources[bit + 1] };
                if POLYNOMIAL >> bit & 1 == 1 {
                    shifted ^ out
                } else {
                    shifted
                }
            })
            .collect();
    }
    let input = module.concat(&[register, byte]);
    let bits: Vec<Net> = sources
        .iter()
        .map(|&source| {
            let picked: Vec<Net> = (0..40)
                .filter(|bit| source >> bit & 1 == 1)
                .map(|bit| module.bit(&input, bit))
                .collect();
            module.reduce_xor(&module.concat(&picked.iter().collect::<Vec<_>>()))
        })
        .collect();
    module.concat(&bits.iter().collect::<Vec<_>>())
}
