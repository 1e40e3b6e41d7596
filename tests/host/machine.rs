//! The program image, executed word by word, answers what the network's mathematics says, on every case,
//! layer and byte.

#[path = "../cases/mod.rs"]
mod cases;

use bitweft::model::{
    float::{Padding, Shape},
    integer::{ConvolutionKind, IntegerOp, Rounding},
};
use bitweft::{
    compiler::{CompileError, Prediction, compile, cycles},
    golden::{machine::Machine, network},
};
use bitweft_isa::{architecture::Architecture, descriptor::Opcode};
use cases::architecture;

/// Runs every case; returns the largest number of phases that one took.
fn check(architecture: &Architecture) -> usize {
    let mut phases = 0;
    for case in cases::cases() {
        let name = &case.network.name;
        let compiled =
            compile(&case.network, architecture).unwrap_or_else(|e| panic!("{name}: {e}"));
        phases = phases.max(compiled.image.phases.len());
        for input in &case.inputs {
            let expected = network::run(&case.network, input.view()).expect("runs");
            let mut machine = Machine::new(architecture);
            let bytes: Vec<u8> = input.iter().copied().collect();
            let outputs = machine
                .run(&compiled.image, &bytes)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(outputs.len(), compiled.image.layers.len());
            for (layer, output) in compiled.image.layers.iter().zip(outputs) {
                let golden: Vec<u8> = expected[layer.tensor].iter().copied().collect();
                assert_eq!(
                    output, golden,
                    "{name}, layer {}, {:?}",
                    layer.name, case.network.rounding
                );
            }
        }
    }
    phases
}

#[test]
fn machine_equals_network_on_two_columns() {
    let phases = check(&architecture(2, 4));
    assert!(phases > 1, "a case must need several phases");
}

#[test]
fn machine_equals_network_on_other_shapes() {
    for (columns, quads) in [(1, 2), (3, 16), (8, 18), (5, 3)] {
        check(&architecture(columns, quads));
    }
}

/// Cycles asked for before anything is packed are those of the compiled network.
#[test]
fn cycles_are_known_before_packing() {
    let is_convolution = |op: &IntegerOp| matches!(op, IntegerOp::Convolution(_));
    for (columns, quads) in [(2, 4), (1, 2), (8, 18)] {
        let architecture = architecture(columns, quads);
        for case in cases::cases() {
            let name = &case.network.name;
            let compiled = compile(&case.network, &architecture).expect(name);
            let expected: u64 = compiled
                .descriptors
                .iter()
                .map(|info| cycles::predict(info, &architecture).cycles)
                .sum();
            // Other widths: the prediction must not look at the network's own.
            let mut pruned = case.network.clone();
            for layer in &mut pruned.layers {
                if let IntegerOp::Convolution(op) = &mut layer.op {
                    op.bits.fill(0);
                }
            }
            let prediction = Prediction::new(&pruned, &architecture).expect(name);
            let mut found = prediction.rest();
            for (index, layer) in case.network.layers.iter().enumerate() {
                if let IntegerOp::Convolution(op) = &layer.op {
                    let cycles = prediction.convolution_cycles(index, &op.bits);
                    found += cycles.expect(name);
                    assert!(prediction.convolution_cycles(index, &[]).is_err());
                } else {
                    assert!(prediction.planes(index, 4).is_err());
                }
            }
            assert_eq!(found, expected, "{name}");
        }
    }
    let all = cases::cases();
    let convolutions = all.iter().flat_map(|case| &case.network.layers);
    assert!(convolutions.filter(|l| is_convolution(&l.op)).count() > 10);
}

#[test]
fn a_machine_refuses_what_is_not_for_it() {
    let case = &cases::cases()[0];
    let compiled = compile(&case.network, &architecture(2, 4)).expect("compiles");
    let bytes: Vec<u8> = case.inputs[0].iter().copied().collect();
    let error = Machine::new(&architecture(3, 4))
        .run(&compiled.image, &bytes)
        .expect_err("another architecture");
    assert!(
        error.to_string().contains("compile the model for it"),
        "{error}"
    );
    let error = Machine::new(&architecture(2, 4))
        .run(&compiled.image, &bytes[1..])
        .expect_err("short input");
    assert!(error.to_string().contains("bytes"), "{error}");
}

