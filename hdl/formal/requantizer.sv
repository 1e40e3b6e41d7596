    // What comes out 7 and 9 cycles after a value equals the formula of `isa::record`, whatever the stages held and whatever comes before and
    // behind. The file before this one gives `step`, and of the value in step 0: `s`, v << left; `p`, s * mantissa; `by`, the right shift.
    reg steady_double;
    reg [7:0] steady_zero, steady_low, steady_high;
    always @(posedge clock)
        {steady_double, steady_zero, steady_low, steady_high} <= {rounding_double, out_zero, clamp_low, clamp_high};
    always @* begin
        if (step != 4'd0) assume ({steady_double, steady_zero, steady_low, steady_high} == {rounding_double, out_zero, clamp_low, clamp_high});
        assume (clamp_low <= clamp_high);
    end

    // The formula.
    wire signed [63:0] first = (p + (rounding_double ? 64'sd1073741824 : 64'sd0)) >>> 31;
    wire signed [63:0] half = by == 6'd0 ? 64'sd0 : (64'sd1 <<< (by - 6'd1)) - (rounding_double && first < 0 ? 64'sd1 : 64'sd0);
    wire signed [63:0] y = (first + half) >>> by;
    wire signed [63:0] level = y + $signed({56'd0, out_zero});
    wire [7:0] clamped_level = level < $signed({56'd0, clamp_low}) ? clamp_low : level > $signed({56'd0, clamp_high}) ? clamp_high : level[7:0];
`ifdef COMPACT
    // A step on the way there, for the solver: the product as it is shifted.
    always @* if (step == 4'd5) assert ($signed(product) == first - (rounding_double && s < 0 && by != 6'd0 ? 64'sd1 : 64'sd0));
`endif
`ifdef NARROW
    // A step on the way to the byte, for the solver: y's lowest bits, or on which side it is out of their range.
    wire signed [63:0] floor = y - {63'd0, fine[0]};
    wire signed [63:0] lowest = {{54{fine[10]}}, fine[10:1]};
    always @* if (step == 4'd7) assert (fine_lost ? (fine_sign ? floor < -64'sd512 : floor > 64'sd511) : floor == lowest);
`else
    wire signed [63:0] found = {{32{scaled[31]}}, scaled} + {63'd0, scaled_round};
    always @* if (step == 4'd7) assert (found == y);
`endif
    always @* begin
        if (step == 4'd9) assert (output_byte == clamped_level);
        cover (step == 4'd9 && rounding_double && by == 6'd7 && y == -64'sd5 && first[6:0] == 7'd64);
        cover (step == 4'd9 && !rounding_double && level > 64'sd255 && clamp_high == 8'd255);
    end
