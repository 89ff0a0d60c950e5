//! Conformance cases whose places and guards change in the middle of a block of lanes, or stay for a stretch of it: a
//! device that works on many elements at once must not take a neighbour's place for its own.

use super::Suite;
use super::inputs::{NUMBERS, grid, literal, sample, uniform};
use crate::ir::{Binary, DType, Op, Shape, Window};

/// Widths of the innermost axis: short, odd, a power of two, as long as a block, longer.
const WIDTHS: [usize; 7] = [1, 3, 4, 20, 32, 256, 300];

/// Gradients of pooling over windows that do not overlap: quotients and remainders that stay along the channels,
/// windows that end beyond the input, that have gaps between them, that are padded.
pub(super) fn windows(s: &mut Suite) {
    let cases =
        [([2, 2], [2, 2], [(0, 0), (0, 0)]), ([2, 3], [3, 4], [(0, 0), (0, 0)]), ([3, 2], [3, 2], [(1, 1), (1, 0)])];
    for (size, stride, padding) in cases {
        for channels in WIDTHS {
            let window = Window { size: size.to_vec(), stride: stride.to_vec(), padding: padding.to_vec() };
            let input = Shape::from([2, 11, 13, channels]);
            let places = |i: usize| (input[i + 1] + padding[i].0 + padding[i].1 - size[i]) / stride[i] + 1;
            let pooled = Shape::from([2, places(0), places(1), channels]);
            let inputs =
                vec![sample(DType::F32, &input, 1), sample(DType::F32, &pooled, 2), sample(DType::F32, &input, 3)];
            s.add("windows", 6, inputs, |g, x| {
                let place = g.add_op(Op::MaxPoolIndex(window.clone()), &x[..1]);
                let max = Op::MaxPoolGrad { window: window.clone(), input: input.clone() };
                let max = g.add_op(max, &[place, x[1]]);
                let mean = g.add_op(Op::AvgPoolGrad { window, input }, &x[1..2]);
                vec![place, g.mul(max, x[2]), g.sub(x[2], mean)]
            });
        }
    }
}

/// Pads and slices of the innermost axis and of those around it, over reshapes that only division undoes: guards that
/// cut a stretch, or fall on its end, and quotients of negative places.
pub(super) fn cut_stretches(s: &mut Suite) {
    let pad =
        |low: &[usize], high: &[usize]| Op::Pad { low: low.to_vec(), high: high.to_vec(), value: 2.0f64.to_bits() };
    for width in WIDTHS {
        for dtype in [DType::F32, DType::BF16, DType::U8] {
            s.add("cut", 0, vec![sample(dtype, [3, 5, width], 1)], |g, x| {
                let mut out: Vec<_> = [([0, 0, 3], [0, 0, 2]), ([0, 1, 0], [0, 2, 1]), ([1, 2, 1], [1, 0, 0])]
                    .into_iter()
                    .map(|(low, high)| g.add_op(pad(&low, &high), x))
                    .collect();
                out.push(g.add_op(Op::Concat { axis: 2 }, &[x[0], x[0], x[0]]));
                out.push(g.add_op(Op::Concat { axis: 1 }, &[x[0], x[0]]));
                out
            });
        }
        s.add("cut quotients", 0, vec![sample(DType::F32, [6, 5, width], 2)], |g, x| {
            let turned = g.add_op(Op::Permute(vec![1, 0, 2]), x);
            let flat = g.reshape(turned, [30, width]);
            let padded = g.add_op(pad(&[7, 0], &[4, 0]), &[flat]);
            let whole = g.reshape(turned, [30 * width]);
            let edged = g.add_op(pad(&[5], &[2]), &[whole]);
            let within = g.add_op(pad(&[3], &[9]), &[edged]);
            vec![padded, edged, g.add(within, within)]
        });
    }
}

/// Rows picked by an index tensor, some beyond the ends: whole, cut by pads, along outer and inner axes.
pub(super) fn rows_by_index(s: &mut Suite) {
    for width in WIDTHS {
        for (dims, axis) in [([9, width], 0), ([width, 9], 1)] {
            for dtype in if width == 20 { &NUMBERS[..] } else { &NUMBERS[..1] } {
                let places = grid(DType::I32, [3, 7], 1, (-2, 10), 1.0);
                s.add("rows", 0, vec![sample(*dtype, dims, 2), places], |g, x| {
                    let rows = g.add_op(Op::Gather { axis }, x);
                    let padded = Op::Pad { low: vec![0, 1, 2], high: vec![1, 0, 3], value: 1.0f64.to_bits() };
                    let padded = g.add_op(padded, &[rows]);
                    let flat = g.reshape(rows, [21 * width]);
                    vec![rows, padded, g.add(flat, flat)]
                });
            }
        }
        let start = literal(DType::I32, [], &[4.0]);
        s.add("rows from", 0, vec![sample(DType::F32, [9, 3, width], 3), start], |g, x| {
            let rows = g.add_op(Op::DynamicSlice { axis: 0, len: 4 }, x);
            let padded = Op::Pad { low: vec![1, 0, 1], high: vec![0, 2, 0], value: 0.0f64.to_bits() };
            let padded = g.add_op(padded, &[rows]);
            vec![g.add(rows, rows), padded]
        });
    }
}

/// Random numbers seen through views.
pub(super) fn numbered_views(s: &mut Suite) {
    let cut = Op::Slice { start: vec![1, 2, 3], stop: vec![6, 7, 18], step: vec![2, 1, 1] };
    for view in [Op::Permute(vec![1, 0, 2]), Op::Permute(vec![2, 0, 1]), Op::Flip(vec![2]), cut] {
        for dtype in [DType::F32, DType::U32] {
            let seed = literal(DType::U32, [2], &[5.0, 6.0]);
            s.add("numbered", 0, vec![seed, literal(DType::U32, [], &[3.0])], |g, x| {
                let random = g.add_op(Op::Random { shape: [6, 7, 20].into(), dtype, stream: 4 }, x);
                let seen = g.add_op(view.clone(), &[random]);
                let column = g.reshape(seen, g.shape(seen).iter().copied().chain([1]).collect::<Shape>());
                let spread = g.shape(seen).iter().copied().chain([6]).collect::<Shape>();
                vec![seen, g.broadcast(column, &spread)]
            });
        }
    }
}

/// States updated where they lie, if a number says so: each reads what it overwrites in another position.
pub(super) fn updates_in_place(s: &mut Suite) {
    for length in [1, 7, 256, 1000] {
        for holds in [0.0, 1.0] {
            let input = |seed| uniform(DType::F32, [length], seed, 0.5, 1.5);
            let states = (4..8).map(input).collect();
            s.add_step(
                "in place",
                8,
                vec![input(1), input(2), literal(DType::Bool, [], &[holds])],
                states,
                |g, x, s| {
                    let one = g.reshape(x[2], [1]);
                    let all = g.broadcast(one, &[length].into());
                    let terms = [g.mul(s[0], x[0]), g.mul(x[1], x[1])];
                    let mean = g.add(terms[0], terms[1]);
                    let product = g.mul(x[0], x[1]);
                    let descent = g.sub(s[1], product);
                    let ratio = g.div(x[0], mean);
                    let scaled = g.sub(s[2], ratio);
                    let square = g.mul(s[3], s[3]);
                    let own = g.binary(Binary::Add, square, s[3]);
                    let updates = [mean, descent, scaled, own];
                    let kept = (0..4).map(|i| g.select(all, updates[i], s[i])).collect();
                    (vec![g.neg(s[1]), own], kept)
                },
            );
        }
    }
}
