//! From an access to the columns' words: bank addresses, the pixels inside the image, rotation and padding.

use super::{Stride, control::Access};
use crate::{
    activation_memory::address_bits,
    apart,
    builder::{Module, Net},
    memory::{Memory, MemoryPorts},
};
use bitweft_isa::{
    QUAD,
    architecture::Architecture,
    timing::{FETCH_ADDRESS_LATENCY, activation_read_latency, rotation_stages, tree_levels},
};

/// Bits of a window position limit, 0 to the power of two that no position reaches.
fn position_bits(architecture: &Architecture) -> usize {
    let last = last_position(architecture);
    1 + last.max(15).ilog2() as usize + 1
}

/// The window's last position that a column takes: with stride 2 and one pass, column c takes position 2 c.
fn last_position(architecture: &Architecture) -> usize {
    let step = if architecture.two_passes(2) { 1 } else { 2 };
    step * (architecture.columns - 1)
}

/// What the second stage holds: the sums of strip and tap.
struct Sums {
    word: Net,
    x: Net,
    y: Net,
    pass: Net,
    rotation: Net,
    beyond: Net,
}

/// Stage 1: word, x and y of the strip: the generator's, or the one that the row's last access had.
fn strip(m: &Module, architecture: &Architecture, access: &Access) -> Net {
    let [word, x, y] = &access.strip;
    let fresh = m.concat(&[word, x, y]);
    let write = m.and(&access.active, &access.fresh);
    if architecture.compact {
        let held = |row: usize| {
            let strip = m.register(&format!("strip_{row}"), fresh.width());
            let enable = m.and(&write, &m.equals(&access.row, row as u64));
            m.clocked_enable(&strip, &fresh, &enable);
            strip
        };
        let strips: Vec<Net> = (0..architecture.lane_rows).map(held).collect();
        return m.select(&m.registered("row_at_1", &access.row), &strips);
    }
    let strips = Memory {
        storage: architecture.small_storage,
        width: fresh.width(),
        depth: architecture.lane_rows,
        latency: 1,
    };
    let ports = MemoryPorts {
        write_enable: &write,
        write_address: &access.row,
        write_data: &fresh,
        read_address: &access.row,
    };
    let kept = strips.instance(m, "strips", &ports);
    let is_fresh = m.registered("is_fresh", &access.fresh);
    m.mux(&is_fresh, &m.registered("fresh_strip", &fresh), &kept)
}

/// Stages 1 and 2.
fn sums(m: &Module, architecture: &Architecture, access: &Access, bits: usize) -> Sums {
    let strip = strip(m, architecture, access);
    let coordinate_bits = architecture.coordinate_bits();
    let tap = &access.tap;
    let tap_word = m.registered("tap_word", &m.add(&tap.address, &tap.quad));
    let columns = m.literal(architecture.columns as u64, coordinate_bits);
    let passed = m.gate(&columns, &access.pass);
    let tap_x = m.zero_extend(&tap.kernel_x, coordinate_bits);
    let tap_x = m.registered("tap_x", &m.add(&tap_x, &passed));
    let tap_y = m.zero_extend(&tap.kernel_y, coordinate_bits);
    let tap_y = m.registered("tap_y", &tap_y);

    let strip_x = m.slice(&strip, bits, coordinate_bits);
    let strip_y = m.slice(&strip, bits + coordinate_bits, coordinate_bits);
    let strip_word = m.truncate(&strip, bits);
    Sums {
        word: m.registered("sum_word", &m.add(&strip_word, &tap_word)),
        x: m.registered("sum_x", &m.add(&strip_x, &tap_x)),
        y: m.registered("sum_y", &m.add(&strip_y, &tap_y)),
        pass: m.delayed("pass_at", &access.pass, 2),
        rotation: m.delayed("rotation_at", &tap.rotation, 2),
        beyond: m.delayed("beyond_at", &tap.beyond, 2),
    }
}

