// As dots.sv, with four words a fill: entries 0 to 3 of a pair of quads (`paired`), or of one, then those of the next while the unit goes on
// with the first's entries 4 to 7. A word of `captured` is the first fill's for eight cycles, and anything in all others. The plain unit, which is
// filled word by word, holds it from the beginning.
module dots_four (
    input wire clock, plane_bank,
    input wire [15:0] plane_word,
    input wire [127:0] anything
);
    reg [5:0] step = 6'd0;
    always @(posedge clock) step <= step + 6'd1;
    (* anyconst *) wire first_bank, paired;
    (* anyconst *) wire [127:0] words;
    wire [5:0] cycles = paired ? 8 : 16;
    wire [127:0] captured;
    genvar quad;
    for (quad = 0; quad < 4; quad = quad + 1) begin : registers
        wire [5:0] since = step - (paired ? quad / 2 * 4 : quad * 4);
        assign captured[32 * quad +: 32] = since < 8 ? words[32 * quad +: 32] : anything[32 * quad +: 32];
    end
    wire [11:0] table_sum, plain_sum;
    table_dot tables (
        .clock(clock), .reset(1'b0), .captured(captured), .fill_enable(step < 3 * cycles), .paired(paired),
        .fill_quad(paired ? {3'd0, step[2], 1'b0} : {3'd0, step[3:2]}), .fill_entry({1'b0, step[1:0]}),
        .fill_bank(first_bank ^ (paired ? step[3] : step[4])), .plane_word(plane_word), .plane_bank(plane_bank), .sum(table_sum)
    );
    plain_dot plain (
        .clock(clock), .captured(words[32 * step[1:0] +: 32]), .fill_enable(step < 4), .paired(1'b0), .fill_quad({3'd0, step[1:0]}),
        .fill_entry(3'd0), .fill_bank(first_bank), .plane_word(plane_word), .plane_bank(plane_bank), .sum(plain_sum)
    );
    // The last of the first fill's entries takes cycle `cycles` + 3, the third fill begins in cycle 2 x `cycles`.
    wire allowed = plane_bank == first_bank && step == (`LAST ? 2 * cycles : cycles + 6);
    // Sums of a quad and of two, a cycle before those of two and of all.
    (* hierconn *) wire [9:0] \tables.unit.table_0.read_0 , \tables.unit.table_1.read_0 , \tables.unit.table_2.read_0 , \tables.unit.table_3.read_0 ,
        \plain.unit.quad_0 , \plain.unit.quad_1 , \plain.unit.quad_2 , \plain.unit.quad_3 ;
    (* hierconn *) wire [10:0] \tables.unit.sum_1_0 , \tables.unit.sum_1_1 , \plain.unit.sum_1_0 , \plain.unit.sum_1_1 ;
    reg [3:0] compare = 4'd0;
    reg [9:0] quad_before [0:3];
    reg [10:0] pair_0_before, pair_1_before;
    reg [11:0] sum_before;
    // The plain lane complements the second where it is subtracted.
    reg [1:0] minus_0, minus_1;
    reg [2:0] minus_pair;
    always @(posedge clock) begin
        compare <= {compare[2:0], allowed};
        quad_before[0] <= \tables.unit.table_0.read_0 ;
        quad_before[1] <= \tables.unit.table_1.read_0 ;
        quad_before[2] <= \tables.unit.table_2.read_0 ;
        quad_before[3] <= \tables.unit.table_3.read_0 ;
        {pair_0_before, pair_1_before} <= { \tables.unit.sum_1_0 , \tables.unit.sum_1_1 };
        sum_before <= table_sum;
        minus_0 <= {minus_0[0], plane_word[12]};
        minus_1 <= {minus_1[0], plane_word[13]};
        minus_pair <= {minus_pair[1:0], plane_word[14]};
    end
    always @* begin
        if (compare[1]) begin
            assert (quad_before[0] == \plain.unit.quad_0 );
            assert ((quad_before[1] ^ {10{minus_0[1]}}) == \plain.unit.quad_1 );
            assert (quad_before[2] == \plain.unit.quad_2 );
            assert ((quad_before[3] ^ {10{minus_1[1]}}) == \plain.unit.quad_3 );
        end
        if (compare[2]) assert (pair_0_before == \plain.unit.sum_1_0 && (pair_1_before ^ {11{minus_pair[2]}}) == \plain.unit.sum_1_1 );
        if (compare[3]) assert (sum_before == plain_sum);
        cover (compare[3] && plain_sum == 12'h7f0);
        cover (compare[3] && plain_sum == 12'h800);
    end
endmodule
