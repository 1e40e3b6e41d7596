    // Bound into the compact `requantizer`, before `requantizer.sv`. The four 16-bit products are any numbers of a product's range and sign: with
    // s * m = s0 m0 + (s0 m1 + s1 m0) 2^16 + s1 m1 2^32 the formula holds for the product of the operands, which are checked at the blocks
    // of `multiply_add`; those that shift are any that multiply by powers of two rightly.
    reg [3:0] step = 4'd0;
    always @(posedge clock) if (step != 4'd15) step <= step + 4'd1;
    reg signed [31:0] s;
    reg signed [63:0] p;
    reg [5:0] by;
    wire signed [47:0] v_shifted = $signed({{16{value[31]}}, value}) <<< left;
    always @(posedge clock) begin
        if (step == 4'd0) s <= v_shifted[31:0];
        if (step == 4'd1) by <= right;
    end
    always @* begin
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

