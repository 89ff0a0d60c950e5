//! Conformance cases of reductions, pools, contractions and indexing.

use super::inputs::{FLOATS, NUMBERS, axis_subsets, grid, literal, sample, uniform};
use super::{Suite, sound};
use crate::ir::{ArgOp, Compare, ConvSpec, DType, Graph, NodeId, Op, ReduceOp, Shape, Window, infer};

/// Folds and places of extremes, over every set of axes.
pub(super) fn reductions(s: &mut Suite) {
    for dtype in NUMBERS {
        axis_subsets(4).iter().for_each(|axes| fold(s, dtype, &[2, 3, 4, 5], axes));
    }
    let others: [(&[usize], &[usize]); 14] = [
        (&[], &[]),
        (&[1], &[0]),
        (&[0], &[0]),
        (&[3, 0, 2], &[1]),
        (&[3, 0, 2], &[0]),
        (&[1, 1], &[0, 1]),
        (&[3, 5, 7, 33], &[0, 2]),
        (&[3, 5, 7, 33], &[1, 3]),
        (&[3, 5, 7, 33], &[0, 1, 2]),
        (&[64, 129], &[0]),
        (&[64, 129], &[1]),
        (&[4, 3000], &[1]),
        (&[3000, 4], &[0]),
        (&[10_007], &[0]),
    ];
    for dtype in [DType::F32, DType::BF16, DType::I32, DType::U8] {
        others.iter().for_each(|(dims, axes)| fold(s, dtype, dims, axes));
    }
}

fn fold(s: &mut Suite, dtype: DType, dims: &[usize], axes: &[usize]) {
    let terms = axes.iter().map(|&axis| dims[axis]).product();
    // Factors near 1 keep long products within a float's range.
    let factors = if dtype.is_float() { uniform(dtype, dims, 2, 0.8, 1.2) } else { sample(dtype, dims, 2) };
    s.add("reduce", terms, vec![sample(dtype, dims, 1), factors], |g, x| {
        let axes = axes.to_vec();
        let folds = [(ReduceOp::Sum, 0), (ReduceOp::Prod, 1), (ReduceOp::Max, 0), (ReduceOp::Min, 0)]
            .map(|(op, input)| g.add_op(Op::Reduce { op, axes: axes.clone() }, &[x[input]]));
        let places = [ArgOp::Max, ArgOp::Min].map(|op| g.add_op(Op::ArgReduce { op, axes: axes.clone() }, &x[..1]));
        folds.into_iter().chain(places).collect()
    });
}

/// Running sums, inclusive and exclusive, from either end.
pub(super) fn cumulative(s: &mut Suite) {
    let mut of = |dtype, dims: &[usize], axis: usize| {
        s.add("cumsum", dims[axis], vec![sample(dtype, dims, 1)], |g, x| {
            [(false, false), (true, false), (false, true), (true, true)]
                .map(|(exclusive, reverse)| g.add_op(Op::CumSum { axis, exclusive, reverse }, x))
                .to_vec()
        });
    };
    for dtype in NUMBERS {
        (0..3).for_each(|axis| of(dtype, &[3, 5, 7], axis));
    }
    let others: [(&[usize], usize); 6] =
        [(&[1], 0), (&[0], 0), (&[0, 3], 1), (&[3, 0], 1), (&[4, 1000], 1), (&[1000, 4], 0)];
    others.iter().for_each(|&(dims, axis)| of(DType::F32, dims, axis));
}

fn window(size: &[usize], stride: &[usize], padding: &[(usize, usize)]) -> Window {
    Window { size: size.to_vec(), stride: stride.to_vec(), padding: padding.to_vec() }
}

