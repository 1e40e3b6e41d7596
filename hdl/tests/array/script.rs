//! A random run of the array as fetch, issue and drain would drive it, with what must come out.

use crate::support::{Random, bytes};
use bitweft_isa::{
    ROWS_MAX,
    architecture::Architecture,
    plane,
    timing::{
        CHUNK_CYCLES_MIN, TABLE_WRITE_LATENCY, accumulator_delay, dot_latency, drain_latency,
        fill_turns, word_cycles,
    },
};
use std::collections::HashMap;

const BLOCKS: usize = 4;

/// The array's inputs in one cycle. Where nothing happens, data are noise.
pub(crate) struct Inputs {
    pub(crate) x: Vec<u32>,
    /// Only with more than one fill word.
    pub(crate) x_odd: Vec<u32>,
    pub(crate) capture: bool,
    pub(crate) capture_pass: bool,
    pub(crate) capture_quad: usize,
    pub(crate) fill_enable: bool,
    pub(crate) fill_quad: usize,
    pub(crate) fill_entry: usize,
    pub(crate) fill_bank: bool,
    pub(crate) plane: Vec<bool>,
    pub(crate) plane_bank: bool,
    pub(crate) first: bool,
    pub(crate) sign: bool,
    pub(crate) address: usize,
    pub(crate) read_address: usize,
    pub(crate) write: bool,
    pub(crate) clear: bool,
    pub(crate) drain: bool,
}

impl Inputs {
    fn noise(random: &mut Random, architecture: &Architecture) -> Self {
        Self {
            x: random.words(architecture.columns),
            x_odd: random.words(architecture.columns * (architecture.access_words() - 1)),
            capture: false,
            capture_pass: random.flag(),
            capture_quad: random.below(4),
            fill_enable: false,
            fill_quad: random.below(32),
            fill_entry: random.below(8),
            fill_bank: random.flag(),
            plane: random.flags(architecture.inputs()),
            plane_bank: random.flag(),
            first: random.flag(),
            sign: random.flag(),
            address: random.below(architecture.accumulator_depth),
            read_address: random.below(architecture.accumulator_depth),
            write: false,
            clear: random.flag(),
            drain: false,
        }
    }
}

/// The accumulators of one position: one a row and column.
type Values = Vec<Vec<i64>>;

/// A block whose sums are complete but not drained.
struct Finished {
    half: usize,
    /// First cycle in which a read address sees each position's final value.
    ready: Vec<usize>,
    values: Vec<Values>,
}

pub(crate) struct Script {
    pub(crate) two_passes: bool,
    pub(crate) paired: bool,
    pub(crate) cycles: Vec<Inputs>,
    /// (cycle, way): the row's accumulators by column, two's complement.
    pub(crate) drained: HashMap<(usize, usize), Vec<i64>>,
    architecture: Architecture,
    /// From an accumulator's last addition to its earliest drain.
    update_latency: usize,
    random: Random,
    fill_at: usize,
    plane_at: usize,
    drain_at: usize,
    /// Cycle of the last plane that read each bank.
    bank_read: [usize; 2],
    half_drained: [usize; 2],
}

impl Script {
    pub(crate) fn new(architecture: &Architecture, seed: u64, update_latency: usize) -> Self {
        let mut random = Random::new(seed);
        let mut script = Self {
            two_passes: architecture.two_passes(2) && random.flag(),
            paired: architecture.access_words() == 2 && random.flag(),
            cycles: Vec::new(),
            drained: HashMap::new(),
            architecture: architecture.clone(),
            update_latency,
            random,
            fill_at: 0,
            plane_at: 0,
            drain_at: 0,
            bank_read: [0; 2],
            half_drained: [0; 2],
        };
        let chunks = 1 + script.random.below(4);
        let limit = architecture.positions_max();
        let widths: Vec<usize> = (1..limit).map(|_| script.random.below(9)).collect();
        let mut finished: Vec<Finished> = Vec::new();
        for block in 0..BLOCKS {
            if finished.len() == 2 {
                script.drain(&finished.remove(0));
            }
            finished.push(script.block(block, chunks, &widths));
        }
        for block in &finished {
            script.drain(block);
        }
        script.at(script.drain_at + 2 * ROWS_MAX + drain_latency(architecture));
        script
    }

    fn at(&mut self, cycle: usize) -> &mut Inputs {
        while self.cycles.len() <= cycle {
            let noise = Inputs::noise(&mut self.random, &self.architecture);
            self.cycles.push(noise);
        }
        &mut self.cycles[cycle]
    }

    fn block(&mut self, block: usize, chunks: usize, widths: &[usize]) -> Finished {
        let half = block % 2;
        self.plane_at = self.plane_at.max(self.half_drained[half]);
        let positions = 1 + widths.iter().filter(|&&width| width > 0).count();
        let columns = self.architecture.columns;
        let mut finished = Finished {
            half,
            ready: vec![0; positions],
            values: vec![vec![vec![0; columns]; self.architecture.lane_rows]; positions],
        };
        for chunk in 0..chunks {
            let bank = (block * chunks + chunk) % 2;
            let (words, last_fill) = self.fill(bank);
            let gap = self.random.gap(6);
            self.plane_at = self.plane_at.max(last_fill + TABLE_WRITE_LATENCY) + gap;
            let start = self.plane_at;
            let used = widths.iter().filter(|&&width| width > 0);
            for (position, width) in std::iter::once(&0).chain(used).enumerate() {
                let words = (words.as_slice(), bank == 1);
                let value = &mut finished.values[position];
                let address = half * self.architecture.positions_max() + position;
                let read = self.filter(*width, words, address, chunk == 0, value);
                finished.ready[position] = read + self.update_latency;
            }
            self.bank_read[bank] = self.plane_at - 1;
            self.plane_at = self.plane_at.max(start + CHUNK_CYCLES_MIN);
        }
        finished
    }

