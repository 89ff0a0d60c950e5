//! How layers, activations and losses are written in config files: a name, or a table with `type` and
//! options. Errors name the wrong option and those that exist.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A name and its options.
#[derive(Debug)]
pub(super) struct Tagged {
    /// "layer", "activation", "loss": for errors.
    what: &'static str,
    pub name: String,
    /// How errors call it: "linear `fc2`".
    pub label: String,
    pub options: Map<String, Value>,
}

impl Tagged {
    /// Reads `"name"` or `{ type = "name", .. }`.
    pub fn new(what: &'static str, value: Value) -> Result<Self> {
        let (name, options) = match value {
            Value::String(name) => (Some(Value::String(name)), Map::new()),
            Value::Object(mut table) => (table.shift_remove("type"), table),
            _ => (None, Map::new()),
        };
        match name {
            Some(Value::String(name)) => Ok(Tagged { what, label: name.clone(), name, options }),
            _ => Err(Error::config(format!("this {what} has no name; write {{ type = \"…\", … }}"))),
        }
    }

    /// Removes a string option.
    pub fn take_string(&mut self, key: &str) -> Result<Option<String>> {
        match self.options.shift_remove(key) {
            None => Ok(None),
            Some(Value::String(s)) => Ok(Some(s)),
            Some(other) => Err(Error::config(format!("{}: `{key}` must be a string, not {other}", self.label))),
        }
    }

    /// Removes a switch, which is off where it is missing.
    pub fn take_bool(&mut self, key: &str) -> Result<bool> {
        match self.options.shift_remove(key) {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(on),
            Some(other) => Err(Error::config(format!("{}: `{key}` must be true or false, not {other}", self.label))),
        }
    }

    /// Reads the options as a type that denies unknown ones.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(Value::Object(self.options.clone()))
            .map_err(|e| Error::config(format!("{}: {e}", self.label)))
    }

    /// The error for a name that does not exist.
    pub fn unknown(&self, names: impl Iterator<Item = &'static str>) -> Error {
        let names: Vec<&str> = names.collect();
        Error::config(format!("there is no {} `{}`; there are {}", self.what, self.name, names.join(", ")))
    }
}

/// The table of a name and options, `type` first.
pub(super) fn tag(name: &str, options: Value) -> Value {
    let mut table = Map::new();
    table.insert("type".to_string(), Value::String(name.to_string()));
    if let Value::Object(options) = options {
        table.extend(options);
    }
    Value::Object(table)
}

/// For options that are on unless something else is said.
pub(super) fn yes() -> bool {
    true
}
