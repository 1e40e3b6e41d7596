//! Both dot units against `plane::dot`: fills of one bank under planes of the other, at the closest timing allowed and with gaps.

use crate::support::{Random, architecture, bytes, pack, rows};
use bitweft_hdl::dot;
use bitweft_isa::{
    architecture::{Architecture, LaneKind},
    plane,
    timing::{TABLE_ENTRIES, TABLE_WRITE_LATENCY, dot_latency, fill_turns},
};
use bitweft_sim::{Build, Library, Model, Profile, Signal};
use std::collections::HashMap;

const CHUNKS: usize = 12;

/// What one chunk does: a quad's word (or a pair's) a step of the fill, in any order, then planes.
struct Chunk {
    words: Vec<u32>,
    paired: bool,
    /// First quad of each step.
    order: Vec<usize>,
    planes: Vec<Vec<bool>>,
}

fn chunk(random: &mut Random, quads: usize, pairs: bool) -> Chunk {
    let paired = pairs && random.flag();
    let step = if paired { 2 } else { 1 };
    let mut order: Vec<usize> = (0..quads).step_by(step).collect();
    for at in (1..order.len()).rev() {
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
        paired,
        order,
        planes,
    }
}

struct Ports {
    captured: Signal,
    paired: Signal,
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
            paired: port("paired"),
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
fn expected(architecture: &Architecture, word: &[bool], words: &[u32]) -> i64 {
    let mut unsigned = word.to_vec();
    unsigned[word.len() - 1] = false;
    plane::dot(&unsigned, &plane::ordered(architecture, &bytes(words)))
}

/// Fill and planes of one unit, cycle by cycle, as close to each other as `table_write_latency` allows.
struct Run {
    model: Model,
    ports: Ports,
    random: Random,
    chunks: Vec<Chunk>,
    table_write_latency: usize,
    architecture: Architecture,
    /// Entries that `fill_enable` goes with; the others follow by themselves.
    enabled_entries: usize,
    /// Each word of `captured`, and the cycle from which on it may change.
    captured: Vec<(u32, usize)>,
    /// Chunk being filled, step of its order, entry.
    fill: (usize, usize, usize),
    /// Chunk being read, plane of it.
    read: (usize, usize),
    /// Chunks that are filled, by the first cycle in which a plane may read each.
    readable: HashMap<usize, usize>,
}

impl Run {
    fn new(
        library: &Library,
        architecture: &Architecture,
        seed: u64,
        table_write_latency: usize,
    ) -> Self {
        let mut model = library.instantiate(seed).expect("loads");
        let ports = Ports::of(&model);
        model.set(ports.fill_enable, 0);
        // The plain unit has nothing to reset.
        if let Ok(reset) = model.signal("reset") {
            model.set(reset, 1);
            model.tick(4).expect("runs");
            model.set(reset, 0);
        }
        let mut random = Random::new(seed);
        let pairs = architecture.fill_words > 1;
        let chunks = (0..CHUNKS)
            .map(|_| chunk(&mut random, architecture.quads, pairs))
            .collect();
        Self {
            model,
            ports,
            random,
            chunks,
            table_write_latency,
            architecture: architecture.clone(),
            enabled_entries: TABLE_ENTRIES / fill_turns(architecture),
            captured: vec![(0, 0); architecture.fill_words],
            fill: (0, 0, 0),
            read: (0, 0),
            readable: HashMap::new(),
        }
    }

    /// Drives the plane's inputs; whether there is a plane, and if so what it must give.
    fn plane(&mut self, now: usize) -> Option<i64> {
        let (chunk, plane) = self.read;
        let ready = self.readable.get(&chunk).is_some_and(|&from| from <= now);
        if !ready || self.random.gap(1) > 0 {
            let noise = self.random.flags(4 * self.chunks[0].words.len());
            self.model.set_words(self.ports.plane_word, &pack(&noise));
            self.model
                .set(self.ports.plane_bank, self.random.bits() & 1);
            return None;
        }
        let current = &self.chunks[chunk];
        let word = &current.planes[plane];
        self.model.set_words(self.ports.plane_word, &pack(word));
        self.model.set(self.ports.plane_bank, chunk as u64 % 2);
        let last = plane + 1 == current.planes.len();
        self.read = if last {
            (chunk + 1, 0)
        } else {
            (chunk, plane + 1)
        };
        Some(expected(&self.architecture, word, &current.words))
    }

