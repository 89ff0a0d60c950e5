//! Convolutions on the CPU, by tiles and without unrolling windows: an image is copied once with its
//! padding around it, and from then on every tap of the kernel is a fixed distance away. One, two and
//! three spatial axes are all treated as three.
//!
//! The gradient of the input is a convolution of the result's gradient: input positions that have the same
//! remainder by the stride see the same taps, so each such class is a dense convolution of its own.

use super::pool::{PerThread, Pool};
use super::tile::{self, Isa, MAX_COLUMNS, MAX_ROWS, Run, Tile};
use crate::ir::ConvSpec;
use crate::plan::ConvDirection;

/// Most parts of a batch whose filter gradients are summed at the end.
const MAX_PARTS: usize = 8;
/// Multiply-adds below which a convolution stays on one thread.
const WORTH_SHARING: usize = 1 << 18;

/// A channels-last image `[d, h, w, channels]` with a border of zeros.
struct Padded {
    extents: [usize; 3],
    channels: usize,
    low: [usize; 3],
    /// Extents with the border.
    outer: [usize; 3],
}

impl Padded {
    fn len(&self) -> usize {
        self.outer.iter().product::<usize>() * self.channels
    }

    /// Distance of positions on each axis, in elements.
    fn steps(&self) -> [usize; 3] {
        [self.outer[1] * self.outer[2] * self.channels, self.outer[2] * self.channels, self.channels]
    }

    /// Copies an image inside; the border is zero already and stays so.
    fn fill(&self, image: &[f32], to: &mut [f32]) {
        let steps = self.steps();
        let line = self.extents[2] * self.channels;
        for (i, from) in image.chunks_exact(line.max(1)).enumerate() {
            let (d, h) = (i / self.extents[1] + self.low[0], i % self.extents[1] + self.low[1]);
            let at = d * steps[0] + h * steps[1] + self.low[2] * steps[2];
            to[at..at + line].copy_from_slice(from);
        }
    }
}

/// Positions of a result that see the same taps at the same distances.
struct Class {
    /// The first position, and how many there are, on each axis.
    first: [usize; 3],
    count: [usize; 3],
    runs: Vec<Run>,
    /// Where each run's weights start in `[filters, taps, channels]`, in order.
    taps: Vec<usize>,
    /// Where its packed weights start.
    packed: usize,
}

/// A convolution ready to run.
pub(super) struct Conv {
    isa: Isa,
    direction: ConvDirection,
    batch: usize,
    groups: usize,
    /// The image that is walked: the input, or the result's gradient.
    padded: Padded,
    /// The tensor that is written: extents, channels, and distance of its classes' positions.
    result: [usize; 3],
    result_channels: usize,
    stride: [usize; 3],
    /// Distance of walked positions from one position of the result to the next.
    walk: [usize; 3],
    kernel: [usize; 3],
    dilation: [usize; 3],
    channels: usize,
    filters: usize,
    classes: Vec<Class>,
    /// Lines of the result, as the filter's gradient walks them.
    lines: Vec<Run>,
    packed: PerThread<Vec<f32>>,
    images: PerThread<Vec<f32>>,
    partial: PerThread<Vec<f32>>,
    parts: usize,
    bytes: usize,
}

/// Where a convolution's tensors are.
struct Tensors {
    a: *const f32,
    b: *const f32,
    out: *mut f32,
}

// SAFETY: tasks only read `a` and `b` and write distinct parts of `out`.
unsafe impl Sync for Tensors {}

