//! Training of the embedded network, and of what the fake quantizers promise.

use ndarray::{Array3, Axis};
use proptest::prelude::*;

use super::filters::{Grid, weight_behind};
use super::{Augmentation, Options, Processor, TrainError, Trainer, Widths};
use crate::golden::float;
use crate::golden::network::{Executor, argmax};
use crate::model::data::{Dataset, Images};
use crate::model::embedded;
use crate::model::float::FloatNetwork;
use crate::quant::Objective;

/// Sum of c Q(w) for a filter.
fn objective(grid: Grid, weights: &[f32], step: f32, factors: &[f32]) -> f64 {
    weights
        .iter()
        .zip(factors)
        .map(|(w, c)| f64::from(grid.level(*w, step)) * f64::from(step) * f64::from(*c))
        .sum()
}

/// Weights at which neither rounding nor clipping changes within `1e-3` of step, range or weight.
fn is_smooth(grid: Grid, weights: &[f32], step: f32) -> bool {
    let (low, high) = grid.ends(step);
    weights.iter().all(|weight| {
        let steps = weight / step;
        let to_half = (steps - steps.floor() - 0.5).abs();
        let ends = [f32::from(low), f32::from(high)];
        to_half > 0.05 && ends.iter().all(|end| (steps - end).abs() > 0.05)
    })
}

proptest! {
    /// Clipped weights are the smooth part in the step of a fixed width: Q = d h, so that the gradient is a
    /// finite difference's. Rounded ones have the closed form (Q - w) / d.
    #[test]
    fn gradients_of_a_fixed_width(
        weights in prop::collection::vec(-2.0_f32..2.0, 1..20),
        factors in prop::collection::vec(-1.0_f32..1.0, 20),
        step in 0.1_f32..0.6,
        bits in 1_u8..6,
    ) {
        let grid = Grid::Fixed(bits);
        prop_assume!(is_smooth(grid, &weights, step));
        let mut gradients: Vec<f32> = factors[..weights.len()].to_vec();
        let found = grid.backward(&weights, step, &mut gradients);
        let (low, high) = grid.ends(step);
        let (low, high) = (f32::from(low), f32::from(high));
        let clips = |w: &f32| bits == 1 || w / step < low - 0.5 || w / step > high + 0.5;
        let clipped: Vec<f32> = weights.iter().copied().filter(clips).collect();
        let of = |keep: bool| -> Vec<f32> {
            weights.iter().zip(&factors).filter(|(w, _)| clips(w) == keep).map(|(_, c)| *c).collect()
        };
        let h = 1e-4;
        let slope = (objective(grid, &clipped, step + h, &of(true))
            - objective(grid, &clipped, step - h, &of(true))) / f64::from((step + h) - (step - h));
        let rounded: f64 = weights
            .iter()
            .filter(|w| !clips(w))
            .zip(of(false))
            .map(|(w, c)| f64::from(c) * (f64::from(grid.level(*w, step)) - f64::from(*w) / f64::from(step)))
            .sum();
        prop_assert!((found.step - slope - rounded).abs() < 1e-3, "{} {} {}", found.step, slope, rounded);
        prop_assert_eq!(found.range, 0.0);
        for ((weight, gradient), factor) in weights.iter().zip(&gradients).zip(&factors) {
            let passes = if bits == 1 { (weight / step).abs() <= 1.0 } else { !clips(weight) };
            prop_assert_eq!(*gradient, if passes { *factor } else { 0.0 });
        }
    }

    /// As Uhlich et al. have it: (Q - w) / d within the range, the sign outside; the width's gradient is a
    /// finite difference of its formula before the ceiling.
    #[test]
    fn gradients_of_a_learned_width(
        weights in prop::collection::vec(-2.0_f32..2.0, 1..20),
        factors in prop::collection::vec(-1.0_f32..1.0, 20),
        step in 0.1_f32..0.6,
        range in 0.2_f32..1.5,
    ) {
        let grid = Grid::Learned { range };
        prop_assume!(is_smooth(grid, &weights, step));
        let mut gradients: Vec<f32> = factors[..weights.len()].to_vec();
        let found = grid.backward(&weights, step, &mut gradients);
        let most = f64::from((range / step).round());
        let (mut by_step, mut by_range) = (0.0, 0.0);
        for ((w, c), gradient) in weights.iter().zip(&factors).zip(&gradients) {
            let (u, c) = (f64::from(*w) / f64::from(step), f64::from(*c));
            if u.abs() > most {
                by_range += c * u.signum();
                prop_assert_eq!(*gradient, 0.0);
            } else {
                by_step += c * (u.round() - u);
                prop_assert_eq!(f64::from(*gradient), c);
            }
        }
        prop_assert!((found.step - by_step).abs() < 1e-4 && (found.range - by_range).abs() < 1e-4);

        let width = |d: f64, m: f64| (m / d + 1.0).log2() + 1.0;
        let (d, m, h) = (f64::from(step), f64::from(range), 1e-6);
        let bits = grid.bits_gradient(step);
        prop_assert!((bits.step - (width(d + h, m) - width(d - h, m)) / (2.0 * h)).abs() < 1e-3);
        prop_assert!((bits.range - (width(d, m + h) - width(d, m - h)) / (2.0 * h)).abs() < 1e-3);
        let expected = if most == 0.0 { 0.0 } else { width(d, m).ceil() };
        prop_assert_eq!(f64::from(grid.bits(step)), expected);
        // The width holds every level.
        prop_assert!(most <= 2_f64.powf(expected - 1.0));
        prop_assert!(expected < 2.0 || most < 2_f64.powf(expected - 1.0));
    }

    #[test]
    fn a_weight_behind_an_integer_rounds_to_it(
        weight in -3.0_f32..3.0,
        step in 0.01_f32..1.0,
        bits in 1_u8..9,
        place in 0.0_f32..1.0,
    ) {
        let grid = Grid::Fixed(bits);
        let (low, high) = grid.ends(step);
        let span = f32::from(high) - f32::from(low);
        // Within i8: between two levels.
        #[allow(clippy::cast_possible_truncation)]
        let mut level = (f32::from(low) + (place * span).round()) as i8;
        if bits == 1 && level == 0 {
            level = 1;
        }
        prop_assert_eq!(grid.level(weight_behind(weight, level, step, bits), step), level);
    }
}

