//! Convolutions on the CPU: windows are unrolled into rows ("im2col"), a chunk at a time, and multiplied.
//! One, two and three spatial axes are all treated as three.

use super::library::{Matrix, product};
use super::pool::{PerThread, Pool};
use crate::error::Result;
use crate::ir::ConvSpec;
use crate::plan::ConvDirection;

/// Elements of unrolled windows held at once by a thread: small enough for the second-level cache.
const CHUNK: usize = 1 << 16;
/// Most parts whose filter gradients are summed at the end.
const MAX_PARTS: usize = 8;

/// A convolution ready to run.
pub(super) struct Conv {
    direction: ConvDirection,
    batch: usize,
    groups: usize,
    /// Spatial extents of input and output, kernel, stride, low padding, dilation.
    input: [usize; 3],
    output: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    padding: [usize; 3],
    dilation: [usize; 3],
    /// Channels of input and output.
    channels: usize,
    filters: usize,
    columns: PerThread<Vec<f32>>,
    /// Filter gradients of the parts of the batch.
    partial: PerThread<Vec<f32>>,
    parts: usize,
    bytes: usize,
}

impl Conv {
    /// Prepares a convolution, with scratch for each thread.
    pub(super) fn new(
        direction: ConvDirection,
        spec: &ConvSpec,
        [input, filter, output]: [&[usize]; 3],
        threads: usize,
    ) -> Result<Self> {
        let spatial = spec.stride.len();
        let last = spatial + 1;
        let three = |at: &dyn Fn(usize) -> usize, missing: usize| {
            let mut all = [missing; 3];
            (0..spatial).for_each(|i| all[3 - spatial + i] = at(i));
            all
        };
        let mut conv = Conv {
            direction,
            batch: input[0],
            groups: spec.groups,
            input: three(&|i| input[i + 1], 1),
            output: three(&|i| output[i + 1], 1),
            kernel: three(&|i| filter[i + 1], 1),
            stride: three(&|i| spec.stride[i], 1),
            padding: three(&|i| spec.padding[i].0, 0),
            dilation: three(&|i| spec.dilation[i], 1),
            channels: input[last],
            filters: filter[0],
            columns: PerThread::new(0, Vec::new),
            partial: PerThread::new(0, Vec::new),
            parts: 1,
            bytes: 0,
        };
        let columns = conv.chunk() * conv.taps();
        conv.columns = PerThread::new(threads, || vec![0.0; columns]);
        let weights = filter.iter().product::<usize>();
        if direction == ConvDirection::FilterGrad {
            conv.parts = conv.batch.clamp(1, MAX_PARTS);
            conv.partial = PerThread::new(conv.parts, || vec![0.0; weights]);
            conv.bytes += conv.parts * weights * 4;
        }
        conv.bytes += threads * columns * 4;
        Ok(conv)
    }

