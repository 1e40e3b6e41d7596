// MULT18X18D as far as multiplier.v uses it, after Lattice's sysDSP guide for ECP5 (FPGA-TN-02205): 18 x 18 bits, each operand
// signed or not, with registers of clock CLK0 in front (with the sign flags) and behind, where a parameter names it.
/* verilator lint_off DECLFILENAME */
module MULT18X18D #(
    parameter REG_INPUTA_CLK = "NONE", REG_INPUTB_CLK = "NONE", REG_PIPELINE_CLK = "NONE", REG_OUTPUT_CLK = "NONE"
) (
    input CLK0, CE0, RST0, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    input A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, A16, A17,
    input B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13, B14, B15, B16, B17,
    output P0, P1, P2, P3, P4, P5, P6, P7, P8, P9, P10, P11, P12, P13, P14, P15, P16, P17, P18, P19, P20, P21, P22, P23,
    P24, P25, P26, P27, P28, P29, P30, P31, P32, P33, P34, P35
);
    wire [18:0] a = {SIGNEDA && A17, A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
    wire [18:0] b = {SIGNEDB && B17, B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
    reg signed [18:0] a_held, b_held;
    reg [35:0] held;
    wire signed [18:0] left = REG_INPUTA_CLK == "NONE" ? a : a_held;
    wire signed [18:0] right = REG_INPUTB_CLK == "NONE" ? b : b_held;
    wire signed [37:0] product = left * right;
    always @(posedge CLK0) begin
        if (RST0) begin
            a_held <= 19'd0;
            b_held <= 19'd0;
            held <= 36'd0;
        end else if (CE0) begin
            a_held <= a;
            b_held <= b;
            held <= product[35:0];
        end
    end
    initial if (SOURCEA || SOURCEB || REG_PIPELINE_CLK != "NONE") $fatal(1, "MULT18X18D: no model of this use");
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15,
    P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} =
        REG_OUTPUT_CLK == "NONE" ? product[35:0] : held;
    wire unused = &{1'b0, product[37:36]};
endmodule