fn embedded_parts() -> (FloatNetwork, Dataset, Dataset) {
    let network = embedded::network().expect("the embedded network");
    let images = embedded::images().expect("the embedded images");
    let train = images.part(embedded::CALIBRATION).expect("in range");
    let test = images.part(embedded::TEST).expect("in range");
    (network, train, test)
}

fn calibration(network: &FloatNetwork, data: &Dataset) -> Vec<Array3<f32>> {
    let images = data.reals_for(network, 0..32).expect("fits");
    images.outer_iter().map(|image| image.to_owned()).collect()
}

fn options() -> Options {
    Options {
        epochs: 2,
        batch: 20,
        augmentation: Augmentation::Shift,
        ..Options::default()
    }
}

fn top1(trainer: &Trainer<'_>, data: &Dataset) -> f64 {
    let network = trainer.network();
    let bytes = data.bytes_for(&network, 0..data.len()).expect("fits");
    let executor = Executor::new(&network).expect("a valid network");
    let outputs = executor.run_outputs(bytes.view()).expect("runs");
    let labels = data.labels.as_ref().expect("labels");
    let right = outputs
        .axis_iter(Axis(0))
        .zip(labels)
        .filter(|(output, label)| argmax(output.view()) == **label)
        .count();
    right as f64 / data.len() as f64
}

#[test]
fn training_lowers_the_loss_and_keeps_the_budget() {
    let (network, train, test) = embedded_parts();
    let images = calibration(&network, &train);
    let options = Options {
        budget: 1.0,
        epochs: 8,
        augmentation: Augmentation::None,
        ..options()
    };
    let mut trainer =
        Trainer::new(&network, &train, &images, options, Processor::Cpu).expect("ready");
    while !trainer.is_done() {
        trainer.epoch().expect("trains");
    }
    let history = trainer.history();
    assert!(history[7].loss < 0.85 * history[0].loss, "{history:?}");
    let top1 = top1(&trainer, &test);
    assert!(top1 > 0.9, "top-1 {top1}");
    assert!(trainer.cost().average_bits() <= 1.0);
}

/// What training sees is what is emitted: the same logits up to the rounding of multipliers.
#[test]
fn the_network_emitted_answers_as_the_one_in_training() {
    let (network, train, test) = embedded_parts();
    let images = calibration(&network, &train);
    for (widths, budget) in [(Widths::Allocated, 2.0), (Widths::Learned, 3.0)] {
        let options = Options {
            widths,
            budget,
            width_epochs: 1,
            ..options()
        };
        let mut trainer =
            Trainer::new(&network, &train, &images, options, Processor::Cpu).expect("ready");
        while !trainer.is_done() {
            trainer.epoch().expect("trains");
        }
        let integer = trainer.network();
        let bytes = test.bytes_for(&integer, 0..100).expect("fits");
        let executor = Executor::new(&integer).expect("a valid network");
        let emitted = executor.run_outputs(bytes.view()).expect("runs");
        let trained = trainer.logits(&test.reals_for(&network, 0..100).expect("fits"));
        let trained = trained.expect("runs");
        let scale = f64::from(integer.tensors[integer.output].scale);
        let zero = f64::from(integer.tensors[integer.output].zero_point);
        let mut equal = 0;
        for (row, wanted) in emitted.outer_iter().zip(&trained) {
            for (byte, real) in row.iter().zip(wanted) {
                let steps = (scale * (f64::from(*byte) - zero) - f64::from(*real)).abs() / scale;
                assert!(steps < 2.5, "{steps} levels apart");
                equal += usize::from(steps < 0.5);
            }
        }
        let share = equal as f64 / emitted.len() as f64;
        assert!(share > 0.9, "{share} of the logits are the same level");
        let cost = trainer.cost();
        let bits = cost.bits(Objective::Time);
        assert!(bits <= budget, "{bits} bits");
    }
}

