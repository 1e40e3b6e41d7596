// `add_complement` and `add_gated` as behaviour and as ECP5's carry cells (yosys's $alu through vendor/ecp5_alu.v, and CCU2C): equal for
// every operand.
module adders_compared (
    input wire control,
    input wire a_1, b_1,
    input wire [1:0] a_2, b_2,
    input wire [7:0] a_8, b_8,
    input wire [30:0] a_31, b_31
);
    wire [41:0] sums [0:1], gated [0:1];
    behaviour behaviour (
        .control(control), .a_1(a_1), .b_1(b_1), .a_2(a_2), .b_2(b_2), .a_8(a_8), .b_8(b_8), .a_31(a_31), .b_31(b_31),
        .sum_1(sums[0][0]), .sum_2(sums[0][2:1]), .sum_8(sums[0][10:3]), .sum_31(sums[0][41:11]),
        .gated_1(gated[0][0]), .gated_2(gated[0][2:1]), .gated_8(gated[0][10:3]), .gated_31(gated[0][41:11])
    );
    cells cells (
        .control(control), .a_1(a_1), .b_1(b_1), .a_2(a_2), .b_2(b_2), .a_8(a_8), .b_8(b_8), .a_31(a_31), .b_31(b_31),
        .sum_1(sums[1][0]), .sum_2(sums[1][2:1]), .sum_8(sums[1][10:3]), .sum_31(sums[1][41:11]),
        .gated_1(gated[1][0]), .gated_2(gated[1][2:1]), .gated_8(gated[1][10:3]), .gated_31(gated[1][41:11])
    );
    always @* begin
        assert (sums[0] == sums[1]);
        assert (gated[0] == gated[1]);
        cover (control && a_31 == 31'h7fffffff && b_31 == 31'd1 && gated[1][41:11] == 31'd0);
        cover (control && a_8 == 8'd0 && b_8 == 8'd0 && sums[1][10:3] == 8'hff);
    end
endmodule
