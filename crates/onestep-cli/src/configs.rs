//! Configs by name: the library's recipes, the workloads of `bench/`, and files.

use std::path::Path;

use onestep::prelude::Config;
use onestep::train::config::RECIPES;
use onestep::{Error, Result};

/// The workloads that steps are timed on: name and text.
pub const WORKLOADS: &[(&str, &str)] = &[
    ("seed_cnn", include_str!("../../../bench/workloads/seed_cnn.toml")),
    ("mlp", include_str!("../../../bench/workloads/mlp.toml")),
    ("small_cnn", include_str!("../../../bench/workloads/small_cnn.toml")),
    ("small_cnn_1k", include_str!("../../../bench/workloads/small_cnn_1k.toml")),
    ("big_mlp", include_str!("../../../bench/workloads/big_mlp.toml")),
];

/// Those that are timed where none is named: a CPU does their steps in milliseconds.
pub const SMALL: [&str; 3] = ["seed_cnn", "mlp", "small_cnn"];

/// Configs that are part of the program.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Runs to start from.
    Recipe,
    /// What `onestep bench` times.
    Workload,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Recipe => "recipe",
            Kind::Workload => "workload",
        }
    }

    fn table(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Recipe => RECIPES,
            Kind::Workload => WORKLOADS,
        }
    }
}

/// The config of a name of one of these kinds, or of a file, and what to call it.
///
/// # Errors
/// What is neither, with the names that exist; a file that cannot be read or is no config.
pub fn find(what: &str, kinds: &[Kind]) -> Result<(Config, String)> {
    for kind in kinds {
        if let Some((_, text)) = kind.table().iter().find(|(name, _)| *name == what) {
            return Ok((Config::parse(text, &format!("{} {what}", kind.name()))?, what.to_string()));
        }
    }
    let path = Path::new(what);
    if path.is_file() || path.extension().is_some_and(|extension| extension == "toml") {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        return Ok((Config::read(path)?, stem.unwrap_or_else(|| "run".to_string())));
    }
    let neither: Vec<String> = kinds.iter().map(|kind| format!("a {}", kind.name())).collect();
    let named = kinds.iter().map(|kind| {
        let names: Vec<&str> = kind.table().iter().map(|(name, _)| *name).collect();
        format!("the {}s are {}", kind.name(), names.join(", "))
    });
    Err(Error::config(format!(
        "there is neither {} nor a file `{what}`; {}, and a config file ends in .toml",
        neither.join(" nor "),
        named.collect::<Vec<_>>().join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_a_config() {
        for (name, _) in WORKLOADS {
            assert_eq!(find(name, &[Kind::Workload]).unwrap().1, *name);
        }
    }
}