    /// Scratch memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn positions(&self) -> usize {
        self.output.iter().product()
    }

    /// Elements under a window in one group.
    fn taps(&self) -> usize {
        self.kernel.iter().product::<usize>() * (self.channels / self.groups.max(1))
    }

    /// Output positions unrolled at once.
    fn chunk(&self) -> usize {
        (CHUNK / self.taps().max(1)).clamp(1, self.positions().max(1))
    }

    /// Whether a window is one element and windows lie as elements do, so that nothing needs unrolling.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1; 3]
            && self.stride == [1; 3]
            && self.padding == [0; 3]
            && self.groups == 1
            && self.input == self.output
    }

    /// Computes `out` from the two operands.
    ///
    /// # Safety
    /// The pointers must be to dense tensors of the shapes given to [`Conv::new`], the first two of the
    /// operands in the order of the op's inputs; `out` overlaps neither.
    pub(super) unsafe fn run(&self, pool: &Pool, a: *mut f32, b: *mut f32, out: *mut f32) {
        let tensors = Tensors { a, b, out };
        // SAFETY: passed on from the caller.
        unsafe {
            match self.direction {
                ConvDirection::Forward => self.forward(pool, &tensors),
                ConvDirection::InputGrad => self.input_grad(pool, &tensors),
                ConvDirection::FilterGrad => self.filter_grad(pool, &tensors),
            }
        }
    }

    /// # Safety
    /// As [`Conv::run`].
    unsafe fn forward(&self, pool: &Pool, t: &Tensors) {
        let (positions, taps, width) = (self.positions(), self.taps(), self.filters / self.groups);
        pool.each(self.batch, self.worth_sharing(), |n, thread| {
            // SAFETY: the pool hands each thread its own number.
            let columns = unsafe { self.columns.get(thread) };
            for start in (0..positions).step_by(self.chunk()) {
                let rows = self.chunk().min(positions - start);
                for group in 0..self.groups {
                    // SAFETY: offsets stay inside tensors of the shapes promised; each task writes its own
                    // image of `out`.
                    unsafe {
                        let unrolled = self.unrolled(t.a, n, group, start, rows, columns);
                        let weights = t.b.add(group * width * taps);
                        let out = t.out.add((n * positions + start) * self.filters + group * width);
                        product(
                            Matrix { data: out, row: self.filters as isize, column: 1 },
                            unrolled,
                            Matrix { data: weights, row: 1, column: taps as isize },
                            [rows, width, taps],
                            false,
                        );
                    }
                }
            }
        });
    }

    /// # Safety
    /// As [`Conv::run`].
    unsafe fn input_grad(&self, pool: &Pool, t: &Tensors) {
        let (positions, taps, width) = (self.positions(), self.taps(), self.filters / self.groups);
        let image = self.input.iter().product::<usize>() * self.channels;
        pool.each(self.batch, self.worth_sharing(), |n, thread| {
            // SAFETY: the pool hands each thread its own number.
            let columns = unsafe { self.columns.get(thread) };
            // SAFETY: each task writes its own image of `out`.
            let dx = unsafe { std::slice::from_raw_parts_mut(t.out.add(n * image), image) };
            if !self.is_pointwise() {
                dx.fill(0.0);
            }
            for start in (0..positions).step_by(self.chunk()) {
                let rows = self.chunk().min(positions - start);
                for group in 0..self.groups {
                    // SAFETY: offsets stay inside tensors of the shapes promised.
                    unsafe {
                        let g = t.a.add((n * positions + start) * self.filters + group * width);
                        let weights = t.b.add(group * width * taps);
                        let data = match self.is_pointwise() {
                            true => dx.as_mut_ptr().add(start * self.channels),
                            false => columns.as_mut_ptr(),
                        };
                        product(
                            Matrix { data, row: taps as isize, column: 1 },
                            Matrix { data: g, row: self.filters as isize, column: 1 },
                            Matrix { data: weights, row: taps as isize, column: 1 },
                            [rows, taps, width],
                            false,
                        );
                    }
                    if !self.is_pointwise() {
                        self.walk(group, start, rows, |at, from, len| {
                            let (dx, columns) = (&mut dx[from..from + len], &columns[at..at + len]);
                            dx.iter_mut().zip(columns).for_each(|(dx, c)| *dx += c);
                        });
                    }
                }
            }
        });
    }

    /// # Safety
    /// As [`Conv::run`].
    unsafe fn filter_grad(&self, pool: &Pool, t: &Tensors) {
        let (positions, taps, width) = (self.positions(), self.taps(), self.filters / self.groups);
        let size = self.batch.div_ceil(self.parts);
        pool.each(self.parts, self.worth_sharing(), |part, thread| {
            // SAFETY: the pool hands each thread its own number.
            let columns = unsafe { self.columns.get(thread) };
            // SAFETY: each part is one task's.
            let dw = unsafe { self.partial.get(part) };
            dw.fill(0.0);
            for n in part * size..((part + 1) * size).min(self.batch) {
                for start in (0..positions).step_by(self.chunk()) {
                    let rows = self.chunk().min(positions - start);
                    for group in 0..self.groups {
                        // SAFETY: offsets stay inside tensors of the shapes promised.
                        unsafe {
                            let unrolled = self.unrolled(t.a, n, group, start, rows, columns);
                            let g = t.b.add((n * positions + start) * self.filters + group * width);
                            product(
                                Matrix {
                                    data: dw.as_mut_ptr().add(group * width * taps),
                                    row: taps as isize,
                                    column: 1,
                                },
                                Matrix { data: g, row: 1, column: self.filters as isize },
                                unrolled,
                                [width, taps, rows],
                                true,
                            );
                        }
                    }
                }
            }
        });
        // SAFETY: `out` has the filter's size and the tasks are done.
        let out = unsafe { std::slice::from_raw_parts_mut(t.out, self.filters * taps) };
        for part in 0..self.parts {
            // SAFETY: the tasks are done, so this is the only reference.
            let dw = unsafe { self.partial.get(part) };
            if part == 0 {
                out.copy_from_slice(dw);
            } else {
                out.iter_mut().zip(dw.iter()).for_each(|(out, v)| *out += v);
            }
        }
    }

    fn worth_sharing(&self) -> bool {
        self.batch * self.positions() * self.taps() * self.filters > 1 << 20
    }

    /// Windows of one image and group as rows of a matrix: unrolled into `columns`, or in place.
    ///
    /// # Safety
    /// As [`Conv::run`], `x` being the convolution's input.
    unsafe fn unrolled(
        &self,
        x: *mut f32,
        n: usize,
        group: usize,
        start: usize,
        rows: usize,
        columns: &mut [f32],
    ) -> Matrix {
        let taps = self.taps();
        let image = self.input.iter().product::<usize>() * self.channels;
        // SAFETY: the image lies inside the input.
        let x = unsafe { x.add(n * image) };
        if self.is_pointwise() {
            // SAFETY: positions are elements here.
            return Matrix { data: unsafe { x.add(start * self.channels) }, row: taps as isize, column: 1 };
        }
        // SAFETY: the image is that long.
        let x = unsafe { std::slice::from_raw_parts(x, image) };
        columns[..rows * taps].fill(0.0);
        self.walk(group, start, rows, |at, from, len| columns[at..at + len].copy_from_slice(&x[from..from + len]));
        Matrix { data: columns.as_mut_ptr(), row: taps as isize, column: 1 }
    }

    /// Calls `f` with each run of channels that lies under a window: where it stands in the unrolled rows,
    /// where in the image, and how long it is. Padding is left out.
    fn walk(&self, group: usize, start: usize, rows: usize, mut f: impl FnMut(usize, usize, usize)) {
        let taps = self.taps();
        let depth = self.channels / self.groups;
        let [_, oh, ow] = self.output;
        let [kd, kh, kw] = self.kernel;
        let place = |axis: usize, o: usize, k: usize| {
            let at = o * self.stride[axis] + k * self.dilation[axis];
            at.checked_sub(self.padding[axis]).filter(|&at| at < self.input[axis])
        };
        // Neighbouring taps of a row are neighbours in the image if nothing is skipped.
        let joined = self.groups == 1 && self.dilation[2] == 1;
        for row in 0..rows {
            let position = start + row;
            let (od, o1, o2) = (position / (oh * ow), position / ow % oh, position % ow);
            for d in 0..kd {
                let Some(id) = place(0, od, d) else { continue };
                for h in 0..kh {
                    let Some(ih) = place(1, o1, h) else { continue };
                    let line = (id * self.input[1] + ih) * self.input[2];
                    let at = row * taps + (d * kh + h) * kw * depth;
                    if joined {
                        let left = o2 * self.stride[2];
                        let first = self.padding[2].saturating_sub(left);
                        let end = kw.min((self.input[2] + self.padding[2]).saturating_sub(left));
                        if first < end {
                            let from = (line + left + first - self.padding[2]) * depth;
                            f(at + first * depth, from, (end - first) * depth);
                        }
                        continue;
                    }
                    for w in 0..kw {
                        let Some(iw) = place(2, o2, w) else { continue };
                        f(at + w * depth, (line + iw) * self.channels + group * depth, depth);
                    }
                }
            }
        }
    }
}

/// Where a convolution's tensors are.
struct Tensors {
    a: *mut f32,
    b: *mut f32,
    out: *mut f32,
}

// SAFETY: tasks only read `a` and `b` and write distinct parts of `out`.
unsafe impl Sync for Tensors {}
