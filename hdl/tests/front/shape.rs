//! Random layers, their descriptors, and what each column ought to get.

use crate::support::{Random, Unit};
use bitweft_hdl::{
    activation_memory::{WRITER, activation_memory, address_bits},
    builder::{Module, Net},
    fetch::{DESCRIPTOR_FIELDS, fetch},
};
use bitweft_isa::{
    QUAD,
    architecture::Architecture,
    descriptor::{Descriptor, Opcode},
    layout::Placement,
    timing::fill_turns,
};

/// A convolution or pooling, as far as reading its input goes.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    opcode: Opcode,
    input: Placement,
    /// First quad taken of a pixel, and their number.
    quad_first: usize,
    pub(crate) quads: usize,
    pub(crate) kernel: (usize, usize),
    stride: (usize, usize),
    pad: (usize, usize),
    pub(crate) output: (usize, usize),
    pad_value: u8,
    /// Quads are read two at a time.
    pub(crate) paired: bool,
}

fn signed(value: usize) -> i64 {
    i64::try_from(value).expect("small")
}

impl Shape {
    pub(crate) fn convolution(random: &mut Random, architecture: &Architecture) -> Self {
        Self::random(random, architecture, Opcode::Convolution)
    }

    pub(crate) fn pooling(random: &mut Random, architecture: &Architecture) -> Self {
        let average = random.chance(50);
        let opcode = if average {
            Opcode::AveragePool
        } else {
            Opcode::MaxPool
        };
        Self::random(random, architecture, opcode)
    }

    /// A shape whose input fits the activation memory.
    fn random(random: &mut Random, architecture: &Architecture, opcode: Opcode) -> Self {
        loop {
            let kernel_max = if random.chance(20) { 7 } else { 3 };
            let kernel = (random.between(1, kernel_max), random.between(1, kernel_max));
            let stride = (random.between(1, 2), random.between(1, 2));
            let pad = (
                random.between(0, kernel.0 - 1),
                random.between(0, kernel.1 - 1),
            );
            let pad_end = (
                random.between(0, kernel.0 - 1),
                random.between(0, kernel.1 - 1),
            );
            let side_max = if random.chance(20) { 30 } else { 12 };
            let mut input = Placement {
                base: 0,
                height: random.between(1, side_max),
                width: random.between(1, side_max),
                channels: random.between(1, 30),
            };
            let words = input.words(architecture.columns);
            let reach = (
                input.height + pad.0 + pad_end.0,
                input.width + pad.1 + pad_end.1,
            );
            let fits = words <= architecture.activation_words
                && reach.0 >= kernel.0
                && reach.1 >= kernel.1;
            let paired = architecture.access_words() == 2
                && opcode == Opcode::Convolution
                && input.quads().is_multiple_of(2)
                && random.chance(80);
            let unit = if paired { 2 } else { 1 };
            let quads = unit * random.between(1, input.quads() / unit);
            let output = (
                (reach.0.saturating_sub(kernel.0)) / stride.0 + 1,
                (reach.1.saturating_sub(kernel.1)) / stride.1 + 1,
            );
            let accesses = output.0 * output.1 * kernel.0 * kernel.1 * quads;
            let sides_fit = output.0.max(output.1) <= architecture.image_side_max;
            if !(fits && sides_fit) || accesses > 30_000 {
                continue;
            }
            let room = architecture.activation_words - words;
            input.base = unit * random.between(0, room / unit);
            return Self {
                opcode,
                input,
                quad_first: unit * random.between(0, (input.quads() - quads) / unit),
                quads,
                kernel,
                stride,
                pad,
                output,
                pad_value: random.bytes(1)[0],
                paired,
            };
        }
    }

    pub(crate) fn two_passes(&self, architecture: &Architecture) -> bool {
        architecture.two_passes(self.stride.1)
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel.0 * self.kernel.1
    }

    pub(crate) fn strips(&self, architecture: &Architecture) -> usize {
        self.output.1.div_ceil(architecture.columns) * self.output.0
    }