    /// Fills a bank; the words by row, column and quad, and the last cycle of `fill_enable`, or of what follows it by itself.
    fn fill(&mut self, bank: usize) -> (Vec<Vec<Vec<u32>>>, usize) {
        let (columns, quads) = (self.architecture.columns, self.architecture.quads);
        let mut words = vec![vec![vec![0; quads]; columns]; self.architecture.lane_rows];
        self.fill_at = self.fill_at.max(self.bank_read[bank].saturating_sub(1));
        let turn = word_cycles(&self.architecture);
        let step = if self.paired { 2 } else { 1 };
        for quad in (0..quads).step_by(step) {
            for pass in 0..=usize::from(self.two_passes) {
                let start = self.fill_at + self.random.gap(5);
                self.at(start).capture = true;
                self.at(start).capture_pass = pass == 1;
                self.at(start).capture_quad = quad % 4;
                for (row, words) in words.iter_mut().enumerate() {
                    if !self.paired && self.architecture.access_words() == 2 {
                        self.at(start + row).x_odd = self.at(start + row).x.clone();
                    }
                    for (column, word) in words.iter_mut().enumerate() {
                        if self.two_passes && 2 * column / columns != pass {
                            continue;
                        }
                        word[quad] = self.at(start + row).x[column];
                        if self.paired {
                            word[quad + 1] = self.at(start + row).x_odd[column];
                        }
                    }
                }
                // Half a table's time is enough for one pass only.
                let fills = fill_turns(&self.architecture) == 1 || (pass == 1) == self.two_passes;
                for entry in 0..if fills { turn } else { 0 } {
                    let inputs = self.at(start + 1 + entry);
                    inputs.fill_enable = true;
                    inputs.fill_quad = quad;
                    inputs.fill_entry = entry;
                    inputs.fill_bank = bank == 1;
                }
                self.fill_at = start + turn;
            }
        }
        let half = turn * (fill_turns(&self.architecture) - 1);
        (words, self.fill_at + half)
    }

    /// A filter's planes (width 0: the all-ones plane), added to `values`; the cycle of the accumulator's read address.
    fn filter(
        &mut self,
        width: usize,
        (words, bank): (&[Vec<Vec<u32>>], bool),
        address: usize,
        clear: bool,
        values: &mut Values,
    ) -> usize {
        let inputs = self.architecture.inputs();
        let latency = dot_latency(&self.architecture);
        let mut sums = vec![vec![0; self.architecture.columns]; self.architecture.lane_rows];
        for index in 0..width.max(1) {
            let word = if width == 0 {
                vec![false; inputs]
            } else {
                self.random.flags(inputs)
            };
            for (row, sums) in sums.iter_mut().enumerate() {
                for (column, sum) in sums.iter_mut().enumerate() {
                    let bytes = bytes(&words[row][column]);
                    let bytes = plane::ordered(&self.architecture, &bytes);
                    *sum = 2 * *sum + plane::dot(&word, &bytes);
                }
            }
            let at = self.plane_at;
            self.at(at + latency).first = index == 0;
            self.at(at + latency).sign = word[inputs - 1];
            self.at(at).plane = word;
            self.at(at).plane_bank = bank;
            self.plane_at += 1;
        }
        for (values, sums) in values.iter_mut().zip(sums) {
            for (value, sum) in values.iter_mut().zip(sums) {
                *value = sum + if clear { 0 } else { *value };
            }
        }
        let read = self.plane_at - 1 + accumulator_delay(&self.architecture);
        let inputs = self.at(read);
        inputs.address = address;
        inputs.write = true;
        inputs.clear = clear;
        if !inputs.drain {
            inputs.read_address = address;
        }
        self.plane_at += self.random.gap(3) * usize::from(self.random.below(8) == 0);
        read
    }

    /// Drains a block's positions in order, as early as the array's own reads allow or later.
    fn drain(&mut self, block: &Finished) {
        let rows_per_way = self.architecture.rows_per_way();
        for (position, values) in block.values.iter().enumerate() {
            let mut at = self.drain_at.max(block.ready[position]) + self.random.gap(9);
            while {
                let inputs = self.at(at);
                inputs.write && !inputs.clear
            } {
                at += 1;
            }
            let address = block.half * self.architecture.positions_max() + position;
            let inputs = self.at(at);
            inputs.drain = true;
            inputs.read_address = address;
            for (row, values) in values.iter().enumerate() {
                let key = (
                    at + row + drain_latency(&self.architecture),
                    row / rows_per_way,
                );
                assert!(self.drained.insert(key, values.clone()).is_none());
            }
            self.drain_at = at + rows_per_way;
        }
        self.half_drained[block.half] = self.drain_at;
    }
}