/// Pooling and its gradients: 1 to 3 spatial axes, overlapping, gapped, padded, of nothing.
pub(super) fn pools(s: &mut Suite) {
    let none = [(0, 0); 2];
    let cases: [(&[usize], Window); 15] = [
        (&[2, 9, 3], window(&[3], &[2], &none[..1])),
        (&[2, 9, 3], window(&[3], &[1], &[(2, 1)])),
        (&[1, 4, 4, 1], window(&[2, 2], &[2, 2], &none)),
        (&[2, 8, 8, 16], window(&[2, 2], &[2, 2], &none)),
        (&[2, 7, 5, 3], window(&[2, 2], &[2, 2], &none)),
        (&[2, 7, 5, 3], window(&[3, 3], &[2, 2], &[(1, 1), (1, 1)])),
        (&[2, 7, 6, 5], window(&[3, 2], &[1, 3], &[(0, 2), (1, 0)])),
        (&[2, 9, 9, 4], window(&[2, 2], &[3, 4], &none)),
        (&[3, 5, 7, 33], window(&[3, 3], &[1, 1], &[(1, 1), (1, 1)])),
        (&[2, 5, 7, 3], window(&[5, 7], &[1, 1], &none)),
        (&[2, 3, 4, 2], window(&[1, 1], &[1, 1], &none)),
        (&[2, 4, 5, 6, 3], window(&[2, 3, 2], &[2, 1, 2], &[(0, 0), (1, 1), (0, 1)])),
        (&[0, 4, 4, 2], window(&[2, 2], &[2, 2], &none)),
        (&[2, 4, 4, 0], window(&[2, 2], &[2, 2], &none)),
        (&[1, 1, 1, 1], window(&[3, 3], &[1, 1], &[(2, 2), (1, 1)])),
    ];
    let mut of = |dtype: DType, dims: &[usize], w: &Window| {
        let input = Shape::from(dims);
        let pooled = sound(infer::pooled(&input, w));
        // An input element lies under as many windows as the window has elements, at most.
        let inputs = vec![sample(dtype, &input, 1), sample(dtype, &input, 2), sample(dtype, &pooled, 3)];
        s.add("pool", w.size.iter().product(), inputs, |g, x| {
            let (window, place) = (w.clone(), g.add_op(Op::MaxPoolIndex(w.clone()), &x[..1]));
            let mut out = vec![place, g.add_op(Op::MaxPool(w.clone()), &x[..1])];
            out.extend([x[0], x[1]].map(|x| g.add_op(Op::MaxPoolGather(w.clone()), &[place, x])));
            if dtype.is_float() {
                out.push(g.add_op(Op::MaxPoolGrad { window: window.clone(), input: input.clone() }, &[place, x[2]]));
                out.push(g.add_op(Op::AvgPool(w.clone()), &x[..1]));
                out.push(g.add_op(Op::AvgPoolGrad { window, input }, &x[2..]));
            }
            out
        });
    };
    cases.iter().for_each(|(dims, w)| of(DType::F32, dims, w));
    for dtype in NUMBERS.into_iter().filter(|&dtype| dtype != DType::F32) {
        cases[5..7].iter().for_each(|(dims, w)| of(dtype, dims, w));
    }
}

/// Padded windows over elements as low as padding is: an element wins, not the padding.
pub(super) fn pools_of_the_lowest(s: &mut Suite) {
    let windows: [(&[usize], Window); 4] = [
        (&[1, 5, 4, 2], window(&[3, 3], &[1, 1], &[(1, 1), (2, 1)])),
        (&[2, 5, 3], window(&[4], &[2], &[(3, 2)])),
        (&[1, 2, 2, 1], window(&[3, 4], &[1, 2], &[(2, 2), (3, 3)])),
        (&[1, 3, 4, 3, 2], window(&[2, 3, 2], &[1, 2, 1], &[(1, 0), (0, 2), (1, 1)])),
    ];
    for (dims, w) in windows {
        for dtype in NUMBERS {
            let lowest = ReduceOp::Max.identity(dtype);
            for higher in [0, 1] {
                let value = |i: usize| if i % 7 < higher { 1.0 } else { lowest };
                let data: Vec<f64> = (0..dims.iter().product()).map(value).collect();
                s.op(0, Op::MaxPoolIndex(w.clone()), vec![literal(dtype, dims, &data)]);
            }
        }
    }
}

