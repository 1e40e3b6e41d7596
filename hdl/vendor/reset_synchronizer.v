// Reset of a clock: high at power-up, at once when `locked` falls, and until 16 edges after it has risen; falls with the clock.
//
//   clock    _/~\_/~\_/~\_ ... _/~\_/~\_
//   locked   __/~~~~~~~~~~ ... ~~~~~~~~~
//   reset    ~~~~~~~~~~~~~ ... ~~\______
module reset_synchronizer (
    input  wire clock,
    input  wire locked,
    output wire reset
);
    reg [15:0] stable;
    initial stable = 16'd0;
    always @(posedge clock or negedge locked)
        if (!locked) stable <= 16'd0;
        else stable <= {stable[14:0], 1'b1};
    assign reset = !stable[15];
endmodule
