// Clock of the processor from that of the board: board_clock / (DIVR + 1) * (DIVF + 1) / 2^DIVQ, the oscillator before the last
// division between 533 and 1066 MHz. `locked` once it is stable.
//
// With the macro ICE40_CELLS an SB_PLL40_PAD, so that `board_clock` must be the pin; else both clocks are the same: a
// simulation's time is that of the processor.
module ice40_pll #(
    parameter [3:0] DIVR = 0, parameter [6:0] DIVF = 0, parameter [2:0] DIVQ = 1, parameter [2:0] FILTER = 1
) (
    input  wire board_clock,
    output wire clock,
    output wire locked
);
`ifdef ICE40_CELLS
    SB_PLL40_PAD #(
        .FEEDBACK_PATH("SIMPLE"), .DIVR(DIVR), .DIVF(DIVF), .DIVQ(DIVQ), .FILTER_RANGE(FILTER)
    ) cell_pll (
        .PACKAGEPIN(board_clock), .PLLOUTGLOBAL(clock), .LOCK(locked), .RESETB(1'b1), .BYPASS(1'b0)
    );
`else
    assign clock = board_clock;
    assign locked = 1'b1;
    wire unused = &{1'b0, DIVR, DIVF, DIVQ, FILTER};
`endif
endmodule