/// Matrix products in the four orientations: single, batched, blocked, of nothing.
pub(super) fn dots(s: &mut Suite) {
    let mut of = |dtype: DType, batch: &[usize], [m, k, n]: [usize; 3]| {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            let matrix = |rows, columns, t: bool| {
                let ends = if t { [columns, rows] } else { [rows, columns] };
                batch.iter().copied().chain(ends).collect::<Shape>()
            };
            let (a, b) =
                (uniform(dtype, matrix(m, k, ta), 1, -1.0, 1.0), uniform(dtype, matrix(k, n, tb), 2, -1.0, 1.0));
            s.op(k, Op::Dot { ta, tb }, vec![a, b]);
        }
    };
    for batch in [&[][..], &[1], &[3], &[2, 3]] {
        [[1, 1, 1], [5, 7, 3], [2, 0, 3], [0, 4, 3], [4, 1, 6]].iter().for_each(|&mkn| of(DType::F32, batch, mkn));
    }
    for mkn in [[33, 65, 17], [64, 64, 64], [1, 300, 10], [128, 3, 130], [130, 257, 1]] {
        of(DType::F32, &[], mkn);
    }
    of(DType::F32, &[0], [2, 3, 4]);
    of(DType::F32, &[5], [33, 20, 40]);
    for dtype in [DType::BF16, DType::F16] {
        of(dtype, &[2], [5, 7, 3]);
        of(dtype, &[], [33, 65, 17]);
        of(dtype, &[], [64, 64, 64]);
    }
    // Several of the largest tiles, and a sum that several blocks share.
    for dtype in [DType::F32, DType::F16] {
        [[136, 40, 264], [72, 560, 136]].iter().for_each(|&mkn| of(dtype, &[], mkn));
    }
}

/// Products and convolutions with what follows them in a network: bias and ReLU, of numbers and of what is none; and two
/// layers with their gradients, where products and loops take turns.
pub(super) fn layers(s: &mut Suite) {
    let dot = |ta, tb| Op::Dot { ta, tb };
    let positive_part = |g: &mut Graph, sum: NodeId, bias: NodeId| {
        let bias = g.broadcast(bias, &g.shape(sum).clone());
        let sum = g.add(sum, bias);
        let zero = g.full_like(0.0, sum);
        let below = g.compare(Compare::Le, sum, zero);
        (below, zero, g.select(below, zero, sum))
    };
    let layer = |g: &mut Graph, x: NodeId, w: NodeId, bias: NodeId| {
        let sum = g.add_op(dot(false, false), &[x, w]);
        positive_part(g, sum, bias)
    };
    for dtype in [DType::F32, DType::BF16, DType::F16] {
        let bias = [0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.5, 0.0, 20.0, -20.0];
        let (x, w) = (uniform(dtype, [16, 8], 1, -1.0, 1.0), uniform(dtype, [8, 8], 2, -1.0, 1.0));
        let inputs = vec![x, w, literal(dtype, [1, 8], &bias)];
        s.add("special layer", 8, inputs, |g, x| vec![layer(g, x[0], x[1], x[2]).2]);
        let spec = ConvSpec { stride: vec![1; 2], padding: vec![(1, 1); 2], dilation: vec![1; 2], groups: 1 };
        let (x, w) = (uniform(dtype, [2, 6, 5, 8], 1, -1.0, 1.0), uniform(dtype, [8, 3, 3, 8], 2, -1.0, 1.0));
        let inputs = vec![x, w, literal(dtype, [1, 1, 1, 8], &bias)];
        s.add("special convolution", 72, inputs, |g, x| {
            let sum = g.add_op(Op::Conv(spec.clone()), &x[..2]);
            vec![positive_part(g, sum, x[2]).2]
        });
        // The gradient of what goes into a second convolution, with NaN in what comes back and in what it is masked by.
        for (stride, dilation) in [(1, 1), (1, 2), (2, 1)] {
            let after =
                ConvSpec { stride: vec![stride; 2], padding: vec![(2, 2); 2], dilation: vec![dilation; 2], groups: 1 };
            let shape = sound(infer::conv_output(&[2, 6, 5, 8].into(), &[16, 3, 3, 8].into(), &after));
            let mut dy = uniform(dtype, shape.clone(), 5, -1.0, 1.0).to_f64();
            dy[0] = f64::NAN;
            let (x, w) = (uniform(dtype, [2, 6, 5, 8], 1, -1.0, 1.0), uniform(dtype, [8, 3, 3, 8], 2, -1.0, 1.0));
            let w2 = uniform(dtype, [16, 3, 3, 8], 4, -1.0, 1.0);
            let inputs = vec![x, w, literal(dtype, [1, 1, 1, 8], &bias), w2, literal(dtype, shape, &dy)];
            s.add("special masked gradient of a convolution", 144, inputs, |g, x| {
                let sum = g.add_op(Op::Conv(spec.clone()), &x[..2]);
                let (below, zero, y) = positive_part(g, sum, x[2]);
                let input = g.shape(y).clone();
                let dx = g.add_op(Op::ConvInputGrad { spec: after.clone(), input }, &[x[4], x[3]]);
                vec![y, g.select(below, zero, dx)]
            });
        }
    }
    let of = |shape: &[usize], seed| uniform(DType::F32, shape, seed, -1.0, 1.0);
    let inputs = vec![of(&[48, 40], 1), of(&[40, 64], 2), of(&[1, 64], 3), of(&[64, 24], 4), of(&[48, 24], 5)];
    s.add("two layers and their gradients", 4000, inputs, |g, v| {
        let &[x, w, bias, w2, dy] = v else { panic!("onestep bug: five inputs") };
        let (below, zero, hidden) = layer(g, x, w, bias);
        let y = g.add_op(dot(false, false), &[hidden, w2]);
        let dy = g.mul(dy, y);
        let dw2 = g.add_op(dot(true, false), &[hidden, dy]);
        let dhidden = g.add_op(dot(false, true), &[dy, w2]);
        let dhidden = g.select(below, zero, dhidden);
        let dw = g.add_op(dot(true, false), &[x, dhidden]);
        let dbias = g.sum(dhidden, &[0]);
        vec![y, dw2, dw, dbias]
    });
}

