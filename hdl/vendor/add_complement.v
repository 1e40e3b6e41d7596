// sum = a + (b ^ {WIDTH{complement}}) modulo 2^WIDTH: adds b, or subtracts b and one more.
//
// The same function twice: behaviour, and (macro YOSYS_CELLS, read with `read_verilog -icells -DYOSYS_CELLS`) yosys's `$alu`
// cell, whose BI input complements B. On ECP5 and Gowin that happens inside the carry cell, with no further LUT;
// from the expression yosys would put the complements in front of the adder.
module add_complement #(parameter WIDTH = 8) (
    input  wire [WIDTH-1:0] a,
    input  wire [WIDTH-1:0] b,
    input  wire             complement,
    output wire [WIDTH-1:0] sum
);
`ifdef YOSYS_CELLS
    wire [WIDTH-1:0] propagate, carry;
    \$alu #(
        .A_SIGNED(0), .B_SIGNED(0), .A_WIDTH(WIDTH), .B_WIDTH(WIDTH), .Y_WIDTH(WIDTH)
    ) adder (
        .A(a), .B(b), .CI(1'b0), .BI(complement), .Y(sum), .X(propagate), .CO(carry)
    );
`else
    assign sum = a + (b ^ {WIDTH{complement}});
`endif
endmodule