/// Without ranges the graph is the float network.
#[test]
fn the_graph_without_ranges_is_the_float_network() {
    let (network, train, _) = embedded_parts();
    let images = calibration(&network, &train);
    let trainer = Trainer::new(&network, &train, &images, options(), Processor::Cpu);
    let answers = trainer.expect("ready").teacher_logits(&images);
    for (image, answer) in images.iter().zip(answers.expect("runs")) {
        let logits = float::run(&network, image.view()).expect("runs");
        let expected = logits.iter().find(|value| {
            value
                .iter()
                .zip(&answer)
                .all(|(a, b)| (a - b).abs() < 1e-3 * (1.0 + b.abs()))
                && value.len() == answer.len()
        });
        assert!(
            expected.is_some(),
            "no activation of the float network is {answer:?}"
        );
    }
}

#[test]
fn an_interrupted_run_ends_as_an_uninterrupted_one() {
    let (network, train, _) = embedded_parts();
    let images = calibration(&network, &train);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.checkpoint");
    for widths in [Widths::Allocated, Widths::Learned] {
        let options = Options {
            widths,
            budget: 3.0,
            width_epochs: 1,
            ..options()
        };
        let new = |options: &Options| {
            Trainer::new(&network, &train, &images, options.clone(), Processor::Cpu).expect("ready")
        };
        let mut whole = new(&options);
        whole.epoch().expect("trains");
        whole.save(&path).expect("written");
        whole.epoch().expect("trains");

        let mut resumed = new(&options);
        resumed.resume(&path).expect("read");
        assert_eq!(resumed.history().len(), 1);
        let last = resumed.epoch().expect("trains");
        assert_eq!(last.loss.to_bits(), whole.history()[1].loss.to_bits());
        assert_eq!(resumed.network(), whole.network());

        let other = Options {
            seed: 2,
            ..options.clone()
        };
        let refused = new(&other).resume(&path).expect_err("another run");
        assert!(refused.to_string().contains("other options"), "{refused}");
        let mut bytes = std::fs::read(&path).expect("read");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("written");
        let refused = new(&options).resume(&path).expect_err("damaged");
        assert!(refused.to_string().contains("damaged"), "{refused}");
    }
}

#[test]
fn what_cannot_be_trained_is_refused_with_a_reason() {
    let (network, train, _) = embedded_parts();
    let images = calibration(&network, &train);
    let refusal = |data: &Dataset, options: Options| {
        let trainer = Trainer::new(&network, data, &images, options, Processor::Cpu);
        trainer
            .err()
            .map_or_else(String::new, |error| error.to_string())
    };
    let with_labels = |labels: Option<Vec<usize>>| Dataset {
        labels,
        ..train.clone()
    };
    assert!(refusal(&with_labels(None), options()).contains("has no labels"));
    let mut labels = train.labels.clone().expect("labels");
    labels[7] = 10;
    let said = refusal(&with_labels(Some(labels)), options());
    assert!(
        said.contains("image 7 has label 10") && said.contains("0 to 9"),
        "{said}"
    );
    assert!(refusal(&train.part(0..0).expect("none"), options()).contains("no images"));
    let Images::Pixels(pixels) = &train.images else {
        panic!("pixels");
    };
    let small = Dataset {
        images: Images::Pixels(pixels.slice(ndarray::s![.., ..16, .., ..]).to_owned()),
        ..train.clone()
    };
    assert!(refusal(&small, options()).contains("the network takes"));
    let with = |change: fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        refusal(&train, options)
    };
    assert!(with(|o| o.budget = 9.0).contains("cannot be reached"));
    assert!(with(|o| o.budget = -1.0).contains("cannot be reached"));
    assert!(
        with(|o| {
            o.budget = 1.5;
            o.widths = Widths::Learned
        })
        .contains("--widths allocated")
    );
    assert!(with(|o| o.epochs = 0).contains("--epochs"));
    assert!(with(|o| o.batch = 0).contains("--batch"));
    assert!(with(|o| o.learning_rate = 0.0).contains("--learning-rate"));
    assert!(with(|o| o.distillation = 1.5).contains("--distillation"));
    assert!(with(|o| o.temperature = 0.0).contains("--temperature"));
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let (network, train, _) = embedded_parts();
    let images = calibration(&network, &train);
    // The distance of softened answers overflows.
    let options = Options {
        temperature: 1e-38,
        ..options()
    };
    let mut trainer =
        Trainer::new(&network, &train, &images, options, Processor::Cpu).expect("ready");
    let error = trainer.epoch().expect_err("diverges");
    assert!(
        matches!(
            error,
            TrainError::Diverged {
                epoch: 1,
                step: 1,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("lower --learning-rate"));
}
