//! The layers that config files know: names, options and help in one place.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::options::{self, Tagged};
use super::{
    Activation, AvgPool2d, BatchNorm, Conv1d, Conv2d, Conv3d, ConvTranspose2d, Dropout, Embedding, Flatten,
    GlobalAvgPool, LayerNorm, Linear, MaxPool2d, Residual,
};
use crate::error::{Error, Result};
use crate::trace::{Module, Scope, Tensor};

macro_rules! layers {
    ($($variant:ident($ty:ty) = $name:literal, $help:literal;)* ; $($activation:literal, $formula:literal;)*) => {
        /// Any layer that a config file can name.
        #[derive(Clone, Debug, PartialEq)]
        pub enum LayerSpec {
            $(#[doc = concat!("`", $name, "`: ", $help, ".")] $variant($ty),)*
            /// An activation by its name: `relu`, `gelu`, ….
            Activation(Activation),
        }

        $(impl From<$ty> for LayerSpec {
            fn from(layer: $ty) -> Self {
                LayerSpec::$variant(layer)
            }
        })*

        impl LayerSpec {
            /// Every layer type: its name in config files, and its options (those without a default must be given).
            pub const TYPES: &[(&str, &str)] = &[$(($name, $help),)* $(($activation, $formula),)*];

            /// The name in config files: "conv2d".
            pub fn type_name(&self) -> &'static str {
                match self {
                    $(LayerSpec::$variant(_) => $name,)*
                    LayerSpec::Activation(activation) => activation.name(),
                }
            }

            fn module(&self) -> &dyn Module {
                match self {
                    $(LayerSpec::$variant(layer) => layer,)*
                    LayerSpec::Activation(activation) => activation,
                }
            }

            fn options(&self) -> serde_json::Result<Value> {
                match self {
                    $(LayerSpec::$variant(layer) => serde_json::to_value(layer),)*
                    LayerSpec::Activation(activation) => Ok(activation.options()),
                }
            }

            fn from_tagged(tagged: &Tagged) -> Result<Self> {
                match tagged.name.as_str() {
                    $($name => tagged.parse().map(LayerSpec::$variant),)*
                    _ => match Activation::from_tagged(tagged) {
                        Some(activation) => activation.map(LayerSpec::Activation),
                        None => Err(tagged.unknown(LayerSpec::TYPES.iter().map(|(name, _)| *name))),
                    },
                }
            }
        }
    };
}

layers! {
    Linear(Linear) = "linear", "out, in_features = inferred, bias = true";
    Conv1d(Conv1d) = "conv1d", "filters, kernel, stride = 1, padding = \"valid\", dilation = 1, groups = 1, bias = true";
    Conv2d(Conv2d) = "conv2d", "filters, kernel, stride = 1, padding = \"valid\", dilation = 1, groups = 1, bias = true";
    Conv3d(Conv3d) = "conv3d", "filters, kernel, stride = 1, padding = \"valid\", dilation = 1, groups = 1, bias = true";
    ConvTranspose2d(ConvTranspose2d) = "conv_transpose2d",
        "filters, kernel, stride = 1, padding = \"valid\", output_padding = 0, dilation = 1, groups = 1, bias = true";
    MaxPool2d(MaxPool2d) = "max_pool2d", "kernel, stride = kernel, padding = \"valid\"";
    AvgPool2d(AvgPool2d) = "avg_pool2d", "kernel, stride = kernel, padding = \"valid\", count_include_pad = true";
    GlobalAvgPool(GlobalAvgPool) = "global_avg_pool", "no options; mean over all spatial axes";
    BatchNorm(BatchNorm) = "batch_norm", "momentum = 0.1, eps = 1e-5";
    LayerNorm(LayerNorm) = "layer_norm", "eps = 1e-5; over the last axis";
    Dropout(Dropout) = "dropout", "p = 0.5";
    Flatten(Flatten) = "flatten", "no options; joins all axes but the first";
    Embedding(Embedding) = "embedding", "count, dim";
    Residual(Residual) = "residual", "layers = [..], shortcut = [..] (default: the input itself)";
    ;
    "relu", "activation max(x, 0)";
    "leaky_relu", "activation, slope = 0.01";
    "elu", "activation x above 0, e^x - 1 below";
    "selu", "activation, scaled ELU";
    "gelu", "activation x Φ(x), by erf";
    "gelu_tanh", "activation, GELU approximated with tanh";
    "silu", "activation x sigmoid(x)";
    "mish", "activation x tanh(softplus(x))";
    "sigmoid", "activation 1 / (1 + e^-x)";
    "tanh", "activation tanh(x)";
    "softplus", "activation log(1 + e^x)";
    "hard_swish", "activation x relu6(x + 3) / 6";
    "hard_sigmoid", "activation relu6(x + 3) / 6";
    "relu6", "activation min(max(x, 0), 6)";
    "softmax", "over the last axis";
    "log_softmax", "over the last axis";
}

impl From<Activation> for LayerSpec {
    fn from(activation: Activation) -> Self {
        LayerSpec::Activation(activation)
    }
}

impl Module for LayerSpec {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        self.module().forward(s, x)
    }

    fn kind(&self) -> &str {
        self.module().kind()
    }
}

/// A layer of a [`Sequential`](super::Sequential): its name, what it is, an activation after it, and whether both are
/// computed again in the backward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// The name under which its parameters live; without dots.
    pub name: String,
    /// What it is.
    pub spec: LayerSpec,
    /// The activation that its result goes through, if any.
    pub activation: Option<Activation>,
    /// Whether it is a checkpoint, see [`Scope::checkpoint`].
    pub checkpoint: bool,
}

impl Layer {
    /// Reads `{ type = "conv2d", name = .., activation = .., checkpoint = .., options.. }`: the name, which may be
    /// missing, and the layer without it.
    pub(super) fn from_value(value: Value) -> Result<(Option<String>, Layer)> {
        let mut tagged = Tagged::new("layer", value)?;
        let name = tagged.take_string("name")?;
        if let Some(name) = &name {
            tagged.label = format!("{} `{name}`", tagged.name);
        }
        let activation = tagged.options.shift_remove("activation").map(serde_json::from_value).transpose();
        let activation = activation.map_err(|e| Error::config(format!("{}: {e}", tagged.label)))?;
        let checkpoint = tagged.take_bool("checkpoint")?;
        let spec = LayerSpec::from_tagged(&tagged)?;
        Ok((name, Layer { name: String::new(), spec, activation, checkpoint }))
    }

    fn to_value(&self) -> serde_json::Result<Value> {
        let mut value = options::tag(self.spec.type_name(), serde_json::json!({ "name": self.name }));
        if let (Value::Object(table), Value::Object(options)) = (&mut value, self.spec.options()?) {
            table.extend(options);
            if let Some(activation) = self.activation {
                table.insert("activation".to_string(), serde_json::to_value(activation)?);
            }
            if self.checkpoint {
                table.insert("checkpoint".to_string(), Value::Bool(true));
            }
        }
        Ok(value)
    }
}

impl Serialize for Layer {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_value().map_err(serde::ser::Error::custom)?.serialize(s)
    }
}

impl Module for Layer {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        if self.checkpoint {
            s.mark_checkpoint();
        }
        let y = self.spec.forward(s, x)?;
        Ok(self.activation.map_or(y.clone(), |a| a.of(&y)))
    }

    fn kind(&self) -> &str {
        self.spec.kind()
    }
}
