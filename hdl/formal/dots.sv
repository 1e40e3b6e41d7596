// The table lane's dot unit beside the plain one: the same fills and planes give the same sums, the table's a cycle earlier. From any state,
// fills of all quads, back to back, into one bank, the other, and the first again, with any words; a plane of any word in every cycle.
// Compared are the first and the last plane that the contract (`dot.rs`) lets read the first fill, for any bank.
module dots (
    input wire clock, plane_bank,
    input wire [7:0] plane_word
);
    localparam [5:0] WRITE_LATENCY = 6'd3;
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
    // Fill n takes cycles 16 n to 16 n + 15. The first plane and the last that may read the first fill's bank.
    wire allowed = plane_bank == first_bank && (step == 6'd15 + WRITE_LATENCY || step == 6'd32);
    // The quads' sums, a cycle before those of all.
    (* hierconn *) wire [9:0] \tables.unit.table_0.read_0 , \tables.unit.table_1.read_0 , \plain.unit.quad_0 , \plain.unit.quad_1 ;
    reg [2:0] compare = 3'd0;
    reg [10:0] table_sum_before;
    reg [9:0] quad_0_before, quad_1_before;
    always @(posedge clock) {quad_0_before, quad_1_before} <= { \tables.unit.table_0.read_0 , \tables.unit.table_1.read_0 };
    always @* if (compare[1]) assert (quad_0_before == \plain.unit.quad_0 && quad_1_before == \plain.unit.quad_1 );
    always @(posedge clock) begin
        compare <= {compare[1:0], allowed};
        table_sum_before <= table_sum;
    end
    always @* begin
        if (compare[2]) assert (table_sum_before == plain_sum);
        cover (compare[2] && step == 6'd21 && plain_sum == 11'h3f8);
        cover (compare[2] && step == 6'd35 && plain_sum == 11'h400);
    end
endmodule
