//! Products as BLAS libraries take them: matrices by columns, plain or transposed, with one distance from column to
//! column.

use super::kernel::{Epilogue, LibraryKernel, Operand};
use crate::ir::DType;

/// Bytes at whose multiples a bias must start.
const BIAS_ALIGNMENT: usize = 16;

/// A batched product as BLAS states it, by columns: `out[n, m] = left[n, k] · right[k, m]`. That is the plan's
/// `out[m, n] = lhs[m, k] · rhs[k, n]` by rows, so that `left` is its `rhs` and `right` its `lhs`.
#[derive(Clone, Debug)]
pub struct BlasProduct<'a> {
    /// The number of products.
    pub batch: usize,
    /// `[n, k]`.
    pub left: BlasMatrix<'a>,
    /// `[k, m]`.
    pub right: BlasMatrix<'a>,
    /// `[n, m]`, never transposed.
    pub out: BlasMatrix<'a>,
    /// What happens to results; a bias has their dtype and an element for each of n.
    pub epilogue: &'a Epilogue,
    /// Whether operands of f32 are rounded to TF32.
    pub tf32: bool,
}

/// A matrix as it lies in memory: element `[i, j]` is at `offset + i + leading · j`.
#[derive(Clone, Debug)]
pub struct BlasMatrix<'a> {
    /// Buffer, dtype and first element.
    pub operand: &'a Operand,
    /// Rows in memory.
    pub rows: usize,
    /// Columns in memory.
    pub columns: usize,
    /// Whether the product takes its transpose.
    pub transposed: bool,
    /// Elements from column to column, at least as many as there are rows.
    pub leading: usize,
    /// Elements from one matrix of the batch to the next.
    pub batch_stride: i64,
}

impl<'a> BlasMatrix<'a> {
    /// A matrix of a product: its extents, and which axes of the operand (after that of the batch) they belong to.
    fn new(operand: &'a Operand, [rows, columns]: [usize; 2], [row, column]: [usize; 2]) -> Option<Self> {
        let of = |rows: usize, columns: usize, row: i64, column: i64, transposed| {
            let unit = row == 1 || rows == 1;
            let leading = if columns == 1 { rows } else { usize::try_from(column).ok()? };
            let batch_stride = operand.strides[0];
            (unit && leading >= rows && batch_stride >= 0).then_some(BlasMatrix {
                operand,
                rows,
                columns,
                transposed,
                leading,
                batch_stride,
            })
        };
        let (row, column) = (operand.strides[row], operand.strides[column]);
        of(rows, columns, row, column, false).or_else(|| of(columns, rows, column, row, true))
    }
}

impl LibraryKernel {
    /// The call as a product of BLAS with sums in f32, if it is one: operands of one float dtype, results of the same or
    /// of f32, and one axis of each matrix without gaps.
    pub fn blas(&self) -> Option<BlasProduct<'_>> {
        let LibraryKernel::Dot { extents, lhs, rhs, out, epilogue, tf32 } = self else { return None };
        let [batch, m, n, k] = *extents;
        let dtypes = lhs.dtype == rhs.dtype
            && match lhs.dtype {
                DType::BF16 | DType::F16 => out.dtype == lhs.dtype || out.dtype == DType::F32,
                DType::F32 => out.dtype == DType::F32,
                _ => false,
            };
        let bias = epilogue.bias.as_ref().is_none_or(|bias| {
            let first = usize::try_from(bias.offset).unwrap_or(1) * bias.dtype.size();
            bias.dtype == out.dtype && bias.strides == [1] && first.is_multiple_of(BIAS_ALIGNMENT)
        });
        if !dtypes || !bias || epilogue.mask.is_some() || extents.contains(&0) {
            return None;
        }
        let product = BlasProduct {
            batch,
            left: BlasMatrix::new(rhs, [n, k], [2, 1])?,
            right: BlasMatrix::new(lhs, [k, m], [2, 1])?,
            out: BlasMatrix::new(out, [n, m], [2, 1])?,
            epilogue,
            tf32: *tf32,
        };
        (!product.out.transposed).then_some(product)
    }
}

