//! Which cases are run, and why the others are not.

/// How many of a case's inputs are activations; the others are constants of the network.
pub(crate) fn activations(name: &str) -> usize {
    match name {
        "test_add" | "test_sub" | "test_sum_two_inputs" => 2,
        _ if is_constant(name) && !name.starts_with("test_shape") => 0,
        _ => 1,
    }
}

/// Cases whose result is computed while reading, as that of arithmetic on shapes.
pub(crate) fn is_constant(name: &str) -> bool {
    let operators = [
        "shape",
        "slice",
        "concat",
        "transpose",
        "unsqueeze",
        "mul",
        "sub_",
        "add_",
        "reshape",
        "dequantizelinear",
        "quantizelinear",
    ];
    operators
        .iter()
        .any(|operator| name["test_".len()..].starts_with(operator))
}

/// All cases that are out of scope.
pub(crate) fn listed() -> impl Iterator<Item = &'static str> {
    OUT_OF_SCOPE
        .iter()
        .flat_map(|(_, names)| names.iter().copied())
}

/// The reason why a case is out of scope.
pub(crate) fn out_of_scope(name: &str) -> Option<&'static str> {
    OUT_OF_SCOPE
        .iter()
        .find(|(_, names)| names.contains(&name))
        .map(|(reason, _)| *reason)
}

/// Reasons, and the cases that each keeps out.
const OUT_OF_SCOPE: &[(&str, &[&str])] = &[
    (
        "the processor's windows have no gaps",
        &["test_averagepool_2d_dilations", "test_maxpool_2d_dilations"],
    ),
    (
        "compares and selects by elements; the operator itself is in scope, its expansion into these is not",
        &[
            "test_clip_default_int8_max_expanded",
            "test_clip_default_min_expanded",
            "test_clip_example_expanded",
            "test_clip_splitbounds_expanded",
            "test_leakyrelu_example_expanded",
            "test_leakyrelu_expanded",
            "test_prelu_broadcast_expanded",
            "test_prelu_example_expanded",
            "test_relu_expanded_ver18",
        ],
    ),
    (
        "pads with other values than zeros",
        &[
            "test_constant_pad_axes",
            "test_constant_pad_negative_axes",
            "test_edge_pad",
        ],
    ),
    (
        "hands accumulators of 32 bits out; activations are bytes",
        &[
            "test_convinteger_with_padding",
            "test_convinteger_without_padding",
            "test_matmulinteger",
        ],
    ),
    (
        "moves pixels into channels or repeats them; no such unit",
        &[
            "test_depthtospace_crd_mode_example",
            "test_resize_upsample_scales_nearest",
            "test_resize_upsample_scales_nearest_axes_2_3",
            "test_resize_upsample_scales_nearest_axes_3_2",
            "test_upsample_nearest",
        ],
    ),
    (
        "elements of other types than int8 and uint8",
        &[
            "test_dequantizelinear_e4m3fn_zero_point",
            "test_dequantizelinear_float4e2m1",
            "test_dequantizelinear_int2",
            "test_dequantizelinear_int4",
            "test_dequantizelinear_uint2",
            "test_quantizelinear_e4m3fn",
            "test_quantizelinear_int16",
            "test_quantizelinear_int2",
            "test_quantizelinear_int4",
            "test_quantizelinear_uint2",
            "test_quantizelinear_uint4",
        ],
    ),
    (
        "a step for every block of elements",
        &["test_quantizelinear_blocked_symmetric"],
    ),
    (
        "transA: the batch is the inner dimension of the activation",
        &["test_gemm_all_attributes"],
    ),
    (
        "a bias that differs from image to image",
        &["test_gemm_default_matrix_bias"],
    ),
    (
        "a sigmoid; only clamps follow layers",
        &[
            "test_hardsigmoid_default_expanded_ver18",
            "test_hardsigmoid_example_expanded_ver18",
            "test_hardsigmoid_expanded_ver18",
            "test_hardswish_expanded",
            "test_sigmoid",
            "test_sigmoid_example",
        ],
    ),
    (
        "an optional value or a sequence, no tensor",
        &[
            "test_identity_opt",
            "test_split_to_sequence_1",
            "test_split_to_sequence_2",
        ],
    ),
    (
        "products other than [batch, in] x [in, out]",
        &[
            "test_matmul_1d_1d",
            "test_matmul_3d",
            "test_matmul_4d_1d",
            "test_qlinearmatmul_3D_int8_float16",
            "test_qlinearmatmul_3D_int8_float32",
            "test_qlinearmatmul_3D_uint8_float16",
        ],
    ),
    (
        "weights that exceed int8 once their zero point is subtracted",
        &[
            "test_qlinearmatmul_2D_int8_float16",
            "test_qlinearmatmul_2D_uint8_float16",
            "test_qlinearmatmul_2D_uint8_float32",
        ],
    ),
    (
        "slopes that differ within a channel",
        &["test_prelu_broadcast", "test_prelu_example"],
    ),
    (
        "a mean over one dimension of three; only over all rows and columns of an image",
        &[
            "test_reduce_mean_default_axes_keepdims_example",
            "test_reduce_mean_do_not_keepdims_random",
            "test_reduce_mean_keepdims_example",
            "test_reduce_mean_keepdims_random",
            "test_reduce_mean_negative_axes_keepdims_example",
            "test_reduce_mean_negative_axes_keepdims_random",
        ],
    ),
    ("steps backwards", &["test_slice_neg_steps"]),
    (
        "a softmax over part of an image; only over the channels of a vector",
        &[
            "test_softmax_axis_0",
            "test_softmax_axis_0_expanded",
            "test_softmax_axis_0_expanded_ver18",
            "test_softmax_axis_1",
            "test_softmax_axis_1_expanded_ver18",
            "test_softmax_axis_2",
            "test_softmax_axis_2_expanded",
            "test_softmax_axis_2_expanded_ver18",
        ],
    ),
    (
        "several outputs",
        &[
            "test_split_1d_uneven_split_opset18",
            "test_split_2d_uneven_split_opset18",
            "test_split_equal_parts_1d_opset13",
            "test_split_equal_parts_1d_opset18",
            "test_split_equal_parts_2d",
            "test_split_equal_parts_2d_opset13",
            "test_split_equal_parts_default_axis_opset13",
            "test_split_variable_parts_1d_opset18",
            "test_split_variable_parts_2d_opset13",
            "test_split_variable_parts_2d_opset18",
            "test_split_variable_parts_default_axis_opset18",
            "test_split_zero_size_splits_opset18",
        ],
    ),
];
