//! The first stage: which plane is issued.

use super::plane_address_bits;
use crate::{
    builder::{Module, Net},
    count::{at_last, low_bits},
};
use bitweft_isa::{
    FILTER_BITS_MAX,
    architecture::Architecture,
    descriptor::Opcode,
    timing::{CHUNK_CYCLES_MIN, release_lead},
};

/// What the first stage holds.
pub(super) struct Plane {
    /// A plane is issued.
    pub(super) active: Net,
    /// It is the all-ones plane.
    pub(super) all_ones: Net,
    /// Its word, if it is not.
    pub(super) address: Net,
    /// Table bank of the chunk.
    pub(super) bank: Net,
    /// Half of the accumulators.
    pub(super) half: Net,
    /// The chunk is its block's first.
    pub(super) first_chunk: Net,
    /// The chunk is its block's last.
    pub(super) last_chunk: Net,
}

/// Registers of the chunk in progress.
struct Slots {
    in_chunk: Net,
    /// The chunk's last cycle.
    last: Net,
    active: Net,
    all_ones: Net,
}

/// The chunk to be started next.
struct Next {
    first: Net,
    last: Net,
}

/// The first stage; drives the counters' enables and `chunk_released` too.
pub(super) fn planes(m: &Module, architecture: &Architecture) -> Plane {
    let start = m.input("start", 1);
    let is_ours = m.equals(&m.field("opcode"), Opcode::Convolution as u64);
    let begins = m.registered_reset("begins", &m.and(&start, &is_ours));
    let starts = m.wire("chunk_starts", 1);
    let (pending, next) = next_chunk(m, architecture, &begins, &starts);
    let slots = slots(m, architecture, &starts);
    decide(m, &begins, &starts, &pending, &slots, &next);

    let base = low_bits(m, &m.field("plane_base"), plane_address_bits(architecture));
    let address = m.register("plane_address", base.width());
    let rewinds = m.and(&starts, &next.first);
    let reads = m.and(&slots.active, &m.not(&slots.all_ones));
    let advanced = m.mux(&rewinds, &base, &m.increment(&address));
    m.clocked_enable(&address, &advanced, &m.or(&rewinds, &reads));

    let held = |name: &str, d: &Net, enable: &Net| {
        let q = m.register(name, 1);
        m.clocked_enable(&q, d, enable);
        q
    };
    let alternating = |name: &str, enable: &Net| {
        let q = m.register(name, 1);
        let value = m.or(&begins, &m.not(&q));
        m.clocked_enable(&q, &value, &m.or(&begins, enable));
        q
    };
    Plane {
        bank: alternating("bank", &starts),
        half: alternating("half", &rewinds),
        first_chunk: held("first_chunk", &next.first, &starts),
        last_chunk: held("last_chunk", &next.last, &starts),
        active: slots.active,
        all_ones: slots.all_ones,
        address,
    }
}

/// Whether a chunk is still to be started, and its place in its block.
fn next_chunk(m: &Module, architecture: &Architecture, begins: &Net, starts: &Net) -> (Net, Next) {
    let last = |name: &str, step: &Net| {
        let limit = m.field(&format!("{name}_count"));
        at_last(m, architecture.compact, name, &limit, [begins, step])
    };
    let chunk_last = last("chunk", starts);
    let block_done = m.and(starts, &chunk_last);
    let block_last = last("block", &block_done);
    let first = m.register("next_first", 1);
    m.clocked_enable(&first, &m.or(begins, &chunk_last), &m.or(begins, starts));
    let pending = m.register("pending", 1);
    let done = m.and(&block_done, &block_last);
    m.clocked_enable_reset(&pending, begins, &m.or(begins, &done), 0);
    let next = Next {
        first,
        last: chunk_last,
    };
    (pending, next)
}

