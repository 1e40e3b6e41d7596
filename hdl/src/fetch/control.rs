//! Which access is issued: loops, strips and taps (the first stage), and the flags that travel with an access.

use crate::{
    activation_memory::address_bits,
    builder::{Module, Net},
    count::{at_last, count, low_bits},
    dot::{ENTRY_BITS, quad_bits},
};
use bitweft_isa::{
    architecture::Architecture,
    descriptor::Opcode,
    timing::{
        TABLE_ENTRIES, fetch_latency, fill_to_plane, fill_turns, pool_slot_lead, word_cycles,
    },
};

use super::{Pairing, Stride};

/// What the first stage holds.
pub(super) struct Access {
    /// An access is issued.
    pub(super) active: Net,
    /// The descriptor is a pooling.
    pub(super) pooling: Net,
    /// The strip is the generator's, not that of the row's last access.
    pub(super) fresh: Net,
    /// Row of the array that the access is for (0 for pooling).
    pub(super) row: Net,
    /// Row 0 of the array.
    pub(super) first_row: Net,
    pub(super) pass: Net,
    pub(super) quad: Net,
    pub(super) bank: Net,
    /// The last access of a chunk.
    pub(super) chunk_end: Net,
    /// In a window's first tap, its last tap (its very last access where the slot leads), the descriptor's last access.
    pub(super) pool_flags: [Net; 3],
    /// The strip generator's strip: word, x and y of its first input pixel.
    pub(super) strip: [Net; 3],
    pub(super) tap: Tap,
}

/// The tap in the first stage.
pub(super) struct Tap {
    /// Word of the tap's first quad, from the strip's word.
    pub(super) address: Net,
    pub(super) quad: Net,
    pub(super) kernel_x: Net,
    pub(super) kernel_y: Net,
    pub(super) rotation: Net,
    /// Words from a pixel to the next of its bank.
    pub(super) pixel_words: Net,
    /// A quad beyond the last tap.
    pub(super) beyond: Net,
}

/// Signals that the loops share.
struct Loops {
    begin: Net,
    pooling: Net,
    active: Net,
    pass: Net,
    pass_last: Net,
    row_last: Net,
}

