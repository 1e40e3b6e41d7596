// yosys's $alu as it maps it itself, and mapped to CCU2C by vendor/ecp5_alu.v: equal for every operand.
module alu_compared (
    input wire complement, carry,
    input wire [4:0] a,
    input wire [5:0] b
);
    wire [35:0] left, right;
    behaviour behaviour (
        .complement(complement), .carry(carry), .a(a), .b(b), .zero_sum(left[5:0]), .zero_carries(left[11:6]), .one_sum(left[17:12]),
        .one_carries(left[23:18]), .either_sum(left[29:24]), .either_carries(left[35:30])
    );
    cells cells (
        .complement(complement), .carry(carry), .a(a), .b(b), .zero_sum(right[5:0]), .zero_carries(right[11:6]), .one_sum(right[17:12]),
        .one_carries(right[23:18]), .either_sum(right[29:24]), .either_carries(right[35:30])
    );
    always @* begin
        assert (left == right);
        cover (right[35:30] == 6'h3f && right[29:24] == 6'd0 && carry && a == 5'h1f && b == 6'd0);
    end
endmodule
