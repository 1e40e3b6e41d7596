//! Write-back: where the posts' bytes go in the activation memory. Addresses by adders alone.
//!
//! After `start` (descriptor fields as named) slots come from the drain unit. Convolution: the slot of X (`write_skip`)
//! opens a block; filter f's byte of strip s goes to byte f mod 4 of word `out_base + s * out_stride + f / 4` of bank = column,
//! unless s is `strip_count` or more. Pooling and Add: each slot is a word, bytes 0 to 3 one after another, at `out_base`,
//! `out_base + 1`, ...; a slot with `write_skip` is none.
//!
//! | port | bits | |
//! |---|--:|---|
//! | `start` | 1 | |
//! | `write_slot`, `write_skip`, `write_last` | 1 | of `drain.rs`: row 0 of way 0 is in `output_bytes` in the next cycle, row i of way w `w * rows_per_way + i` cycles later |
//! | `output_bytes` | 8 x columns x ways | of the posts, way 0 lowest, column 0 lowest in it |
//! | `write_enable` | 4, out | byte lanes written; to all banks, one cycle after the byte was in `output_bytes` |
//! | `write_address` | 4 x [`address_bits`], out | a word address each byte lane |
//! | `write_data` | 32 x columns, out | |
//! | `done` | 1, out | the descriptor is over: `timing::slot_to_done` after the start of its last slot |
//!
//! Two ways work on consecutive filters, hence on different byte lanes. One byte a way, column and cycle; nothing waits. Reset ends everything.
//!
//! ```text
//! clock          _/~\_/~\_/~\_/~\_/~\_/~\_    filter 5, out_stride 3
//! write_slot     /~~~\___________________
//! output_bytes       X s0X s1X s2X ..
//! write_enable           X 2 X 2 X 2 X ..     (strips from strip_count on: 0)
//! write_address          X n Xn+3Xn+6X ..     (byte lane 1)
//! ```

use crate::{
    activation_memory::address_bits,
    builder::{Module, Net},
    count::low_bits,
};
use bitweft_isa::{
    QUAD, ROWS_MAX,
    architecture::Architecture,
    descriptor::Opcode,
    timing::{slot_to_done, slot_to_write},
};

/// Bits of a count of rows.
const ROW_COUNT_BITS: usize = ROWS_MAX.trailing_zeros() as usize + 1;

/// One way's writes, aligned with its bytes.
struct Way {
    /// A byte is to be written.
    valid: Net,
    lane: Net,
    address: Net,
}

/// What the descriptor is, and where its next slot goes.
struct Place {
    convolution: Net,
    slot: Net,
    /// Words between strips.
    stride: Net,
    /// Word of the slot's first byte.
    address: Net,
    /// Byte lane of the slot's first byte.
    lane: Net,
    /// Rows that the slot writes, over all ways.
    rows: Net,
}

/// The unit as a module.
#[must_use]
pub fn write_back(architecture: &Architecture) -> Module {
    let module = Module::of(architecture, "write_back");
    let m = &module;
    let place = place(m, architecture);
    let ways = ways(m, architecture, &place);
    write(m, architecture, &ways);
    let last = m.and(&place.slot, &m.input("write_last", 1));
    // From `write_slot`.
    let cycles = slot_to_done(architecture) - (slot_to_write(architecture) - 2);
    let done = m.delayed_reset("done_in", &last, cycles);
    m.output("done", &done);
    module
}

/// Follows the slots of a descriptor.
fn place(m: &Module, architecture: &Architecture) -> Place {
    let bits = address_bits(architecture);
    let start = m.input("start", 1);
    let slot = m.input("write_slot", 1);
    let skip = m.input("write_skip", 1);
    let convolution = m.equals(&m.field("opcode"), Opcode::Convolution as u64);
    let convolution = m.registered("convolution", &convolution);
    let writes = m.named("writes", &m.and(&slot, &m.not(&skip)));
    let opens = m.named("opens", &m.all(&[&slot, &skip, &convolution]));

    // Words follow each other from `next_base` on: a convolution's block, all of any other descriptor.
    let stride = low_bits(m, &m.field("out_stride"), bits);
    let block = m.shift_left(&stride, architecture.lane_rows.trailing_zeros() as usize);
    let next_base = next_base(m, &start, &block, &opens);
    let begins = m.or(&m.registered("started", &start), &opens);
    let lane = m.register("slot_lane", 2);
    let lane_next = m.mux(&begins, &m.literal(0, 2), &m.increment(&lane));
    let counts = m.and(&convolution, &writes);
    m.clocked_enable(&lane, &lane_next, &m.or(&begins, &counts));
    let word_end = m.or(&m.not(&convolution), &m.reduce_and(&lane));
    let address = m.register("word", bits);
    let following = m.mux(&begins, &next_base, &m.increment(&address));
    let word_end = m.and(&writes, &word_end);
    m.clocked_enable(&address, &following, &m.or(&begins, &word_end));

    let rows = rows(m, architecture.lane_rows, &start, &opens);
    let four = m.literal(QUAD as u64, ROW_COUNT_BITS);
    Place {
        rows: m.gate(&m.mux(&convolution, &rows, &four), &m.not(&skip)),
        convolution,
        slot,
        stride,
        address,
        lane,
    }
}