    pub(crate) fn blocks(&self, architecture: &Architecture) -> usize {
        self.strips(architecture).div_ceil(architecture.lane_rows)
    }

    pub(crate) fn chunks(&self, architecture: &Architecture) -> usize {
        (self.taps() * self.quads).div_ceil(architecture.quads)
    }

    pub(crate) fn descriptor(&self, architecture: &Architecture) -> Descriptor {
        let columns = architecture.columns;
        let side = signed(columns);
        let quads = signed(self.input.quads());
        let row_stride = signed(self.input.row_stride(columns));
        let strips_per_row = signed(self.output.1.div_ceil(columns));
        let strip_step = signed(self.stride.1) * quads;
        let (top, left) = (signed(self.pad.0), signed(self.pad.1));
        let descriptor = Descriptor {
            opcode: self.opcode as i64,
            two_passes: i64::from(self.two_passes(architecture)),
            paired: i64::from(self.paired),
            pad_value: i64::from(self.pad_value),
            in_base: signed(self.input.base + self.quad_first),
            pixel_stride: quads,
            row_stride,
            strip_step,
            strip_row_step: signed(self.stride.0) * row_stride - (strips_per_row - 1) * strip_step,
            strips_per_row,
            strip_count: signed(self.strips(architecture)),
            block_count: signed(self.blocks(architecture)),
            quads_per_tap: signed(self.quads),
            kernel_width: signed(self.kernel.1),
            kernel_height: signed(self.kernel.0),
            tap_origin: -top * row_stride + (-left).div_euclid(side) * quads,
            tap_rotation: (-left).rem_euclid(side),
            stride_height: signed(self.stride.0),
            in_height: signed(self.input.height),
            in_width: signed(self.input.width),
            strip_x_step: signed(columns * self.stride.1),
            origin_y: -top,
            origin_x: -left,
            chunk_count: signed(self.chunks(architecture)),
            ..Descriptor::default()
        };
        descriptor.check(architecture).expect("held");
        descriptor
    }

