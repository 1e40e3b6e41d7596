// yosys's $alu as the processor's adders and comparisons use it: no carry-in, a constant, a variable; an operand shorter than the sum;
// carries read.
module adders (
    input wire complement, carry,
    input wire [4:0] a,
    input wire [5:0] b,
    output wire [5:0] zero_sum, zero_carries, one_sum, one_carries, either_sum, either_carries
);
    wire [5:0] zero_xor, one_xor, either_xor;
    \$alu #(.A_SIGNED(1), .B_SIGNED(1), .A_WIDTH(5), .B_WIDTH(6), .Y_WIDTH(6))
        zero (.A(a), .B(b), .CI(1'b0), .BI(complement), .X(zero_xor), .Y(zero_sum), .CO(zero_carries)),
        one (.A(a), .B(b), .CI(1'b1), .BI(complement), .X(one_xor), .Y(one_sum), .CO(one_carries)),
        either (.A(a), .B(b), .CI(carry), .BI(complement), .X(either_xor), .Y(either_sum), .CO(either_carries));
endmodule
