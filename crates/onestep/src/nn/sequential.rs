//! A network as a list of named layers: built in code, or read from TOML and JSON.

use std::collections::HashMap;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Activation;
use super::spec::{Layer, LayerSpec};
use crate::error::{Error, Result};
use crate::trace::{Module, Scope, Tensor};

/// Layers applied one after the other.
///
/// ```
/// use onestep::nn::{Activation, Conv2d, Flatten, Linear, Sequential};
/// let built = Sequential::new()
///     .add("conv1", Conv2d::new(32, 3))
///     .activation(Activation::Relu)
///     .add("flatten", Flatten::new())
///     .add("out", Linear::new(10));
/// let read = Sequential::from_toml(
///     r#"
///     layers = [
///         { type = "conv2d", name = "conv1", filters = 32, kernel = 3, activation = "relu" },
///         { type = "flatten", name = "flatten" },
///         { type = "linear", name = "out", out = 10 },
///     ]"#,
/// )?;
/// assert_eq!(built, read);
/// # Ok::<(), onestep::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Sequential {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    layers: Value,
}

impl Sequential {
    /// No layers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer. Names must differ and contain no dot, which [`Module::forward`] checks.
    pub fn add(mut self, name: &str, layer: impl Into<LayerSpec>) -> Self {
        let (name, spec) = (name.to_string(), layer.into());
        self.layers.push(Layer { name, spec, activation: None, checkpoint: false });
        self
    }

    /// Sets the activation after the last added layer; without one, adds the activation as a layer.
    pub fn activation(mut self, activation: Activation) -> Self {
        match self.layers.last_mut() {
            Some(layer) => layer.activation = Some(activation),
            None => return self.add(activation.name(), activation),
        }
        self
    }

    /// Makes the last added layer with its activation a checkpoint, see [`Scope::checkpoint`]: what it computes,
    /// such as the layers of a [`Residual`](super::Residual) block, is computed again in the backward pass and not
    /// kept for it. In config files it is `checkpoint = true`. Without a layer it does nothing.
    pub fn checkpoint(mut self) -> Self {
        if let Some(layer) = self.layers.last_mut() {
            layer.checkpoint = true;
        }
        self
    }

    /// The layers in order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Reads a list of layer tables. Layers without a name get their type and a running number.
    pub fn from_value(value: Value) -> Result<Self> {
        let Value::Array(items) = value else {
            return Err(Error::config("layers must be a list of tables { type = \"…\", … }"));
        };
        let read = |(i, item)| Layer::from_value(item).map_err(|e| e.at(format_args!("layer {}", i + 1)));
        let items = items.into_iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
        let taken: Vec<String> = items.iter().filter_map(|(name, _)| name.clone()).collect();
        let mut numbers: HashMap<&'static str, usize> = HashMap::new();
        let layers = items
            .into_iter()
            .map(|(name, layer)| {
                let name = name.unwrap_or_else(|| {
                    let number = numbers.entry(layer.spec.type_name()).or_default();
                    loop {
                        *number += 1;
                        let name = format!("{}_{number}", layer.spec.type_name());
                        if !taken.contains(&name) {
                            break name;
                        }
                    }
                });
                Layer { name, ..layer }
            })
            .collect();
        let new = Sequential { layers };
        new.check_names()?;
        Ok(new)
    }

    /// Reads a TOML document with the list `layers`.
    pub fn from_toml(text: &str) -> Result<Self> {
        let document: Document = toml::from_str(text).map_err(|e| Error::config(e.to_string()))?;
        Self::from_value(document.layers)
    }

    /// Reads a JSON list of layers.
    pub fn from_json(text: &str) -> Result<Self> {
        Self::from_value(serde_json::from_str(text).map_err(|e| Error::config(e.to_string()))?)
    }

    fn check_names(&self) -> Result<()> {
        for (i, layer) in self.layers.iter().enumerate() {
            let name = &layer.name;
            if name.is_empty() || name.contains('.') {
                return Err(Error::name(format!("`{name}` is no name for a layer; use one without dots")));
            }
            if self.layers[..i].iter().any(|l| l.name == *name) {
                return Err(Error::name(format!("there are two layers named `{name}`; rename one")));
            }
        }
        Ok(())
    }
}

impl Module for Sequential {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        self.check_names()?;
        self.layers.iter().try_fold(x, |x, layer| layer.apply(s, &layer.name, x))
    }

    fn kind(&self) -> &str {
        "sequential"
    }
}

impl<'de> Deserialize<'de> for Sequential {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Sequential::from_value(Value::deserialize(d)?).map_err(D::Error::custom)
    }
}
