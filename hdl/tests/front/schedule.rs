//! The rules of `timing`, cycle by cycle, written down naively.

use bitweft_isa::{
    architecture::Architecture,
    timing::{
        DRAINED_TO_PLANE, FETCH_START, ISSUE_START, PLANE_TO_FILL, chunk_cycles, fill_to_plane,
        plane_to_drain, release_lead,
    },
};

/// What is to be scheduled; cycle 0 is that of `start`.
pub(crate) struct Work<'a> {
    pub(crate) chunks_per_block: usize,
    pub(crate) planes_per_chunk: usize,
    /// Cycles of every chunk's accesses.
    pub(crate) fill_cycles: &'a [usize],
    /// From a block's last position finalized, or the `block_drained` before, to its `block_drained`, a block.
    pub(crate) drain_cycles: &'a [usize],
}

/// When everything happens.
#[derive(Default)]
pub(crate) struct Schedule {
    /// First access of every chunk.
    pub(crate) fill_start: Vec<usize>,
    /// First plane of every chunk.
    pub(crate) start: Vec<usize>,
    /// `block_drained` of every block.
    pub(crate) drained: Vec<usize>,
    pub(crate) fill_stalls: Vec<usize>,
    pub(crate) drain_stalls: Vec<usize>,
}

impl Schedule {
    pub(crate) fn new(architecture: &Architecture, work: &Work<'_>) -> Self {
        let mut s = Self::default();
        let mut fill_free = FETCH_START;
        let mut issue_free = ISSUE_START;
        for (chunk, fill_cycles) in work.fill_cycles.iter().enumerate() {
            let mut fill = fill_free;
            if chunk >= 2 {
                let followers = release_lead(architecture).min(work.planes_per_chunk);
                let release = s.start[chunk - 2] + work.planes_per_chunk - followers;
                fill = fill.max(release + PLANE_TO_FILL);
            }
            let last_access = fill + fill_cycles - 1;
            let filled = issue_free.max(last_access + fill_to_plane(architecture));
            let (block, in_block) = (chunk / work.chunks_per_block, chunk % work.chunks_per_block);
            let mut start = filled;
            if in_block == 0 && block >= 2 {
                start = start.max(s.drained[block - 2] + DRAINED_TO_PLANE);
            }
            s.fill_stalls.extend(issue_free..filled);
            s.drain_stalls.extend(filled..start);
            s.fill_start.push(fill);
            s.start.push(start);
            fill_free = last_access + 1;
            issue_free = start + chunk_cycles(work.planes_per_chunk);
            if in_block + 1 == work.chunks_per_block {
                let last = start + work.planes_per_chunk + plane_to_drain(architecture);
                let before = s.drained.last().copied().unwrap_or(0);
                s.drained.push(last.max(before) + work.drain_cycles[block]);
            }
        }
        s
    }

    pub(crate) fn end(&self) -> usize {
        self.drained.last().copied().unwrap_or(0) + 20
    }
}
