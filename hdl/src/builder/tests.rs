use super::*;

fn adder() -> Module {
    let module = Module::new("adder");
    let (a, b) = (module.input("a", 8), module.input("b", 8));
    let sum = module.registered("sum", &module.add(&a, &b));
    module.output("total", &sum);
    module
}

#[test]
fn a_child_is_emitted_once_before_its_parent() {
    let top = Module::new("top");
    let (a, b) = (top.input("a", 8), top.input("b", 8));
    let first = top.instance("first", &adder(), &[("a", &a), ("b", &b)]);
    let second = top.instance("second", &adder(), &[("a", first.get("total")), ("b", &b)]);
    top.output("total", second.get("total"));
    top.attribute("keep_hierarchy");
    let text = top.verilog().expect("complete");
    assert_eq!(text.matches("module adder(").count(), 1);
    assert!(text.find("module adder(") < text.find("(* keep_hierarchy *) module top("));
    assert!(text.contains("input wire  clock;"), "{text}");
}

#[test]
fn an_undriven_wire_is_an_error() {
    let module = Module::new("open");
    let wire = module.wire("floating", 3);
    module.output("y", &wire);
    assert_eq!(
        module.verilog(),
        Err(EmitError::Undriven("open.floating".into()))
    );
}

#[test]
fn different_modules_of_one_name_clash() {
    let other = Module::new("adder");
    other.output("total", &other.literal(3, 8));
    let top = Module::new("top");
    let a = top.input("a", 8);
    top.instance("first", &adder(), &[("a", &a), ("b", &a)]);
    top.instance("second", &other, &[]);
    assert_eq!(top.verilog(), Err(EmitError::NameClash("adder".into())));
}

#[test]
fn parts_of_parts_are_parts() {
    let module = Module::new("m");
    let a = module.input("a", 16);
    let part = module.slice(&module.slice(&a, 4, 8), 2, 3);
    assert_eq!(part.to_string(), "a[8:6]");
    let literal = module.slice(&module.literal(0xabc, 12), 4, 8);
    assert_eq!(literal.to_string(), "8'hab");
}

#[test]
#[should_panic(expected = "m.sum: a and b")]
fn widths_must_match() {
    let module = Module::new("m");
    module.add(&module.input("a", 4), &module.input("b", 5));
}

#[test]
#[should_panic(expected = "n: a is a net of another module")]
fn nets_stay_in_their_module() {
    let a = Module::new("m").input("a", 4);
    Module::new("n").not(&a);
}

#[test]
#[should_panic(expected = "m.w: driven twice")]
fn one_driver_a_wire() {
    let module = Module::new("m");
    let (a, w) = (module.input("a", 4), module.wire("w", 4));
    module.drive(&w, &a);
    module.drive(&w, &a);
}