/// Convolutions in their three directions: 1 to 3 spatial axes, strides, padding, dilation, groups.
pub(super) fn convolutions(s: &mut Suite) {
    let spec = |stride: &[usize], padding: &[(usize, usize)], dilation: &[usize], groups| ConvSpec {
        stride: stride.to_vec(),
        padding: padding.to_vec(),
        dilation: dilation.to_vec(),
        groups,
    };
    let plain = || spec(&[1, 1], &[(0, 0), (0, 0)], &[1, 1], 1);
    let same = || spec(&[1, 1], &[(1, 1), (1, 1)], &[1, 1], 1);
    let cases: [(&[usize], &[usize], ConvSpec); 25] = [
        (&[1, 1, 1, 1], &[1, 1, 1, 1], plain()),
        (&[2, 5, 6, 3], &[4, 3, 3, 3], plain()),
        (&[2, 5, 6, 3], &[4, 3, 3, 3], same()),
        (&[2, 5, 6, 3], &[7, 1, 1, 3], plain()),
        (&[2, 5, 6, 3], &[4, 2, 3, 3], spec(&[2, 3], &[(0, 1), (2, 0)], &[1, 1], 1)),
        (&[2, 9, 8, 3], &[4, 3, 2, 3], spec(&[1, 1], &[(2, 2), (0, 1)], &[2, 3], 1)),
        (&[1, 9, 9, 4], &[6, 3, 3, 2], spec(&[2, 2], &[(1, 1), (1, 1)], &[2, 2], 2)),
        (&[2, 6, 6, 5], &[5, 3, 3, 1], ConvSpec { groups: 5, ..same() }),
        (&[2, 6, 6, 4], &[8, 3, 3, 1], spec(&[2, 2], &[(1, 1), (0, 1)], &[1, 1], 4)),
        (&[4, 8, 8, 32], &[32, 3, 3, 32], same()),
        (&[3, 12, 12, 8], &[16, 5, 5, 8], plain()),
        (&[3, 5, 7, 33], &[9, 3, 3, 33], same()),
        (&[2, 4, 4, 3], &[2, 4, 4, 3], plain()),
        (&[2, 11, 3], &[4, 3, 3], spec(&[1], &[(1, 1)], &[1], 1)),
        (&[2, 11, 4], &[6, 4, 2], spec(&[3], &[(2, 0)], &[2], 2)),
        (&[1, 4, 5, 6, 2], &[3, 2, 3, 2, 2], spec(&[1, 2, 2], &[(0, 0), (1, 1), (0, 1)], &[1, 1, 1], 1)),
        (&[2, 5, 5, 5, 2], &[4, 2, 2, 2, 1], spec(&[1, 1, 2], &[(1, 0), (0, 0), (1, 1)], &[2, 1, 3], 2)),
        (&[0, 5, 5, 3], &[4, 3, 3, 3], plain()),
        (&[2, 5, 5, 0], &[4, 3, 3, 0], plain()),
        // Depthwise: one or more filters for each channel, with whole vectors of channels and with some over.
        (&[3, 7, 9, 33], &[33, 3, 3, 1], ConvSpec { groups: 33, ..same() }),
        (&[2, 13, 12, 16], &[16, 3, 3, 1], spec(&[2, 2], &[(1, 1), (0, 1)], &[1, 1], 16)),
        (&[2, 9, 11, 8], &[16, 3, 3, 1], spec(&[1, 2], &[(2, 2), (1, 1)], &[2, 1], 8)),
        (&[2, 8, 7, 5], &[15, 2, 3, 1], spec(&[3, 2], &[(0, 1), (2, 1)], &[1, 2], 5)),
        (&[2, 40, 33], &[66, 4, 1], spec(&[2], &[(1, 2)], &[1], 33)),
        (&[2, 4, 5, 6, 8], &[8, 2, 3, 3, 1], spec(&[1, 2, 1], &[(1, 0), (1, 1), (1, 1)], &[1, 1, 2], 8)),
    ];
    let mut of = |dtype: DType, (x, w, spec): &(&[usize], &[usize], ConvSpec)| {
        let (x, w) = (Shape::from(*x), Shape::from(*w));
        let out = sound(infer::conv_output(&x, &w, spec));
        let area = |shape: &Shape| shape[1..shape.rank() - 1].iter().product::<usize>();
        let (channels, filters) = (w[w.rank() - 1], w[0] / spec.groups);
        let terms = (area(&w) * channels.max(filters)).max(out[0] * area(&out));
        let of = |shape: &Shape, seed| uniform(dtype, shape, seed, -1.0, 1.0);
        s.add("conv", terms, vec![of(&x, 1), of(&w, 2), of(&out, 3)], |g, v| {
            let (x_grad, w_grad) = (
                Op::ConvInputGrad { spec: spec.clone(), input: x },
                Op::ConvFilterGrad { spec: spec.clone(), filter: w },
            );
            vec![
                g.add_op(Op::Conv(spec.clone()), &[v[0], v[1]]),
                g.add_op(x_grad, &[v[2], v[1]]),
                g.add_op(w_grad, &[v[0], v[2]]),
            ]
        });
    };
    cases.iter().for_each(|case| of(DType::F32, case));
    for dtype in [DType::BF16, DType::F16] {
        [2, 6, 7, 9, 13, 21].iter().for_each(|&i| of(dtype, &cases[i]));
    }
}