/// Everything behind the first stage: bank addresses out, `read_data` in, `x_bus` out.
pub(super) fn words(m: &Module, architecture: &Architecture, access: &Access, stride: &Stride) {
    let bits = address_bits(architecture);
    let sums = sums(m, architecture, access, bits);
    addresses(m, architecture, &sums, (&access.tap.pixel_words, stride));
    let valid = inside(m, architecture, &sums, stride);

    let arrival = FETCH_ADDRESS_LATENCY + activation_read_latency(architecture);
    let window = rotated(m, architecture, &sums.rotation, arrival - 2);
    let cycles = arrival - 2 + rotation_stages(architecture);
    let beyond = m.delayed("beyond_after", &sums.beyond, cycles - 1);
    let pad = m.gate(&m.field("pad_value"), &m.not(&beyond));
    let outside = |pad: &Net| m.repeat(pad, QUAD * architecture.access_words());
    // Of each column, where these are far from each other; the stride is steady.
    let choices: Vec<(Net, Net)> = if architecture.is_wide() {
        let near = |column| {
            let name = format!("choices_of_{column}");
            let [doubled, pad] = apart::registered(m, &name, [&stride.doubled, &pad]);
            (doubled, outside(&pad))
        };
        (0..architecture.columns).map(near).collect()
    } else {
        let outside = outside(&m.registered("pad", &pad));
        vec![(stride.doubled.clone(), outside); architecture.columns]
    };
    let columns: Vec<Net> = choices
        .iter()
        .enumerate()
        .map(|(column, (doubled, outside))| {
            let second = &window[2 * column % architecture.columns];
            let word = m.mux(doubled, second, &window[column]);
            let word = m.mux(&valid[column], &word, outside);
            m.registered(&format!("x_of_{column}"), &word)
        })
        .collect();
    for (half, name) in ["x_bus", "x_bus_odd"][..architecture.access_words()]
        .iter()
        .enumerate()
    {
        let words: Vec<Net> = columns.iter().map(|c| m.slice(c, 32 * half, 32)).collect();
        m.output(name, &m.concat(&words.iter().collect::<Vec<_>>()));
    }
}

/// Stages 3 and 4: every bank's address: the window's first row of banks, or one or two pixels further.
fn addresses(
    m: &Module,
    architecture: &Architecture,
    sums: &Sums,
    (pixel_words, stride): (&Net, &Stride),
) {
    let two_pixels = m.shift_left(pixel_words, 1);
    let further = |name: &str, by: &Net| m.registered(name, &m.add(&sums.word, by));
    let bits = position_bits(architecture);
    let rotation = m.zero_extend(&sums.rotation, bits);
    let before = |bank: usize| m.less(&m.literal(bank as u64, bits), &rotation);
    let banks: Vec<Net> = if architecture.two_passes(2) || architecture.columns == 1 {
        let near = further("near_word", &m.gate(pixel_words, &sums.pass));
        let far_by = m.mux(&sums.pass, &two_pixels, pixel_words);
        let far = further("far_word", &far_by);
        let address = |bank: usize| {
            let before = m.registered(&format!("before_{bank}"), &before(bank));
            m.mux(&before, &far, &near)
        };
        (0..architecture.columns).map(address).collect()
    } else {
        m.unused(&sums.pass);
        let near = m.registered("near_word", &sums.word);
        let next = further("next_word", pixel_words);
        let far = further("far_word", &two_pixels);
        let address = |bank: usize| {
            single_pass_address(
                m,
                architecture,
                bank,
                &Distance {
                    before: before(bank),
                    odd_rotation: m.bit(&rotation, 0),
                    doubled: &stride.doubled,
                    words: [&near, &next, &far],
                },
            )
        };
        (0..architecture.columns).map(address).collect()
    };
    let banks = banks
        .iter()
        .enumerate()
        .map(|(bank, address)| m.registered(&format!("address_{bank}"), address));
    let banks: Vec<Net> = banks.collect();
    m.output(
        "fetch_address",
        &m.concat(&banks.iter().collect::<Vec<_>>()),
    );
}

/// What decides on a bank's address where one pass is enough.
struct Distance<'a> {
    /// The bank lies before the rotation.
    before: Net,
    odd_rotation: Net,
    doubled: &'a Net,
    /// The window's word, and those one and two pixels further.
    words: [&'a Net; 3],
}

/// With stride 2 and rotation r, bank b holds window position d = (b - r) mod columns, or d + columns if d is odd: column
/// d / 2 or (d + columns) / 2 takes it. It lies `(b < r) + (d odd)` pixels of the bank further; d is odd if one of b, r and
/// `b < r` is, or all are.
fn single_pass_address(
    m: &Module,
    architecture: &Architecture,
    bank: usize,
    distance: &Distance<'_>,
) -> Net {
    let [near, next, far] = distance.words;
    let differs = match bank % 2 {
        0 => distance.odd_rotation.clone(),
        _ => m.not(&distance.odd_rotation),
    };
    let one = m.mux(distance.doubled, &differs, &distance.before);
    let one = m.registered(&format!("one_further_{bank}"), &one);
    // Two pixels further only for a rotation of the same parity behind the bank.
    let last = if bank + 2 < architecture.columns {
        let two = m.and(distance.doubled, &distance.before);
        let two = m.registered(&format!("two_further_{bank}"), &two);
        m.mux(&two, far, near)
    } else {
        near.clone()
    };
    m.mux(&one, next, &last)
}

