//! Issue with scripted tables and drain: every port in every cycle.

use crate::{
    schedule::{Schedule, Work},
    support::{Random, Unit, architecture, rows},
};
use bitweft_hdl::issue::{issue, position_bits};
use bitweft_isa::{
    architecture::{Architecture, LaneKind},
    descriptor::Descriptor,
    timing::{
        GRANT_LATENCY, accumulator_delay, dot_latency, fill_to_plane, plane_latency,
        plane_to_drain, plane_to_grant, release_lead,
    },
};

/// A tile: planes of every chunk of a block, with the flags of last planes.
#[derive(Debug)]
struct Tile {
    widths: Vec<usize>,
    chunks: usize,
    blocks: usize,
    base: usize,
}

impl Tile {
    fn random(random: &mut Random, architecture: &Architecture) -> Self {
        let filters = random.between(0, architecture.positions_max() - 1);
        let top = [0, 1, 2, 8][random.between(0, 3)];
        let widths: Vec<usize> = (0..filters).map(|_| random.between(0, top)).collect();
        let chunks = random.between(1, 5);
        let words = chunks * widths.iter().sum::<usize>();
        let base = random.between(0, architecture.plane_words.saturating_sub(words + 1));
        let tile = Self {
            widths,
            chunks,
            blocks: random.between(1, 5),
            base,
        };
        if words > architecture.plane_words {
            Self::random(random, architecture)
        } else {
            tile
        }
    }

    fn planes(&self) -> usize {
        self.widths.iter().sum()
    }

    fn descriptor(&self) -> Descriptor {
        let signed = |value: usize| i64::try_from(value).expect("small");
        Descriptor {
            opcode: 1,
            chunk_count: signed(self.chunks),
            block_count: signed(self.blocks),
            planes_per_chunk: signed(self.planes()),
            plane_base: signed(self.base),
            ..Descriptor::default()
        }
    }
}

/// A plane and what goes with it.
#[derive(Debug, Clone)]
struct Plane {
    word: Vec<u8>,
    bank: u64,
    first: bool,
    last: bool,
    /// Position and half.
    address: u64,
    first_chunk: bool,
    last_chunk: bool,
    /// With it the chunk gives its table bank back.
    releases: bool,
}

/// The planes by cycle of issue; writes the plane memory.
fn planes(
    unit: &mut Unit,
    architecture: &Architecture,
    random: &mut Random,
    tile: &Tile,
    schedule: &Schedule,
) -> Vec<Option<Plane>> {
    let bytes = architecture.inputs() / 8;
    let words: Vec<Vec<u8>> = (0..tile.chunks * tile.planes())
        .map(|_| random.bytes(bytes))
        .collect();
    let mut all = vec![None; schedule.end() + 40];
    for (chunk, start) in schedule.start.iter().enumerate() {
        let (block, in_block) = (chunk / tile.chunks, chunk % tile.chunks);
        let mut place = vec![(0, true, true)];
        let filters = tile.widths.iter().filter(|width| **width > 0).enumerate();
        place.extend(filters.flat_map(|(index, &width)| {
            (0..width).map(move |plane| (index + 1, plane == 0, plane + 1 == width))
        }));
        for (at, (position, first, last)) in place.iter().copied().enumerate() {
            let row = (in_block * tile.planes() + at).wrapping_sub(1);
            let word = if at == 0 {
                vec![0; bytes]
            } else {
                words[row].clone()
            };
            if block == 0 && at > 0 {
                let mut data = word.clone();
                data.push(u8::from(last));
                unit.set("plane_write_enable", 1);
                unit.set("plane_write_address", (tile.base + row) as u64);
                unit.set_bytes("plane_write_data", &data);
                unit.tick();
            }
            all[start + at] = Some(Plane {
                word,
                bank: (chunk % 2) as u64,
                first,
                last,
                address: position as u64 | ((block % 2) as u64) << position_bits(architecture),
                first_chunk: in_block == 0,
                last_chunk: in_block + 1 == tile.chunks,
                releases: at == tile.planes().saturating_sub(release_lead(architecture)),
            });
        }
    }
    unit.set("plane_write_enable", 0);
    all
}

