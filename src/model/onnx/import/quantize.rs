//! Quantization operators: constants are dequantized, and for activations step and zero point are noted.

use super::convolution::{Bias, outputs_of, spread};
use super::{ActivationQuantization, Constant, Importer, Node, Rc, Value};
use crate::model::onnx::constant::{Data, Element, Quantized};
use crate::model::onnx::graph::axis_index;

impl<'m> Importer<'m> {
    /// Step and zero point from inputs `first` and `first + 1`; a zero point left out is a byte 0 of `default`
    /// type.
    fn parameters(
        &self,
        node: &Node<'m>,
        first: usize,
        default: Element,
    ) -> Result<ActivationQuantization, String> {
        let scale = self.constant(node, first)?.scalar()?;
        if !(scale.is_finite() && scale > 0.0) {
            return Err(format!("a step of {scale}"));
        }
        let (zero, element) = match self.optional_constant(node, first + 1)? {
            Some(constant) => (constant.as_integers()?.to_vec(), constant.element),
            None => (vec![0], default),
        };
        let (range, shift) = match element {
            Element::Uint8 => (0..=255, 0),
            Element::Int8 => (-128..=127, 128),
            _ => return Err("activations have to be int8 or uint8".to_owned()),
        };
        match zero[..] {
            [zero] if range.contains(&zero) => {
                let zero_point = i32::try_from(zero + shift).map_err(|_| "a strange zero point")?;
                Ok(ActivationQuantization { scale, zero_point })
            }
            _ => Err(format!("zero point {zero:?} for an activation")),
        }
    }

    /// Notes the quantization of a tensor; a second one has to be the same.
    pub(super) fn note(
        &mut self,
        tensor: usize,
        quantization: ActivationQuantization,
    ) -> Result<(), String> {
        match self.activations[tensor] {
            Some(known) if known != quantization => Err(format!(
                "an activation with step {} and zero point {} is requantized to {} and {}",
                known.scale, known.zero_point, quantization.scale, quantization.zero_point
            )),
            _ => {
                self.activations[tensor] = Some(quantization);
                Ok(())
            }
        }
    }

    fn note_value(
        &mut self,
        value: &Value,
        quantization: ActivationQuantization,
    ) -> Result<(), String> {
        if let Value::Activation(activation) = value {
            self.note(activation.tensor, quantization)
        } else {
            Ok(())
        }
    }

    /// Notes the quantization of input `index`, given by the two inputs from `first` on.
    fn note_input(&mut self, node: &Node<'m>, index: usize, first: usize) -> Result<(), String> {
        let quantization = self.parameters(node, first, Element::Uint8)?;
        let activation = self.whole(node, index)?;
        self.note(activation.tensor, quantization)
    }

    /// QuantizeLinear of a constant, or of an activation.
    pub(super) fn quantize(&mut self, node: &Node<'m>) -> Result<Value, String> {
        if node.int("block_size", 0) != 0 {
            return Err("steps for blocks of elements".to_owned());
        }
        if let Some(Value::Constant(constant)) = self.optional(node, 0)? {
            let constant = constant.clone();
            return self.quantize_constant(node, &constant);
        }
        let output = node.int("output_dtype", 2);
        let default = Element::from_number(i32::try_from(output).unwrap_or(0))?;
        let quantization = self.parameters(node, 1, default)?;
        let activation = self.whole(node, 0)?;
        self.note(activation.tensor, quantization)?;
        Ok(Value::Activation(activation))
    }

    fn quantize_constant(&mut self, node: &Node<'m>, constant: &Constant) -> Result<Value, String> {
        let (scale, zero, element) = self.scales(node, 1, Element::Uint8)?;
        let (low, high) = match element {
            Element::Uint8 => (0.0, 255.0),
            Element::Int8 => (-128.0, 127.0),
            _ => return Err("weights have to be int8 or uint8".to_owned()),
        };
        let axis = node.int("axis", 1);
        let index = self.channel_of(constant, &scale, &zero, axis)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let quantize = |(place, value): (usize, &f32)| {
            let (channel, zero) = (index(place), zero[index(place) % zero.len()]);
            let step = scale[channel % scale.len()];
            ((value / step).round_ties_even() + zero as f32).clamp(low, high) as i64
        };
        let values = constant
            .to_reals()
            .iter()
            .enumerate()
            .map(quantize)
            .collect();
        let dims = constant.dims.clone();
        Ok(Value::Constant(Rc::new(Constant {
            dims,
            data: Data::Integer(values),
            element,
            quantized: None,
        })))
    }

