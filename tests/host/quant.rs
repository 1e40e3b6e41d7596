//! Accuracy of quantized networks on the golden model, against the float networks they come from.

mod support;

use std::path::Path;

use bitweft::golden::network::{Executor, argmax};
use bitweft::model::data::{DataOptions, Dataset};
use bitweft::model::float::FloatNetwork;
use bitweft::model::integer::IntegerNetwork;
use bitweft::model::load::{Model, load_model};
use bitweft::quant::allocate::allocate_exactly;
use bitweft::quant::{Allocation, Objective, Options, Quantizer, WeightRounding};
use ndarray::{Array3, Axis};

/// Evenly spread over the set, so that all classes are seen.
fn calibration(network: &FloatNetwork, path: &Path, count: usize) -> Vec<Array3<f32>> {
    let set = Dataset::load(path, &DataOptions::default()).expect("loads");
    let step = set.len() / count;
    (0..count)
        .map(|index| {
            let image = set
                .reals_for(network, index * step..index * step + 1)
                .expect("fits");
            image.index_axis(Axis(0), 0).to_owned()
        })
        .collect()
}

fn top1(network: &IntegerNetwork, path: &Path, count: usize) -> f64 {
    let set = Dataset::load(path, &DataOptions::default()).expect("loads");
    let inputs = set.bytes_for(network, 0..count).expect("fits");
    let executor = Executor::new(network).expect("a valid network");
    let outputs = executor.run_outputs(inputs.view()).expect("runs");
    let labels = set.labels.as_ref().expect("labels");
    let hits = outputs
        .outer_iter()
        .zip(labels)
        .filter(|(o, l)| argmax(o.view()) == **l);
    hits.count() as f64 / count as f64
}

fn resnet8() -> Option<FloatNetwork> {
    let path = support::data("quant", "mlperf-tiny/pretrainedResnet.tflite")?;
    match load_model(path).expect("loads") {
        Model::Float(network) => Some(network),
        Model::Integer(_) => panic!("a float network"),
    }
}

/// Float: 0.8623 on 3,000 images. The bounds leave two standard errors of 1,000 images to what the
/// same command gives on all.
#[test]
fn resnet8_keeps_its_accuracy() {
    let Some(network) = resnet8() else { return };
    let Some(train) = support::data("quant", "cifar10/train-10000.npz") else {
        return;
    };
    let Some(test) = support::data("quant", "cifar10/test-dev-3000.npz") else {
        return;
    };
    let images = calibration(&network, &train, 256);
    let quantizer = Quantizer::new(&network, &images, Options::default()).expect("calibrates");
    for (allocation, bound) in [
        (Allocation::Uniform(8), 0.845),
        (Allocation::PerFilter(4.0), 0.84),
        (Allocation::PerFilter(3.0), 0.83),
    ] {
        let (integer, report) = quantizer.quantize(allocation).expect("quantizes");
        let found = top1(&integer, &test, 1000);
        println!(
            "{allocation:?}: top-1 {found}, {} bits",
            report.average_bits
        );
        assert!(found >= bound, "{allocation:?}: top-1 {found}");
    }
}

/// Estimated losses order as they must: filters within layers within uniform; error feedback below
/// nearest; the better for a larger budget.
#[test]
fn estimated_losses_are_in_order() {
    let Some(network) = resnet8() else { return };
    let Some(train) = support::data("quant", "cifar10/train-10000.npz") else {
        return;
    };
    let images = calibration(&network, &train, 64);
    let of = |weight_rounding, objective| {
        let options = Options {
            weight_rounding,
            objective,
            ..Options::default()
        };
        Quantizer::new(&network, &images, options).expect("calibrates")
    };
    let feedback = of(WeightRounding::ErrorFeedback, Objective::Time);
    let nearest = of(WeightRounding::Nearest, Objective::Time);
    let loss =
        |quantizer: &Quantizer, allocation| quantizer.plan(allocation).expect("fits").sensitivity;
    let mut last = f64::INFINITY;
    for bits in 2..=6_u8 {
        let budget = f64::from(bits);
        let filter = loss(&feedback, Allocation::PerFilter(budget));
        let layer = loss(&feedback, Allocation::PerLayer(budget));
        let uniform = loss(&feedback, Allocation::Uniform(bits));
        assert!(
            filter < layer && layer < uniform,
            "{bits}: {filter} {layer} {uniform}"
        );
        assert!(filter < loss(&nearest, Allocation::PerFilter(budget)));
        assert!(filter < last);
        last = filter;
    }
}

/// The Lagrangian's widths against the best there are, found by merging undominated partial allocations filter
/// by filter: the loss is within the reported gap, and the gap is small.
#[test]
fn the_gap_holds_against_the_exact_knapsack() {
    let Some(network) = resnet8() else { return };
    let Some(train) = support::data("quant", "cifar10/train-10000.npz") else {
        return;
    };
    let images = calibration(&network, &train, 64);
    for objective in [Objective::Time, Objective::Size] {
        let options = Options {
            objective,
            ..Options::default()
        };
        let quantizer = Quantizer::new(&network, &images, options).expect("calibrates");
        let units = quantizer.units();
        let total: u64 = units.iter().map(|unit| unit.cost_per_bit).sum();
        for budget in [2.0, 2.5, 3.0, 4.0, 5.5] {
            let report = quantizer.plan(Allocation::PerFilter(budget)).expect("fits");
            let limit = (budget * total as f64).floor() as u64;
            let best = allocate_exactly(&units, limit, (0, 8), 1 << 20).expect("few enough");
            let cost: u64 = units
                .iter()
                .zip(&best.bits)
                .map(|(unit, bits)| unit.cost_per_bit * u64::from(*bits))
                .sum();
            assert!(cost <= limit);
            let (bound, best, found) = (
                report.sensitivity_bound,
                best.sensitivity,
                report.sensitivity,
            );
            println!(
                "{objective:?} {budget}: bound {bound}, best {best}, found {found}, gap {:.2e}",
                report.gap()
            );
            assert!(bound <= best * (1.0 + 1e-12) && best <= found * (1.0 + 1e-12));
            assert!(found - best <= report.gap() * found + 1e-12);
            assert!(
                report.gap() < 2e-3,
                "{objective:?} {budget}: {}",
                report.gap()
            );
        }
    }
}