/// First word of the next block.
fn next_base(m: &Module, start: &Net, step: &Net, opens: &Net) -> Net {
    let base = m.register("next_base", step.width());
    let out_base = low_bits(m, &m.field("out_base"), step.width());
    let next = m.mux(start, &out_base, &m.add(&base, step));
    m.clocked_enable(&base, &next, &m.or(start, opens));
    base
}

/// Strips of the block, at most `lane_rows`.
fn rows(m: &Module, lane_rows: usize, start: &Net, opens: &Net) -> Net {
    let count = m.field("strip_count");
    let bits = count.width();
    let left = m.register("strips_left", bits);
    let all = m.literal(lane_rows as u64, bits);
    let next = m.mux(start, &count, &m.subtract(&left, &all));
    m.clocked_enable(&left, &next, &m.or(start, opens));
    let part = m.truncate(&left, ROW_COUNT_BITS);
    let here = m.mux(
        &m.less(&left, &all),
        &part,
        &m.truncate(&all, ROW_COUNT_BITS),
    );
    let rows = m.register("rows", ROW_COUNT_BITS);
    m.clocked_enable(&rows, &here, opens);
    rows
}

/// The ways' bytes: way 0 begins with the slot, each other one where and when the one before ends.
fn ways(m: &Module, architecture: &Architecture, place: &Place) -> Vec<Way> {
    let step = m.gate(&place.stride, &place.convolution);
    // A way writes all its rows, or the four bytes of a word.
    let per_way = m.literal(architecture.rows_per_way().max(QUAD) as u64, ROW_COUNT_BITS);
    let mut begin = place.slot.clone();
    let (mut address, mut lane) = (place.address.clone(), place.lane.clone());
    let mut rows = place.rows.clone();
    let mut ways = Vec::new();
    for way in 0..architecture.drain_ways {
        let at = m.register(&format!("address_{way}"), place.address.width());
        let following = m.add(&at, &step);
        m.clocked(&at, &m.mux(&begin, &address, &following));

        // In a slot of four bytes the lane follows the byte.
        let at_lane = m.register(&format!("lane_{way}"), 2);
        let next_lane = m.mux(&place.convolution, &at_lane, &m.increment(&at_lane));
        m.clocked(&at_lane, &m.mux(&begin, &lane, &next_lane));

        let left = m.register(&format!("left_{way}"), ROW_COUNT_BITS);
        let fits = m.less(&rows, &per_way);
        let own = m.mux(&fits, &rows, &per_way);
        let decrement = m.subtract(&left, &m.literal(1, ROW_COUNT_BITS));
        let valid = m.reduce_or(&left);
        let next = m.mux(&begin, &own, &decrement);
        m.clocked_enable_reset(&left, &next, &m.or(&begin, &valid), 0);

        if way + 1 < architecture.drain_ways {
            let rest = m.gate(&m.subtract(&rows, &per_way), &m.not(&fits));
            let held = m.register(&format!("rest_{way}"), ROW_COUNT_BITS);
            m.clocked_enable(&held, &rest, &begin);
            begin = m.delayed_reset(
                &format!("begins_after_{way}"),
                &begin,
                architecture.rows_per_way(),
            );
            (address, lane, rows) = (following, at_lane.clone(), held);
        }
        ways.push(Way {
            valid,
            lane: at_lane,
            address: at,
        });
    }
    ways
}

/// The registered write ports.
fn write(m: &Module, architecture: &Architecture, ways: &[Way]) {
    let bytes = m.input("output_bytes", 8 * architecture.columns * ways.len());
    let (mut enables, mut addresses) = (Vec::new(), Vec::new());
    let mut lanes: Vec<Net> = Vec::new();
    for lane in 0..QUAD {
        let hits: Vec<Net> = ways
            .iter()
            .map(|way| m.and(&way.valid, &m.equals(&way.lane, lane as u64)))
            .collect();
        enables.push(m.any(&hits.iter().collect::<Vec<_>>()));
        let choose = |of_way: &dyn Fn(usize) -> Net| {
            (1..ways.len()).fold(of_way(0), |net, way| m.mux(&hits[way], &of_way(way), &net))
        };
        addresses.push(choose(&|way| ways[way].address.clone()));
        let data = 8 * architecture.columns;
        let data = choose(&|way| m.slice(&bytes, way * data, data));
        lanes.push(if ways.len() == 1 && lane > 0 {
            lanes[0].clone()
        } else {
            m.registered(&format!("data_{lane}"), &data)
        });
    }
    let side_by_side = |nets: &[Net]| m.concat(&nets.iter().collect::<Vec<_>>());
    let enable = m.registered_reset("enable", &side_by_side(&enables));
    m.output("write_enable", &enable);
    let address = m.registered("address", &side_by_side(&addresses));
    m.output("write_address", &address);
    let words: Vec<Net> = (0..architecture.columns)
        .flat_map(|column| lanes.iter().map(move |lane| (lane, column)))
        .map(|(lane, column)| m.slice(lane, 8 * column, 8))
        .collect();
    m.output("write_data", &side_by_side(&words));
}
