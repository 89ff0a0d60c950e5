//! Holds the import table: which room may import which. ARCHITECTURE.md shows the same table to people.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room, and the rooms it may import. `error` is open to all; `testing` serves tests and stands outside.
const TABLE: &[(&str, &[&str])] = &[
    ("ir", &[]),
    ("trace", &["ir"]),
    ("grad", &["ir"]),
    ("plan", &["ir"]),
    ("passes", &["ir", "plan"]),
    ("codegen", &["ir", "plan"]),
    ("backend", &["plan", "codegen", "ir"]),
    ("nn", &["trace"]),
    ("optim", &["trace"]),
    ("engine", &["trace", "grad", "passes", "backend", "nn", "optim"]),
    ("data", &["ir", "format"]),
    ("format", &["ir", "trace"]),
    ("train", &["engine", "data", "format", "nn", "optim"]),
    ("infer", &["engine", "data", "format", "nn", "optim"]),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The rooms a source names as `crate::room`, tests left out: those may import anything.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut rooms = Vec::new();
    for line in code.lines().filter(|l| !l.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let name: String = line[at + 7..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            rooms.push(name);
        }
    }
    rooms
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table: BTreeMap<&str, &[&str]> = TABLE.iter().copied().collect();
    let mut files = Vec::new();
    sources(&src, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&src).unwrap();
        let first = inside.iter().next().unwrap().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        if ["lib", "error", "testing", "prelude"].contains(&room) || inside.ends_with("tests.rs") {
            continue;
        }
        let Some(allowed) = table.get(room) else {
            wrong.push(format!("{}: room `{room}` is not in the table", inside.display()));
            continue;
        };
        for name in imports(&fs::read_to_string(&file).unwrap()) {
            if name != "error" && name != room && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: {room} may not import {name}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_lives_in_backend_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    for file in files.iter().filter(|f| !f.strip_prefix(&src).unwrap().starts_with("backend")) {
        let text = fs::read_to_string(file).unwrap();
        let found = text.lines().find(|l| {
            let code = l.split("//").next().unwrap_or_default();
            code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|w| w == "unsafe")
        });
        assert!(found.is_none(), "{}: {}", file.display(), found.unwrap_or_default());
    }
}
