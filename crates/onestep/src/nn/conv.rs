//! Convolutions over one, two or three spatial axes: one implementation for all three.

use serde::{Deserialize, Serialize};

use super::extents::{Extents, Padding, same_total};
use super::options::yes;
use crate::error::{Error, Result};
use crate::trace::{ConvSpec, Init, Module, Scope, Shape, Tensor};

/// Convolution of [batch, length, channels].
pub type Conv1d = Conv<1>;
/// Convolution of [batch, height, width, channels].
pub type Conv2d = Conv<2>;
/// Convolution of [batch, depth, height, width, channels].
pub type Conv3d = Conv<3>;

/// Convolution (cross-correlation) over N spatial axes: [batch, spatial.., in] to
/// [batch, spatial'.., filters], with PyTorch's options on channels-last tensors.
///
/// Parameters: `weight` `[filters, kernel.., in / groups]` and `bias` `[filters]`, both U(±1/√fan_in) at first,
/// where fan_in is in / groups times the kernel's size. Input channels are inferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv<const N: usize> {
    filters: usize,
    kernel: Extents,
    #[serde(default = "Extents::one")]
    stride: Extents,
    #[serde(default = "Padding::valid")]
    padding: Padding,
    #[serde(default = "Extents::one")]
    dilation: Extents,
    #[serde(default = "one")]
    groups: usize,
    #[serde(default = "yes")]
    bias: bool,
}

/// The default number of groups.
pub(super) fn one() -> usize {
    1
}

impl<const N: usize> Conv<N> {
    /// A convolution with stride 1, no padding, a bias.
    pub fn new(filters: usize, kernel: impl Into<Extents>) -> Self {
        Conv {
            filters,
            kernel: kernel.into(),
            stride: Extents::one(),
            padding: Padding::VALID,
            dilation: Extents::one(),
            groups: 1,
            bias: true,
        }
    }

    /// Distance between windows (default 1).
    pub fn stride(self, stride: impl Into<Extents>) -> Self {
        Conv { stride: stride.into(), ..self }
    }

    /// Padding with zeros (default none).
    pub fn padding(self, padding: impl Into<Padding>) -> Self {
        Conv { padding: padding.into(), ..self }
    }

    /// Distance between kernel taps (default 1).
    pub fn dilation(self, dilation: impl Into<Extents>) -> Self {
        Conv { dilation: dilation.into(), ..self }
    }

    /// Groups of channels that do not see each other (default 1; as many as channels is depthwise).
    pub fn groups(self, groups: usize) -> Self {
        Conv { groups, ..self }
    }

    /// Whether a bias is added (default true).
    pub fn bias(self, bias: bool) -> Self {
        Conv { bias, ..self }
    }
}

impl<const N: usize> Module for Conv<N> {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        let shape = x.shape();
        let channels = spatial_channels(&shape, N)?;
        check_groups(self.groups, channels, self.filters)?;
        let kernel = self.kernel.positive("kernel", N)?;
        let stride = self.stride.positive("stride", N)?;
        let dilation = self.dilation.positive("dilation", N)?;
        let same = |i: usize| same_total(shape[i + 1], kernel[i], stride[i], dilation[i]);
        let padding = self.padding.resolve(N, same)?;

        let per_group = channels / self.groups;
        let init = Init::torch_default(kernel.iter().fold(per_group, |n, &k| n.saturating_mul(k)));
        let weight = s.param("weight", weight_shape(self.filters, &kernel, per_group), init);
        let y = x.conv(&weight, ConvSpec { stride, padding, dilation, groups: self.groups });
        Ok(if self.bias { y + s.param("bias", [self.filters], init) } else { y })
    }

    fn kind(&self) -> &str {
        match N {
            1 => "conv1d",
            2 => "conv2d",
            _ => "conv3d",
        }
    }
}

/// The channels of [batch, `spatial` extents, channels].
pub(super) fn spatial_channels(shape: &Shape, spatial: usize) -> Result<usize> {
    if shape.rank() == spatial + 2 {
        return Ok(shape[spatial + 1]);
    }
    let axes = match spatial {
        1 => "length",
        2 => "height, width",
        _ => "depth, height, width",
    };
    Err(Error::shape(format!("input is {shape} but must be [batch, {axes}, channels]; reshape it")))
}

pub(super) fn check_groups(groups: usize, channels: usize, filters: usize) -> Result<()> {
    if groups > 0 && filters > 0 && channels.is_multiple_of(groups) && filters.is_multiple_of(groups) {
        return Ok(());
    }
    Err(Error::config(format!(
        "{channels} channels and {filters} filters do not divide into {groups} groups; make both multiples of `groups`"
    )))
}

pub(super) fn weight_shape(filters: usize, kernel: &[usize], channels: usize) -> Shape {
    std::iter::once(filters).chain(kernel.iter().copied()).chain([channels]).collect()
}
