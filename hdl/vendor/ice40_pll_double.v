// Clock of the processor from that of the board, and `memory_clock` twice as fast that rises with it: board_clock / (DIVR + 1) *
// (DIVF + 1) / 2^DIVQ is the faster one, the oscillator before the last division between 533 and 1066 MHz. `locked` once stable.
//
// With the macro ICE40_CELLS an SB_PLL40_2F_PAD, so that `board_clock` must be the pin; else all clocks are the same: a
// simulation's time is that of the processor, and nothing but cells reads `memory_clock`.
module ice40_pll_double #(
    parameter [3:0] DIVR = 0, parameter [6:0] DIVF = 0, parameter [2:0] DIVQ = 1, parameter [2:0] FILTER = 1
) (
    input  wire board_clock,
    output wire clock,
    output wire memory_clock,
    output wire locked
);
`ifdef ICE40_CELLS
    SB_PLL40_2F_PAD #(
        .FEEDBACK_PATH("SIMPLE"), .DIVR(DIVR), .DIVF(DIVF), .DIVQ(DIVQ), .FILTER_RANGE(FILTER),
        .PLLOUT_SELECT_PORTA("GENCLK"), .PLLOUT_SELECT_PORTB("GENCLK_HALF")
    ) cell_pll (
        .PACKAGEPIN(board_clock), .PLLOUTGLOBALA(memory_clock), .PLLOUTGLOBALB(clock), .LOCK(locked),
        .RESETB(1'b1), .BYPASS(1'b0)
    );
`else
    assign clock = board_clock;
    assign memory_clock = board_clock;
    assign locked = 1'b1;
    wire unused = &{1'b0, DIVR, DIVF, DIVQ, FILTER};
`endif
endmodule