/// For every column, aligned with the rotated window: its pixel is inside the image, and the tap is one.
///
/// Stage 3 measures the distances of the window's first pixel from the image's edges, stage 4 makes them limits of the window
/// positions inside, stages 5 and 6 compare the columns' positions with these.
fn inside(m: &Module, architecture: &Architecture, sums: &Sums, stride: &Stride) -> Vec<Net> {
    let bits = position_bits(architecture);
    let coordinate_bits = architecture.coordinate_bits();
    let size = |name: &str| m.zero_extend(&m.field(name), coordinate_bits);
    let cycles = activation_read_latency(architecture)
        + FETCH_ADDRESS_LATENCY
        + rotation_stages(architecture)
        - 6;
    if architecture.columns == 1 {
        let within = |at: &Net, size: &Net| {
            if architecture.compact {
                // What lies before the image reads as a large number.
                return m.less(at, size);
            }
            m.and(&m.not(&m.sign(at)), &m.less_signed(at, size))
        };
        let valid = m.all(&[
            &within(&sums.x, &size("in_width")),
            &within(&sums.y, &size("in_height")),
            &m.not(&sums.beyond),
        ]);
        return vec![m.delayed("inside", &valid, 4 + cycles)];
    }
    let low = m.registered("sum_x_3", &sums.x);
    let high = m.registered("x_left_3", &m.subtract(&size("in_width"), &sums.x));
    let above = m.registered("above_3", &m.sign(&sums.y));
    let not_below = m.registered("not_below_3", &m.less_signed(&sums.y, &size("in_height")));

    let outside = m.literal(1 << (bits - 1), bits);
    let nothing = m.literal(0, bits);
    let upper = |net: &Net| m.slice(net, bits - 1, coordinate_bits - (bits - 1));
    let near = m.reduce_and(&upper(&low));
    let negative = m.subtract(&nothing, &m.truncate(&low, bits));
    let first = m.mux(&near, &negative, &outside);
    let first = m.mux(&m.sign(&low), &first, &nothing);
    let first = m.registered("first_inside", &first);
    let far = m.reduce_or(&upper(&high));
    let end = m.mux(&far, &outside, &m.truncate(&high, bits));
    let end = m.mux(&m.sign(&high), &nothing, &end);
    let end = m.registered("end_inside", &end);
    let row = m.and(&m.not(&above), &not_below);
    let tap = m.delayed("tap_beyond", &sums.beyond, 1);
    let row = m.registered("row_inside", &m.and(&row, &m.not(&tap)));
    let row = m.registered("row_inside_5", &row);

    let columns = architecture.columns;
    // Of the pass's window.
    let doubled = |column: usize| match architecture.two_passes(2) {
        true => 2 * column % columns,
        false => 2 * column,
    };
    (0..columns)
        .map(|column| {
            let literal = |at: usize| m.literal(at as u64, bits);
            let position = m.mux(&stride.doubled, &literal(doubled(column)), &literal(column));
            let early = m.less(&position, &first);
            let early = m.registered(&format!("early_{column}"), &early);
            let late = m.registered(&format!("in_time_{column}"), &m.less(&position, &end));
            let valid = m.all(&[&m.not(&early), &late, &row]);
            let valid = m.registered(&format!("valid_{column}"), &valid);
            m.delayed(&format!("valid_{column}"), &valid, cycles)
        })
        .collect()
}

/// The banks' words in the order of the window: position w is bank (w + rotation) mod columns. Two levels a stage. The words come
/// `cycles` after `rotation`, of which on a large die every position has registers of its own.
fn rotated(m: &Module, architecture: &Architecture, rotation: &Net, cycles: usize) -> Vec<Net> {
    let columns = architecture.columns;
    let wide = architecture.is_wide();
    // A register, or one each.
    let held = |name: &str, instance: &str, before: &[Net]| -> Vec<Net> {
        if !wide {
            return vec![m.registered(name, &before[0]); columns];
        }
        let near = |(at, net)| apart::registered(m, &format!("{instance}_{at}"), [net]);
        before.iter().enumerate().flat_map(near).collect()
    };
    let rotation = m.delayed("rotation_after", rotation, cycles - 1);
    let name = format!("rotation_after_{cycles}");
    let mut rotations = held(&name, "rotation_of", &vec![rotation; columns]);
    let data: Vec<Net> = ["read_data", "read_odd"][..architecture.access_words()]
        .iter()
        .map(|name| m.input(name, 32 * columns))
        .collect();
    let mut window: Vec<Net> = (0..columns)
        .map(|bank| {
            let words: Vec<Net> = data.iter().map(|d| m.slice(d, 32 * bank, 32)).collect();
            m.concat(&words.iter().collect::<Vec<_>>())
        })
        .collect();
    let levels = tree_levels(columns);
    for level in 0..levels {
        let moved = |at: usize| &window[(at + (1 << level)) % columns];
        window = (0..columns)
            .map(|at| m.mux(&m.bit(&rotations[at], level), moved(at), &window[at]))
            .collect();
        if level % 2 == 1 || level + 1 == levels {
            let stage = level / 2;
            let keep =
                |(at, word): (usize, &Net)| m.registered(&format!("window_{stage}_{at}"), word);
            window = window.iter().enumerate().map(keep).collect();
            let name = format!("rotation_stage_{stage}");
            rotations = held(&name, &name, &rotations);
        }
    }
    let ends = if wide { columns } else { 1 };
    rotations[..ends].iter().for_each(|end| m.unused(end));
    window
}
