//! The map of the house: which module may import which. Any other edge fails.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Module of the root crate, and what it may use: modules of the root crate, then crates of the workspace.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("model", &[]),
    // quant runs the float network to calibrate (golden::float); it never sees the hardware.
    ("quant", &["model", "golden"]),
    // train starts from quant's integers and ends in quant's emission.
    ("train", &["model", "quant"]),
    ("golden", &["model", "bitweft_isa"]),
    ("compiler", &["model", "bitweft_isa"]),
    ("driver", &["bitweft_isa", "bitweft_sim"]),
    ("flow", &["bitweft_hdl", "bitweft_isa", "bitweft_sim"]),
    (
        "cli",
        &[
            "model",
            "quant",
            "train",
            "golden",
            "compiler",
            "driver",
            "flow",
            "bitweft_isa",
            "bitweft_hdl",
            "bitweft_sim",
        ],
    ),
];

/// Crates of the workspace, and which of them each may depend on.
const CRATES: [(&str, &[&str]); 3] = [("hdl/isa", &[]), ("hdl", &["bitweft-isa"]), ("sim", &[])];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Source files of a module, tests left out.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
            .to_owned();
        if path.is_dir() && name != "tests" {
            files.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "testing.rs" {
            files.push(path);
        }
    }
    files
}

/// What a source text imports, its test module left out.
fn imports(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = BTreeSet::new();
    for (at, prefix) in code
        .match_indices("crate::")
        .chain(code.match_indices("bitweft_"))
    {
        let rest = &code[at..];
        if prefix == "bitweft_" {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if ["bitweft_isa", "bitweft_hdl", "bitweft_sim"].contains(&name.as_str()) {
                found.insert(name);
            }
            continue;
        }
        let rest = rest[prefix.len()..].trim_start_matches('{').trim_start();
        found.insert(
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect(),
        );
        // Further names of a braced group: `crate::{a::x, b::y}`.
        if code[at + prefix.len()..].starts_with('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in code[at + prefix.len()..].chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => word.clear(),
                    c if depth == 1 && (c.is_alphanumeric() || c == '_') => word.push(c),
                    ':' if depth == 1 && !word.is_empty() => {
                        found.insert(std::mem::take(&mut word));
                    }
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
            }
        }
    }
    found
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let modules: BTreeSet<&str> = ALLOWED.iter().map(|(module, _)| *module).collect();
    for (module, allowed) in ALLOWED {
        let folder = root().join("src").join(module);
        assert!(
            folder.is_dir(),
            "src/{module} is in the table but not there"
        );
        for file in sources(&folder) {
            for import in imports(&fs::read_to_string(&file).expect("readable")) {
                let known = modules.contains(import.as_str()) || import.starts_with("bitweft_");
                let fine = import == module || allowed.contains(&import.as_str());
                assert!(
                    !known || fine,
                    "{}: {module} must not import {import}",
                    file.display()
                );
            }
        }
    }
    for entry in fs::read_dir(root().join("src")).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name")
            .to_owned();
        assert!(
            !path.is_dir() || modules.contains(name.as_str()),
            "src/{name} is not in the table"
        );
    }
}

#[test]
fn crates_depend_only_on_what_the_table_allows() {
    for (folder, allowed) in CRATES {
        let text = fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("readable");
        let dependencies = text.split("[dependencies]").nth(1).expect("a table");
        let dependencies = dependencies.split("\n[").next().expect("a table");
        for line in dependencies
            .lines()
            .filter(|line| line.starts_with("bitweft-"))
        {
            let name = line.split(['.', ' ', '=']).next().expect("a name");
            assert!(
                allowed.contains(&name),
                "{folder} must not depend on {name}"
            );
        }
    }
}

#[test]
fn the_scan_sees_imports() {
    let text = "use crate::{\n    golden::x,\n    model::{a, b},\n};\nuse bitweft_isa::plane;\n// crate::flow\n";
    let found: Vec<String> = imports(text).into_iter().collect();
    assert_eq!(found, ["bitweft_isa", "golden", "model"]);
}