/// The plane issued `latency` cycles ago.
fn ago(planes: &[Option<Plane>], cycle: usize, latency: usize) -> Option<&Plane> {
    planes.get(cycle.checked_sub(latency)?)?.as_ref()
}

/// Compares the outputs that follow the planes.
fn check_planes(unit: &Unit, architecture: &Architecture, planes: &[Option<Plane>]) {
    let cycle = unit.cycle;
    assert_eq!(
        unit.is("busy"),
        planes[cycle].is_some(),
        "busy in cycle {cycle}"
    );
    let released = ago(planes, cycle, 1).is_some_and(|plane| plane.releases);
    assert_eq!(unit.is("chunk_released"), released, "cycle {cycle}");
    if let Some(plane) = ago(planes, cycle, plane_latency(architecture)) {
        let bytes: Vec<u8> = unit
            .words("plane_word")
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert_eq!(
            bytes[..plane.word.len()],
            plane.word,
            "plane_word in cycle {cycle}"
        );
        assert_eq!(unit.get("plane_bank"), plane.bank, "cycle {cycle}");
    }
    if let Some(plane) = ago(
        planes,
        cycle,
        plane_latency(architecture) + dot_latency(architecture),
    ) {
        let sign = plane.word.last().is_some_and(|byte| byte >> 7 == 1);
        assert_eq!(unit.is("horner_first"), plane.first, "cycle {cycle}");
        assert_eq!(unit.is("horner_sign"), sign, "cycle {cycle}");
    }
    let last = ago(
        planes,
        cycle,
        plane_latency(architecture) + accumulator_delay(architecture),
    );
    let last = last.filter(|plane| plane.last);
    assert_eq!(
        unit.is("accumulator_write"),
        last.is_some(),
        "cycle {cycle}"
    );
    if let Some(plane) = last {
        assert_eq!(
            unit.get("accumulator_address"),
            plane.address,
            "cycle {cycle}"
        );
        assert_eq!(
            unit.is("accumulator_clear"),
            plane.first_chunk,
            "cycle {cycle}"
        );
    }
    let last = ago(planes, cycle, plane_to_drain(architecture));
    let finalized = last.is_some_and(|plane| plane.last && plane.last_chunk);
    assert_eq!(unit.is("position_finalized"), finalized, "cycle {cycle}");
}

