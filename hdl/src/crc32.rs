//! CRC-32 (IEEE 802.3, reflected), one byte a step, as combinational logic.

use crate::builder::{Module, Net};

const POLYNOMIAL: u32 = 0xEDB8_8320;

/// Initial value of the register; the CRC of a message is the complement of the register after it.
pub(crate) const INITIAL: u32 = u32::MAX;

/// The register after one more byte, of which `difference` is the exclusive or with the register's low byte: 0 only shifts.
pub(crate) fn step(module: &Module, register: &Net, difference: &Net) -> Net {
    // Bit i of the next register is the parity of what reaches it: bit i + 8 of the register, and bits of the difference.
    let effects = (0..8).map(|bit| {
        (0..8).fold(1_u32 << bit, |rest, _| {
            rest >> 1 ^ if rest & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    });
    let effects: Vec<u32> = effects.collect();
    let bits: Vec<Net> = (0..32)
        .map(|bit| {
            let reaching = effects
                .iter()
                .enumerate()
                .filter(|(_, effect)| **effect >> bit & 1 == 1);
            let mut sources: Vec<Net> =
                reaching.map(|(at, _)| module.bit(difference, at)).collect();
            sources.extend((bit < 24).then(|| module.bit(register, bit + 8)));
            module.reduce_xor(&module.concat(&sources.iter().collect::<Vec<_>>()))
        })
        .collect();
    module.concat(&bits.iter().collect::<Vec<_>>())
}
