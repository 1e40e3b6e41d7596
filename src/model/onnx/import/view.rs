//! Layers that the reader makes itself: what a view picks of a tensor, and arithmetic channel by channel.

use ndarray::{Array1, Array4};

use super::{
    Activation, Clamp, ConvolutionKind, FloatOp, Importer, Padding, Value, View, Window, pointwise,
};

impl<'m> Importer<'m> {
    /// An activation as a whole tensor: what its view picks is computed by a layer of its own, once for all
    /// readers.
    pub(super) fn materialize(&mut self, name: &'m str) -> Result<Activation, String> {
        let (mut activation, padding) = self.select(name)?;
        if padding != Padding::default() {
            let window = Window {
                padding,
                ..pointwise(1, 1)
            };
            let channels = activation.shape.channels;
            let op = self.per_channel(
                window,
                vec![1.0; channels],
                vec![0.0; channels],
                Clamp::NONE,
            )?;
            let shape = View {
                padding,
                ..View::whole()
            }
            .shape(activation.shape);
            let tensor = self.emit(name, "", op, &[activation.tensor], shape)?;
            activation = Activation::image(tensor, shape, self.batch);
            self.values
                .insert(name, Value::Activation(activation.clone()));
        }
        Ok(activation)
    }

    /// As [`Self::materialize`], but zeros around the image are left for the layer that reads it.
    pub(super) fn select(&mut self, name: &'m str) -> Result<(Activation, Padding), String> {
        let Some(Value::Activation(activation)) = self.values.get(name).cloned() else {
            return Err(format!("'{name}' is no activation"));
        };
        if activation.view == View::whole() {
            return Ok((activation, Padding::default()));
        }
        let padding = activation.view.padding;
        let inner = self.tensors[activation.tensor].shape;
        if !activation.view.selects() {
            return Ok((
                Activation::image(activation.tensor, inner, self.batch),
                padding,
            ));
        }
        let view = View {
            padding: Padding::default(),
            ..activation.view.clone()
        };
        let shape = view.shape(inner);
        let op = self.selection(&view, inner.channels)?;
        let tensor = self.emit(name, "", op, &[activation.tensor], shape)?;
        let padded = Activation {
            tensor,
            view: View {
                padding,
                ..View::whole()
            },
            ..activation
        };
        self.values.insert(name, Value::Activation(padded));
        Ok((Activation::image(tensor, shape, self.batch), padding))
    }

    /// A strided 1 x 1 convolution that picks pixels and channels: weight 1 where a filter's channel is, else 0.
    fn selection(&mut self, view: &View, inputs: usize) -> Result<FloatOp, String> {
        let window = pointwise(view.row_stride, view.column_stride);
        let Some(channels) = &view.channels else {
            return self.per_channel(window, vec![1.0; inputs], vec![0.0; inputs], Clamp::NONE);
        };
        self.allow_weights(&[channels.len(), inputs])?;
        let mut weights = Array4::zeros((channels.len(), 1, 1, inputs));
        for (filter, channel) in channels.iter().enumerate() {
            if let Some(channel) = channel {
                weights[[filter, 0, 0, *channel]] = 1.0;
            }
        }
        let bias = Array1::zeros(channels.len());
        Ok(FloatOp::Convolution {
            kind: ConvolutionKind::Dense,
            window,
            weights,
            bias,
            clamp: Clamp::NONE,
        })
    }

    /// A depthwise convolution with the same weight over the whole window of a channel.
    pub(super) fn per_channel(
        &mut self,
        window: Window,
        scale: Vec<f32>,
        offset: Vec<f32>,
        clamp: Clamp,
    ) -> Result<FloatOp, String> {
        let dims = [scale.len(), window.kernel_height, window.kernel_width, 1];
        self.allow_weights(&dims)?;
        let weights = Array4::from_shape_fn(dims, |(channel, ..)| scale[channel]);
        Ok(FloatOp::Convolution {
            kind: ConvolutionKind::Depthwise,
            window,
            weights,
            bias: Array1::from_vec(offset),
            clamp,
        })
    }
}