    /// Steps, zero points (one, or as many as steps) and the zero points' type.
    fn scales(
        &self,
        node: &Node<'m>,
        first: usize,
        default: Element,
    ) -> Result<(Vec<f32>, Vec<i64>, Element), String> {
        let scale = self.constant(node, first)?;
        let (zero, element) = match self.optional_constant(node, first + 1)? {
            Some(zero) => (zero.as_integers()?.to_vec(), zero.element),
            None => (vec![0], default),
        };
        let values = scale.to_reals();
        if values.is_empty()
            || scale.dims.len() > 1
            || (zero.len() != 1 && zero.len() != values.len())
        {
            return Err("steps and zero points do not fit together".to_owned());
        }
        if let Some(step) = values
            .iter()
            .find(|step| !(step.is_finite() && **step > 0.0))
        {
            return Err(format!("a step of {step}"));
        }
        Ok((values, zero, element))
    }

    /// From an element's place to its index along `axis` (0 with a single step).
    fn channel_of(
        &self,
        constant: &Constant,
        scale: &[f32],
        zero: &[i64],
        axis: i64,
    ) -> Result<impl Fn(usize) -> usize + use<>, String> {
        let (mut inner, mut size) = (1, 1);
        if scale.len() > 1 {
            let axis = axis_index(axis, constant.dims.len())?;
            (inner, size) = (
                constant.dims[axis + 1..].iter().product(),
                constant.dims[axis],
            );
            if size != scale.len() || zero.len() > size {
                return Err(format!("{} steps along an axis of {size}", scale.len()));
            }
        }
        let (inner, size): (usize, usize) = (inner.max(1), size.max(1));
        Ok(move |place: usize| place / inner % size)
    }

    /// DequantizeLinear of a constant, or of an activation.
    pub(super) fn dequantize(&mut self, node: &Node<'m>) -> Result<Value, String> {
        if node.int("block_size", 0) != 0 {
            return Err("steps for blocks of elements".to_owned());
        }
        if let Some(Value::Constant(constant)) = self.optional(node, 0)? {
            let constant = constant.clone();
            let result = self.dequantized(node, &constant, 1, node.int("axis", 1))?;
            return Ok(Value::Constant(Rc::new(result)));
        }
        let quantization = self.parameters(node, 1, Element::Uint8)?;
        let activation = self.whole(node, 0)?;
        self.note(activation.tensor, quantization)?;
        Ok(Value::Activation(activation))
    }

    /// A constant times its steps (inputs `first` and `first + 1`), which run along `axis`.
    fn dequantized(
        &self,
        node: &Node<'m>,
        constant: &Constant,
        first: usize,
        axis: i64,
    ) -> Result<Constant, String> {
        let (scale, zero, _) = self.scales(node, first, constant.element)?;
        let index = self.channel_of(constant, &scale, &zero, axis)?;
        let shifted = constant
            .as_integers()?
            .iter()
            .enumerate()
            .map(|(place, value)| {
                let zero = zero[index(place) % zero.len()];
                value
                    .checked_sub(zero)
                    .ok_or_else(|| "a weight overflows".to_owned())
            });
        let values = shifted.collect::<Result<Vec<_>, _>>()?;
        #[allow(clippy::cast_precision_loss)]
        let reals = values
            .iter()
            .enumerate()
            .map(|(place, value)| *value as f32 * scale[index(place) % scale.len()])
            .collect();
        let mut result = Constant::reals(constant.dims.clone(), reals);
        let axis = if scale.len() > 1 {
            axis_index(axis, constant.dims.len())?
        } else {
            0
        };
        result.quantized = Some(Rc::new(Quantized {
            values,
            scale,
            axis,
        }));
        Ok(result)
    }