    /// The word of `quad` at kernel place (`ky`, `kx`) for an output pixel.
    pub(crate) fn word(
        &self,
        columns: usize,
        memory: &[Vec<u8>],
        (y, x): (usize, usize),
        (ky, kx): (usize, usize),
        quad: usize,
    ) -> u32 {
        let row = (y * self.stride.0 + ky).checked_sub(self.pad.0);
        let column = (x * self.stride.1 + kx).checked_sub(self.pad.1);
        let inside = |at: Option<usize>, size| at.filter(|at| *at < size);
        let row = inside(row, self.input.height);
        let column = inside(column, self.input.width);
        let (Some(row), Some(column)) = (row, column) else {
            return u32::from_le_bytes([self.pad_value; 4]);
        };
        let channel = QUAD * (self.quad_first + quad);
        let (word, bank, _) = self.input.locate(columns, row, column, channel);
        let bytes = &memory[word][QUAD * bank..QUAD * bank + QUAD];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// Words of the columns that take theirs in `pass`, of flattened quad `flat` (beyond the last: 0) for a strip.
    pub(crate) fn words(
        &self,
        architecture: &Architecture,
        memory: &[Vec<u8>],
        strip: usize,
        flat: usize,
        pass: usize,
    ) -> Vec<Option<u32>> {
        let columns = architecture.columns;
        let per_row = self.output.1.div_ceil(columns);
        (0..columns)
            .map(|column| {
                let own = if self.two_passes(architecture) {
                    2 * column / columns
                } else {
                    0
                };
                if own != pass || strip >= self.strips(architecture) {
                    return None;
                }
                if flat >= self.taps() * self.quads {
                    return Some(0);
                }
                let pixel = (strip / per_row, strip % per_row * columns + column);
                let tap = flat / self.quads;
                let tap = (tap / self.kernel.1, tap % self.kernel.1);
                Some(self.word(columns, memory, pixel, tap, flat % self.quads))
            })
            .collect()
    }
}

/// Fetch on an activation memory full of random bytes (rows of all banks).
pub(crate) fn fetch_with_memory(
    architecture: &Architecture,
    random: &mut Random,
) -> (Unit, Vec<Vec<u8>>) {
    let mut unit = Unit::new(&wired(architecture), random.next());
    let mut memory = Vec::with_capacity(architecture.activation_words);
    for row in 0..architecture.activation_words {
        let bytes = random.bytes(QUAD * architecture.columns);
        unit.set("host_write_enable", 1);
        unit.set("host_address", row as u64);
        unit.set_bytes("host_write_data", &bytes);
        unit.tick();
        memory.push(bytes);
    }
    unit.set("host_write_enable", 0);
    unit.tick();
    (unit, memory)
}

/// Fetch and activation memory; fetch's ports and the host's write port lead outside.
fn wired(architecture: &Architecture) -> Module {
    let m = Module::of(architecture, "fetch_with_memory");
    let bits = address_bits(architecture);
    let columns = architecture.columns;
    let words: Vec<(&str, Net)> = ["read_data", "read_odd"][..architecture.access_words()]
        .iter()
        .map(|name| (*name, m.wire(name, 32 * columns)))
        .collect();
    let unit = fetch(architecture);
    let mut inputs: Vec<(&str, Net)> = vec![
        ("start", m.input("start", 1)),
        ("chunk_released", m.input("chunk_released", 1)),
    ];
    inputs.extend(words.iter().cloned());
    let fields = DESCRIPTOR_FIELDS.map(|field| (field, m.field(field)));
    inputs.extend(fields.iter().cloned());
    let ports: Vec<(&str, &Net)> = inputs.iter().map(|(name, net)| (*name, net)).collect();
    let fetched = m.instance("unit", &unit, &ports);
    for name in &["x_bus", "x_bus_odd"][..architecture.access_words()] {
        m.output(name, fetched.get(name));
    }
    for name in [
        "capture",
        "capture_pass",
        "fill_enable",
        "fill_quad",
        "fill_entry",
        "fill_bank",
        "chunk_filled",
        "pool_valid",
        "pool_pass",
        "pool_first",
        "pool_last",
        "pool_end",
    ] {
        m.output(name, fetched.get(name));
    }
    if fill_turns(architecture) > 1 {
        m.output("capture_quad", fetched.get("capture_quad"));
    }
    let zero = |width: usize| m.literal(0, width);
    let nothing = m.repeat(&zero(1), 32 * columns);
    let host = ["host_write_enable", "host_address", "host_write_data"];
    let host: Vec<(&str, Net)> = host
        .iter()
        .zip([1, bits, 32 * columns])
        .map(|(name, width)| (*name, m.input(name, width)))
        .collect();
    let mut ports = vec![
        (
            "fetch_address".to_owned(),
            fetched.get("fetch_address").clone(),
        ),
        ("host_select".to_owned(), zero(1)),
        ("elementwise_select".to_owned(), zero(1)),
        ("elementwise_address".to_owned(), zero(bits)),
    ];
    ports.extend(
        host.iter()
            .map(|(name, net)| ((*name).to_owned(), net.clone())),
    );
    if architecture.access_words() == 2 {
        let paired = fields.iter().find(|(name, _)| *name == "paired");
        ports.extend(paired.map(|(name, net)| ((*name).to_owned(), net.clone())));
    }
    ports.push((format!("{WRITER}_write_enable"), zero(QUAD)));
    ports.push((format!("{WRITER}_write_address"), zero(QUAD * bits)));
    ports.push((format!("{WRITER}_write_data"), nothing.clone()));
    let ports: Vec<(&str, &Net)> = ports.iter().map(|(name, net)| (&**name, net)).collect();
    let memory = m.instance("memory", &activation_memory(architecture), &ports);
    for (name, wire) in &words {
        m.drive(wire, memory.get(name));
    }
    m
}
