`ifdef COVER
    // For the covers of `port`: what comes is a Stop, the lowest bit of its last byte perhaps wrong. (To find a right CRC is
    // not for a solver.)
    localparam [111:0] STOP = 112'h6034517f000000000000000105b7;
    (* anyconst *) wire flipped;
    reg [3:0] at = 4'd0;
    always @(posedge clock) if (receive_valid && receive_ready) at <= at + 4'd1;
    always @* begin
        assume (receive_valid && reset == !begun);
        assume (receive_data == (STOP[8 * at +: 8] ^ {7'd0, flipped && at == 4'd13}));
    end
`endif
