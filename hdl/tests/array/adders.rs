//! Adder cells: their behaviour, and the ECP5 form on a model of its carry cell.

use crate::support::Random;
use bitweft_hdl::builder::Module;
use bitweft_sim::{Build, Profile};

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
