//! Which of CMSIS-NN's cases are tested as what. Each case must be in one list.

/// Dense and depthwise convolutions.
pub(crate) const CONVOLUTIONS: &[&str] = &[
    "basic",
    "basic_2_int4",
    "conv_1_x_n_1",
    "conv_1_x_n_2",
    "conv_1_x_n_2_int4",
    "conv_1_x_n_3",
    "conv_1_x_n_3_int4",
    "conv_1_x_n_4",
    "conv_1_x_n_4_int4",
    "conv_1_x_n_5",
    "conv_1_x_n_5_int4",
    "conv_1_x_n_7",
    "conv_1_x_n_8",
    "conv_2",
    "conv_4",
    "conv_4_int4",
    "conv_5",
    "conv_5_int4",
    "conv_out_activation_int4",
    "kernel1x1_int4_3",
    "kernel1x1_stride_x_y",
    "kernel1x1_stride_x_y_1_int4",
    "kernel1x1_stride_x_y_2",
    "kernel1x1_stride_x_y_2_int4",
    "stride2pad1",
    "stride2pad1_int4",
    // Dilated and grouped kernels are run as the dense kernels they abbreviate, with zeros between.
    "conv_2x2_dilation",
    "conv_2x2_dilation_5x5_input",
    "conv_2x2_dilation_5x5_input_int4",
    "conv_2x2_dilation_int4",
    "conv_2x3_dilation",
    "conv_2x3_dilation_int4",
    "conv_3x2_dilation",
    "conv_3x3_dilation_5x5_input",
    "conv_3x3_dilation_5x5_input_int4",
    "conv_dilation_golden",
    "grouped_conv_1",
    "grouped_conv_4",
    "depthwise_dilation",
    "depthwise_eq_in_out_ch",
    "depthwise_int4_1",
    "depthwise_int4_3",
    "depthwise_int4_4",
    "depthwise_int4_generic",
    "depthwise_int4_generic_2",
    "depthwise_int4_generic_3",
    "depthwise_int4_generic_5",
    "depthwise_mult_batches",
    "depthwise_null_bias_1",
    "depthwise_out_activation",
    "depthwise_x_stride",
];

/// Fully connected layers.
pub(crate) const FULLY_CONNECTED: &[&str] = &[
    "fc_per_ch",
    "fully_connected_int4_3",
    "fully_connected_int4_5",
    "fully_connected_mve_0",
    "fully_connected_mve_1",
    "fully_connected_null_bias_0",
    "fully_connected_out_activation",
];

/// Average and maximum pooling.
pub(crate) const POOLS: &[&str] = &[
    "avgpooling_2",
    "avgpooling_3",
    "avgpooling_5",
    "maxpooling_2",
    "maxpooling_3",
    "maxpooling_4",
];

/// Cases that are not of a kind of their own above, each with a test.
pub(crate) const OTHERS: &[&str] = &["add", "softmax", "ds_cnn_l"];

/// Beginnings of names, and why those cases do not apply.
pub(crate) const OUT_OF_SCOPE: &[(&str, &str)] = &[
    ("add_s16", "16-bit activations"),
    ("avgpooling_int16", "16-bit activations"),
    ("batch_matmul", "a product of two activations"),
    ("dw_int16xint8", "16-bit activations"),
    ("fc_int16", "16-bit activations"),
    ("fully_connected_int16", "16-bit activations"),
    (
        "fully_connected_int4_6",
        "output zero point 128, which int8 cannot hold",
    ),
    ("fully_connected_w_zp", "weights with a zero point"),
    ("int16xint8", "16-bit activations"),
    ("maximum_", "not an operator of integer networks"),
    ("maxpool_int16", "16-bit activations"),
    ("minimum_", "not an operator of integer networks"),
    ("mul_s16", "16-bit activations"),
    ("pad_int8", "padding is part of the windows"),
    ("requantize_s64", "64-bit accumulators"),
    ("reverse_transpose_conv", "transposed convolution"),
    ("softmax_s16", "16-bit activations"),
    ("softmax_s8_s16", "16-bit activations"),
    ("transpose_", "not an operator of integer networks"),
];
