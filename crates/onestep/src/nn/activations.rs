//! Activation functions: methods of [`Tensor`], and [`Activation`] as a module and in config files.
//!
//! Where a function has a kink, its slope there is PyTorch's (0 for ReLU at 0). NaN stays NaN.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::options::{self, Tagged};
use crate::error::Result;
use crate::trace::{Module, Scope, Tensor};

impl Tensor {
    /// max(x, 0).
    pub fn relu(&self) -> Tensor {
        self.le(0.0).select(0.0, self)
    }

    /// x above 0, `slope · x` below.
    pub fn leaky_relu(&self, slope: f64) -> Tensor {
        self.gt(0.0).select(self, self * slope)
    }

    /// x above 0, e^x - 1 below (Clevert et al. 2015, alpha 1).
    pub fn elu(&self) -> Tensor {
        self.gt(0.0).select(self, self.negative_part().expm1())
    }

    /// Scaled ELU with the constants of Klambauer et al. 2017, "Self-normalizing neural networks".
    pub fn selu(&self) -> Tensor {
        let (scale, alpha) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);
        self.gt(0.0).select(self * scale, self.negative_part().expm1() * (scale * alpha))
    }

    /// x Φ(x) with the normal distribution function Φ (Hendrycks and Gimpel 2016).
    pub fn gelu(&self) -> Tensor {
        self * 0.5 * ((self * FRAC_1_SQRT_2).erf() + 1.0)
    }

    /// GELU by its approximation with tanh.
    pub fn gelu_tanh(&self) -> Tensor {
        let inner = (self + self.square() * self * 0.044715) * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
        self * 0.5 * (inner.tanh() + 1.0)
    }

    /// x sigmoid(x), also known as swish.
    pub fn silu(&self) -> Tensor {
        self * self.sigmoid()
    }

    /// x tanh(softplus(x)) (Misra 2019).
    pub fn mish(&self) -> Tensor {
        self * self.softplus().tanh()
    }

    /// log(1 + e^x), for any x.
    pub fn softplus(&self) -> Tensor {
        let below = self.le(0.0);
        below.select(self, -self).exp().log1p() + below.select(0.0, self)
    }

    /// x relu6(x + 3) / 6 (Howard et al. 2019, "Searching for MobileNetV3").
    pub fn hard_swish(&self) -> Tensor {
        self * self.hard_sigmoid()
    }

    /// relu6(x + 3) / 6.
    pub fn hard_sigmoid(&self) -> Tensor {
        (self + 3.0).relu6() / 6.0
    }

    /// min(max(x, 0), 6).
    pub fn relu6(&self) -> Tensor {
        self.relu().minimum(6.0)
    }

    /// min(x, 0), which keeps exponentials of the side that `select` leaves out from overflowing. Slope 1 at 0.
    fn negative_part(&self) -> Tensor {
        self.gt(0.0).select(0.0, self)
    }
}

/// An activation function as a module. In config files a string, `"relu"`, or a table with its option,
/// `{ type = "leaky_relu", slope = 0.2 }`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// [`Tensor::relu`].
    Relu,
    /// [`Tensor::leaky_relu`] with this slope; 0.01 where a config file does not say.
    LeakyRelu(f64),
    /// [`Tensor::elu`].
    Elu,
    /// [`Tensor::selu`].
    Selu,
    /// [`Tensor::gelu`].
    Gelu,
    /// [`Tensor::gelu_tanh`].
    GeluTanh,
    /// [`Tensor::silu`].
    Silu,
    /// [`Tensor::mish`].
    Mish,
    /// [`Tensor::sigmoid`].
    Sigmoid,
    /// [`Tensor::tanh`].
    Tanh,
    /// [`Tensor::softplus`].
    Softplus,
    /// [`Tensor::hard_swish`].
    HardSwish,
    /// [`Tensor::hard_sigmoid`].
    HardSigmoid,
    /// [`Tensor::relu6`].
    Relu6,
    /// [`Tensor::softmax`] over the last axis.
    Softmax,
    /// [`Tensor::log_softmax`] over the last axis.
    LogSoftmax,
}

const SLOPE: f64 = 0.01;

impl Activation {
    /// Every activation, with the default of its option.
    pub const ALL: [Activation; 16] = [
        Activation::Relu,
        Activation::LeakyRelu(SLOPE),
        Activation::Elu,
        Activation::Selu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Silu,
        Activation::Mish,
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::Softplus,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Relu6,
        Activation::Softmax,
        Activation::LogSoftmax,
    ];

    /// The name in config files: "gelu_tanh".
    pub fn name(self) -> &'static str {
        match self {
            Activation::Relu => "relu",
            Activation::LeakyRelu(_) => "leaky_relu",
            Activation::Elu => "elu",
            Activation::Selu => "selu",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
            Activation::Silu => "silu",
            Activation::Mish => "mish",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::Softplus => "softplus",
            Activation::HardSwish => "hard_swish",
            Activation::HardSigmoid => "hard_sigmoid",
            Activation::Relu6 => "relu6",
            Activation::Softmax => "softmax",
            Activation::LogSoftmax => "log_softmax",
        }
    }

    /// The function's value.
    pub fn of(self, x: &Tensor) -> Tensor {
        match self {
            Activation::Relu => x.relu(),
            Activation::LeakyRelu(slope) => x.leaky_relu(slope),
            Activation::Elu => x.elu(),
            Activation::Selu => x.selu(),
            Activation::Gelu => x.gelu(),
            Activation::GeluTanh => x.gelu_tanh(),
            Activation::Silu => x.silu(),
            Activation::Mish => x.mish(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::Tanh => x.tanh(),
            Activation::Softplus => x.softplus(),
            Activation::HardSwish => x.hard_swish(),
            Activation::HardSigmoid => x.hard_sigmoid(),
            Activation::Relu6 => x.relu6(),
            Activation::Softmax => x.softmax(-1),
            Activation::LogSoftmax => x.log_softmax(-1),
        }
    }

    /// The activation of a name and its options, or `None` if there is none of that name.
    pub(super) fn from_tagged(tagged: &Tagged) -> Option<Result<Self>> {
        let found = Activation::ALL.into_iter().find(|a| a.name() == tagged.name)?;
        Some(match found {
            Activation::LeakyRelu(_) => tagged.parse().map(|o: LeakyOptions| Activation::LeakyRelu(o.slope)),
            _ => tagged.parse().map(|NoOptions {}| found),
        })
    }

    /// The options that differ between activations of one name.
    pub(super) fn options(self) -> Value {
        match self {
            Activation::LeakyRelu(slope) => serde_json::json!({ "slope": slope }),
            _ => serde_json::json!({}),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeakyOptions {
    #[serde(default = "default_slope")]
    slope: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

fn default_slope() -> f64 {
    SLOPE
}

impl Module for Activation {
    fn forward(&self, _: &Scope, x: Tensor) -> Result<Tensor> {
        Ok(self.of(&x))
    }

    fn kind(&self) -> &str {
        self.name()
    }
}

impl Serialize for Activation {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Activation::LeakyRelu(slope) if *slope != SLOPE => options::tag(self.name(), self.options()).serialize(s),
            _ => s.serialize_str(self.name()),
        }
    }
}

impl<'de> Deserialize<'de> for Activation {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let tagged = Tagged::new("activation", Value::deserialize(d)?).map_err(D::Error::custom)?;
        Activation::from_tagged(&tagged)
            .unwrap_or_else(|| Err(tagged.unknown(Activation::ALL.into_iter().map(Activation::name))))
            .map_err(D::Error::custom)
    }
}
