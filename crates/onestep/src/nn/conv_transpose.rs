//! The transposed convolution over two spatial axes.

use serde::{Deserialize, Serialize};

use super::conv::{check_groups, one, spatial_channels, weight_shape};
use super::extents::{Extents, Padding, PaddingRule, reach};
use super::options::yes;
use crate::error::{Error, Result};
use crate::trace::{ConvSpec, Init, Module, Scope, Tensor};

/// Transposed convolution, the adjoint of [`Conv2d`](super::Conv2d): [batch, h, w, in] to
/// [batch, h', w', filters] with h' = (h - 1) stride - padding + dilation (kernel - 1) + 1 + output_padding,
/// as PyTorch's `ConvTranspose2d` on channels-last tensors. Padding "same" gives h' = h · stride.
///
/// Parameters: `weight` `[filters, kh, kw, in / groups]` and `bias` `[filters]`, both U(±1/√fan) at first, where
/// fan is filters / groups times the kernel's size (PyTorch's choice).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose2d {
    filters: usize,
    kernel: Extents,
    #[serde(default = "Extents::one")]
    stride: Extents,
    #[serde(default = "Padding::valid")]
    padding: Padding,
    #[serde(default = "Extents::zero")]
    output_padding: Extents,
    #[serde(default = "Extents::one")]
    dilation: Extents,
    #[serde(default = "one")]
    groups: usize,
    #[serde(default = "yes")]
    bias: bool,
}

impl ConvTranspose2d {
    /// A transposed convolution with stride 1, no padding, a bias.
    pub fn new(filters: usize, kernel: impl Into<Extents>) -> Self {
        ConvTranspose2d {
            filters,
            kernel: kernel.into(),
            stride: Extents::one(),
            padding: Padding::VALID,
            output_padding: Extents::zero(),
            dilation: Extents::one(),
            groups: 1,
            bias: true,
        }
    }

    /// Distance between the places of neighbouring input pixels in the output (default 1).
    pub fn stride(self, stride: impl Into<Extents>) -> Self {
        ConvTranspose2d { stride: stride.into(), ..self }
    }

    /// What is cut off the output's sides (default nothing).
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        ConvTranspose2d { padding: padding.into(), ..self }
    }

    /// What is added to the output's far side, less than the stride (default 0).
    pub fn output_padding(self, padding: impl Into<Extents>) -> Self {
        ConvTranspose2d { output_padding: padding.into(), ..self }
    }

    /// Distance between kernel taps (default 1).
    pub fn dilation(self, dilation: impl Into<Extents>) -> Self {
        ConvTranspose2d { dilation: dilation.into(), ..self }
    }

    /// Groups of channels that do not see each other (default 1).
    pub fn groups(self, groups: usize) -> Self {
        ConvTranspose2d { groups, ..self }
    }

    /// Whether a bias is added (default true).
    pub fn bias(self, bias: bool) -> Self {
        ConvTranspose2d { bias, ..self }
    }
}

impl Module for ConvTranspose2d {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        let shape = x.shape();
        let channels = spatial_channels(&shape, 2)?;
        let groups = self.groups;
        check_groups(groups, channels, self.filters)?;
        let kernel = self.kernel.positive("kernel", 2)?;
        let stride = self.stride.positive("stride", 2)?;
        let dilation = self.dilation.positive("dilation", 2)?;
        let reaches: Vec<usize> = kernel.iter().zip(&dilation).map(|(&k, &d)| reach(k, d)).collect();
        let padding = self.padding.resolve(2, |i| reaches[i].saturating_sub(stride[i]))?;
        let extra = match self.padding {
            Padding::Rule(PaddingRule::Same) => (0..2).map(|i| stride[i].saturating_sub(reaches[i])).collect(),
            _ => self.output_padding.resolve("output_padding", 2)?,
        };

        let mut output = shape.to_vec();
        output[3] = self.filters;
        for i in 0..2 {
            if extra[i] >= stride[i] {
                return Err(Error::config(format!("output_padding {extra:?} must be less than the stride {stride:?}")));
            }
            let whole = shape[i + 1].checked_sub(1).and_then(|n| n.checked_mul(stride[i]));
            let extent = whole.and_then(|n| n.checked_add(reaches[i])?.checked_add(extra[i]));
            let extent = extent.and_then(|n| n.checked_sub(padding[i].0)?.checked_sub(padding[i].1));
            output[i + 1] = extent.filter(|&n| n > 0).ok_or_else(|| {
                Error::shape(format!(
                    "input is {shape} but padding {padding:?} leaves nothing of the output; take less"
                ))
            })?;
        }

        let (per_group, out_per_group) = (channels / groups, self.filters / groups);
        let init = Init::torch_default(kernel.iter().fold(out_per_group, |n, &k| n.saturating_mul(k)));
        let weight = s.param("weight", weight_shape(self.filters, &kernel, per_group), init);
        // The adjoint wants [in, kh, kw, out / groups]: swap input and output channels within each group.
        let weight = weight
            .reshape([groups, out_per_group, kernel[0], kernel[1], per_group])
            .permute([0, 4, 2, 3, 1])
            .reshape(weight_shape(channels, &kernel, out_per_group));
        let y = x.conv_transpose(&weight, ConvSpec { stride, padding, dilation, groups }, output);
        Ok(if self.bias { y + s.param("bias", [self.filters], init) } else { y })
    }

    fn kind(&self) -> &str {
        "conv_transpose2d"
    }
}
