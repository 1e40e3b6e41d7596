// The cell SB_SPRAM256KA of iCE40 UltraPlus as far as it is used. Its output changes half a cycle after the edge that reads, and
// holds nonsense after one that writes.
module SB_SPRAM256KA (
    input  wire        CLOCK, CHIPSELECT, STANDBY, SLEEP, POWEROFF, WREN,
    input  wire [13:0] ADDRESS,
    input  wire [15:0] DATAIN,
    input  wire [3:0]  MASKWREN,
    output reg  [15:0] DATAOUT
);
    reg [15:0] words [0:16383];
    reg [15:0] found;
    integer nibble;
    always @(posedge CLOCK) begin
        found <= WREN ? 16'hbad0 ^ DATAIN : words[ADDRESS];
        for (nibble = 0; nibble < 4; nibble = nibble + 1)
            if (WREN && MASKWREN[nibble]) words[ADDRESS][4*nibble +: 4] <= DATAIN[4*nibble +: 4];
    end
    always @(negedge CLOCK) DATAOUT <= found;
endmodule