/// Runs one tile with random fills and drains.
fn check(unit: &mut Unit, architecture: &Architecture, random: &mut Random) -> [usize; 3] {
    let tile = Tile::random(random, architecture);
    let slow = random.between(0, 2) * 40;
    let fills: Vec<usize> = (0..tile.chunks * tile.blocks)
        .map(|_| random.between(1, 4 + slow))
        .collect();
    let slow = random.between(0, 2) * 150;
    let drains: Vec<usize> = (0..tile.blocks)
        .map(|_| random.between(1, 9 + slow))
        .collect();
    let work = Work {
        chunks_per_block: tile.chunks,
        planes_per_chunk: tile.planes(),
        fill_cycles: &fills,
        drain_cycles: &drains,
    };
    let schedule = Schedule::new(architecture, &work);
    let filled: Vec<usize> = schedule
        .fill_start
        .iter()
        .zip(&fills)
        .map(|(start, cycles)| start + cycles - 1 + fill_to_plane(architecture) - 1)
        .collect();
    let planes = planes(unit, architecture, random, &tile, &schedule);
    unit.set("drain_request", 0);
    unit.tick();
    unit.set_fields(&tile.descriptor());
    unit.cycle = 0;
    let mut refused = 0;
    let mut granted: Option<u64> = None;
    while unit.cycle < schedule.end() {
        let cycle = unit.cycle;
        unit.set("start", u64::from(cycle == 0));
        unit.set("chunk_filled", u64::from(filled.contains(&cycle)));
        unit.set(
            "block_drained",
            u64::from(schedule.drained.contains(&cycle)),
        );
        let request = random.chance(60);
        let address = random.next() % (2 << position_bits(architecture));
        unit.set("drain_request", u64::from(request));
        unit.set("drain_position", address);
        unit.set("drain_half", address >> position_bits(architecture));
        unit.eval();
        check_planes(unit, architecture, &planes);
        assert_eq!(
            unit.is("fill_stall"),
            schedule.fill_stalls.contains(&cycle),
            "cycle {cycle}"
        );
        assert_eq!(
            unit.is("drain_stall"),
            schedule.drain_stalls.contains(&cycle),
            "cycle {cycle}"
        );

        const { assert!(GRANT_LATENCY == 1) };
        assert_eq!(
            unit.is("accumulator_drain"),
            granted.is_some(),
            "cycle {cycle}"
        );
        if granted.is_some() || unit.is("accumulator_write") {
            let expected = granted.unwrap_or(unit.get("accumulator_address"));
            assert_eq!(
                unit.get("accumulator_read_address"),
                expected,
                "cycle {cycle}"
            );
        }
        let array = ago(&planes, cycle, plane_to_grant(architecture));
        let array = array.is_some_and(|plane| plane.last && !plane.first_chunk);
        assert_eq!(
            unit.is("drain_grant"),
            request && !array,
            "drain_grant in cycle {cycle}"
        );
        refused += usize::from(request && array);
        granted = (request && !array).then_some(address);
        unit.tick();
    }
    [
        refused,
        schedule.fill_stalls.len(),
        schedule.drain_stalls.len(),
    ]
}

#[test]
fn planes_and_controls_come_in_their_cycles() {
    for (quads, plane_words, lane, fill_words, control_groups, compact, seed) in [
        (2, 17000, LaneKind::Plain, 1, 1, false, 30),
        (2, 1025, LaneKind::Table, 1, 1, false, 31),
        (16, 500, LaneKind::Table, 1, 1, false, 32),
        (18, 2500, LaneKind::Table, 1, 1, false, 33),
        (18, 2500, LaneKind::Table, 1, 2, false, 34),
        (16, 500, LaneKind::Table, 1, 1, true, 35),
        (4, 1025, LaneKind::Table, 4, 1, false, 36),
        (36, 1250, LaneKind::Table, 4, 2, false, 37),
    ] {
        println!("quads {quads}, seed {seed}");
        let architecture = Architecture {
            lane_rows: rows(fill_words),
            lane,
            fill_words,
            plane_words,
            control_groups,
            compact,
            ..architecture(2, quads)
        };
        let mut random = Random(seed);
        let mut unit = Unit::new(&issue(&architecture), seed);
        let mut seen = [0; 3];
        for _ in 0..40 {
            let counts = check(&mut unit, &architecture, &mut random);
            seen = std::array::from_fn(|at| seen[at] + counts[at]);
        }
        assert!(seen.iter().all(|count| *count > 100), "too tame: {seen:?}");
    }
}

#[test]
fn other_operations_leave_issue_idle() {
    let architecture = architecture(2, 4);
    let mut unit = Unit::new(&issue(&architecture), 1);
    for opcode in [0, 2, 3, 4] {
        let descriptor = Descriptor {
            opcode,
            chunk_count: 1,
            block_count: 1,
            planes_per_chunk: 1,
            ..Descriptor::default()
        };
        unit.set_fields(&descriptor);
        for cycle in 0..60 {
            unit.set("start", u64::from(cycle == 0));
            unit.set("chunk_filled", u64::from(cycle == 10));
            unit.eval();
            let active = ["busy", "fill_stall", "drain_stall", "accumulator_write"];
            assert!(!active.iter().any(|name| unit.is(name)), "opcode {opcode}");
            unit.tick();
        }
    }
}
