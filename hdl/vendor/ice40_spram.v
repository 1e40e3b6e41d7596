// Memories of 16384 words in single-port RAMs of the iCE40 UltraPlus (SB_SPRAM256KA, 16 bits each). Only read with the macro
// ICE40_CELLS; their behaviour is that of `memory_single_port_*` and `memory_bytes_single_port_*`, which use them.
`ifdef ICE40_CELLS
// 16 bits, read latency 1; no read in a cycle that writes.
module ice40_single_port_memory (
    input  wire        clock,
    input  wire        write_enable,
    input  wire [13:0] address,
    input  wire [15:0] write_data,
    output wire [15:0] read_data
);
    SB_SPRAM256KA ram (
        .CLOCK(clock), .CHIPSELECT(1'b1), .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1),
        .ADDRESS(address), .DATAIN(write_data), .MASKWREN(4'b1111), .WREN(write_enable), .DATAOUT(read_data)
    );
endmodule

// 32 bits with a write enable a byte; a read and a write in every cycle of `clock`, one in each half of it: `memory_clock` is twice as
// fast and rises where `clock` does. The read comes first: read latency 1, of an address that is there early in the cycle.
//
//   clock          _/~~~\___/~~~\___/~~~\_
//   memory_clock   _/~\_/~\_/~\_/~\_/~\_/~
//   reads           ~~~~\___/~~~\___/~~~
//   read_address    X a     X
//   out                 X a X               (to read_data at the edge of `clock`)
//   read_data               X a     X
module ice40_double_rate_memory (
    input  wire        clock,
    input  wire        memory_clock,
    input  wire [3:0]  write_enable,
    input  wire [13:0] write_address,
    input  wire [31:0] write_data,
    input  wire [13:0] read_address,
    output reg  [31:0] read_data
);
    reg toggle, seen;
    initial toggle = 1'b0;
    wire [31:0] out;
    always @(posedge clock) begin
        toggle <= !toggle;
        read_data <= out;
    end
    always @(posedge memory_clock) seen <= toggle;
    wire reads = toggle ^ seen;
    wire [13:0] address = reads ? read_address : write_address;
    genvar half;
    generate
        for (half = 0; half < 2; half = half + 1) begin : part
            wire [1:0] bytes = write_enable[2*half +: 2];
            SB_SPRAM256KA ram (
                .CLOCK(memory_clock), .CHIPSELECT(1'b1), .STANDBY(1'b0), .SLEEP(1'b0), .POWEROFF(1'b1),
                .ADDRESS(address), .DATAIN(write_data[16*half +: 16]), .MASKWREN({{2{bytes[1]}}, {2{bytes[0]}}}),
                .WREN(!reads && |bytes), .DATAOUT(out[16*half +: 16])
            );
        end
    endgenerate
endmodule
`endif