/// The first stage.
pub(super) fn accesses(
    m: &Module,
    architecture: &Architecture,
    stride: &Stride,
    pairing: &Pairing<'_>,
) -> Access {
    let start = m.input("start", 1);
    let opcode = m.field("opcode");
    let is = |code: Opcode| m.equals(&opcode, code as u64);
    let (max, average) = (is(Opcode::MaxPool), is(Opcode::AveragePool));
    let pools = m.or(&max, &average);
    let ours = m.or(&pools, &is(Opcode::Convolution));
    let begin = m.registered_reset("begins", &m.and(&start, &ours));
    let pooling = m.registered("pooling", &pools);
    let convolving = m.not(&pooling);
    let active = m.register("active", 1);
    let pass = m.register("pass", 1);
    let pass_last = m.named("pass_last", &m.equal(&pass, &stride.two_passes));

    let block_row = m.all(&[&active, &convolving]);
    let turns = word_cycles(architecture);
    let rows = m.literal(turns as u64, turns.trailing_zeros() as usize + 1);
    let row = count(m, "row", &rows, &begin, &block_row);
    let next_pass = m.any(&[&pooling, &row.last]);
    let toggled = m.and(&stride.two_passes, &m.not(&pass));
    let pass_value = m.gate(&toggled, &m.not(&begin));
    let pass_changes = m.or(&begin, &m.and(&active, &next_pass));
    m.clocked_enable(&pass, &pass_value, &pass_changes);

    let loops = Loops {
        begin,
        pooling,
        active,
        pass,
        pass_last,
        row_last: row.last.clone(),
    };
    let group_end = m.named(
        "group_end",
        &m.all(&[&block_row, &row.last, &loops.pass_last]),
    );
    let quads = m.literal(architecture.quads as u64, quad_bits(architecture) + 1);
    // What is beyond the last tap has no effect (rule 2 of `timing`).
    let cut = (fill_turns(architecture) > 1).then(|| m.wire("cut", 1));
    let restart = match &cut {
        Some(cut) => m.or(&loops.begin, &m.and(&group_end, cut)),
        None => loops.begin.clone(),
    };
    let quad = count(m, "quad", &pairing.steps(&quads), &restart, &group_end);
    let quad_last = match &cut {
        Some(cut) => m.or(cut, &quad.last),
        None => quad.last.clone(),
    };
    let chunk_end = m.named("chunk_end", &m.and(&group_end, &quad_last));
    let chunk_count = m.field("chunk_count");
    let small = architecture.compact;
    let chunk_last = at_last(m, small, "chunk", &chunk_count, [&loops.begin, &chunk_end]);
    let block_end = m.named("block_end", &m.and(&chunk_end, &chunk_last));

    let (tap, tap_flags, window_end) =
        taps(m, architecture, &loops, [&group_end, &block_end], pairing);
    if let Some(cut) = &cut {
        let ended = m.or(&tap.beyond, &m.and(&tap_flags.last, &tap_flags.quad_last));
        m.drive(cut, &m.and(&m.bit(&quad.value, 0), &ended));
    }
    let strip_end = m.and(&window_end, &tap_flags.quad_last);
    let strip_count = m.field("strip_count");
    let block_count = m.zero_extend(&m.field("block_count"), strip_count.width());
    let outer_count = m.mux(&pools, &strip_count, &block_count);
    let outer_step = m.mux(&loops.pooling, &strip_end, &block_end);
    let outer_count = m.registered("outer_count", &outer_count);
    let begin_outer = m.registered_reset("begins_outer", &loops.begin);
    let outer_last = at_last(m, small, "outer", &outer_count, [&begin_outer, &outer_step]);
    let finish = m.named("finish", &m.and(&outer_step, &outer_last));
    run(m, &loops, &chunk_end, &window_end, &finish);

    let bank = m.register("bank", 1);
    let bank_value = m.gate(&m.not(&bank), &m.not(&loops.begin));
    m.clocked_enable(&bank, &bank_value, &m.or(&loops.begin, &chunk_end));

    // Turns beyond the array's rows are nobody's.
    let row_bits = architecture.lane_rows.trailing_zeros() as usize;
    let upper = m.slice(&row.value, row_bits, row.value.width() - row_bits);
    let is_row = m.equals(&upper, 0);
    let (fresh, strip) = strips(
        m,
        architecture,
        &loops,
        [&block_end, &strip_end],
        &is_row,
        &stride.x_step,
    );
    let first_row = m.equals(&row.value, 0);
    let pool_last = if pool_slot_lead(architecture) > 0 {
        m.unused(&tap_flags.last);
        window_end
    } else {
        tap_flags.last
    };
    Access {
        row: m.truncate(&row.value, row_bits),
        first_row: m.and(&block_row, &first_row),
        active: loops.active,
        pooling: loops.pooling,
        fresh,
        pass: loops.pass,
        quad: pairing.quad(&low_bits(m, &quad.value, quad_bits(architecture))),
        bank,
        chunk_end,
        pool_flags: [tap_flags.first, pool_last, finish],
        strip,
        tap,
    }
}

