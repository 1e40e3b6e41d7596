// sum = a + (gate ? b : 0) modulo 2^WIDTH.
//
// The same function three times: behaviour; macro ECP5_CELLS: CCU2C carry cells, whose look-up tables take the gate in (a bit
// propagates if a ^ (b & gate), and else generates a); macro ICE40_CELLS: the look-up table behind a carry cell chooses between sum
// and a, whatever the carry.
module add_gated #(parameter WIDTH = 8) (
    input  wire [WIDTH-1:0] a,
    input  wire [WIDTH-1:0] b,
    input  wire             gate,
    output wire [WIDTH-1:0] sum
);
`ifdef ECP5_CELLS
    localparam PAIRS = (WIDTH + 1) / 2;
    wire [2*PAIRS-1:0] left = {{(2*PAIRS-WIDTH){1'b0}}, a};
    wire [2*PAIRS-1:0] right = {{(2*PAIRS-WIDTH){1'b0}}, b};
    wire [2*PAIRS-1:0] total;
    wire [PAIRS:0] carry;
    assign carry[0] = 1'b0;
    assign sum = total[WIDTH-1:0];
    genvar i;
    generate
        for (i = 0; i < PAIRS; i = i + 1) begin : pair
            CCU2C #(
                .INIT0(16'h6a6a), .INIT1(16'h6a6a), .INJECT1_0("NO"), .INJECT1_1("NO")
            ) adder (
                .CIN(carry[i]),
                .A0(left[2*i]), .B0(right[2*i]), .C0(gate), .D0(1'b0),
                .A1(left[2*i+1]), .B1(right[2*i+1]), .C1(gate), .D1(1'b0),
                .S0(total[2*i]), .S1(total[2*i+1]), .COUT(carry[i+1])
            );
        end
    endgenerate
`elsif ICE40_CELLS
    wire [WIDTH-1:0] total = a + b;
    assign sum = gate ? total : a;
`else
    assign sum = a + (b & {WIDTH{gate}});
`endif
endmodule
