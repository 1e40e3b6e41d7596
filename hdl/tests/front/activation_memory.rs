//! Activation memory against an array of bytes.

use crate::support::{Random, Unit, architecture};
use bitweft_hdl::activation_memory::{WRITER, activation_memory, address_bits, write_to_read};
use bitweft_isa::{
    architecture::{Architecture, Storage},
    timing::activation_read_latency,
};
use std::collections::VecDeque;

/// Random writers and readers; with `paired` there are two fill words. Reads that the contract leaves undefined are not
/// compared.
fn random_traffic(kind: &Architecture, paired: Option<bool>, seed: u64) {
    println!("{kind:?}, paired {paired:?}, seed {seed}");
    let columns = kind.columns;
    let fill_words = if paired.is_some() { 2 } else { 1 };
    let depth = 42;
    let architecture = Architecture {
        activation_words: depth,
        fill_words,
        ..kind.clone()
    };
    let bits = address_bits(&architecture);
    let mut random = Random(seed);
    let mut unit = Unit::new(&activation_memory(&architecture), seed);
    let mut memory = vec![random.bytes(4 * columns); depth];
    for (row, bytes) in memory.iter().enumerate() {
        unit.set("host_write_enable", 1);
        unit.set("host_address", row as u64);
        unit.set_bytes("host_write_data", bytes);
        unit.tick();
    }
    unit.set("host_write_enable", 0);
    unit.tick();
    let mut expected: VecDeque<Vec<Option<u8>>> = VecDeque::new();
    let mut writing = VecDeque::new();
    let mut compared = 0;
    let buses = &["read_data", "read_odd"][..fill_words];
    if let Some(paired) = paired {
        unit.set("paired", u64::from(paired));
    }
    let second_from = usize::from(paired == Some(true));
    for _ in 0..3000 {
        let host_row = random.between(0, depth - 1);
        let reads = drive_reads(&mut unit, &mut random, columns, depth, bits, host_row);
        let second: Vec<usize> = reads.iter().map(|row| row | second_from).collect();
        let rows = &[reads, second][..fill_words];
        let mut now: Vec<Option<u8>> = rows
            .iter()
            .flat_map(|rows| (0..4 * columns).map(|at| Some(memory[rows[at / 4]][at])))
            .collect();
        let data = random.bytes(4 * columns);
        let writes = drive_write(&mut unit, &mut random, &data, &architecture, host_row);
        writing.push_back((writes, data));
        // What is read now is what was written up to `write_to_read` cycles before.
        if writing.len() == write_to_read(&architecture) {
            let (writes, data) = writing.pop_front().expect("not empty");
            for (lane, row) in writes {
                for (place, read) in rows.iter().flatten().enumerate() {
                    let at = 4 * (place % columns) + lane;
                    memory[row][at] = data[at];
                    if *read == row {
                        now[4 * place + lane] = None;
                    }
                }
            }
        }
        expected.push_back(now);
        if expected.len() > activation_read_latency(&architecture) {
            let words = buses.iter().flat_map(|name| unit.words(name));
            let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
            let now = expected.pop_front().expect("not empty");
            for (at, expected) in now.iter().enumerate() {
                if let Some(expected) = expected {
                    assert_eq!(bytes[at], *expected, "cycle {}, byte {at}", unit.cycle);
                    compared += 1;
                }
            }
        }
        unit.tick();
    }
    assert!(compared > 2000 * columns);
}

/// Drives one reader (the others get noise); returns every bank's row.
fn drive_reads(
    unit: &mut Unit,
    random: &mut Random,
    columns: usize,
    depth: usize,
    bits: usize,
    host_row: usize,
) -> Vec<usize> {
    let rows: Vec<usize> = (0..columns).map(|_| random.between(0, depth - 1)).collect();
    let packed = rows
        .iter()
        .rev()
        .fold(0_u128, |all, &row| all << bits | row as u128);
    unit.set_bytes(
        "fetch_address",
        &packed.to_le_bytes()[..(bits * columns).div_ceil(8)],
    );
    let elementwise_row = random.between(0, depth - 1);
    unit.set("elementwise_address", elementwise_row as u64);
    unit.set("host_address", host_row as u64);
    let choice = random.between(0, 3);
    unit.set("host_select", u64::from(choice == 0));
    unit.set("elementwise_select", u64::from(choice == 1));
    match choice {
        0 => vec![host_row; columns],
        1 => vec![elementwise_row; columns],
        _ => rows,
    }
}

/// Lets one writer at most write `data`; returns (byte lane, row) of what is written.
fn drive_write(
    unit: &mut Unit,
    random: &mut Random,
    data: &[u8],
    architecture: &Architecture,
    host_row: usize,
) -> Vec<(usize, usize)> {
    let (bits, depth) = (address_bits(architecture), architecture.activation_words);
    // The writer, the host or nobody.
    let choice = random.between(0, 2);
    unit.set("host_write_enable", u64::from(choice == 1));
    unit.set_bytes("host_write_data", data);
    let mut rows: Vec<usize> = (0..4).map(|_| random.between(0, depth - 1)).collect();
    let enables = if choice == 0 { random.next() & 15 } else { 0 };
    if architecture.drain_ways == 1 {
        rows.fill(random.between(0, depth - 1));
    }
    let packed = rows
        .iter()
        .rev()
        .fold(0, |all, &row| all << bits | row as u64);
    let noise = random.bytes(data.len());
    unit.set(&format!("{WRITER}_write_enable"), enables);
    unit.set(&format!("{WRITER}_write_address"), packed);
    let writer_data = if choice == 0 { data } else { &noise };
    unit.set_bytes(&format!("{WRITER}_write_data"), writer_data);
    if choice == 1 {
        return (0..4).map(|lane| (lane, host_row)).collect();
    }
    (0..4)
        .filter(|lane| enables >> lane & 1 == 1)
        .map(|lane| (lane, rows[lane]))
        .collect()
}

/// Of so many columns and drain ways; plain, compact, or spread over a large die.
fn kinds(columns: usize, drain_ways: usize) -> Vec<Architecture> {
    let plain = Architecture {
        drain_ways,
        ..architecture(columns, 2)
    };
    let compact = Architecture {
        compact: true,
        ..plain.clone()
    };
    let wide = Architecture {
        control_groups: 2,
        ..plain.clone()
    };
    let mut kinds = vec![plain, compact];
    kinds.extend((columns > 1).then_some(wide));
    kinds
}

#[test]
fn reads_see_the_last_write() {
    for (columns, drain_ways, seed) in [(1, 1, 1), (3, 2, 2), (3, 1, 3), (8, 2, 4)] {
        let mut kinds = kinds(columns, drain_ways);
        if drain_ways == 1 {
            kinds.push(Architecture {
                activation_storage: Storage::SinglePort,
                ..kinds[1].clone()
            });
        }
        for kind in kinds {
            random_traffic(&kind, None, seed);
        }
    }
}

#[test]
fn halves_hold_even_and_odd_words() {
    for (columns, drain_ways, seed) in [(2, 1, 5), (3, 2, 6), (3, 1, 7), (8, 2, 8)] {
        for kind in kinds(columns, drain_ways) {
            for paired in [false, true] {
                random_traffic(&kind, Some(paired), seed);
            }
        }
    }
}
