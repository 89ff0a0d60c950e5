//! Contractions and windows: matrix products, convolutions, pooling.

use super::Tensor;
use crate::error::{Error, Result};
use crate::ir::{ConvSpec, Op, Shape, Window};

impl Tensor {
    /// Matrix product of [.., m, k] and [.., k, n]. Batch axes broadcast; a vector counts as a row on the
    /// left and a column on the right, and its axis vanishes from the result (as in NumPy).
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        self.product(other, false)
    }

    /// Matrix product with the other's last two axes swapped: [.., m, k] and [.., n, k].
    pub fn matmul_t(&self, other: &Tensor) -> Tensor {
        self.product(other, true)
    }

    fn product(&self, other: &Tensor, tb: bool) -> Tensor {
        self.build(|x| {
            let Some(y) = other.ty() else { return Ok(other.clone()) };
            if x.shape.rank() == 0 || y.shape.rank() == 0 {
                return Err(Error::shape(format!(
                    "matmul: {x} and {y} are not both matrices; multiply scalars with `*`"
                )));
            }
            if x.shape.rank() == 1 {
                return Ok(self.unsqueeze(0).product(other, tb).squeeze(if y.shape.rank() == 1 { 0 } else { -2 }));
            }
            if y.shape.rank() == 1 {
                return Ok(self.product(&other.unsqueeze(if tb { 0 } else { 1 }), tb).squeeze(-1));
            }
            batched(self, &x.shape, other, &y.shape, tb).map_err(|e| e.at("matmul"))
        })
    }

    /// Convolution of [batch, spatial.., channels] with weights [out, kernel.., channels / groups].
    pub fn conv(&self, weights: &Tensor, spec: ConvSpec) -> Tensor {
        self.trace().push(Op::Conv(spec), &[self, weights])
    }

    /// Transposed convolution: the gradient, with respect to an input of shape `output`, of the convolution
    /// `spec` whose result has this tensor's shape. Weights: [channels of this, kernel.., out / groups].
    pub fn conv_transpose(&self, weights: &Tensor, spec: ConvSpec, output: impl Into<Shape>) -> Tensor {
        self.trace().push(Op::ConvInputGrad { spec, input: output.into() }, &[self, weights])
    }

    /// Largest element of each window over the spatial axes of [batch, spatial.., channels].
    pub fn max_pool(&self, window: Window) -> Tensor {
        self.apply(Op::MaxPool(window))
    }

    /// Mean of each window over the spatial axes of [batch, spatial.., channels]; padding counts as zeros.
    pub fn avg_pool(&self, window: Window) -> Tensor {
        self.apply(Op::AvgPool(window))
    }
}

fn batched(a: &Tensor, x: &Shape, b: &Tensor, y: &Shape, tb: bool) -> Result<Tensor> {
    let dot = Op::Dot { ta: false, tb };
    let (batch, matrix) = x.split_at(x.rank() - 2);
    if y.rank() == 2 {
        // One matrix for the whole batch: the batch's rows are rows of one big product.
        let n = y[if tb { 0 } else { 1 }];
        let rows = a.flatten(..-1);
        let product = rows.trace().push(dot, &[&rows, b]);
        let dims: Shape = batch.iter().chain(&matrix[..1]).copied().chain([n]).collect();
        return Ok(product.reshape(dims));
    }
    let (other_batch, other_matrix) = y.split_at(y.rank() - 2);
    let common = Shape::from(batch)
        .broadcast(&Shape::from(other_batch))
        .ok_or_else(|| Error::shape(format!("batches of {x} and {y} do not broadcast: extents must be equal or 1")))?;
    let stretch = |t: &Tensor, m: &[usize]| t.broadcast_to(common.iter().chain(m).copied().collect::<Shape>());
    Ok(a.trace().push(dot, &[&stretch(a, matrix), &stretch(b, other_matrix)]))
}
