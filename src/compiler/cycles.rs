//! The exact prediction: the rules of `isa::timing`, event by event, with the constants the hardware is built
//! from. Verification compares it with the processor's own counters, descriptor by descriptor.

use super::DescriptorInfo;
use bitweft_isa::{
    architecture::Architecture,
    descriptor::{Descriptor, Opcode},
    timing::{
        DRAIN_START, DRAINED_TO_PLANE, FETCH_START, FINALIZED_TO_SLOT, ISSUE_START, PLANE_TO_FILL,
        POOL_WINDOW_CYCLES_MIN, SEQUENCER_CYCLES, SLOT_TO_BLOCK_DRAINED, add_cycles, chunk_cycles,
        fetch_latency, fill_cycles, fill_to_plane, plane_to_drain, plane_to_grant, pool_slot_lead,
        release_lead, slot_cycles, slot_to_done,
    },
};

/// The counters of a descriptor, in the order in which the processor keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Cycles {
    /// From the first program word read to the first counter written.
    pub cycles: u64,
    /// In which the array took a plane, the all-ones planes included.
    pub busy: u64,
    /// In which the array waited for tables.
    pub fill_stall: u64,
    /// In which the array waited for the drain.
    pub drain_stall: u64,
}

/// Predicts a descriptor's counters.
#[must_use]
pub fn predict(info: &DescriptorInfo, architecture: &Architecture) -> Cycles {
    let d = &info.descriptor;
    let is = |opcode: Opcode| d.opcode == opcode as i64;
    let mut cycles = if is(Opcode::Convolution) {
        Convolution::new(d, &info.widths, architecture).run()
    } else if is(Opcode::Add) {
        Cycles {
            cycles: add_cycles(architecture, count(d.strip_count)) as u64,
            ..Cycles::default()
        }
    } else {
        Cycles {
            cycles: pool_cycles(d, architecture) as u64,
            ..Cycles::default()
        }
    };
    cycles.cycles += SEQUENCER_CYCLES as u64;
    cycles
}

/// A field that is a count, as the encoder has checked.
fn count(field: i64) -> usize {
    usize::try_from(field).unwrap_or(0)
}

fn passes(d: &Descriptor) -> usize {
    if d.two_passes == 1 { 2 } else { 1 }
}

fn pool_cycles(d: &Descriptor, architecture: &Architecture) -> usize {
    let accesses = count(d.kernel_width * d.kernel_height) * passes(d);
    let windows = count(d.strip_count * d.quads_per_tap);
    let period = accesses.max(POOL_WINDOW_CYCLES_MIN);
    let last_access = FETCH_START + (windows - 1) * period + accesses - 1;
    let last_word = last_access + fetch_latency(architecture);
    last_word - pool_slot_lead(architecture) + slot_to_done(architecture)
}

/// A chunk's planes in time.
#[derive(Clone, Copy)]
struct Chunk {
    first_plane: usize,
    in_block: usize,
}

struct Convolution<'a> {
    architecture: &'a Architecture,
    widths: &'a [usize],
    chunks_per_block: usize,
    blocks: usize,
    planes: usize,
    /// Cycles of each of a block's chunks' accesses.
    fills: Vec<usize>,
    /// Plane with which a chunk gives its table bank back.
    releasing: usize,
    /// For each plane of a chunk (the all-ones plane first): does it end a filter?
    ends: Vec<bool>,
    chunks: Vec<Chunk>,
    fill_end: usize,
    block_drained: Vec<usize>,
    last_slot: Option<usize>,
    counts: Cycles,
}

impl<'a> Convolution<'a> {
    fn new(d: &Descriptor, widths: &'a [usize], architecture: &'a Architecture) -> Self {
        let mut ends = vec![true];
        for &width in widths.iter().filter(|&&width| width > 0) {
            ends.extend((1..=width).map(|plane| plane == width));
        }
        let chunks_per_block = count(d.chunk_count);
        let planes = count(d.planes_per_chunk);
        let fill = |chunk| fill_cycles(architecture, d, chunk);
        Self {
            architecture,
            widths,
            chunks_per_block,
            blocks: count(d.block_count),
            planes,
            fills: (0..chunks_per_block).map(fill).collect(),
            releasing: planes.saturating_sub(release_lead(architecture)),
            ends,
            chunks: Vec::new(),
            fill_end: 0,
            block_drained: Vec::new(),
            last_slot: None,
            counts: Cycles::default(),
        }
    }

