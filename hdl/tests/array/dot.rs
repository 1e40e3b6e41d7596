//! Both dot units against `plane::dot`: fills of one bank under planes of the other, at the closest timing allowed and with gaps.

use crate::support::{Random, architecture, bytes, pack};
use bitweft_hdl::dot;
use bitweft_isa::{
    architecture::LaneKind,
    plane,
    timing::{TABLE_WRITE_LATENCY, dot_latency},
};
use bitweft_sim::{Build, Model, Profile, Signal};
use std::collections::HashMap;

const CHUNKS: usize = 12;
const ENTRIES: usize = 8;

/// What one chunk does: a quad's word a step of the fill, in any order of quads, then planes.
struct Chunk {
    words: Vec<u32>,
    order: Vec<usize>,
    planes: Vec<Vec<bool>>,
}

fn chunk(random: &mut Random, quads: usize) -> Chunk {
    let mut order: Vec<usize> = (0..quads).collect();
    for at in (1..quads).rev() {
        order.swap(at, random.below(at + 1));
    }
    let words = (0..quads)
        .map(|_| match random.below(4) {
            0 => 0,
            1 => u32::MAX,
            _ => random.word(),
        })
        .collect();
    let planes = (0..1 + random.below(6 * quads))
        .map(|_| random.flags(4 * quads))
        .collect();
    Chunk {
        words,
        order,
        planes,
    }
}

struct Ports {
    captured: Signal,
    fill_enable: Signal,
    fill_quad: Signal,
    fill_entry: Signal,
    fill_bank: Signal,
    plane_word: Signal,
    plane_bank: Signal,
    sum: Signal,
}

impl Ports {
    fn of(model: &Model) -> Self {
        let port = |name: &str| model.signal(name).expect(name);
        Self {
            captured: port("captured"),
            fill_enable: port("fill_enable"),
            fill_quad: port("fill_quad"),
            fill_entry: port("fill_entry"),
            fill_bank: port("fill_bank"),
            plane_word: port("plane_word"),
            plane_bank: port("plane_bank"),
            sum: port("sum"),
        }
    }
}

/// The dot product before the root's sign, which the Horner step applies.
fn expected(word: &[bool], words: &[u32]) -> i64 {
    let mut unsigned = word.to_vec();
    unsigned[word.len() - 1] = false;
    plane::dot(&unsigned, &bytes(words))
}

/// Where the fill stands: chunk, step of its order, entry.
#[derive(Default)]
struct Fill {
    chunk: usize,
    step: usize,
    entry: usize,
}

fn check(lane: LaneKind, quads: usize, seed: u64) {
    println!("{lane:?}, {quads} quads, seed {seed}");
    let architecture = architecture(lane, 1, quads);
    let text = dot::build(&architecture).verilog().expect("complete");
    let library = Build::from_text("dot", text, Profile::Check)
        .build()
        .expect("builds");
    let mut model = library.instantiate(seed).expect("loads");
    let ports = Ports::of(&model);
    let reset = model.signal("reset").expect("reset");
    model.set(ports.fill_enable, 0);
    model.set(reset, 1);
    model.tick(4).expect("runs");
    model.set(reset, 0);

    let mut random = Random::new(seed);
    let chunks: Vec<Chunk> = (0..CHUNKS).map(|_| chunk(&mut random, quads)).collect();
    let latency = dot_latency(&architecture);
    let mut fill = Fill::default();
    let mut readable = HashMap::new(); // chunk: first cycle in which a plane may read it
    let mut released = HashMap::new(); // chunk: cycle of its last plane
    let (mut reading, mut plane) = (0, 0);
    let mut sums = HashMap::new();
    let mut checked = 0;
    for now in 0_usize.. {
        let may_fill = fill.chunk < CHUNKS
            && (fill.entry > 0
                || fill.chunk < 2
                || released.contains_key(&(fill.chunk - 2)) && random.gap(1) == 0);
        // A bank may be refilled in the very cycle of its last plane; `released` is only known a cycle later, so that case is
        // taken by looking ahead.
        let last_now = reading < CHUNKS
            && reading + 2 == fill.chunk
            && plane + 1 == chunks[reading].planes.len();
        let can_read = reading < CHUNKS && readable.get(&reading).is_some_and(|&from| from <= now);
        let issue = can_read && random.gap(1) == 0;
        let filling = may_fill || last_now && issue && fill.chunk < CHUNKS;

        model.set(ports.fill_enable, u64::from(filling));
        if filling {
            let current = &chunks[fill.chunk];
            let quad = current.order[fill.step];
            model.set(ports.captured, u64::from(current.words[quad]));
            model.set(ports.fill_quad, quad as u64);
            model.set(ports.fill_entry, fill.entry as u64);
            model.set(ports.fill_bank, fill.chunk as u64 % 2);
            fill.entry += 1;
            if fill.entry == ENTRIES {
                fill.entry = 0;
                fill.step += 1;
            }
            if fill.step == quads {
                readable.insert(fill.chunk, now + TABLE_WRITE_LATENCY);
                fill.step = 0;
                fill.chunk += 1;
            }
        } else {
            model.set(ports.captured, u64::from(random.word()));
            model.set(ports.fill_quad, random.bits() & 31);
            model.set(ports.fill_entry, random.bits() & 7);
            model.set(ports.fill_bank, random.bits() & 1);
        }
        if issue {
            let word = &chunks[reading].planes[plane];
            model.set_words(ports.plane_word, &pack(word));
            model.set(ports.plane_bank, reading as u64 % 2);
            sums.insert(now + latency, expected(word, &chunks[reading].words));
            plane += 1;
            if plane == chunks[reading].planes.len() {
                released.insert(reading, now);
                plane = 0;
                reading += 1;
            }
        } else {
            model.set_words(ports.plane_word, &pack(&random.flags(4 * quads)));
            model.set(ports.plane_bank, random.bits() & 1);
        }
        model.tick(1).expect("runs");
        if let Some(sum) = sums.remove(&(now + 1)) {
            assert_eq!(model.get_signed(ports.sum), sum, "cycle {}", now + 1);
            checked += 1;
        }
        if reading == CHUNKS && sums.is_empty() {
            break;
        }
        assert!(now < 100_000, "no progress at chunk {reading}");
    }
    let planes: usize = chunks.iter().map(|chunk| chunk.planes.len()).sum();
    assert_eq!(checked, planes);
}

fn all(lane: LaneKind) {
    for quads in [2, 3, 4, 5, 16, 18] {
        for seed in 1..=3 {
            check(lane, quads, seed);
        }
    }
}

#[test]
fn table_unit_equals_plane_dot() {
    all(LaneKind::Table);
}

#[test]
fn plain_unit_equals_plane_dot() {
    all(LaneKind::Plain);
}