/// Drives `active`: an access a cycle, but for waits at chunk (a free bank) and window boundaries (4 cycles).
fn run(m: &Module, loops: &Loops, chunk_end: &Net, window_end: &Net, finish: &Net) {
    let released = m.input("chunk_released", 1);
    let waiting = m.register("waiting", 1);
    let boundary = m.mux(&loops.pooling, window_end, chunk_end);
    let goes_on = m.and(&boundary, &m.not(finish));
    let wants = m.or(&goes_on, &waiting);

    // Bit 0: a bank is free; bit 1: both are.
    let free = m.register("free_banks", 2);
    let bank_ready = m.or(&m.bit(&free, 0), &released);
    let window_cycle = m.register("window_cycle", 2);
    let window_ready = m.reduce_and(&window_cycle);
    let ready = m.mux(&loops.pooling, &window_ready, &bank_ready);
    let proceed = m.named("proceed", &m.and(&wants, &ready));

    let more = m.and(&loops.active, &m.not(&boundary));
    m.clocked_reset(&loops.active, &m.or(&proceed, &more), 0);
    let waits = m.and(&wants, &m.not(&ready));
    m.clocked_reset(&waiting, &m.or(&loops.begin, &waits), 0);

    let one_more = m.concat(&[&m.literal(1, 1), &m.bit(&free, 0)]);
    let one_less = m.concat(&[&m.bit(&free, 1), &m.literal(0, 1)]);
    let changed = m.mux(&released, &one_more, &one_less);
    let next = m.or(&changed, &m.repeat(&loops.begin, 2));
    let changes = m.or(&loops.begin, &m.xor(&proceed, &released));
    m.clocked_enable(&free, &next, &changes);

    let saturated = m.mux(&window_ready, &window_cycle, &m.increment(&window_cycle));
    let next = m.gate(&saturated, &m.not(&proceed));
    let next = m.or(&next, &m.repeat(&loops.begin, 2));
    m.clocked(&window_cycle, &next);
}

/// Strip generator: the current strip's word, x and y; it steps once a block's strip (convolution) or when a
/// strip's last window ends (pooling).
fn strips(
    m: &Module,
    architecture: &Architecture,
    loops: &Loops,
    [block_end, strip_end]: [&Net; 2],
    is_row: &Net,
    x_step: &Net,
) -> (Net, [Net; 3]) {
    let bits = address_bits(architecture);
    let first_group = m.register("first_group", 1);
    let restart = m.or(&loops.begin, block_end);
    let group_done = m.and(&loops.active, &loops.row_last);
    m.clocked_enable(&first_group, &restart, &m.or(&restart, &group_done));
    let first_access = m.and(&first_group, is_row);
    let fresh = m.or(&loops.pooling, &first_access);
    let block_strip = m.and(&loops.active, &first_access);
    let step = m.mux(&loops.pooling, strip_end, &block_strip);
    let step = m.named("strip_step_now", &step);

    let row_last = at_last(
        m,
        architecture.compact,
        "strip_in_row",
        &m.field("strips_per_row"),
        [&loops.begin, &step],
    );
    let changes = m.or(&loops.begin, &step);
    let narrow = |name: &str| low_bits(m, &m.field(name), bits);
    let coordinate_bits = architecture.coordinate_bits();
    let coordinate = |name: &str| m.sign_extend(&m.field(name), coordinate_bits);
    let unsigned = |name: &str| m.zero_extend(&m.field(name), coordinate_bits);

    let word = m.register("strip_word", bits);
    let by = m.mux(&row_last, &narrow("strip_row_step"), &narrow("strip_step"));
    let next = m.mux(&loops.begin, &narrow("in_base"), &m.add(&word, &by));
    m.clocked_enable(&word, &next, &changes);

    let x = m.register("strip_x", coordinate_bits);
    let to_start = m.or(&loops.begin, &row_last);
    let next_x = m.add(&x, &m.zero_extend(x_step, coordinate_bits));
    let next_x = m.mux(&to_start, &coordinate("origin_x"), &next_x);
    m.clocked_enable(&x, &next_x, &changes);

    let y = m.register("strip_y", coordinate_bits);
    let next_y = m.add(&y, &unsigned("stride_height"));
    let next_y = m.mux(&loops.begin, &coordinate("origin_y"), &next_y);
    let row_changes = m.or(&loops.begin, &m.and(&step, &row_last));
    m.clocked_enable(&y, &next_y, &row_changes);
    (fresh, [word, x, y])
}

/// What the tap loops tell the others.
struct TapFlags {
    first: Net,
    last: Net,
    quad_last: Net,
}