impl Conv {
    /// Prepares a convolution of an input, weights and a result of the given shapes.
    pub(super) fn new(
        isa: Isa,
        direction: ConvDirection,
        spec: &ConvSpec,
        [input, filter, output]: [&[usize]; 3],
        threads: usize,
    ) -> Self {
        let spatial = spec.stride.len();
        let three = |at: &dyn Fn(usize) -> usize, missing: usize| {
            let mut all = [missing; 3];
            (0..spatial).for_each(|i| all[3 - spatial + i] = at(i));
            all
        };
        let inside = three(&|i| input[i + 1], 1);
        let outside = three(&|i| output[i + 1], 1);
        let kernel = three(&|i| filter[i + 1], 1);
        let stride = three(&|i| spec.stride[i], 1);
        let dilation = three(&|i| spec.dilation[i], 1);
        let low = three(&|i| spec.padding[i].0, 0);
        let (channels, filters) = (input[spatial + 1], filter[0]);
        let mut conv = Conv {
            isa,
            direction,
            batch: input[0],
            groups: spec.groups,
            padded: Padded { extents: inside, channels, low, outer: [0; 3] },
            result: outside,
            result_channels: filters,
            stride: [1; 3],
            walk: stride,
            kernel,
            dilation,
            channels,
            filters,
            classes: Vec::new(),
            lines: Vec::new(),
            packed: PerThread::new(0, Vec::new),
            images: PerThread::new(0, Vec::new),
            partial: PerThread::new(0, Vec::new),
            parts: 1,
            bytes: 0,
        };
        if direction == ConvDirection::InputGrad {
            conv.scatter_classes(inside, outside, stride, low);
        } else {
            let reach = |i: usize| (outside[i].max(1) - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1;
            conv.padded.outer = std::array::from_fn(|i| (inside[i] + low[i]).max(reach(i)));
            conv.gather_class();
        }
        conv.allocate(threads);
        conv
    }

    fn allocate(&mut self, threads: usize) {
        let width = self.isa.shape().1;
        let weights = self.filters * self.taps() * self.group_channels();
        let image = self.padded.len() + MAX_COLUMNS;
        self.images = PerThread::new(threads, || vec![0.0; image]);
        self.bytes = threads * image * 4;
        if self.direction == ConvDirection::FilterGrad {
            let steps = self.padded.steps();
            let [od, oh, ow] = self.result;
            let line = |i: usize| Run {
                offset: (i * ow * self.filters) as isize,
                right: (i / oh * self.walk[0] * steps[0] + i % oh * self.walk[1] * steps[1]) as isize,
                len: ow,
            };
            self.lines = (0..od * oh).map(line).collect();
            self.parts = self.batch.clamp(1, MAX_PARTS);
            self.partial = PerThread::new(self.parts, || vec![0.0; weights]);
            self.bytes += self.parts * weights * 4;
            return;
        }
        let columns = self.columns();
        let mut packed = 0;
        for class in &mut self.classes {
            class.packed = packed;
            let mut depth = 0;
            for run in &mut class.runs {
                run.right = (depth * width) as isize;
                depth += run.len;
            }
            packed += depth * columns.div_ceil(width) * width * self.groups;
        }
        self.packed = PerThread::new(1, || vec![0.0; packed]);
        self.bytes += packed * 4;
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    fn group_channels(&self) -> usize {
        self.channels / self.groups.max(1)
    }

    /// Result channels in a group.
    fn columns(&self) -> usize {
        self.result_channels / self.groups.max(1)
    }

    /// The number of a tap in the weights.
    fn tap(&self, at: [usize; 3]) -> usize {
        (at[0] * self.kernel[1] + at[1]) * self.kernel[2] + at[2]
    }

    /// All taps in order.
    fn all_taps(&self) -> impl Iterator<Item = [usize; 3]> + use<> {
        let [d, h, w] = self.kernel;
        (0..d * h * w).map(move |i| [i / (h * w), i / w % h, i % w])
    }

    /// The one class of the forward direction: each position of the result sees every tap.
    fn gather_class(&mut self) {
        let steps = self.padded.steps();
        let len = self.group_channels();
        let mut class = Class { first: [0; 3], count: self.result, runs: Vec::new(), taps: Vec::new(), packed: 0 };
        for at in self.all_taps() {
            let offset: usize = (0..3).map(|i| at[i] * self.dilation[i] * steps[i]).sum();
            class.runs.push(Run { offset: offset as isize, right: 0, len });
            class.taps.push(self.tap(at));
        }
        self.classes.push(class);
    }

    /// The classes of the input's gradient, and the border its walk needs.
    fn scatter_classes(&mut self, inside: [usize; 3], outside: [usize; 3], stride: [usize; 3], low: [usize; 3]) {
        // For each axis and remainder: the taps that count, with the distance of what they see.
        let taps_of = |axis: usize, r: usize| -> Vec<(usize, isize)> {
            (0..self.kernel[axis])
                .filter_map(|k| {
                    let from = (r + low[axis]) as isize - (k * self.dilation[axis]) as isize;
                    let s = stride[axis] as isize;
                    (from.rem_euclid(s) == 0).then_some((k, from.div_euclid(s)))
                })
                .collect()
        };
        let axes: Vec<Vec<Vec<(usize, isize)>>> =
            (0..3).map(|axis| (0..stride[axis]).map(|r| taps_of(axis, r)).collect()).collect();
        let count = |axis: usize, r: usize| inside[axis].saturating_sub(r).div_ceil(stride[axis]);
        let mut border = [[0isize; 2]; 3];
        for axis in 0..3 {
            for (r, taps) in axes[axis].iter().enumerate() {
                for &(_, distance) in taps {
                    border[axis][0] = border[axis][0].max(-distance);
                    border[axis][1] = border[axis][1].max(distance + count(axis, r) as isize - outside[axis] as isize);
                }
            }
        }
        self.padded = Padded {
            extents: outside,
            channels: self.filters,
            low: border.map(|b| b[0] as usize),
            outer: std::array::from_fn(|i| outside[i] + (border[i][0] + border[i][1]) as usize),
        };
        let steps = self.padded.steps();
        self.result = inside;
        self.result_channels = self.channels;
        self.stride = stride;
        self.walk = [1; 3];
        let len = self.filters / self.groups.max(1);
        for d in 0..stride[0] {
            for h in 0..stride[1] {
                for w in 0..stride[2] {
                    let first = [d, h, w];
                    let counts = std::array::from_fn(|i| count(i, first[i]));
                    let mut class = Class { first, count: counts, runs: Vec::new(), taps: Vec::new(), packed: 0 };
                    for &(kd, dd) in &axes[0][d] {
                        for &(kh, dh) in &axes[1][h] {
                            for &(kw, dw) in &axes[2][w] {
                                let at = [dd, dh, dw];
                                let offset = (0..3).map(|i| (at[i] + border[i][0]) * steps[i] as isize).sum::<isize>();
                                class.runs.push(Run { offset, right: 0, len });
                                class.taps.push(self.tap([kd, kh, kw]));
                            }
                        }
                    }
                    self.classes.push(class);
                }
            }
        }
    }

    /// Scratch memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn worth_sharing(&self) -> bool {
        let positions: usize = self.result.iter().product();
        self.batch * positions * self.taps() * self.group_channels() * self.filters >= WORTH_SHARING
    }

    /// Computes `out` from the two operands.
    ///
    /// # Safety
    /// The pointers must be to dense tensors of the shapes given to [`Conv::new`], the first two of the
    /// operands in the order of the op's inputs; `out` overlaps neither. No other thread may run this
    /// convolution meanwhile.
    pub(super) unsafe fn run(&self, pool: &Pool, a: *const f32, b: *const f32, out: *mut f32) {
        let tensors = Tensors { a, b, out };
        // SAFETY: passed on from the caller.
        unsafe {
            match self.direction {
                ConvDirection::Forward | ConvDirection::InputGrad => self.dense(pool, &tensors),
                ConvDirection::FilterGrad => self.filter_grad(pool, &tensors),
            }
        }
    }

    /// The padded image of one sample, on a thread's scratch.
    ///
    /// # Safety
    /// As [`Conv::run`]; `thread` must be the caller's.
    unsafe fn image(&self, from: *const f32, n: usize, thread: usize) -> *const f32 {
        let len = self.padded.extents.iter().product::<usize>() * self.padded.channels;
        // SAFETY: the sample lies inside its tensor, and the scratch is this thread's.
        unsafe {
            let scratch = self.images.get(thread);
            self.padded.fill(std::slice::from_raw_parts(from.add(n * len), len), scratch);
            scratch.as_ptr()
        }
    }

    /// The forward direction, and the input's gradient: image by image, class by class.
    ///
    /// # Safety
    /// As [`Conv::run`].
    unsafe fn dense(&self, pool: &Pool, t: &Tensors) {
        let (high, wide) = self.isa.shape();
        let columns = self.columns();
        let panels = columns.div_ceil(wide);
        // SAFETY: no task runs yet, so this is the only reference.
        let packed = unsafe {
            let packed = self.packed.get(0);
            self.pack(t.b, packed);
            Packed(packed.as_ptr())
        };
        let size = self.result.iter().product::<usize>() * self.result_channels;
        let walk = self.padded.steps();
        pool.each(self.batch, self.worth_sharing(), |n, thread| {
            // SAFETY: the pool hands each thread its own number; a task writes its own sample of `out`.
            let (image, out) = unsafe { (self.image(t.a, n, thread), t.out.add(n * size)) };
            for class in &self.classes {
                let positions: usize = class.count.iter().product();
                let depth: usize = class.runs.iter().map(|r| r.len).sum();
                for group in 0..self.groups {
                    let shift = group * (self.padded.channels / self.groups);
                    for panel in 0..panels {
                        let at = class.packed + (group * panels + panel) * depth * wide;
                        for row in (0..positions).step_by(high) {
                            let count = high.min(positions - row);
                            let mut tile = Tile {
                                left: [std::ptr::null(); MAX_ROWS],
                                left_step: 1,
                                runs: &class.runs,
                                // SAFETY: the class's panel lies inside the packed weights.
                                right: unsafe { packed.get().add(at) },
                                right_step: wide as isize,
                                out: [std::ptr::null_mut(); MAX_ROWS],
                                out_step: 1,
                                rows: count,
                                columns: wide.min(columns - panel * wide),
                                add: false,
                            };
                            for i in 0..high {
                                let position = row + i.min(count - 1);
                                let [_, h, w] = class.count;
                                let at = [position / (h * w), position / w % h, position % w];
                                let from: usize = (0..3).map(|i| at[i] * self.walk[i] * walk[i]).sum();
                                let place = |i: usize| class.first[i] + at[i] * self.stride[i];
                                let to = (place(0) * self.result[1] + place(1)) * self.result[2] + place(2);
                                let to = to * self.result_channels + group * columns + panel * wide;
                                // SAFETY: positions lie inside the padded image and the result.
                                unsafe {
                                    tile.left[i] = image.add(from + shift);
                                    tile.out[i] = out.add(to);
                                }
                            }
                            // SAFETY: every pointer reaches what the tile walks.
                            unsafe { tile::compute(self.isa, &tile) };
                        }
                    }
                }
            }
        });
    }

    /// Packs the weights of each class into panels: for each group and panel of result channels, rows in
    /// the order of the runs, zeros beyond the last channel.
    ///
    /// # Safety
    /// `weights` must be `[filters, taps, channels / groups]`.
    unsafe fn pack(&self, weights: *const f32, packed: &mut [f32]) {
        let wide = self.isa.shape().1;
        let (taps, depth, columns) = (self.taps(), self.group_channels(), self.columns());
        let filters = self.filters / self.groups.max(1);
        // SAFETY: promised by the caller.
        let weights = unsafe { std::slice::from_raw_parts(weights, self.filters * taps * depth) };
        for class in &self.classes {
            let mut to = class.packed;
            for group in 0..self.groups {
                for panel in (0..columns).step_by(wide) {
                    let width = wide.min(columns - panel);
                    for (run, tap) in class.runs.iter().zip(&class.taps) {
                        for k in 0..run.len {
                            let row = &mut packed[to..to + wide];
                            to += wide;
                            for (j, to) in row.iter_mut().enumerate().take(width) {
                                // Forward, columns are filters and steps are channels; backward the reverse.
                                let (f, c) = match self.direction {
                                    ConvDirection::Forward => (panel + j, k),
                                    _ => (k, panel + j),
                                };
                                *to = weights[((group * filters + f) * taps + tap) * depth + c];
                            }
                        }
                    }
                }
            }
        }
    }

    /// The filter's gradient: parts of the batch side by side, each tap's gradient as products of the
    /// result's gradient with the image shifted by the tap.
    ///
    /// # Safety
    /// As [`Conv::run`].
    unsafe fn filter_grad(&self, pool: &Pool, t: &Tensors) {
        let (taps, depth) = (self.taps(), self.group_channels());
        let positions: usize = self.result.iter().product();
        let size = self.batch.div_ceil(self.parts);
        pool.each(self.parts, self.worth_sharing(), |part, thread| {
            // SAFETY: each part is one task's.
            let dw = unsafe { self.partial.get(part) };
            let samples = part * size..((part + 1) * size).min(self.batch);
            if samples.is_empty() {
                dw.fill(0.0);
            }
            for n in samples.clone() {
                // SAFETY: the pool hands each thread its own number; the sample lies inside its tensor.
                let (image, g) = unsafe { (self.image(t.a, n, thread), t.b.add(n * positions * self.filters)) };
                // SAFETY: pointers stay inside the image, the gradient and the part's sum.
                unsafe { self.sample_grad(image, g, dw.as_mut_ptr(), n > samples.start) };
            }
        });
        // SAFETY: `out` has the filter's size and the tasks are done.
        let out = unsafe { std::slice::from_raw_parts_mut(t.out, self.filters * taps * depth) };
        for part in 0..self.parts {
            // SAFETY: the tasks are done, so this is the only reference.
            let dw = unsafe { self.partial.get(part) };
            match part {
                0 => out.copy_from_slice(dw),
                _ => out.iter_mut().zip(dw.iter()).for_each(|(out, v)| *out += v),
            }
        }
    }

    /// Adds one sample's part of the filter's gradient, or sets it.
    ///
    /// # Safety
    /// `image` is a padded image, `g` the sample's gradient of the result, `dw` the filter's gradient.
    unsafe fn sample_grad(&self, image: *const f32, g: *const f32, dw: *mut f32, add: bool) {
        let (high, wide) = self.isa.shape();
        let (taps, depth) = (self.taps(), self.group_channels());
        let filters = self.filters / self.groups.max(1);
        let steps = self.padded.steps();
        // Neighbouring taps of a line are neighbours in the image and in the weights if nothing is skipped.
        let joined = self.groups == 1 && self.dilation[2] == 1;
        let lines = self.all_taps().filter(|at| !joined || at[2] == 0);
        let len = if joined { self.kernel[2] * depth } else { depth };
        for at in lines {
            let shift: usize = (0..3).map(|i| at[i] * self.dilation[i] * steps[i]).sum();
            for group in 0..self.groups {
                for column in (0..len).step_by(wide) {
                    for row in (0..filters).step_by(high) {
                        let count = high.min(filters - row);
                        let mut tile = Tile {
                            left: [std::ptr::null(); MAX_ROWS],
                            left_step: self.filters as isize,
                            runs: &self.lines,
                            // SAFETY: the tap lies inside the padded image, behind which there is room.
                            right: unsafe { image.add(shift + group * depth + column) },
                            right_step: (self.walk[2] * steps[2]) as isize,
                            out: [std::ptr::null_mut(); MAX_ROWS],
                            out_step: 1,
                            rows: count,
                            columns: wide.min(len - column),
                            add,
                        };
                        for i in 0..high {
                            let f = group * filters + row + i.min(count - 1);
                            // SAFETY: filters and taps lie inside the gradients.
                            unsafe {
                                tile.left[i] = g.add(f);
                                tile.out[i] = dw.add((f * taps + self.tap(at)) * depth + column);
                            }
                        }
                        // SAFETY: every pointer reaches what the tile walks.
                        unsafe { tile::compute(self.isa, &tile) };
                    }
                }
            }
        }
    }
}

/// The packed weights, which tasks only read.
struct Packed(*const f32);

// SAFETY: tasks only read through it.
unsafe impl Sync for Packed {}

impl Packed {
    fn get(&self) -> *const f32 {
        self.0
    }
}
