//! Random numbers and architectures of the tests.

use bitweft_isa::{
    architecture::{Architecture, LaneKind, Storage},
    descriptor::IMAGE_SIDE_MAX,
};

/// xorshift64*; a seed reproduces a test.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.bits() >> 33) as usize % limit
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(crate) fn word(&mut self) -> u32 {
        (self.bits() >> 32) as u32
    }

    pub(crate) fn words(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.word()).collect()
    }

    pub(crate) fn flags(&mut self, count: usize) -> Vec<bool> {
        (0..count).map(|_| self.flag()).collect()
    }

    /// 0 in most cases, else up to `limit`.
    pub(crate) fn gap(&mut self, limit: usize) -> usize {
        if self.below(4) == 0 {
            self.below(limit + 1)
        } else {
            0
        }
    }
}

pub(crate) fn architecture(lane: LaneKind, columns: usize, quads: usize) -> Architecture {
    Architecture {
        lane_rows: 8,
        columns,
        quads,
        lane,
        fill_words: 1,
        control_groups: 1,
        compact: false,
        image_side_max: IMAGE_SIDE_MAX,
        accumulator_bits: 30,
        accumulator_depth: 32,
        accumulator_storage: Storage::Block,
        small_storage: Storage::Distributed,
        activation_storage: Storage::Block,
        plane_storage: Storage::Block,
        drain_ways: 1,
        activation_words: 64,
        plane_words: 64,
        record_count: 16,
        descriptor_count: 4,
    }
}

/// Rows of an architecture with so many fill words.
pub(crate) fn rows(fill_words: usize) -> usize {
    if fill_words == 4 { 4 } else { 8 }
}

/// Bits, lowest first, as a simulated port's words.
pub(crate) fn pack(bits: &[bool]) -> Vec<u32> {
    bits.chunks(32)
        .map(|chunk| {
            chunk
                .iter()
                .rev()
                .fold(0, |word, &bit| word << 1 | u32::from(bit))
        })
        .collect()
}

/// The activations of quad words, lowest byte first.
pub(crate) fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
