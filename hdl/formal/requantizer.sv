    // Bound into `requantizer`: what comes out 7 and 9 cycles after a value equals the formula of `isa::record`, whatever the stages held and
    // whatever comes before and behind. The four 16-bit products are any numbers of a product's range and sign: with
    // s * m = s0 m0 + (s0 m1 + s1 m0) 2^16 + s1 m1 2^32 the formula holds for the product of the operands, which are checked at the multipliers.
    reg [3:0] step = 4'd0;
    always @(posedge clock) if (step != 4'd15) step <= step + 4'd1;
    reg steady_double;
    reg [7:0] steady_zero, steady_low, steady_high;
    reg signed [31:0] s, s_wide;
    reg signed [63:0] p;
    reg [30:0] m;
    reg [5:0] by;
    wire signed [47:0] v_shifted = $signed({{16{value[31]}}, value}) <<< left;
    always @(posedge clock) begin
        {steady_double, steady_zero, steady_low, steady_high} <= {rounding_double, out_zero, clamp_low, clamp_high};
        if (step == 4'd0) s <= v_shifted[31:0];
        if (step == 4'd1) {m, by} <= {mantissa, right};
    end
    always @* begin
        if (step != 4'd0) assume ({steady_double, steady_zero, steady_low, steady_high} == {rounding_double, out_zero, clamp_low, clamp_high});
        assume (clamp_low <= clamp_high);
        if (step == 4'd0) assume (v_shifted == {{16{v_shifted[31]}}, v_shifted[31:0]});
        if (step == 4'd1) assume (right <= 6'd32);
    end

    // The multipliers' operands.
    (* hierconn *) wire [15:0] \multiply_low_low.a , \multiply_low_low.b , \multiply_low_high.a , \multiply_low_high.b ;
    (* hierconn *) wire [15:0] \multiply_high_low.a , \multiply_high_low.b , \multiply_high_high.a , \multiply_high_high.b ;
    always @* if (step == 4'd1) begin
        assert ({ \multiply_high_low.a , \multiply_low_low.a } == s && { \multiply_high_high.a , \multiply_low_high.a } == s);
        assert ({ \multiply_low_high.b , \multiply_low_low.b } == {1'b0, mantissa});
        assert ({ \multiply_high_high.b , \multiply_high_low.b } == {1'b0, mantissa});
    end
    // Their products, two cycles later.
    wire signed [63:0] low = {32'd0, low_low};
    wire signed [63:0] across = $signed({32'd0, low_high}) + $signed({{32{high_low[31]}}, high_low});
    wire signed [63:0] high = {{32{high_high[31]}}, high_high};
    wire signed [63:0] product_now = low + (across <<< 16) + (high <<< 32);
    always @* if (step == 4'd3) begin
        assume (low_low <= 32'hfffe0001 && low_high <= 32'h7ffe8001);
        assume ($signed(high_low) >= -32'sd2147450880 && $signed(high_low) <= 32'sd2147385345);
        assume ($signed(high_high) >= -32'sd1073709056 && $signed(high_high) <= 32'sd1073676289);
        assume (s < 0 ? product_now <= 0 : product_now >= 0);
    end
    always @(posedge clock) if (step == 4'd3) p <= product_now;

    // The formula.
    wire signed [63:0] first = (p + (rounding_double ? 64'sd1073741824 : 64'sd0)) >>> 31;
    wire signed [63:0] half = by == 6'd0 ? 64'sd0 : (64'sd1 <<< (by - 6'd1)) - (rounding_double && first < 0 ? 64'sd1 : 64'sd0);
    wire signed [63:0] y = (first + half) >>> by;
    wire signed [63:0] level = y + $signed({56'd0, out_zero});
    wire [7:0] clamped_level = level < $signed({56'd0, clamp_low}) ? clamp_low : level > $signed({56'd0, clamp_high}) ? clamp_high : level[7:0];
    wire signed [63:0] found = {{32{scaled[31]}}, scaled} + {63'd0, scaled_round};
    always @* begin
        if (step == 4'd7) assert (found == y);
        if (step == 4'd9) assert (output_byte == clamped_level);
        cover (step == 4'd9 && rounding_double && by == 6'd7 && y == -64'sd5 && first[6:0] == 7'd64);
        cover (step == 4'd9 && !rounding_double && level > 64'sd255 && clamp_high == 8'd255);
    end