    /// Drives the fill's inputs; from the very cycle of the last plane that reads the bank on.
    fn fill(&mut self, now: usize) {
        let free = self.fill.2 > 0 || self.takes(now);
        for (word, until) in &mut self.captured {
            if *until <= now {
                *word = self.random.word();
            }
        }
        let captured: Vec<u32> = self.captured.iter().map(|(word, _)| *word).collect();
        self.model.set_words(self.ports.captured, &captured);
        if !free {
            self.model.set(self.ports.fill_enable, 0);
            let noise = u64::from(self.random.word());
            let quad_bits = dot::quad_bits(&self.architecture);
            let quad = noise >> 4 & ((1 << quad_bits) - 1);
            self.model.set(self.ports.fill_quad, quad);
            self.model.set(self.ports.fill_entry, noise & 7);
            self.model.set(self.ports.fill_bank, noise >> 3 & 1);
            return;
        }
        let (chunk, step, entry) = self.fill;
        let current = &self.chunks[chunk];
        let quad = current.order[step];
        self.model.set(self.ports.fill_enable, 1);
        self.model.set(self.ports.paired, u64::from(current.paired));
        self.model.set(self.ports.fill_quad, quad as u64);
        self.model.set(self.ports.fill_entry, entry as u64);
        self.model.set(self.ports.fill_bank, chunk as u64 % 2);
        let last = now + TABLE_ENTRIES - self.enabled_entries;
        self.fill = if entry + 1 < self.enabled_entries {
            (chunk, step, entry + 1)
        } else if step + 1 < current.order.len() {
            (chunk, step + 1, 0)
        } else {
            self.readable.insert(chunk, last + self.table_write_latency);
            (chunk + 1, 0, 0)
        };
    }

    /// Takes the words of the next step, if there is one, their places are free, and chance allows.
    fn takes(&mut self, now: usize) -> bool {
        let (chunk, step, _) = self.fill;
        if chunk >= CHUNKS || chunk >= self.read.0 + 2 || self.random.gap(1) > 0 {
            return false;
        }
        let current = &self.chunks[chunk];
        // `paired` holds for both chunks that are being filled.
        let upper_of_another = step == 0 && self.captured.iter().any(|(_, until)| *until > now);
        let quad = current.order[step];
        let words: Vec<(usize, u32)> = match (self.architecture.fill_words, current.paired) {
            (2, false) => vec![(0, current.words[quad]), (1, current.words[quad])],
            (all, false) => vec![(quad % all, current.words[quad])],
            (all, true) => (quad..quad + 2)
                .map(|quad| (quad % all, current.words[quad]))
                .collect(),
        };
        if upper_of_another || words.iter().any(|(at, _)| self.captured[*at].1 > now) {
            return false;
        }
        for (at, word) in words {
            self.captured[at] = (word, now + TABLE_ENTRIES);
        }
        true
    }

    /// Runs all chunks; the first cycle in which `sum` is wrong.
    fn wrong(mut self, latency: usize) -> Option<usize> {
        let mut sums = HashMap::new();
        let mut checked = 0;
        for now in 0.. {
            if let Some(sum) = self.plane(now) {
                sums.insert(now + latency, sum);
            }
            self.fill(now);
            self.model.tick(1).expect("runs");
            if let Some(sum) = sums.remove(&(now + 1)) {
                if self.model.get_signed(self.ports.sum) != sum {
                    return Some(now + 1);
                }
                checked += 1;
            }
            if self.read.0 == CHUNKS && sums.is_empty() {
                break;
            }
            assert!(now < 100_000, "no progress at chunk {}", self.read.0);
        }
        let planes: usize = self.chunks.iter().map(|chunk| chunk.planes.len()).sum();
        assert_eq!(checked, planes);
        None
    }
}

fn build(architecture: &Architecture) -> Library {
    let text = dot::build(architecture).verilog().expect("complete");
    let build = Build::from_text("dot", text, Profile::Check);
    build.build().expect("builds")
}

fn all(lane: LaneKind, fill_words: usize, quads: &[usize]) {
    for &quads in quads {
        let architecture = Architecture {
            lane_rows: rows(fill_words),
            fill_words,
            ..architecture(lane, 1, quads)
        };
        let library = build(&architecture);
        for seed in 1..=3 {
            println!("{lane:?}, {quads} quads, seed {seed}");
            let run = Run::new(&library, &architecture, seed, TABLE_WRITE_LATENCY);
            assert_eq!(run.wrong(dot_latency(&architecture)), None);
        }
    }
}

#[test]
fn table_unit_equals_plane_dot() {
    all(LaneKind::Table, 1, &[2, 3, 4, 5, 16, 18]);
}

#[test]
fn table_unit_filled_in_pairs_equals_plane_dot() {
    all(LaneKind::Table, 2, &[2, 4, 6, 18, 32]);
}

#[test]
fn table_unit_filled_in_halves_equals_plane_dot() {
    all(LaneKind::Table, 4, &[4, 8, 36, 64]);
}

#[test]
fn plain_unit_equals_plane_dot() {
    all(LaneKind::Plain, 1, &[2, 3, 4, 5, 16, 18]);
}

#[test]
fn a_plane_too_early_reads_an_unfinished_table() {
    let architecture = architecture(LaneKind::Table, 1, 2);
    let library = build(&architecture);
    let wrong = (1..=3).any(|seed| {
        let run = Run::new(&library, &architecture, seed, TABLE_WRITE_LATENCY - 1);
        run.wrong(dot_latency(&architecture)).is_some()
    });
    assert!(wrong);
}
