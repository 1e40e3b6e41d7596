// sum = a * b + addend + carry_in, {carry_out, sum} before its register: one SB_MAC16 of an iCE40. b is unsigned, a is two's
// complement if A_SIGNED. Reset: none. One sum a cycle.
//
// Product registers come after those of the operands; addend and carry_in are taken behind all of them, carry_out is of
// the same cycle, and sum is a register. With one register of either kind:
//
//   clock              _/~\_/~\_/~\_/~\_
//   a, b               X v X
//   addend, carry_in           X v X
//   carry_out                  X v X
//   sum                            X v X
//
// UPPER_EARLY: the upper half of sum is that of the product alone, and no register: it is of the addend's cycle.
// UPPER_DELAYS, LOWER_DELAYS: that half of sum is the addend's of two cycles before instead, and carries nothing.
//
// The same function twice: behaviour; macro ICE40_CELLS: the cell. On a UP5K (icestorm's timings) the product takes 8 ns, the sum
// with it hardly more, the sum alone 4 ns; nextpnr takes every port of the cell for a register's, so that it does not see these.
module multiply_add #(
    parameter A_SIGNED = 0, OPERAND_REGISTERS = 1, PRODUCT_REGISTERS = 0,
    parameter UPPER_EARLY = 0, UPPER_DELAYS = 0, LOWER_DELAYS = 0
) (
    input  wire        clock,
    input  wire [15:0] a,
    input  wire [15:0] b,
    input  wire [31:0] addend,
    input  wire        carry_in,
    output wire [31:0] sum,
    output wire        carry_out
);
`ifdef ICE40_CELLS
    localparam [0:0] OPERANDS = OPERAND_REGISTERS != 0, FIRST = PRODUCT_REGISTERS > 1, LAST = PRODUCT_REGISTERS > 0;
    localparam [0:0] UPPER = UPPER_DELAYS != 0, LOWER = LOWER_DELAYS != 0;
    SB_MAC16 #(
        .A_REG(OPERANDS), .B_REG(OPERANDS), .C_REG(UPPER), .D_REG(LOWER),
        .TOP_8x8_MULT_REG(FIRST), .BOT_8x8_MULT_REG(FIRST), .PIPELINE_16x16_MULT_REG1(FIRST), .PIPELINE_16x16_MULT_REG2(LAST),
        .TOPADDSUB_LOWERINPUT(2'b10), .TOPADDSUB_UPPERINPUT(1'b1), .TOPADDSUB_CARRYSELECT(LOWER ? 2'b00 : 2'b11),
        .BOTADDSUB_LOWERINPUT(2'b10), .BOTADDSUB_UPPERINPUT(1'b1), .BOTADDSUB_CARRYSELECT(2'b11),
        .TOPOUTPUT_SELECT(UPPER_EARLY != 0 ? 2'b11 : 2'b01), .BOTOUTPUT_SELECT(2'b01), .A_SIGNED(A_SIGNED), .B_SIGNED(1'b0)
    ) block (
        .CLK(clock), .CE(1'b1), .A(a), .B(b), .C(addend[31:16]), .D(addend[15:0]), .O(sum),
        .AHOLD(1'b0), .BHOLD(1'b0), .CHOLD(1'b0), .DHOLD(1'b0),
        .IRSTTOP(1'b0), .IRSTBOT(1'b0), .ORSTTOP(1'b0), .ORSTBOT(1'b0), .OLOADTOP(UPPER), .OLOADBOT(LOWER),
        .ADDSUBTOP(1'b0), .ADDSUBBOT(1'b0), .OHOLDTOP(1'b0), .OHOLDBOT(1'b0),
        .CI(carry_in), .CO(carry_out), .ACCUMCI(1'b0), .SIGNEXTIN(1'b0)
    );
`else
    reg signed [16:0] a_held, b_held;
    wire signed [16:0] a_now = {A_SIGNED != 0 ? a[15] : 1'b0, a};
    wire signed [16:0] b_now = {1'b0, b};
    wire signed [16:0] left = OPERAND_REGISTERS != 0 ? a_held : a_now;
    wire signed [16:0] right = OPERAND_REGISTERS != 0 ? b_held : b_now;
    wire signed [33:0] multiplied = left * right;
    reg [31:0] product_first, product_last, addend_held, held;
    wire [31:0] term = PRODUCT_REGISTERS != 0 ? product_last : multiplied[31:0];
    wire [16:0] lower = {1'b0, term[15:0]} + {1'b0, addend[15:0]} + {16'd0, carry_in};
    wire carry = LOWER_DELAYS != 0 ? 1'b0 : lower[16];
    wire [16:0] upper = {1'b0, term[31:16]} + {1'b0, addend[31:16]} + {16'd0, carry};
    always @(posedge clock) begin
        a_held <= a_now;
        b_held <= b_now;
        product_first <= multiplied[31:0];
        product_last <= PRODUCT_REGISTERS > 1 ? product_first : multiplied[31:0];
        addend_held <= addend;
        held[31:16] <= UPPER_DELAYS != 0 ? addend_held[31:16] : upper[15:0];
        held[15:0] <= LOWER_DELAYS != 0 ? addend_held[15:0] : lower[15:0];
    end
    assign sum = {UPPER_EARLY != 0 ? term[31:16] : held[31:16], held[15:0]};
    assign carry_out = upper[16];
    wire unused = &{1'b0, multiplied[33:32]};
`endif
endmodule
