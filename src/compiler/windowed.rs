//! Lowering of pooling and residual addition.

use super::{
    CompileError, Operation,
    geometry::{Site, integer},
    requantize,
};
use crate::model::integer::{Multiplier, Window};
use bitweft_isa::{
    descriptor::{Descriptor, Opcode},
    record::Record,
};

/// Largest number of taps whose sum the pool unit holds.
const POOL_TAPS_MAX: usize = 1024;
/// Left shift of an addend before it is scaled (TFLite int8 ADD).
const ADD_SHIFT: u32 = 20;

fn operation(descriptor: Descriptor, records: Vec<Record>) -> Vec<Operation> {
    vec![Operation {
        descriptor,
        planes: Vec::new(),
        records,
        widths: Vec::new(),
    }]
}

/// Elementwise sum.
pub(super) fn add(
    site: &Site<'_>,
    input: [Multiplier; 2],
    output: Multiplier,
    clamp: (u8, u8),
) -> Result<Vec<Operation>, CompileError> {
    let name = &site.layer.name;
    let (a, b) = (site.inputs[0], site.inputs[1]);
    let words = site.output.words(site.architecture.columns);
    let mut descriptor = site.descriptor(Opcode::Add, clamp);
    descriptor.in_base = integer(a.base);
    descriptor.row_stride = integer(b.base);
    descriptor.strip_count = integer(words);
    let mut records = Vec::with_capacity(3);
    let mut reach = 0_i64;
    for (index, multiplier) in input.into_iter().enumerate() {
        let zero = site.input_zero(index);
        let record = requantize::record(
            name,
            -(zero << ADD_SHIFT),
            multiplier,
            site.network.rounding,
        )?;
        let (low, high) = (-zero << ADD_SHIFT, (255 - zero) << ADD_SHIFT);
        requantize::check_range(name, index, low, high, &record)?;
        let largest = low.abs().max(high.abs());
        // An upper bound of the scaled addend, rounding included.
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let scaled = (largest as f64 * multiplier.to_real()).ceil() as i64 + 1;
        reach += scaled;
        records.push(record);
    }
    let sum = requantize::record(name, 0, output, site.network.rounding)?;
    requantize::check_range(name, 0, -reach, reach, &sum)?;
    records.push(sum);
    Ok(operation(descriptor, records))
}

/// Maximum over windows: padding reads as the smallest byte.
pub(super) fn maximum(
    site: &Site<'_>,
    window: Window,
    clamp: (u8, u8),
) -> Result<Vec<Operation>, CompileError> {
    let mut descriptor = site.descriptor(Opcode::MaxPool, clamp);
    site.slide(&mut descriptor, &window)?;
    descriptor.pad_value = 0;
    Ok(operation(descriptor, Vec::new()))
}

/// TFLite int8 average pooling: the mean of `u - 128`, ties away from zero.
pub(super) fn average(
    site: &Site<'_>,
    window: Window,
    clamp: (u8, u8),
) -> Result<Vec<Operation>, CompileError> {
    if window.padding != Default::default() {
        return Err(site.unsupported(
            "average pooling with padding: the divisor would differ from pixel to pixel; pool without padding",
        ));
    }
    let count = taps(site, &window)?;
    let mut descriptor = site.descriptor(Opcode::AveragePool, clamp);
    site.slide(&mut descriptor, &window)?;
    descriptor.rounding_double = 0;
    descriptor.out_zero = 128;
    Ok(operation(descriptor, vec![mean_record(count)]))
}

/// `v = sum(u) - 128 n` times a factor a little above 1/n, rounded once with ties upwards: the excess is
/// below 1/(2n) for all sums and makes negative ties fall away from zero, too.
fn mean_record(count: i64) -> Record {
    let exponent = count.ilog2();
    let bias = -128 * count;
    if count == 1 {
        return Record {
            bias,
            mantissa: 1 << 30,
            left: 2,
            right: 1,
            ..Record::default()
        };
    }
    // 2^(30 + ceil(log2 n)) / n lies in 2^30..2^31.
    let ceiling = if count.count_ones() == 1 {
        exponent
    } else {
        exponent + 1
    };
    let mantissa = u32::try_from((1_i64 << (30 + ceiling)) / count + 1).unwrap_or(0);
    let (left, right) = if ceiling == 1 {
        (1, 1)
    } else {
        (0, ceiling - 1)
    };
    Record {
        bias,
        mantissa,
        left,
        right: u8::try_from(right).unwrap_or(0),
        ..Record::default()
    }
}

/// Mean over all pixels with rescaling.
pub(super) fn global_average(
    site: &Site<'_>,
    multiplier: Multiplier,
) -> Result<Vec<Operation>, CompileError> {
    let input = site.inputs[0];
    let window = Window {
        kernel_height: input.height,
        kernel_width: input.width,
        stride_height: 1,
        stride_width: 1,
        padding: crate::model::float::Padding::default(),
    };
    let count = taps(site, &window)?;
    let mut descriptor = site.descriptor(Opcode::AveragePool, (0, 255));
    site.slide(&mut descriptor, &window)?;
    let zero = site.input_zero(0);
    let record = requantize::record(
        &site.layer.name,
        -zero * count,
        multiplier,
        site.network.rounding,
    )?;
    requantize::check_range(
        &site.layer.name,
        0,
        -zero * count,
        (255 - zero) * count,
        &record,
    )?;
    Ok(operation(descriptor, vec![record]))
}

fn taps(site: &Site<'_>, window: &Window) -> Result<i64, CompileError> {
    let taps = window.kernel_height * window.kernel_width;
    if taps > POOL_TAPS_MAX {
        return Err(site.unsupported(format!(
            "pooling over {taps} pixels; the pool unit sums at most {POOL_TAPS_MAX}"
        )));
    }
    Ok(integer(taps))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `isa::record` with `rounding_double` = 0.
    fn apply(record: &Record, sum: i64) -> i64 {
        let v = sum + record.bias;
        let p = ((v << record.left) * i64::from(record.mantissa)) >> 31;
        (p + (1 << (record.right - 1))) >> record.right
    }

    #[test]
    fn means_are_tflites_for_every_sum() {
        for count in (1..=130).chain([256, 961, 1000, 1023, 1024]) {
            let record = mean_record(count);
            assert!(record.encode().is_some());
            let step = if count > 200 { 7 } else { 1 };
            for sum in (0..=255 * count).step_by(step) {
                let signed = sum - 128 * count;
                let half = if signed > 0 { count / 2 } else { -(count / 2) };
                assert_eq!(
                    apply(&record, sum),
                    (signed + half) / count,
                    "{sum} / {count}"
                );
            }
        }
    }
}
