"""Reads a board file and nextpnr's report for scripts/route.

part BOARD.toml          shell assignments for nextpnr: device, package, speed, clock (its pin), aim (MHz), router
carries NETLIST          opens carry outputs that nothing takes and carry inputs that nothing reads (nextpnr would give each a cell)
check BOARD.toml REPORT  a table of what is used and how fast it is; exit 1 where the [budget] is not met
"""

import collections
import json
import sys
import tomllib

# Names of nextpnr's resources for the budget's.
RESOURCES = {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "bram": "DP16KD", "dsp": "MULT18X18D"}


def open_carries(path: str) -> None:
    """Rewrites a yosys netlist in place."""
    with open(path, encoding="utf-8") as file:
        netlist = json.load(file)
    for module in netlist["modules"].values():
        if "blackbox" in module["attributes"]:
            continue
        carries = [cell for cell in module["cells"].values() if cell["type"] == "CCU2C"]
        ports = [port["bits"] for port in module["ports"].values()]
        cells = [bits for cell in module["cells"].values() for bits in cell["connections"].values()]
        ends = collections.Counter(bit for bits in ports + cells for bit in bits)
        for cell in carries:
            wires = cell["connections"]
            if ends[wires["COUT"][0]] == 1:
                wires["COUT"] = ["x"]
            # Where the first half does not propagate and its sum is not used, the carry-in goes nowhere.
            silent = wires["C0"] == wires["D0"] == ["1"] and cell["parameters"]["INIT0"].startswith("0000")
            if wires["CIN"][0] in ("0", "1") and silent and ends[wires["S0"][0]] == 1:
                wires["CIN"] = ["x"]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(netlist, file)


def main() -> int:
    command, board_path, *rest = sys.argv[1:]
    if command == "carries":
        open_carries(board_path)
        return 0
    with open(board_path, "rb") as file:
        board = tomllib.load(file)
    for table in ("part", "budget"):
        if table not in board:
            print(f"{board_path}: no [{table}] table; route needs one", file=sys.stderr)
            return 1
    part, budget = board["part"], board["budget"]
    if command == "part":
        keys = ("device", "package", "speed", "clock", "aim", "router")
        print(" ".join(f"{key}={part[key]}" for key in keys))
        return 0
    with open(rest[0], encoding="utf-8") as file:
        report = json.load(file)
    failed = False
    print(f"{'resource':<10}{'used':>10}{'there are':>12}{'share':>8}{'budget':>9}")
    for name, resource in RESOURCES.items():
        used = report["utilization"][resource]["used"]
        available = report["utilization"][resource]["available"]
        share = used / available
        over = share > budget[name]
        failed |= over
        mark = "  over budget" if over else ""
        print(f"{name:<10}{used:>10}{available:>12}{share:>8.1%}{budget[name]:>9.0%}{mark}")
    mhz = min(clock["achieved"] for clock in report["fmax"].values())
    slow = mhz < budget["mhz"]
    failed |= slow
    print(f"{'fmax':<10}{mhz:>10.1f} MHz, budget {budget['mhz']} MHz{'  too slow' if slow else ''}")
    lanes = 8 * board["architecture"]["columns"]
    inputs = 4 * board["architecture"]["quads"]
    print(f"{'array':<10}{lanes * inputs:>10} MAC-bits a cycle ({lanes} lanes x {inputs} inputs)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
