//! Convolutions as NVIDIA's cuDNN takes them: images and filters in two dimensions, channels last, in whole vectors.

use super::kernel::{ConvDirection, Epilogue, LibraryKernel, Operand};
use crate::ir::{ConvSpec, DType};

/// Bytes at whose multiples each tensor must start; tensors keep whole vectors of so many bytes together.
const ALIGNMENT: usize = 16;

/// A convolution or one of its gradients, with sums in f32. All tensors are dense.
#[derive(Clone, Debug)]
pub struct DnnConvolution<'a> {
    /// Which of the three tensors is computed from the other two.
    pub direction: ConvDirection,
    /// Strides, padding (as much at the end of an axis as at its beginning), dilation; one group.
    pub spec: &'a ConvSpec,
    /// The input, or its gradient: `[batch, height, width, channels]`.
    pub input: DnnTensor<'a>,
    /// The filter, or its gradient: `[filters, height, width, channels]`.
    pub filter: DnnTensor<'a>,
    /// The result, or its gradient: `[batch, height, width, filters]`.
    pub output: DnnTensor<'a>,
    /// What happens to results: forward a bias of their dtype with an element for each filter, and a ReLU; to the
    /// input's gradient a dense mask of its dtype.
    pub epilogue: &'a Epilogue,
    /// Whether operands of f32 are rounded to TF32.
    pub tf32: bool,
}

/// A tensor in memory.
#[derive(Clone, Copy, Debug)]
pub struct DnnTensor<'a> {
    /// Buffer, dtype and first element.
    pub operand: &'a Operand,
    /// Extents; the last has no gaps.
    pub extents: [usize; 4],
}

impl DnnConvolution<'_> {
    /// The tensor that is computed.
    pub fn written(&self) -> DnnTensor<'_> {
        match self.direction {
            ConvDirection::Forward => self.output,
            ConvDirection::InputGrad => self.input,
            ConvDirection::FilterGrad => self.filter,
        }
    }
}

impl LibraryKernel {
    /// The call as cuDNN takes it, if it does: two dimensions, one group, even padding, channels and filters in vectors
    /// of 16 bytes, operands of bf16, f16 or f32 rounded to TF32 and results of the same dtype, but for a filter's
    /// gradient, which may be f32. Its convolutions of f32 without TF32 are slower than generated ones.
    pub fn dnn(&self) -> Option<DnnConvolution<'_>> {
        let LibraryKernel::Conv { direction, spec, input, filter, output, operands: [a, b], out, epilogue, tf32 } =
            self
        else {
            return None;
        };
        let (x, w, y) = match direction {
            ConvDirection::Forward => (a, b, out),
            ConvDirection::InputGrad => (out, b, a),
            ConvDirection::FilterGrad => (a, out, b),
        };
        let tensor = |operand, extents: &[usize]| Some(DnnTensor { operand, extents: extents.try_into().ok()? });
        let convolution = DnnConvolution {
            direction: *direction,
            spec,
            input: tensor(x, input)?,
            filter: tensor(w, filter)?,
            output: tensor(y, output)?,
            epilogue,
            tf32: *tf32,
        };
        let dtypes = a.dtype == b.dtype
            && (matches!(a.dtype, DType::BF16 | DType::F16) || a.dtype == DType::F32 && *tf32)
            && (out.dtype == a.dtype || *direction == ConvDirection::FilterGrad && out.dtype == DType::F32);
        let vectors = [input, filter, output].iter().all(|shape| {
            let [.., channels] = shape.as_slice() else { return false };
            (channels * a.dtype.size()).is_multiple_of(ALIGNMENT)
        });
        let even = spec.groups == 1 && spec.padding.iter().all(|(low, high)| low == high);
        let some = [input, filter, output].iter().all(|shape| !shape.contains(&0));
        let aligned = [a, b, out].into_iter().chain(epilogue.reads()).all(is_aligned);
        let bias = epilogue.bias.as_ref().is_none_or(|bias| bias.dtype == out.dtype && bias.strides == [1]);
        let mask = epilogue.mask.as_ref().is_none_or(|mask| mask.dtype == out.dtype);
        let taken = dtypes && vectors && even && some && aligned && bias && mask;
        taken.then_some(convolution)
    }
}

fn is_aligned(operand: &Operand) -> bool {
    usize::try_from(operand.offset).is_ok_and(|first| (first * operand.dtype.size()).is_multiple_of(ALIGNMENT))
}

#[cfg(test)]
mod tests {
    use super::super::BufferId;
    use super::*;