/// The tap loops: quad, kernel column, kernel row (convolution), or kernel column, kernel row, quad (pooling).
/// The last net is the end of a pooling window.
fn taps(
    m: &Module,
    architecture: &Architecture,
    loops: &Loops,
    [group_end, block_end]: [&Net; 2],
    pairing: &Pairing<'_>,
) -> (Tap, TapFlags, Net) {
    let bits = address_bits(architecture);
    let pixel_words = low_bits(m, &m.field("pixel_stride"), bits);
    let beyond = m.register("beyond", 1);
    let pool_step = m.and(&loops.active, &loops.pass_last);
    let step = m.mux(&loops.pooling, &pool_step, group_end);
    let step = m.named("tap_step", &m.and(&step, &m.not(&beyond)));

    let quad_step = m.wire("tap_quad_step", 1);
    let quad = count(
        m,
        "tap_quad",
        &pairing.steps(&m.field("quads_per_tap")),
        &loops.begin,
        &quad_step,
    );
    let x_ready = m.or(&loops.pooling, &quad.last);
    let x_step = m.and(&step, &x_ready);
    let kernel_x = count(
        m,
        "kernel_x",
        &m.field("kernel_width"),
        &loops.begin,
        &x_step,
    );
    let y_step = m.and(&x_step, &kernel_x.last);
    let kernel_y = count(
        m,
        "kernel_y",
        &m.field("kernel_height"),
        &loops.begin,
        &y_step,
    );
    let wraps = m.named("tap_wraps", &m.and(&y_step, &kernel_y.last));
    m.drive(&quad_step, &m.mux(&loops.pooling, &wraps, &step));

    let clears = m.or(&loops.begin, block_end);
    let ends = m.and(&wraps, &m.not(&loops.pooling));
    let next_beyond = m.and(&ends, &m.not(&clears));
    m.clocked_enable(&beyond, &next_beyond, &m.or(&clears, &ends));

    let (address, rotation) = tap_address(
        m,
        architecture,
        loops,
        [&x_step, &y_step, &wraps],
        &pixel_words,
    );
    let first = m.register("first_tap", 1);
    let restart = m.or(&loops.begin, &wraps);
    m.clocked_enable(&first, &restart, &m.or(&restart, &step));
    let flags = TapFlags {
        first,
        last: m.and(&kernel_x.last, &kernel_y.last),
        quad_last: quad.last.clone(),
    };
    let tap = Tap {
        address,
        quad: pairing.quad(&low_bits(m, &quad.value, bits)),
        kernel_x: kernel_x.value,
        kernel_y: kernel_y.value,
        rotation,
        pixel_words,
        beyond,
    };
    let window_end = m.named("window_end", &m.and(&wraps, &loops.pooling));
    (tap, flags, window_end)
}

/// Word and rotation of the current tap; the start of the next kernel row is kept one row ahead.
fn tap_address(
    m: &Module,
    architecture: &Architecture,
    loops: &Loops,
    [x_step, y_step, wraps]: [&Net; 3],
    pixel_words: &Net,
) -> (Net, Net) {
    let bits = address_bits(architecture);
    let narrow = |name: &str| low_bits(m, &m.field(name), bits);
    let (origin, row_stride) = (narrow("tap_origin"), narrow("row_stride"));
    let second_row = m.registered("second_row", &m.add(&origin, &row_stride));
    let restart = m.or(&loops.begin, wraps);

    let next_row = m.register("next_row", bits);
    let next = m.mux(&restart, &second_row, &m.add(&next_row, &row_stride));
    m.clocked_enable(&next_row, &next, &m.or(&restart, y_step));
    let changes = m.or(&restart, x_step);

    let rotation_field = m.field("tap_rotation");
    if architecture.columns == 1 {
        // A pixel further is a word further in the only bank.
        m.unused(&rotation_field);
        let rotation = m.literal(0, rotation_field.width());
        let address = tap_word(
            m,
            &restart,
            y_step,
            &changes,
            [&origin, &next_row, pixel_words],
        );
        return (address, rotation);
    }
    let rotation = m.register("rotation", rotation_field.width());
    let at_end = m.equals(&rotation, architecture.columns as u64 - 1);
    let turned = m.mux(
        &at_end,
        &m.literal(0, rotation.width()),
        &m.increment(&rotation),
    );
    let row_start = m.or(&restart, y_step);
    let next = m.mux(&row_start, &rotation_field, &turned);
    m.clocked_enable(&rotation, &next, &changes);
    let pixel = m.gate(pixel_words, &at_end);
    let address = tap_word(m, &restart, y_step, &changes, [&origin, &next_row, &pixel]);
    (address, rotation)
}