/// The cycles of a chunk: its planes, then idle ones up to `CHUNK_CYCLES_MIN`.
fn slots(m: &Module, architecture: &Architecture, starts: &Net) -> Slots {
    let most = (architecture.positions_max() - 1) * usize::from(FILTER_BITS_MAX);
    let bits = most.ilog2() as usize + 1;
    let planes = m.field("planes_per_chunk");
    let width = bits.min(planes.width());
    let planes = low_bits(m, &planes, width);
    let one_less = m.subtract(&planes, &m.literal(1, width));
    let shortest = m.literal(CHUNK_CYCLES_MIN as u64 - 2, width);
    let short = m.less(&planes, &m.literal(CHUNK_CYCLES_MIN as u64 - 1, width));
    let before_last = m.mux(&short, &shortest, &one_less);
    let before_last = m.registered("slot_before_last", &before_last);
    let before_last_plane = m.registered("plane_before_last", &one_less);
    let no_planes = m.registered("no_planes", &m.equals(&planes, 0));

    let slot = m.register("slot", width);
    let next = m.gate(&m.increment(&slot), &m.not(starts));
    m.clocked(&slot, &next);
    let last = m.register("slot_last", 1);
    let next_last = m.equal(&slot, &before_last);
    m.clocked(&last, &m.and(&next_last, &m.not(starts)));
    let in_chunk = m.register("in_chunk", 1);
    let stays = m.and(&in_chunk, &m.not(&last));
    m.clocked_reset(&in_chunk, &m.or(starts, &stays), 0);

    let last_plane = m.register("last_plane", 1);
    let next_last = m.equal(&slot, &before_last_plane);
    m.clocked(&last_plane, &m.mux(starts, &no_planes, &next_last));
    let active = m.register("active", 1);
    let stays = m.and(&active, &m.not(&last_plane));
    m.clocked_reset(&active, &m.or(starts, &stays), 0);
    let all_ones = m.registered("all_ones", starts);
    let lead = release_lead(architecture);
    let releases = if lead == 0 {
        last_plane
    } else {
        let lead = m.literal(lead as u64, width);
        let before = m.registered("release_before", &m.subtract(&one_less, &lead));
        let at_once = m.registered("release_at_once", &m.not(&m.less(&lead, &planes)));
        let next = m.mux(starts, &at_once, &m.equal(&slot, &before));
        m.registered("releases", &next)
    };
    let released = m.registered_reset("released", &m.and(&active, &releases));
    m.output("chunk_released", &released);
    m.output("busy", &active);
    Slots {
        in_chunk,
        last,
        active,
        all_ones,
    }
}

/// Drives `starts`: a chunk is pending, the one before ends, its tables are filled, and its half is free.
fn decide(m: &Module, begins: &Net, starts: &Net, pending: &Net, slots: &Slots, next: &Next) {
    let filled = m.input("chunk_filled", 1);
    // Held: the drain decides on it late in the cycle.
    let drained = m.registered_reset("half_drained", &m.input("block_drained", 1));
    let takes_half = m.and(starts, &next.first);
    let tables = tokens(m, "filled_chunks", begins, 0, &filled, starts);
    let halves = tokens(m, "free_halves", begins, 2, &drained, &takes_half);
    let half_ready = m.or(&halves, &m.not(&next.first));
    let over = m.or(&slots.last, &m.not(&slots.in_chunk));
    let wants = m.and(pending, &over);
    m.drive(starts, &m.all(&[&wants, &tables, &half_ready]));
    let fill_stall = m.and(&wants, &m.not(&tables));
    let drain_stall = m.all(&[&wants, &tables, &m.not(&half_ready)]);
    m.output(
        "fill_stall",
        &m.registered_reset("fill_stalls", &fill_stall),
    );
    m.output(
        "drain_stall",
        &m.registered_reset("drain_stalls", &drain_stall),
    );
}

/// A count of 0 to 2 things: `initial` after `begins`, one more after `given`, one less after `taken`. True: there is one,
/// or one is being given.
fn tokens(m: &Module, name: &str, begins: &Net, initial: u64, given: &Net, taken: &Net) -> Net {
    let held = m.register(name, 2);
    let more = m.increment(&held);
    let fewer = m.subtract(&held, &m.literal(1, 2));
    let next = m.mux(given, &more, &fewer);
    let next = m.mux(begins, &m.literal(initial, 2), &next);
    let changes = m.or(begins, &m.xor(given, taken));
    m.clocked_enable_reset(&held, &next, &changes, 0);
    m.or(&m.reduce_or(&held), given)
}