    /// Changes a convolution's windows, the shapes of input, filter and output, and what is read.
    type Change = dyn Fn(&mut ConvSpec, [&mut Vec<usize>; 3], &mut [Operand; 2]);

    fn operand(dtype: DType) -> Operand {
        Operand { buffer: BufferId(0), dtype, offset: 0, strides: vec![0; 4] }
    }

    /// A convolution of 3×3 windows over `[2, 9, 7, 16]` with 8 filters, strided.
    fn convolution(direction: ConvDirection, reads: DType, writes: DType) -> LibraryKernel {
        LibraryKernel::Conv {
            direction,
            spec: ConvSpec { stride: vec![2, 1], padding: vec![(1, 1), (0, 0)], dilation: vec![1, 1], groups: 1 },
            input: vec![2, 9, 7, 16],
            filter: vec![8, 3, 3, 16],
            output: vec![2, 5, 5, 8],
            operands: [operand(reads), Operand { buffer: BufferId(1), ..operand(reads) }],
            out: Operand { buffer: BufferId(2), ..operand(writes) },
            epilogue: Epilogue::default(),
            tf32: false,
        }
    }

    #[test]
    fn every_direction_knows_its_tensors() {
        use ConvDirection::{FilterGrad, Forward, InputGrad};
        for (direction, buffers, written) in
            [(Forward, [0, 1, 2], 2), (InputGrad, [2, 1, 0], 0), (FilterGrad, [0, 2, 1], 1)]
        {
            let call = convolution(direction, DType::BF16, DType::BF16);
            let form = call.dnn().unwrap();
            let tensors = [form.input, form.filter, form.output];
            assert_eq!(tensors.map(|t| t.operand.buffer.0), buffers, "{direction:?}");
            assert_eq!(tensors.map(|t| t.extents), [[2, 9, 7, 16], [8, 3, 3, 16], [2, 5, 5, 8]]);
            assert_eq!(form.written().operand, tensors[written].operand);
        }
    }

    #[test]
    fn what_cudnn_does_not_take() {
        use ConvDirection::{FilterGrad, Forward, InputGrad};
        let taken = |call: &LibraryKernel| call.dnn().is_some();
        for dtype in [DType::BF16, DType::F16] {
            for direction in [Forward, InputGrad, FilterGrad] {
                let good = convolution(direction, dtype, dtype);
                assert!(taken(&good));
                let changed = |change: &Change| {
                    let mut call = good.clone();
                    if let LibraryKernel::Conv { spec, input, filter, output, operands, .. } = &mut call {
                        change(spec, [input, filter, output], operands);
                    }
                    taken(&call)
                };
                assert!(!changed(&|spec, _, _| spec.groups = 2));
                assert!(!changed(&|spec, _, _| spec.padding[1] = (0, 1)));
                assert!(!changed(&|_, [input, ..], _| input[0] = 0));
                assert!(!changed(&|_, [input, filter, _], _| (input[3], filter[3]) = (3, 3)));
                assert!(!changed(&|_, [_, filter, output], _| (filter[0], output[3]) = (10, 10)));
                assert!(!changed(&|_, shapes, _| shapes.into_iter().for_each(|s| s.insert(1, 1))));
                assert!(!changed(&|_, _, operands| operands[1].dtype = DType::F64));
                assert!(!changed(&|_, _, operands| operands[0].offset = 1));
                assert!(changed(&|_, _, operands| operands[0].offset = 8));
                assert!(!changed(&|_, [input, filter, _], _| (input[3], filter[3]) = (12, 12)));
            }
            for (offset, of, want) in [(0, dtype, true), (8, dtype, true), (1, dtype, false), (0, DType::F64, false)] {
                let mut biased = convolution(Forward, dtype, dtype);
                let bias = Operand { offset, strides: vec![1], ..operand(of) };
                biased.set_epilogue(Epilogue { bias: Some(bias), relu: true, mask: None });
                assert_eq!(taken(&biased), want);
                let mut masked = convolution(InputGrad, dtype, dtype);
                masked.set_epilogue(Epilogue { mask: Some(Operand { offset, ..operand(of) }), ..Epilogue::default() });
                assert_eq!(taken(&masked), want);
            }
        }
        // Sums stay f32 where a filter's gradient wants them; nowhere else are two dtypes mixed.
        for (direction, want) in [(Forward, false), (InputGrad, false), (FilterGrad, true)] {
            assert_eq!(taken(&convolution(direction, DType::BF16, DType::F32)), want);
            assert!(!taken(&convolution(direction, DType::F32, DType::BF16)));
            assert!(!taken(&convolution(direction, DType::F32, DType::F32)));
        }
    }
}
