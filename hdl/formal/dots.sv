// The table lane's dot unit beside the plain one: the same fills and planes give the same sums, the table's a cycle earlier. From any state,
// fills of all quads, back to back, into one bank, the other, and the first again, with any words; a plane of any word in every cycle.
// Compared is one plane, the first or the last that the contract (`dot.rs`) lets read the first fill, for any bank.
module dots (
    input wire clock, plane_bank,
    input wire [7:0] plane_word
);
    reg [5:0] step = 6'd0;
    always @(posedge clock) step <= step + 6'd1;
    (* anyconst *) wire first_bank;
    (* anyconst *) wire [191:0] words;
    wire [1:0] fill = step[5:4];
    wire fill_enable = fill != 2'd3;
    wire fill_bank = first_bank ^ fill[0];
    wire [31:0] captured = words[32 * step[5:3] +: 32];
    wire [10:0] table_sum, plain_sum;
    table_dot tables (
        .clock(clock), .reset(1'b0), .captured(captured), .fill_enable(fill_enable), .paired(1'b0), .fill_quad({4'd0, step[3]}),
        .fill_entry(step[2:0]), .fill_bank(fill_bank), .plane_word(plane_word), .plane_bank(plane_bank), .sum(table_sum)
    );
    plain_dot plain (
        .clock(clock), .captured(captured), .fill_enable(fill_enable), .paired(1'b0), .fill_quad({4'd0, step[3]}),
        .fill_entry(step[2:0]), .fill_bank(fill_bank), .plane_word(plane_word), .plane_bank(plane_bank), .sum(plain_sum)
    );
    // Fill n takes cycles 16 n to 16 n + 15. Compared is the first (18: TABLE_WRITE_LATENCY later) or the last (32) plane of the first fill.
    wire allowed = plane_bank == first_bank && step == `PLANE;
    // The quads' sums, a cycle before those of all.
    (* hierconn *) wire [9:0] \tables.unit.table_0.read_0 , \tables.unit.table_1.read_0 , \plain.unit.quad_0 , \plain.unit.quad_1 ;
    reg [2:0] compare = 3'd0;
    reg [10:0] table_sum_before;
    // The plain lane complements the second where it is subtracted.
    reg [9:0] quad_0_before, quad_1_before;
    reg [1:0] minus;
    always @(posedge clock) begin
        {quad_0_before, quad_1_before} <= { \tables.unit.table_0.read_0 , \tables.unit.table_1.read_0 };
        minus <= {minus[0], plane_word[6]};
    end
    always @* if (compare[1]) assert (quad_0_before == \plain.unit.quad_0 && (quad_1_before ^ {10{minus[1]}}) == \plain.unit.quad_1 );
    always @(posedge clock) begin
        compare <= {compare[1:0], allowed};
        table_sum_before <= table_sum;
    end
    always @* begin
        if (compare[2]) assert (table_sum_before == plain_sum);
        cover (compare[2] && plain_sum == 11'h3f8);
        cover (compare[2] && plain_sum == 11'h400);
    end
endmodule
