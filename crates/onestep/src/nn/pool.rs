//! Pooling over the spatial axes of [batch, height, width, channels].

use serde::{Deserialize, Serialize};

use super::conv::spatial_channels;
use super::extents::{Extents, Padding, same_total};
use super::options::yes;
use crate::error::{Error, Result};
use crate::trace::{Module, Scope, Shape, Tensor, Window};

/// Largest element of each window: [batch, h, w, channels] to [batch, h', w', channels], as PyTorch's
/// `MaxPool2d`. Padding counts as -inf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2d {
    kernel: Extents,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<Extents>,
    #[serde(default = "Padding::valid")]
    padding: Padding,
}

impl MaxPool2d {
    /// Windows that lie side by side, no padding.
    pub fn new(kernel: impl Into<Extents>) -> Self {
        MaxPool2d { kernel: kernel.into(), stride: None, padding: Padding::VALID }
    }

    /// Distance between windows (default: the kernel).
    pub fn stride(self, stride: impl Into<Extents>) -> Self {
        MaxPool2d { stride: Some(stride.into()), ..self }
    }

    /// Padding, less than the kernel (default none).
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        MaxPool2d { padding: padding.into(), ..self }
    }
}

impl Module for MaxPool2d {
    fn forward(&self, _: &Scope, x: Tensor) -> Result<Tensor> {
        Ok(x.max_pool(window(&x.shape(), &self.kernel, self.stride.as_ref(), &self.padding)?))
    }

    fn kind(&self) -> &str {
        "max_pool2d"
    }
}

/// Mean of each window: [batch, h, w, channels] to [batch, h', w', channels], as PyTorch's `AvgPool2d`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgPool2d {
    kernel: Extents,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stride: Option<Extents>,
    #[serde(default = "Padding::valid")]
    padding: Padding,
    #[serde(default = "yes")]
    count_include_pad: bool,
}

impl AvgPool2d {
    /// Windows that lie side by side, no padding.
    pub fn new(kernel: impl Into<Extents>) -> Self {
        AvgPool2d { kernel: kernel.into(), stride: None, padding: Padding::VALID, count_include_pad: true }
    }

    /// Distance between windows (default: the kernel).
    pub fn stride(self, stride: impl Into<Extents>) -> Self {
        AvgPool2d { stride: Some(stride.into()), ..self }
    }

    /// Padding with zeros, less than the kernel (default none).
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        AvgPool2d { padding: padding.into(), ..self }
    }

    /// Whether padding counts as elements of the window (default true).
    pub fn count_include_pad(self, count: bool) -> Self {
        AvgPool2d { count_include_pad: count, ..self }
    }
}

impl Module for AvgPool2d {
    fn forward(&self, _: &Scope, x: Tensor) -> Result<Tensor> {
        let window = window(&x.shape(), &self.kernel, self.stride.as_ref(), &self.padding)?;
        let mean = x.avg_pool(window.clone());
        let padded = window.padding.iter().any(|&p| p != (0, 0));
        // The pooling of ones is the share of each window that is not padding.
        Ok(if self.count_include_pad || !padded { mean } else { mean / x.ones_like().avg_pool(window) })
    }

    fn kind(&self) -> &str {
        "avg_pool2d"
    }
}

fn window(shape: &Shape, kernel: &Extents, stride: Option<&Extents>, padding: &Padding) -> Result<Window> {
    spatial_channels(shape, 2)?;
    let size = kernel.positive("kernel", 2)?;
    let stride = stride.unwrap_or(kernel).positive("stride", 2)?;
    let padding = padding.resolve(2, |i| same_total(shape[i + 1], size[i], stride[i], 1))?;
    Ok(Window { size, stride, padding })
}

/// Mean over all spatial axes: [batch, spatial.., channels] to [batch, channels].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlobalAvgPool {}

impl GlobalAvgPool {
    /// The layer; it has no options.
    pub fn new() -> Self {
        GlobalAvgPool {}
    }
}

impl Module for GlobalAvgPool {
    fn forward(&self, _: &Scope, x: Tensor) -> Result<Tensor> {
        if x.rank() < 3 {
            return Err(Error::shape(format!("input is {} but must be [batch, spatial.., channels]", x.shape())));
        }
        Ok(x.mean(1..x.rank() - 1))
    }

    fn kind(&self) -> &str {
        "global_avg_pool"
    }
}
