//! Random numbers, architectures, and a unit as a running model.

use bitweft_hdl::builder::Module;
use bitweft_isa::{
    architecture::{Architecture, LaneKind, Storage},
    descriptor::{Descriptor, FIELDS, IMAGE_SIDE_MAX},
};
use bitweft_sim::{Build, Model, Profile, Signal};
use std::collections::HashMap;

/// Repeatable random numbers (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// low ..= high.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        let span = (high - low + 1) as u64;
        low + usize::try_from(self.next() % span).expect("small")
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.between(0, 99) < percent
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 56) as u8).collect()
    }
}

/// A small processor; with one column of the kind for devices without LUTRAM.
pub(crate) fn architecture(columns: usize, quads: usize) -> Architecture {
    let architecture = Architecture {
        lane_rows: 8,
        columns,
        quads,
        lane: if columns == 1 {
            LaneKind::Plain
        } else {
            LaneKind::Table
        },
        fill_words: 1,
        control_groups: 1,
        compact: false,
        image_side_max: IMAGE_SIDE_MAX,
        accumulator_bits: 30,
        accumulator_depth: 64,
        accumulator_storage: Storage::Block,
        small_storage: Storage::Distributed,
        activation_storage: Storage::Block,
        plane_storage: Storage::Block,
        drain_ways: 1,
        activation_words: 700,
        plane_words: 600,
        record_count: 16,
        descriptor_count: 4,
    };
    architecture.check().expect("valid");
    architecture
}

/// Rows of an architecture with so many fill words.
pub(crate) fn rows(fill_words: usize) -> usize {
    if fill_words == 4 { 4 } else { 8 }
}

/// The same, or as a compact one that takes small images only.
pub(crate) fn compacted(architecture: &Architecture, compact: bool) -> Architecture {
    let mut architecture = architecture.clone();
    if compact {
        architecture.compact = true;
        architecture.image_side_max = 31;
    }
    architecture.check().expect("valid");
    architecture
}

/// A unit: driven and read by port name, one cycle at a time.
pub(crate) struct Unit {
    model: Model,
    signals: HashMap<String, Signal>,
    pub(crate) cycle: usize,
}

impl Unit {
    /// Lints, builds, resets.
    pub(crate) fn new(module: &Module, seed: u64) -> Self {
        let text = module.verilog().expect("complete");
        let file = (format!("{}.v", module.name()), text);
        bitweft_sim::lint(module.name(), &[file]).expect("no warnings");
        Self::unlinted(module, seed)
    }

    /// Builds and resets a module that only a test has use for.
    pub(crate) fn unlinted(module: &Module, seed: u64) -> Self {
        let text = module.verilog().expect("complete");
        let library = Build::from_text(module.name(), text, Profile::Check)
            .build()
            .expect("builds");
        let model = library.instantiate(seed).expect("loads");
        let signals = model.ports().iter().map(|port| {
            let signal = model.signal(&port.name).expect("a port");
            (port.name.clone(), signal)
        });
        let signals = signals.collect();
        let mut unit = Self {
            model,
            signals,
            cycle: 0,
        };
        unit.reset();
        unit
    }

    fn signal(&self, name: &str) -> Signal {
        *self
            .signals
            .get(name)
            .unwrap_or_else(|| panic!("no port {name}"))
    }

    pub(crate) fn reset(&mut self) {
        if self.signals.contains_key("reset") {
            self.set("reset", 1);
            self.tick();
            self.tick();
            self.set("reset", 0);
        }
        self.cycle = 0;
    }

    pub(crate) fn set(&mut self, name: &str, value: u64) {
        let signal = self.signal(name);
        self.model.set(signal, value);
    }

    pub(crate) fn set_bytes(&mut self, name: &str, bytes: &[u8]) {
        let word = |part: &[u8]| {
            let mut word = [0; 4];
            word[..part.len()].copy_from_slice(part);
            u32::from_le_bytes(word)
        };
        let words: Vec<u32> = bytes.chunks(4).map(word).collect();
        let signal = self.signal(name);
        self.model.set_words(signal, &words);
    }

    /// Drives every input that is a field of the descriptor.
    pub(crate) fn set_fields(&mut self, descriptor: &Descriptor) {
        let words = descriptor.encode().expect("fits");
        for field in FIELDS {
            if self.signals.contains_key(field.name) {
                let value = u64::from(words[field.word]) >> field.low;
                self.set(field.name, value);
            }
        }
    }

    /// Lets outputs follow the inputs of this cycle.
    pub(crate) fn eval(&mut self) {
        self.model.eval().expect("runs");
    }

    pub(crate) fn get(&self, name: &str) -> u64 {
        self.model.get(self.signal(name))
    }

    pub(crate) fn is(&self, name: &str) -> bool {
        self.get(name) == 1
    }

    pub(crate) fn words(&self, name: &str) -> Vec<u32> {
        self.model.get_words(self.signal(name))
    }

    /// To the next cycle.
    pub(crate) fn tick(&mut self) {
        self.model.tick(1).expect("runs");
        self.cycle += 1;
    }
}