/// Contractions in mixed precision: f32 results of widened operands, which must not be rounded on the way, one side
/// narrow alone, operands seen through views on both sides of their widening, and biases that are narrow copies.
pub(super) fn mixed_contractions(s: &mut Suite) {
    let dot = |ta, tb| Op::Dot { ta, tb };
    for dtype in [DType::BF16, DType::F16] {
        for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
            for [m, k, n] in [[5, 7, 3], [33, 65, 17]] {
                let (a, b) = (if ta { [k, m] } else { [m, k] }, if tb { [n, k] } else { [k, n] });
                let inputs = vec![uniform(dtype, a, 1, -1.0, 1.0), uniform(dtype, b, 2, -1.0, 1.0)];
                s.add("widened product", k, inputs, |g, x| {
                    let wide = [g.cast(x[0], DType::F32), g.cast(x[1], DType::F32)];
                    vec![g.add_op(dot(ta, tb), &wide)]
                });
            }
        }
        let inputs = vec![uniform(dtype, [6, 8], 1, -1.0, 1.0), uniform(DType::F32, [8, 5], 2, -1.0, 1.0)];
        s.add("product, one side widened", 8, inputs, |g, x| {
            let wide = g.cast(x[0], DType::F32);
            let flipped = g.add_op(Op::Flip(vec![1]), &[wide]);
            vec![g.add_op(dot(false, false), &[flipped, x[1]]), g.add_op(dot(true, true), &[x[1], wide])]
        });
        // What rounding does not change, for the reference does not round.
        let exact = |shape: &[usize], seed| {
            let narrow = uniform(dtype, shape, seed, -1.0, 1.0);
            literal(DType::F32, shape, &narrow.to_f64())
        };
        let inputs = vec![exact(&[6, 8], 1), exact(&[46], 2), exact(&[6, 5], 3)];
        s.add("layer of a rounded arena", 8, inputs, |g, x| {
            let (rows, arena, dy) = (g.cast(x[0], dtype), g.cast(x[1], dtype), g.cast(x[2], dtype));
            let mut part =
                |start, stop| g.add_op(Op::Slice { start: vec![start], stop: vec![stop], step: vec![1] }, &[arena]);
            let (weights, bias) = (part(1, 41), part(41, 46));
            let weights = g.reshape(weights, [5, 8]);
            let (bias, sum) = (g.reshape(bias, [1, 5]), g.add_op(dot(false, true), &[rows, weights]));
            let bias = g.broadcast(bias, &[6, 5].into());
            let sum = g.add(sum, bias);
            let zero = g.full_like(0.0, sum);
            let below = g.compare(Compare::Le, sum, zero);
            let positive = g.select(below, zero, sum);
            let dy = g.select(below, zero, dy);
            let [rows, dy] = [rows, dy].map(|v| g.cast(v, DType::F32));
            vec![positive, g.add_op(dot(true, false), &[dy, rows])]
        });
        let uneven = ConvSpec { stride: vec![2, 1], padding: vec![(1, 1), (0, 1)], dilation: vec![1, 1], groups: 1 };
        let even = ConvSpec { stride: vec![2, 2], padding: vec![(1, 1), (0, 0)], dilation: vec![1, 1], groups: 1 };
        for (x, w, spec) in [([2, 6, 5, 3], [4, 3, 2, 3], uneven), ([3, 9, 8, 16], [8, 3, 3, 16], even)] {
            let (x, w) = (Shape::from(x), Shape::from(w));
            let out = sound(infer::conv_output(&x, &w, &spec));
            let of = |shape: &Shape, seed| uniform(dtype, shape, seed, -1.0, 1.0);
            s.add("widened convolution", 144, vec![of(&x, 1), of(&w, 2), of(&out, 3)], |g, v| {
                let v: Vec<_> = v.iter().map(|&v| g.cast(v, DType::F32)).collect();
                vec![
                    g.add_op(Op::Conv(spec.clone()), &[v[0], v[1]]),
                    g.add_op(Op::ConvInputGrad { spec: spec.clone(), input: x }, &[v[2], v[1]]),
                    g.add_op(Op::ConvFilterGrad { spec: spec.clone(), filter: w }, &[v[0], v[2]]),
                ]
            });
        }
    }
}

