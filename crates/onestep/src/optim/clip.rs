//! Clipping of the flat gradient.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::trace::Tensor;

/// Keeps gradients small, as PyTorch's `clip_grad_norm_` and `clip_grad_value_`. In a configuration file:
/// `clip = { global_norm = 1.0 }`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// Scales the whole gradient by min(1, limit / (norm + 1e-6)), with the norm over all parameters.
    GlobalNorm(f64),
    /// Holds each element between -limit and limit.
    Value(f64),
}

impl Clip {
    /// The clipped gradient. A limit that is not positive is an error.
    pub fn apply(&self, grads: &Tensor) -> Result<Tensor> {
        let (Clip::GlobalNorm(limit) | Clip::Value(limit)) = *self;
        if limit.is_nan() || limit <= 0.0 {
            return Err(Error::config(format!("clip: the limit is {limit}; it must be positive")));
        }
        Ok(match self {
            Clip::GlobalNorm(_) => grads * (limit / (global_norm(grads) + 1e-6)).minimum(1.0),
            Clip::Value(_) => grads.clamp(-limit, limit),
        })
    }
}

/// The root of the sum of squares, f32 [].
pub fn global_norm(grads: &Tensor) -> Tensor {
    grads.square().sum(..).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{DType, Trace};

    #[test]
    fn a_limit_must_be_positive() {
        let grads = Trace::new().input("grads", [3], DType::F32);
        assert_eq!(Clip::GlobalNorm(1.0).apply(&grads).unwrap().shape(), grads.shape());
        for clip in [Clip::GlobalNorm(0.0), Clip::Value(-1.0), Clip::Value(f64::NAN)] {
            assert!(clip.apply(&grads).unwrap_err().to_string().contains("must be positive"));
        }
    }

    #[test]
    fn it_has_a_form_for_configuration_files() {
        let clip: Clip = serde_json::from_str(r#"{"global_norm":1.5}"#).unwrap();
        assert_eq!(clip, Clip::GlobalNorm(1.5));
    }
}