    /// QLinearConv(x, step, zero, w, step, zero, y step, y zero, bias).
    pub(super) fn quantized_convolution(&mut self, node: &Node<'m>) -> Result<Value, String> {
        self.note_input(node, 0, 1)?;
        let weights = self.dequantized(node, &*self.constant(node, 3)?, 4, 0)?;
        let filters = weights.dims.first().copied().unwrap_or(0);
        let bias = self.integer_bias(node, 8, 1, &weights, filters)?;
        let output = self.parameters(node, 6, Element::Uint8)?;
        let value = self.convolve(node, 0, &weights, bias)?;
        self.note_value(&value, output)?;
        Ok(value)
    }

    /// An int32 bias in accumulator units: its step is the input's (input `first`) times the weights'.
    fn integer_bias(
        &self,
        node: &Node<'m>,
        index: usize,
        first: usize,
        weights: &Constant,
        filters: usize,
    ) -> Result<Bias, String> {
        let Some(constant) = self.optional_constant(node, index)? else {
            return Bias::of(None, filters);
        };
        let values = constant.as_integers()?.to_vec();
        let step = self.constant(node, first)?.scalar()?;
        let scales = weights
            .quantized
            .as_ref()
            .map(|quantized| spread(&quantized.scale, filters));
        let scales = scales.ok_or("the weights are not quantized")?;
        if values.len() != filters || scales.len() != filters {
            return Err(format!(
                "a bias of {} values for {filters} filters",
                values.len()
            ));
        }
        #[allow(clippy::cast_precision_loss)]
        let real = values
            .iter()
            .zip(&scales)
            .map(|(value, scale)| *value as f32 * (step * scale))
            .collect();
        Ok(Bias {
            real,
            quantized: Some((values, None)),
        })
    }

    /// QLinearMatMul(a, step, zero, b, step, zero, y step, y zero) with a constant b.
    pub(super) fn quantized_matrix_product(&mut self, node: &Node<'m>) -> Result<Value, String> {
        self.note_input(node, 0, 1)?;
        let weights = self.dequantized(node, &*self.constant(node, 3)?, 4, -1)?;
        let output = self.parameters(node, 6, Element::Uint8)?;
        let outputs = outputs_of(node, &weights)?;
        let value = self.fully_connect(node, 0, &weights, Bias::of(None, outputs)?)?;
        self.note_value(&value, output)?;
        Ok(value)
    }

    /// com.microsoft.QGemm(a, step, zero, b, step, zero, bias, y step, y zero) with a constant b.
    pub(super) fn quantized_gemm(&mut self, node: &Node<'m>) -> Result<Value, String> {
        if node.float("alpha", 1.0) != 1.0 {
            return Err("alpha other than 1".to_owned());
        }
        self.note_input(node, 0, 1)?;
        let axis = if node.int("transB", 0) != 0 { 0 } else { 1 };
        let weights = self.dequantized(node, &*self.constant(node, 3)?, 4, axis)?;
        let outputs = outputs_of(node, &weights)?;
        let bias = self.integer_bias(node, 6, 1, &weights, outputs)?;
        let output = node
            .input(7)
            .map(|_| self.parameters(node, 7, Element::Uint8))
            .transpose()?;
        let value = self.fully_connect(node, 0, &weights, bias)?;
        if let Some(output) = output {
            self.note_value(&value, output)?;
        }
        Ok(value)
    }

    /// com.microsoft.QLinearAdd(a, step, zero, b, step, zero, y step, y zero).
    pub(super) fn quantized_add(&mut self, node: &Node<'m>) -> Result<Value, String> {
        self.note_input(node, 0, 1)?;
        self.note_input(node, 3, 4)?;
        let output = self.parameters(node, 6, Element::Uint8)?;
        let value = self.add(node, 0, 3)?;
        self.note_value(&value, output)?;
        Ok(value)
    }

    /// com.microsoft.QLinearAveragePool and QLinearGlobalAveragePool(x, step, zero, y step, y zero).
    pub(super) fn quantized_pool(&mut self, node: &Node<'m>) -> Result<Value, String> {
        if node.int("channels_last", 0) != 0 {
            return Err("channels_last".to_owned());
        }
        self.note_input(node, 0, 1)?;
        let output = self.parameters(node, 3, Element::Uint8)?;
        let value = if node.proto.op_type == "QLinearAveragePool" {
            self.pool(node)?
        } else {
            let activation = self.whole(node, 0)?;
            activation.expect_image()?;
            Value::Activation(self.pool_whole(node, &activation, true)?)
        };
        self.note_value(&value, output)?;
        Ok(value)
    }
}
