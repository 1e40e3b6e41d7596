// CCU2C, after Lattice's ECP5 family data sheet (FPGA-DS-02012): two bits of a carry chain, a look-up table each; where it
// is 0, the bit's carry is the table at C = D = 0.
/* verilator lint_off DECLFILENAME */
module CCU2C #(
    parameter [15:0] INIT0 = 0, INIT1 = 0,
    parameter INJECT1_0 = "NO", INJECT1_1 = "NO"
) (
    input CIN, A0, B0, C0, D0, A1, B1, C1, D1,
    output S0, S1, COUT
);
    wire in_0 = INJECT1_0 != "NO" ? 1'b0 : CIN;
    wire propagate_0 = INIT0[{D0, C0, B0, A0}];
    wire middle = propagate_0 ? in_0 : INJECT1_0 == "NO" && INIT0[{2'b00, B0, A0}];
    wire in_1 = INJECT1_1 != "NO" ? 1'b0 : middle;
    wire propagate_1 = INIT1[{D1, C1, B1, A1}];
    assign COUT = propagate_1 ? in_1 : INJECT1_1 == "NO" && INIT1[{2'b00, B1, A1}];
    assign S0 = propagate_0 ^ in_0;
    assign S1 = propagate_1 ^ in_1;
endmodule
