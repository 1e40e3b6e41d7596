    // Bound into a `requantizer` of aligned records, before `requantizer.sv`. The record is any, aligned as `requantizer::align` says. The four
    // 17-bit products are any numbers of a product's range: with a * b = a0 b0 + a0 b1 2^17 + a1 b0 2^16 + a1 b1 2^33 the formula holds for the
    // product of the operands, which are checked at the multipliers.
    (* anyconst *) reg [30:0] m;
    (* anyconst *) reg [3:0] left;
    (* anyconst *) reg [5:0] by;
    (* anyconst *) reg halve;
    reg [3:0] step = 4'd0;
    always @(posedge clock) if (step != 4'd15) step <= step + 4'd1;
    wire [5:0] down = 6'd15 - {2'd0, left} + by + {5'd0, halve};
    wire [1:0] more = 2'd0 - down[1:0];
    wire [2:0] doubled = {1'd0, more} + {2'd0, halve};
    wire [5:0] whole = down + {4'd0, more};
    wire signed [32:0] v = halve ? $signed(value) >>> 1 : $signed(value);
    wire signed [47:0] v_shifted = $signed({{15{v[32]}}, v}) <<< left;
    reg signed [31:0] s;
    reg [32:0] taken;
    always @(posedge clock) if (step == 4'd0) {s, taken} <= {v_shifted[31:0], value};
    always @* begin
        assume (by <= 6'd32);
        assume (!rounding_double || left == 4'd0 || by == 6'd0);
        if (step == 4'd0) assume (v_shifted == {{16{v_shifted[31]}}, v_shifted[31:0]} && !(halve && value[0]));
        if (step == 4'd1) assume (mantissa == {3'd0, m} << more && shift == whole[5:2] && doublings == doubled && divides == (by != 6'd0));
    end

    // The multipliers' operands.
    (* hierconn *) wire [16:0] \multiply_low_low.a , \multiply_low_low.b , \multiply_low_high.a , \multiply_low_high.b ;
    (* hierconn *) wire [16:0] \multiply_high_low.a , \multiply_high_low.b , \multiply_high_high.a , \multiply_high_high.b ;
    always @* if (step == 4'd1) begin
        assert ({ \multiply_high_low.a , \multiply_low_low.a } == {taken[32:16], 1'b0, taken[15:0]});
        assert ({ \multiply_high_high.a , \multiply_low_high.a } == {taken[32:16], 1'b0, taken[15:0]});
        assert ({ \multiply_low_high.b , \multiply_low_low.b } == mantissa && { \multiply_high_high.b , \multiply_high_low.b } == mantissa);
    end
    // Their products, two cycles later: together q, doubled.
    (* anyconst *) reg signed [63:0] q;
    reg signed [63:0] p;
    wire signed [79:0] low = {46'd0, low_low}, low_up = {46'd0, low_high};
    wire signed [79:0] high_down = {{46{high_low[33]}}, high_low}, high = {{46{high_high[33]}}, high_high};
    wire signed [79:0] product_now = low + (low_up <<< 17) + (high_down <<< 16) + (high <<< 33);
    wire signed [79:0] q_wide = {{16{q[63]}}, q};
    wire signed [79:0] q_shifted = q_wide <<< left;
    always @* if (step == 4'd3) begin
        assume (low_low <= 34'd8589737985 && low_high <= 34'd8589737985);
        assume ($signed(high_low) >= -34'sd8589869056 && $signed(high_low) <= 34'sd8589737985);
        assume ($signed(high_high) >= -34'sd8589869056 && $signed(high_high) <= 34'sd8589737985);
        assume (s < 0 ? product_now <= 0 : product_now >= 0);
        assume (product_now == q_wide <<< doubled);
        assume (q_shifted >= -80'sd4611686016279904256 && q_shifted <= 80'sd4611686014132420609);
    end
    always @(posedge clock) if (step == 4'd3) p <= q_shifted[63:0];

