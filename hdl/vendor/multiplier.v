// product = a * b two cycles later: registers in front of and behind the multiplier. b is unsigned, a is two's
// complement if A_SIGNED. Reset: none. One product a cycle.
//
//   clock    _/~\_/~\_/~\_
//   a, b     X v X
//   product          X v X
//
// The same function three times: behaviour; macro ECP5_CELLS: a DSP block with its own registers (143 MHz where
// one that yosys infers does 80); macro ICE40_CELLS: the same.
module multiplier #(parameter A_SIGNED = 0) (
    input  wire        clock,
    input  wire [15:0] a,
    input  wire [15:0] b,
    output wire [31:0] product
);
`ifdef ECP5_CELLS
    wire a_top = A_SIGNED != 0 ? a[15] : 1'b0;
    MULT18X18D #(
        .REG_INPUTA_CLK("CLK0"), .REG_INPUTB_CLK("CLK0"), .REG_OUTPUT_CLK("CLK0")
    ) block (
        .CLK0(clock), .CE0(1'b1), .RST0(1'b0),
        .SIGNEDA(1'b1), .SIGNEDB(1'b1), .SOURCEA(1'b0), .SOURCEB(1'b0),
        .A0(a[0]), .A1(a[1]), .A2(a[2]), .A3(a[3]), .A4(a[4]), .A5(a[5]),
        .A6(a[6]), .A7(a[7]), .A8(a[8]), .A9(a[9]), .A10(a[10]), .A11(a[11]),
        .A12(a[12]), .A13(a[13]), .A14(a[14]), .A15(a[15]), .A16(a_top), .A17(a_top),
        .B0(b[0]), .B1(b[1]), .B2(b[2]), .B3(b[3]), .B4(b[4]), .B5(b[5]),
        .B6(b[6]), .B7(b[7]), .B8(b[8]), .B9(b[9]), .B10(b[10]), .B11(b[11]),
        .B12(b[12]), .B13(b[13]), .B14(b[14]), .B15(b[15]), .B16(1'b0), .B17(1'b0),
        .P0(product[0]), .P1(product[1]), .P2(product[2]), .P3(product[3]), .P4(product[4]), .P5(product[5]),
        .P6(product[6]), .P7(product[7]), .P8(product[8]), .P9(product[9]), .P10(product[10]), .P11(product[11]),
        .P12(product[12]), .P13(product[13]), .P14(product[14]), .P15(product[15]), .P16(product[16]), .P17(product[17]),
        .P18(product[18]), .P19(product[19]), .P20(product[20]), .P21(product[21]), .P22(product[22]), .P23(product[23]),
        .P24(product[24]), .P25(product[25]), .P26(product[26]), .P27(product[27]), .P28(product[28]), .P29(product[29]),
        .P30(product[30]), .P31(product[31])
    );
`elsif ICE40_CELLS
    SB_MAC16 #(
        .A_REG(1'b1), .B_REG(1'b1), .PIPELINE_16x16_MULT_REG2(1'b1),
        .TOPOUTPUT_SELECT(2'b11), .BOTOUTPUT_SELECT(2'b11), .A_SIGNED(A_SIGNED), .B_SIGNED(1'b0)
    ) block (
        .CLK(clock), .CE(1'b1), .A(a), .B(b), .C(16'b0), .D(16'b0), .O(product),
        .AHOLD(1'b0), .BHOLD(1'b0), .CHOLD(1'b0), .DHOLD(1'b0),
        .IRSTTOP(1'b0), .IRSTBOT(1'b0), .ORSTTOP(1'b0), .ORSTBOT(1'b0), .OLOADTOP(1'b0), .OLOADBOT(1'b0),
        .ADDSUBTOP(1'b0), .ADDSUBBOT(1'b0), .OHOLDTOP(1'b0), .OHOLDBOT(1'b0),
        .CI(1'b0), .ACCUMCI(1'b0), .SIGNEXTIN(1'b0)
    );
`else
    reg signed [16:0] a_held, b_held;
    reg signed [33:0] held;
    always @(posedge clock) begin
        a_held <= {A_SIGNED != 0 ? a[15] : 1'b0, a};
        b_held <= {1'b0, b};
        held <= a_held * b_held;
    end
    assign product = held[31:0];
    wire unused = &{1'b0, held[33:32]};
`endif
endmodule
