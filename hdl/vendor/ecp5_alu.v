// yosys technology map of $alu to ECP5 carry cells (CCU2C), read by `bitweft build` before synth_ecp5 maps gates.
//
// A chain is a row of halves, two a cell: the carry-in, the bits, the carry-out. nextpnr spends a whole cell on a carry-in that
// is not a carry, a constant included, and another on every carry-out that has a net; here the carry-in is the generate
// function of the first half (its propagate function is 0, so that the cell's CIN does not matter: left open), and the
// carry-out the sum of the last.
//
// sum = propagate ^ carry; carry' = propagate ? carry : generate, where generate is a function of inputs A and B alone.
(* techmap_celltype = "$alu" *)
module ecp5_alu (A, B, CI, BI, X, Y, CO);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    parameter _TECHMAP_CONSTMSK_CI_ = 0;
    parameter _TECHMAP_CONSTVAL_CI_ = 0;

    (* force_downto *) input [A_WIDTH-1:0] A;
    (* force_downto *) input [B_WIDTH-1:0] B;
    (* force_downto *) output [Y_WIDTH-1:0] X, Y;
    input CI, BI;
    (* force_downto *) output [Y_WIDTH-1:0] CO;

    // Shorter ones are better off in look-up tables.
    wire _TECHMAP_FAIL_ = Y_WIDTH <= 2;

    (* force_downto *) wire [Y_WIDTH-1:0] left, right;
    \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_left (.A(A), .Y(left));
    \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) extend_right (.A(B), .Y(right));

    localparam CELLS = (Y_WIDTH + 3) / 2;
    // Functions of a half: carry-in (0, 1 or input A), bit, carry-out or filler.
    localparam [15:0] BIT = 16'h96aa;
    localparam [15:0] START = _TECHMAP_CONSTMSK_CI_ ? (_TECHMAP_CONSTVAL_CI_ ? 16'h000f : 16'h0000) : 16'h000a;

    wire [2*CELLS-1:0] a = {left, _TECHMAP_CONSTMSK_CI_ ? 1'b1 : CI};
    wire [2*CELLS-1:0] b = {right, 1'b1};
    wire [2*CELLS-1:0] c = {{Y_WIDTH{BI}}, 1'b1};
    wire [2*CELLS-1:0] sum;
    wire [CELLS:0] carry;
    assign carry[0] = 1'b0;
    genvar i;
    generate
        for (i = 0; i < CELLS; i = i + 1) begin : pair
            CCU2C #(
                .INIT0(i == 0 ? START : 2*i <= Y_WIDTH ? BIT : 16'h0000),
                .INIT1(2*i + 1 <= Y_WIDTH ? BIT : 16'h0000),
                .INJECT1_0("NO"), .INJECT1_1("NO")
            ) adder (
                .CIN(carry[i]),
                .A0(a[2*i]), .B0(b[2*i]), .C0(c[2*i]), .D0(1'b1),
                .A1(a[2*i+1]), .B1(b[2*i+1]), .C1(c[2*i+1]), .D1(1'b1),
                .S0(sum[2*i]), .S1(sum[2*i+1]), .COUT(carry[i+1])
            );
        end
    endgenerate
    assign Y = sum[Y_WIDTH:1];
    assign X = left ^ right ^ {Y_WIDTH{BI}};
    // The carry into a bit is what its sum differs by.
    assign CO = {sum[Y_WIDTH+1], X[Y_WIDTH-1:1] ^ Y[Y_WIDTH-1:1]};
endmodule
