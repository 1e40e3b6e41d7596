    // Bound into `requantizer`: what comes out 7 and 9 cycles after a value equals the formula of `isa::record`, whatever the stages held and
    // whatever comes before and behind. The four 16-bit products are any numbers of a product's range and sign: with
    // s * m = s0 m0 + (s0 m1 + s1 m0) 2^16 + s1 m1 2^32 the formula holds for the product of the operands, which are checked at the multipliers.
    // With COMPACT the multipliers are those of `multiply_add`, a cycle earlier; those that shift are any that multiply by powers of two rightly.
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
    // Their products, in cycle PRODUCTS.
`ifdef COMPACT
    localparam [3:0] PRODUCTS = 4'd2;
    (* hierconn *) wire [33:0] \multiply_low_low.multiplied , \multiply_low_high.multiplied , \multiply_high_low.multiplied , \multiply_high_high.multiplied ;
    wire [31:0] low_low_now = \multiply_low_low.multiplied [31:0], low_high_now = \multiply_low_high.multiplied [31:0];
    wire [31:0] high_low_now = \multiply_high_low.multiplied [31:0], high_high_now = \multiply_high_high.multiplied [31:0];
    // Products with powers of two.
    (* hierconn *) wire signed [16:0] \multiply_shift_low.left , \multiply_shift_high.left , \multiply_right_low.left , \multiply_right_high.left ;
    (* hierconn *) wire [16:0] \multiply_shift_low.right , \multiply_shift_high.right , \multiply_right_low.right , \multiply_right_high.right ;
    (* hierconn *) wire [33:0] \multiply_shift_low.multiplied , \multiply_shift_high.multiplied , \multiply_right_low.multiplied , \multiply_right_high.multiplied ;
    wire signed [33:0] shift_low_wide = \multiply_shift_low.left , shift_high_wide = \multiply_shift_high.left ;
    wire signed [33:0] right_low_wide = \multiply_right_low.left , right_high_wide = \multiply_right_high.left ;
    genvar place;
    generate for (place = 0; place < 16; place = place + 1) begin : power
        always @* begin
            if ( \multiply_shift_low.right == 17'd1 << place) assume ( \multiply_shift_low.multiplied == shift_low_wide <<< place);
            if ( \multiply_shift_high.right == 17'd1 << place) assume ( \multiply_shift_high.multiplied == shift_high_wide <<< place);
            if ( \multiply_right_low.right == 17'd1 << place) assume ( \multiply_right_low.multiplied == right_low_wide <<< place);
            if ( \multiply_right_high.right == 17'd1 << place) assume ( \multiply_right_high.multiplied == right_high_wide <<< place);
        end
    end endgenerate
`else
    localparam [3:0] PRODUCTS = 4'd3;
    wire [31:0] low_low_now = low_low, low_high_now = low_high, high_low_now = high_low, high_high_now = high_high;
`endif
    wire signed [63:0] low = {32'd0, low_low_now};
    wire signed [63:0] across = $signed({32'd0, low_high_now}) + $signed({{32{high_low_now[31]}}, high_low_now});
    wire signed [63:0] high = {{32{high_high_now[31]}}, high_high_now};
    wire signed [63:0] product_now = low + (across <<< 16) + (high <<< 32);
    always @* if (step == PRODUCTS) begin
        assume (low_low_now <= 32'hfffe0001 && low_high_now <= 32'h7ffe8001);
        assume ($signed(high_low_now) >= -32'sd2147450880 && $signed(high_low_now) <= 32'sd2147385345);
        assume ($signed(high_high_now) >= -32'sd1073709056 && $signed(high_high_now) <= 32'sd1073676289);
        assume (s < 0 ? product_now <= 0 : product_now >= 0);
        assume (s < 0 ? $signed(high_low_now) <= 0 : $signed(high_low_now) >= 0);
    end
    always @(posedge clock) if (step == PRODUCTS) p <= product_now;

    // The formula.
    wire signed [63:0] first = (p + (rounding_double ? 64'sd1073741824 : 64'sd0)) >>> 31;
    wire signed [63:0] half = by == 6'd0 ? 64'sd0 : (64'sd1 <<< (by - 6'd1)) - (rounding_double && first < 0 ? 64'sd1 : 64'sd0);
    wire signed [63:0] y = (first + half) >>> by;
    wire signed [63:0] level = y + $signed({56'd0, out_zero});
    wire [7:0] clamped_level = level < $signed({56'd0, clamp_low}) ? clamp_low : level > $signed({56'd0, clamp_high}) ? clamp_high : level[7:0];
    wire signed [63:0] found = {{32{scaled[31]}}, scaled} + {63'd0, scaled_round};
`ifdef COMPACT
    // A step on the way there, for the solver: the product as it is shifted.
    always @* if (step == 4'd5) assert ($signed(product) == first - (rounding_double && s < 0 && by != 6'd0 ? 64'sd1 : 64'sd0));
`endif
    always @* begin
        if (step == 4'd7) assert (found == y);
        if (step == 4'd9) assert (output_byte == clamped_level);
        cover (step == 4'd9 && rounding_double && by == 6'd7 && y == -64'sd5 && first[6:0] == 7'd64);
        cover (step == 4'd9 && !rounding_double && level > 64'sd255 && clamp_high == 8'd255);
    end