#[cfg(test)]
mod tests {
    use super::super::BufferId;
    use super::*;

    fn operand(dtype: DType, strides: [i64; 3]) -> Operand {
        Operand { buffer: BufferId(0), dtype, offset: 0, strides: strides.to_vec() }
    }

    fn product(extents: [usize; 4], lhs: Operand, rhs: Operand, out: DType) -> LibraryKernel {
        let [_, m, n, _] = extents;
        let out = operand(out, [(m * n) as i64, n as i64, 1]);
        LibraryKernel::Dot { extents, lhs, rhs, out, epilogue: Epilogue::default(), tf32: false }
    }

    /// What is multiplied by what, read through the form: the places of `left[i, l]` and `right[l, j]`.
    fn place(matrix: &BlasMatrix, [row, column]: [usize; 2], batch: usize) -> usize {
        let [i, j] = if matrix.transposed { [column, row] } else { [row, column] };
        assert!(i < matrix.rows && j < matrix.columns);
        matrix.batch_stride as usize * batch + i + matrix.leading * j
    }

    #[test]
    fn every_layout_reads_the_elements_of_the_strides() {
        let [b, m, n, k] = [2, 3, 4, 5];
        let layouts = |rows: usize, columns: usize| {
            let (rows, columns) = (rows as i64, columns as i64);
            [[rows * columns, columns, 1], [rows * columns, 1, rows], [0, columns + 3, 1], [99, 1, rows + 2]]
        };
        for lhs in layouts(m, k) {
            for rhs in layouts(k, n) {
                let call = product([b, m, n, k], operand(DType::BF16, lhs), operand(DType::BF16, rhs), DType::F32);
                let form = call.blas().unwrap();
                for (s, i, j, l) in (0..b * m * n * k).map(|x| (x / 60, x / 20 % 3, x / 5 % 4, x % 5)) {
                    let at = |strides: [i64; 3], [row, column]: [usize; 2]| {
                        (strides[0] * s as i64 + strides[1] * row as i64 + strides[2] * column as i64) as usize
                    };
                    assert_eq!(place(&form.left, [j, l], s), at(rhs, [l, j]));
                    assert_eq!(place(&form.right, [l, i], s), at(lhs, [i, l]));
                    assert_eq!(place(&form.out, [j, i], s), s * m * n + i * n + j);
                }
            }
        }
    }

    #[test]
    fn what_blas_does_not_take() {
        let dense = |dtype| (operand(dtype, [15, 5, 1]), operand(dtype, [20, 4, 1]));
        let extents = [2, 3, 4, 5];
        let taken = |call: &LibraryKernel| call.blas().is_some();
        for dtype in [DType::F32, DType::BF16, DType::F16] {
            let (lhs, rhs) = dense(dtype);
            let good = product(extents, lhs.clone(), rhs.clone(), dtype);
            assert!(taken(&good));
            assert!(!taken(&product([2, 3, 4, 0], lhs.clone(), rhs.clone(), dtype)));
            // Gaps on both axes, repeated rows, windows that overlap, rows from the last to the first.
            for strides in [[15, 10, 2], [0, 0, 1], [15, 3, 1], [15, -5, 1]] {
                assert!(!taken(&product(extents, operand(dtype, strides), rhs.clone(), dtype)), "{strides:?}");
            }
            let mut biased = good.clone();
            for (offset, of, want) in [(0, dtype, true), (8, dtype, true), (1, dtype, false), (0, DType::F64, false)] {
                let bias = Operand { buffer: BufferId(1), dtype: of, offset, strides: vec![1] };
                biased.set_epilogue(Epilogue { bias: Some(bias), relu: true, mask: None });
                assert_eq!(taken(&biased), want);
            }
        }
        let ((narrow, _), (wide, rhs)) = (dense(DType::BF16), dense(DType::F32));
        assert!(!taken(&product(extents, narrow, rhs.clone(), DType::F32)));
        assert!(!taken(&product(extents, wide, rhs, DType::BF16)));
        let (lhs, rhs) = dense(DType::F64);
        assert!(!taken(&product(extents, lhs, rhs, DType::F64)));
    }
}