/// Word of the current tap: at first `origin`, `next_row` in a new kernel row, else `pixel` further.
fn tap_word(
    m: &Module,
    restart: &Net,
    y_step: &Net,
    changes: &Net,
    [origin, next_row, pixel]: [&Net; 3],
) -> Net {
    let address = m.register("tap_address", origin.width());
    let next_tap = m.add(&address, pixel);
    let next = m.mux(y_step, next_row, &next_tap);
    let next = m.mux(restart, origin, &next);
    m.clocked_enable(&address, &next, changes);
    address
}

/// Capture and fill controls of row 0, and the chunk's end.
pub(super) fn array_controls(
    m: &Module,
    architecture: &Architecture,
    access: &Access,
    two_passes: &Net,
) {
    let latency = fetch_latency(architecture);
    let capture = m.delayed_reset("capture_at", &access.first_row, latency);
    let labels = m.concat(&[&access.pass, &access.bank, &access.quad]);
    let labels = if latency <= word_cycles(architecture) {
        // The next word comes no earlier than this one arrives.
        let held = m.register("held_labels", labels.width());
        m.clocked_enable(&held, &labels, &access.first_row);
        held
    } else {
        m.delayed("labels_at", &labels, latency)
    };
    let pass = m.bit(&labels, 0);
    m.output("capture", &capture);
    m.output("capture_pass", &pass);
    let turns = fill_turns(architecture);
    let begins = if turns > 1 {
        m.output("capture_quad", &m.slice(&labels, 2, 2));
        m.and(&capture, &m.equal(&pass, two_passes))
    } else {
        capture
    };

    let entry = m.register("entry", ENTRY_BITS);
    let enable = m.register("filling", 1);
    let entries = TABLE_ENTRIES / turns;
    let last = m.reduce_and(&m.truncate(&entry, entries.ilog2() as usize));
    let more = m.and(&enable, &m.not(&last));
    m.clocked_reset(&enable, &m.or(&begins, &more), 0);
    m.clocked(&entry, &m.gate(&m.increment(&entry), &m.not(&begins)));
    let label = m.register("label", labels.width() - 1);
    m.clocked_enable(&label, &m.slice(&labels, 1, label.width()), &begins);
    m.output("fill_enable", &enable);
    m.output("fill_entry", &entry);
    m.output("fill_bank", &m.bit(&label, 0));
    m.output("fill_quad", &m.slice(&label, 1, quad_bits(architecture)));

    let cycles = fill_to_plane(architecture) - 1;
    let filled = m.delayed_reset("chunk_end_at", &access.chunk_end, cycles);
    m.output("chunk_filled", &filled);
}

/// The flags of pooling, aligned with `x_bus`; those that start the slot before it by `timing::pool_slot_lead`.
pub(super) fn pool_controls(m: &Module, architecture: &Architecture, access: &Access) {
    let latency = fetch_latency(architecture);
    let valid = m.and(&access.active, &access.pooling);
    let valid = m.delayed_reset("pool_valid_at", &valid, latency);
    m.output("pool_valid", &valid);
    let [first, last, end] = &access.pool_flags;
    let lead = pool_slot_lead(architecture);
    if lead > 0 {
        for (name, flag) in [("pool_pass", &access.pass), ("pool_first", first)] {
            m.output(name, &m.delayed(&format!("{name}_at"), flag, latency));
        }
        for (name, flag) in [("pool_last", last), ("pool_end", end)] {
            let flag = m.delayed_reset(&format!("{name}_at"), flag, latency - lead);
            m.output(name, &flag);
        }
        return;
    }
    let flags = m.concat(&[&access.pass, first, last, end]);
    let flags = m.delayed("pool_flags_at", &flags, latency);
    for (at, name) in ["pool_pass", "pool_first", "pool_last", "pool_end"]
        .iter()
        .enumerate()
    {
        m.output(name, &m.bit(&flags, at));
    }
}