/// Gather and scatter-add on each axis, with repeats and with indices outside.
pub(super) fn indexing(s: &mut Suite) {
    let mut of = |dtype: DType, dims: &[usize], axis: usize, index: &[usize]| {
        let (base, index) = (Shape::from(dims), Shape::from(index));
        let places = grid(DType::I32, &index, 1, (-2, dims[axis] as i64 + 1), 1.0);
        let result = base[..axis].iter().chain(index.iter()).chain(&base[axis + 1..]).copied().collect::<Shape>();
        let inputs = vec![sample(dtype, &base, 2), places, sample(dtype, result, 3)];
        s.add("index", 1 + index.elements(), inputs, |g, x| {
            vec![g.add_op(Op::Gather { axis }, &x[..2]), g.add_op(Op::ScatterAdd { axis }, x)]
        });
    };
    for axis in 0..3 {
        for index in [&[][..], &[1], &[0], &[7], &[2, 3]] {
            of(DType::F32, &[4, 5, 3], axis, index);
        }
        NUMBERS.into_iter().for_each(|dtype| of(dtype, &[4, 5, 3], axis, &[9]));
    }
    of(DType::F32, &[10, 8], 0, &[300]);
    of(DType::F32, &[1000, 33], 0, &[17]);
    of(DType::F32, &[100], 0, &[1000]);
    // Rows enough for workgroups of their own: of several axes, more columns than threads have, more steps than a round.
    of(DType::F32, &[3, 70, 300], 1, &[2, 40]);
    of(DType::F32, &[65, 2100], 0, &[20]);
    of(DType::F32, &[64], 0, &[9000]);
    NUMBERS.into_iter().for_each(|dtype| of(dtype, &[200, 40], 0, &[60]));
    of(DType::F32, &[0, 3], 0, &[4]);
    of(DType::F32, &[3, 0], 0, &[4]);
    let far = literal(DType::I32, [4], &[i32::MIN as f64, i32::MAX as f64, -1.0, 2.0]);
    for dtype in FLOATS {
        s.op(0, Op::Gather { axis: 0 }, vec![sample(dtype, [3, 2], 4), far.clone()]);
    }
    s.op(0, Op::Gather { axis: 1 }, vec![sample(DType::Bool, [3, 4], 5), far]);
}