    /// Block b's chunks need `block_drained` of b - 2 at most; block b's drain runs beside the chunks of b + 1 at most.
    fn run(mut self) -> Cycles {
        for block in 0..=self.blocks {
            if block < self.blocks {
                self.issue(block);
            }
            if block > 0 {
                self.drain(block - 1);
            }
        }
        self.counts.cycles = (self.last_slot.unwrap_or(0) + slot_to_done(self.architecture)) as u64;
        self.counts
    }

    /// Rules 1 to 4 of `isa::timing`.
    fn issue(&mut self, block: usize) {
        for in_block in 0..self.chunks_per_block {
            let n = self.chunks.len();
            let mut fill_start = if n == 0 {
                FETCH_START
            } else {
                self.fill_end + 1
            };
            if n >= 2 {
                let released = self.chunks[n - 2].first_plane + self.releasing;
                fill_start = fill_start.max(released + PLANE_TO_FILL);
            }
            self.fill_end = fill_start + self.fills[in_block] - 1;
            let free = match self.chunks.last() {
                None => ISSUE_START,
                Some(chunk) => chunk.first_plane + chunk_cycles(self.planes),
            };
            let filled = free.max(self.fill_end + fill_to_plane(self.architecture));
            let mut first_plane = filled;
            if in_block == 0 && block >= 2 {
                first_plane = filled.max(self.block_drained[block - 2] + DRAINED_TO_PLANE);
            }
            self.counts.fill_stall += (filled - free) as u64;
            self.counts.drain_stall += (first_plane - filled) as u64;
            self.counts.busy += (1 + self.planes) as u64;
            self.chunks.push(Chunk {
                first_plane,
                in_block,
            });
        }
    }

    /// Rules 5 and 6, and those of `isa::timing::drain`.
    fn drain(&mut self, block: usize) {
        let last_chunk = self.chunks[(block + 1) * self.chunks_per_block - 1];
        let final_from = |plane: usize| {
            last_chunk.first_plane + plane + plane_to_drain(self.architecture) + FINALIZED_TO_SLOT
        };
        let spacing = slot_cycles(self.architecture);
        let mut search = block * self.chunks_per_block;
        let mut plane = 0;
        let mut slot = self.last_slot.map_or(DRAIN_START, |slot| slot + spacing);
        slot = self.granted(slot.max(final_from(0)), &mut search);
        for &width in self.widths {
            slot += spacing;
            if width > 0 {
                plane += width;
                slot = self.granted(slot.max(final_from(plane)), &mut search);
            }
        }
        self.last_slot = Some(slot);
        self.block_drained.push(slot + SLOT_TO_BLOCK_DRAINED);
    }

    /// The first cycle from `cycle` on in which the array does not read an accumulator itself. `search` is a chunk
    /// that starts no later than the plane in question, and moves along.
    fn granted(&self, mut cycle: usize, search: &mut usize) -> usize {
        let lag = plane_to_grant(self.architecture);
        loop {
            let Some(issued) = cycle.checked_sub(lag) else {
                return cycle;
            };
            while self
                .chunks
                .get(*search + 1)
                .is_some_and(|next| next.first_plane <= issued)
            {
                *search += 1;
            }
            let chunk = self.chunks[*search];
            let reads = issued
                .checked_sub(chunk.first_plane)
                .and_then(|plane| self.ends.get(plane))
                .is_some_and(|&ends| ends && chunk.in_block > 0);
            if !reads {
                return cycle;
            }
            cycle += 1;
        }
    }
}

/// Cycles that no schedule can beat on the array: MAC-bits over the array's MAC-bits a cycle.
#[must_use]
pub fn bound(info: &DescriptorInfo, architecture: &Architecture) -> f64 {
    // Counts far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let (work, rate) = (info.mac_bits as f64, architecture.mac_bits() as f64);
    work / rate
}
