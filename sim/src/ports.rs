//! The port table of a verilated top module, read from the header that Verilator generates.

use crate::error::SimError;

/// Which way a port carries data, seen from the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The caller drives it.
    Input,
    /// The design drives it.
    Output,
    /// Both may.
    Inout,
}

/// A port of the top module.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Port {
    /// Its name in the Verilog.
    pub name: String,
    /// Its width in bits.
    pub bits: u32,
    /// Which way it carries data.
    pub direction: Direction,
}

/// A port and the C++ member that holds it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) port: Port,
    pub(crate) member: String,
}

/// Reads declarations such as `VL_INW(&a,99,0,4);` from a generated header, in the header's order.
pub(crate) fn parse(top: &str, header: &str) -> Result<Vec<Member>, SimError> {
    let mut members = Vec::new();
    for line in header.lines().map(str::trim) {
        let direction = match line {
            _ if line.starts_with("VL_INOUT") => Direction::Inout,
            _ if line.starts_with("VL_IN") => Direction::Input,
            _ if line.starts_with("VL_OUT") => Direction::Output,
            _ => continue,
        };
        let member = declaration(line, direction).ok_or_else(|| SimError::UnsupportedPort {
            top: top.to_owned(),
            port: line.to_owned(),
        })?;
        members.push(member);
    }
    Ok(members)
}

fn declaration(line: &str, direction: Direction) -> Option<Member> {
    let (_, arguments) = line.split_once("(&")?;
    let (arguments, _) = arguments.split_once(')')?;
    let mut fields = arguments.split(',');
    let member = fields.next()?;
    let high: u32 = fields.next()?.trim().parse().ok()?;
    let low: u32 = fields.next()?.trim().parse().ok()?;
    let plain = member
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let bits = high.checked_sub(low)?.checked_add(1)?;
    plain.then(|| Member {
        port: Port {
            name: verilog_name(member),
            bits,
            direction,
        },
        member: member.to_owned(),
    })
}

/// Undoes Verilator's spelling of names: `__0hh` is the character of that code, `__SYM__` precedes C++ keywords.
fn verilog_name(member: &str) -> String {
    let mut rest = member.strip_prefix("__SYM__").unwrap_or(member);
    let mut name = String::new();
    while let Some(at) = rest.find("__0") {
        let code = rest
            .get(at + 3..at + 5)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let Some(code) = code else { break };
        name.push_str(&rest[..at]);
        name.push(code as char);
        rest = &rest[at + 5..];
    }
    name + rest
}

/// The C++ header that tells the shim about the ports and, if it is among them, the clock.
pub(crate) fn header(members: &[Member], clock: &str) -> String {
    let mut text = format!(
        "#define BITWEFT_PORT_COUNT {}\n#define BITWEFT_PORTS \\\n",
        members.len()
    );
    for Member { port, member } in members {
        let name: String = port.name.chars().flat_map(char::escape_default).collect();
        let direction = match port.direction {
            Direction::Input => 0,
            Direction::Output => 1,
            Direction::Inout => 2,
        };
        text += &format!(
            "    BITWEFT_PORT(\"{name}\", {member}, {}, {direction}) \\\n",
            port.bits
        );
    }
    text += "\n";
    let is_clock =
        |port: &Port| port.name == clock && port.bits == 1 && port.direction == Direction::Input;
    if let Some(member) = members.iter().find(|member| is_clock(&member.port)) {
        text += &format!("#define BITWEFT_CLOCK {}\n", member.member);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, bits: u32, direction: Direction) -> Port {
        Port {
            name: name.to_owned(),
            bits,
            direction,
        }
    }

    #[test]
    fn every_kind_of_declaration_is_read() {
        let header = "
            class Vmodel {
                VL_IN8(&clock,0,0);
                VL_INW(&a,99,0,4);
                VL_OUT64(&d,63,0);
                VL_OUT(&e,32,1);
                VL_INOUT16(&bus__05Fwide,15,0);
                VL_IN8(&__SYM__int,2,0);
                Vmodel___024root* const rootp;";
        let ports: Vec<Port> = parse("top", header)
            .expect("read")
            .into_iter()
            .map(|member| member.port)
            .collect();
        assert_eq!(
            ports,
            [
                port("clock", 1, Direction::Input),
                port("a", 100, Direction::Input),
                port("d", 64, Direction::Output),
                port("e", 32, Direction::Output),
                port("bus_wide", 16, Direction::Inout),
                port("int", 3, Direction::Input),
            ]
        );
    }

    #[test]
    fn an_array_port_is_refused_by_name() {
        let error = parse("top", "VL_IN8((&rows)[4],7,0);").expect_err("not a plain vector");
        assert!(error.to_string().contains("rows"), "{error}");
    }
}
