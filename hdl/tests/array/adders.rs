//! Adder cells: their behaviour, and the ECP5 form on a model of its carry cell.

use crate::support::Random;
use bitweft_hdl::builder::Module;
use bitweft_sim::{Build, Profile, tools::ToolFolder};
use std::path::Path;

fn adders(width: usize) -> Module {
    let module = Module::new("adders");
    let (a, b) = (module.input("a", width), module.input("b", width));
    let control = module.input("control", 1);
    module.output("complemented", &module.add_complement(&a, &b, &control));
    module.output("gated", &module.add_gated(&a, &b, &control));
    module
}

fn check(width: usize, cells: bool) {
    let text = adders(width).verilog().expect("complete");
    let mut files = vec![("adders.v".to_owned(), text)];
    if cells {
        files.push(("ccu2c.v".into(), include_str!("ccu2c.v").into()));
    }
    let mut build = Build::new("adders", files, Profile::Check);
    if cells {
        // The carry goes through one vector, which is no loop bit by bit.
        build = build.argument("-DECP5_CELLS").argument("-Wno-UNOPTFLAT");
    }
    let mut model = build
        .build()
        .expect("builds")
        .instantiate(1)
        .expect("loads");
    let ports = ["a", "b", "control", "complemented", "gated"];
    let [a, b, control, complemented, gated] = ports.map(|name| model.signal(name).expect(name));
    let mask = (1_u64 << width) - 1;
    let mut random = Random::new(width as u64);
    for _ in 0..2000 {
        let corner = |random: &mut Random| match random.below(6) {
            0 => 0,
            1 => mask,
            _ => random.bits() & mask,
        };
        let (x, y) = (corner(&mut random), corner(&mut random));
        let set = random.flag();
        model.set(a, x);
        model.set(b, y);
        model.set(control, u64::from(set));
        model.eval().expect("runs");
        let (flipped, passed) = if set { (!y, y) } else { (y, 0) };
        assert_eq!(model.get(complemented), x.wrapping_add(flipped) & mask);
        assert_eq!(
            model.get(gated),
            x.wrapping_add(passed) & mask,
            "{x} {y} {set}"
        );
    }
}

#[test]
fn adders_add() {
    for width in [1, 7, 30] {
        check(width, false);
    }
}

#[test]
fn carry_cells_equal_the_behaviour() {
    for width in [1, 7, 30] {
        check(width, true);
    }
}

/// `$alu` with a constant and with a variable carry-in, signed operands shorter than the sum, through yosys and the map for ECP5.
fn mapped(width: usize) -> String {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("alu_{width}"));
    std::fs::create_dir_all(&folder).expect("folder");
    let alu = |name: &str, carry: &str| {
        format!(
            "\\$alu #(.A_SIGNED(1), .B_SIGNED(1), .A_WIDTH({}), .B_WIDTH({width}), .Y_WIDTH({width})) {name} \
             (.A(a), .B(b), .CI({carry}), .BI(complement), .X(), .Y({name}_sum), .CO({name}_carries));\n",
            width - 1
        )
    };
    let outputs: String = ["zero", "one", "either"]
        .map(|name| format!(", output [{0}:0] {name}_sum, {name}_carries", width - 1))
        .concat();
    let text = format!(
        "module adders(input [{}:0] a, input [{}:0] b, input complement, carry{outputs});\n{}{}{}endmodule\n",
        width - 2,
        width - 1,
        alu("zero", "1'b0"),
        alu("one", "1'b1"),
        alu("either", "carry"),
    );
    std::fs::write(folder.join("adders.v"), text).expect("written");
    std::fs::write(
        folder.join("map.v"),
        include_str!("../../vendor/ecp5_alu.v"),
    )
    .expect("written");
    let tools = ToolFolder::locate().expect("scripts/setup");
    let commands = "read_verilog -icells adders.v; hierarchy -top adders; techmap -map map.v; clean; \
                    select -assert-none t:$alu; write_verilog -noattr mapped.v";
    let run = std::process::Command::new(tools.yosys().expect("scripts/setup"))
        .env("YOWASP_CACHE_DIR", tools.cache().join("yowasp"))
        .args(["-q", "-p", commands])
        .current_dir(&folder)
        .output()
        .expect("starts");
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    std::fs::read_to_string(folder.join("mapped.v")).expect("read")
}

#[test]
fn mapped_carry_chains_equal_the_behaviour() {
    for width in [3, 6, 11] {
        let files = vec![
            ("adders.v".to_owned(), mapped(width)),
            ("ccu2c.v".into(), include_str!("ccu2c.v").into()),
        ];
        let build = Build::new("adders", files, Profile::Check).argument("-Wno-fatal");
        let mut model = build
            .build()
            .expect("builds")
            .instantiate(1)
            .expect("loads");
        let [a, b, complement, carry] =
            ["a", "b", "complement", "carry"].map(|name| model.signal(name).expect(name));
        let chains =
            [("zero", [0, 0]), ("one", [1, 1]), ("either", [0, 1])].map(|(name, carries)| {
                let port = |suffix: &str| model.signal(&format!("{name}_{suffix}")).expect(name);
                (port("sum"), port("carries"), carries)
            });
        let mask = (1_u64 << width) - 1;
        let mut random = Random::new(width as u64);
        for _ in 0..1000 {
            let (x, y) = (random.bits() & (mask >> 1), random.bits() & mask);
            let (set, carried) = (random.flag(), random.flag());
            model.set(a, x);
            model.set(b, y);
            model.set(complement, u64::from(set));
            model.set(carry, u64::from(carried));
            model.eval().expect("runs");
            let sign = (x << 1) & (mask ^ (mask >> 1));
            let left = x | sign;
            let right = if set { !y & mask } else { y };
            for (sum, carries, carry_in) in chains {
                let total = left + right + carry_in[usize::from(carried)];
                assert_eq!(
                    model.get(sum),
                    total & mask,
                    "{width} bits: {x} {y} {set} {carried}"
                );
                // A bit's carry-in is what makes its sum differ from that of its operands.
                let expected = (total ^ left ^ right) >> 1;
                assert_eq!(
                    model.get(carries),
                    expected & mask,
                    "{width} bits: {x} {y} {set} {carried}"
                );
            }
        }
    }
}
