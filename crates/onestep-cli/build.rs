//! Tells the program the commit it was built from: `ONESTEP_COMMIT`, "unknown" outside a clone of its repository.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A tarball may lie inside another repository, whose commit would be a lie.
    let ours = git(&["ls-files", "--error-unmatch", "build.rs"]).is_some();
    let commit = ours.then(|| git(&["rev-parse", "--short", "HEAD"])).flatten();
    if commit.is_some() {
        // HEAD changes with the branch, its log with each commit.
        for file in ["HEAD", "logs/HEAD"].iter().filter_map(|name| git(&["rev-parse", "--git-path", name])) {
            if Path::new(&file).exists() {
                println!("cargo::rerun-if-changed={file}");
            }
        }
    }
    println!("cargo::rustc-env=ONESTEP_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// What git prints, where it is there and succeeds.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim().to_string())
}
