//! The distance to the float network's answers, and to the labels.

use burn_tensor::activation::log_softmax;
use burn_tensor::{Int, Tensor, TensorData};

/// How much of the loss is what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LossParts {
    /// Of the distance to the teacher.
    pub(crate) distillation: f64,
    /// Divides both networks' logits.
    pub(crate) temperature: f64,
}

/// Mean over a batch of `distillation` x T^2 KL(teacher || student), both softened by the temperature T (Hinton et
/// al., 2015), and for the rest cross-entropy with the labels. Logits `[n, classes]`; shape `[1]`.
pub(crate) fn loss(
    student: Tensor<2>,
    teacher: Tensor<2>,
    labels: &[usize],
    LossParts {
        distillation,
        temperature,
    }: LossParts,
) -> Tensor<1> {
    let count = labels.len();
    let device = student.device();
    let wanted: Vec<i64> = labels
        .iter()
        .map(|label| i64::try_from(*label).unwrap_or(0))
        .collect();
    let wanted = Tensor::<2, Int>::from_data(TensorData::new(wanted, [count, 1]), &device);
    let cross_entropy = log_softmax(student.clone(), 1)
        .gather(1, wanted)
        .mean()
        .neg();
    let softened = log_softmax(student / temperature, 1);
    let target = log_softmax(teacher / temperature, 1);
    let distance = (target.clone().exp() * (target - softened)).sum() / (count as f64);
    distance * (distillation * temperature * temperature) + cross_entropy * (1.0 - distillation)
}