#[test]
fn what_does_not_fit_is_refused_with_what_would_do() {
    let case = &cases::cases()[1];
    let mut small = architecture(2, 4);
    small.activation_words = 16;
    let error = compile(&case.network, &small).expect_err("too small");
    let CompileError::TooSmall { field, needed, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(field, "activation_words");
    small.activation_words = needed;
    compile(&case.network, &small).expect("what it asked for is enough");
    let mut narrow = architecture(2, 4);
    narrow.accumulator_bits = 20;
    let failing = cases::cases().into_iter().any(|case| {
        matches!(
            compile(&case.network, &narrow),
            Err(CompileError::Overflow {
                quantity: "its accumulator",
                ..
            })
        )
    });
    assert!(failing, "some case must exceed 20 bits");
}

#[test]
fn what_a_compact_machine_does_not_hold_is_refused_by_name() {
    let mut compact = architecture(1, 4);
    (compact.compact, compact.image_side_max) = (true, 255);
    let of = |width: usize, pad: Padding| {
        let shape = Shape {
            height: 1,
            width,
            channels: 3,
        };
        let mut builder = cases::Builder::new("row", 5, Rounding::Single, shape);
        builder.pool(0, cases::window(1, 2, 2, pad), true);
        builder.network
    };
    compile(&of(255, Padding::default()), &compact).expect("255 columns");
    let wide = of(256, Padding::default());
    let error = compile(&wide, &compact).expect_err("too wide");
    let text = error.to_string();
    let parts = ["layer `pool0`", "`in_width` is 256", "image_side_max"];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    let right = Padding {
        right: 258,
        ..Padding::default()
    };
    let padded = of(254, right);
    let error = compile(&padded, &compact).expect_err("reaches too far");
    let CompileError::TooSmall { field, needed, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((field, needed), ("image_side_max", 256));
    compact.image_side_max = 511;
    for network in [wide, padded] {
        compile(&network, &compact).expect("what they asked for is enough");
    }
}

#[test]
fn full_memories_refuse_no_layer_that_needs_nothing_of_them() {
    let shape = Shape {
        height: 4,
        width: 4,
        channels: 3,
    };
    let mut builder = cases::Builder::new("full", 6, Rounding::Single, shape);
    let whole = |side: usize| cases::window(side, side, side, Padding::default());
    let filters = builder.convolution(0, ConvolutionKind::Dense, 8, whole(1), Some(2));
    builder.pool(filters, whole(2), true);
    let mut compact = architecture(1, 4);
    (compact.compact, compact.image_side_max) = (true, 31);
    let phases = |architecture: &Architecture| {
        let compiled = compile(&builder.network, architecture).expect("compiles");
        compiled.image.phases.len()
    };
    // What the convolution takes, to the last word.
    (compact.plane_words, compact.record_count) = (16, 8);
    assert_eq!(phases(&compact), 1);
    compact.record_count = 7;
    assert_eq!(phases(&compact), 2);
}

#[test]
fn whole_pairs_of_words_are_read_in_pairs() {
    let mut pairs = architecture(3, 4);
    pairs.lane_rows = 4;
    pairs.fill_words = 2;
    check(&pairs);
    let mut halves = architecture(3, 8);
    (halves.lane_rows, halves.fill_words) = (4, 4);
    check(&halves);
    let mut seen = [0, 0];
    for case in cases::cases() {
        for fill_words in [1, 2, 4] {
            pairs.fill_words = fill_words;
            let compiled = compile(&case.network, &pairs).expect("compiles");
            for info in compiled.descriptors {
                let d = info.descriptor;
                let whole = d.quads_per_tap % 2 == 0 && d.opcode == Opcode::Convolution as i64;
                assert_eq!(d.paired == 1, whole && fill_words > 1, "{d:?}");
                seen[usize::from(d.paired == 1)] += 1;
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn a_residual_branch_without_room_is_kept_by_the_host() {
    let mut small = architecture(2, 4);
    small.activation_words = 300;
    let mut restored = 0;
    for case in cases::cases()
        .iter()
        .filter(|case| case.network.name == "residual")
    {
        let compiled = compile(&case.network, &small).expect("compiles");
        restored += compiled
            .image
            .layers
            .iter()
            .map(|layer| layer.restores.len())
            .sum::<usize>();
        let bytes: Vec<u8> = case.inputs[0].iter().copied().collect();
        let expected = network::run(&case.network, case.inputs[0].view()).expect("runs");
        let outputs = Machine::new(&small)
            .run(&compiled.image, &bytes)
            .expect("runs");
        for (layer, output) in compiled.image.layers.iter().zip(outputs) {
            let golden: Vec<u8> = expected[layer.tensor].iter().copied().collect();
            assert_eq!(output, golden, "layer {}", layer.name);
        }
    }
    assert!(restored > 0, "the case must need it");
}
