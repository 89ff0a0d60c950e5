//! Convolutions on the CPU, by tiles and without unrolling windows: an image is copied once with its
//! padding around it, and from then on every tap of the kernel is a fixed distance away. One, two and
//! three spatial axes are all treated as three.
//!
//! The gradient of the input is a convolution of the result's gradient: input positions that have the same
//! remainder by the stride see the same taps, so each such class is a dense convolution of its own. The
//! gradient of the weights contracts over positions; its tiles lie across filters or across taps, whichever
//! leaves fewer lanes idle. Where every channel is a group of its own, tiles are columnwise: see [`depthwise`].

mod depthwise;

use std::ops::Range;

use super::pool::{PerThread, Pool};
use super::tile::{self, After, Isa, MAX_COLUMNS, Run, Shape, Start, Tiles};
use crate::backend::host::Bytes;
use crate::error::Result;
use crate::ir::ConvSpec;
use crate::plan::ConvDirection;

/// Most parts of a batch whose filter gradients are summed at the end.
const MAX_PARTS: usize = 8;
/// Positions whose addresses are found at once, for all panels of weights.
const POSITIONS: usize = 96;
/// Positions that a filter's gradient contracts at once, where an image has fewer.
const CONTRACTED: usize = 128;
/// Multiply-adds below which a convolution stays on one thread.
const WORTH_SHARING: usize = 1 << 21;

/// A channels-last image `[d, h, w, channels]` with a border of zeros.
struct Padded {
    extents: [usize; 3],
    channels: usize,
    /// How many channels in a row are copies of one channel of the image.
    repeat: usize,
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
        for (i, from) in image.chunks_exact((line / self.repeat).max(1)).enumerate() {
            let (d, h) = (i / self.extents[1] + self.low[0], i % self.extents[1] + self.low[1]);
            let at = d * steps[0] + h * steps[1] + self.low[2] * steps[2];
            let to = &mut to[at..at + line];
            match self.repeat {
                1 => to.copy_from_slice(from),
                2 => to.as_chunks_mut::<2>().0.iter_mut().zip(from).for_each(|(to, &from)| *to = [from; 2]),
                4 => to.as_chunks_mut::<4>().0.iter_mut().zip(from).for_each(|(to, &from)| *to = [from; 4]),
                n => to.chunks_exact_mut(n).zip(from).for_each(|(to, &from)| to.fill(from)),
            }
        }
    }
}

/// Positions of a result that see the same taps at the same distances.
struct Class {
    /// The first position, and how many there are, on each axis.
    first: [usize; 3],
    count: [usize; 3],
    /// Stretches of the image that a position sees.
    runs: Vec<Run>,
    /// Distance of the steps of a run.
    step: isize,
    /// The taps that are seen, in the order of the runs.
    taps: Vec<usize>,
    /// Where its packed weights start.
    packed: usize,
}

impl Class {
    /// A class whose positions see taps (given by offset and number) of `len` channels each. Taps that lie
    /// side by side in the image are one run.
    fn new(first: [usize; 3], count: [usize; 3], mut taps: Vec<(isize, usize)>, len: usize) -> Self {
        taps.sort_unstable();
        let mut runs: Vec<Run> = Vec::new();
        for &(offset, _) in &taps {
            match runs.last_mut() {
                Some(run) if run.offset + run.len as isize == offset => run.len += len,
                _ => runs.push(Run { offset, right: 0, len }),
            }
        }
        Class { first, count, runs, step: 1, taps: taps.into_iter().map(|t| t.1).collect(), packed: 0 }
    }

    fn depth(&self) -> usize {
        self.runs.iter().map(|r| r.len).sum()
    }
}

/// A position of a class: where it starts to see the padded image, and where its result is.
struct Position {
    at: [usize; 3],
    from: usize,
    to: usize,
}

impl Position {
    fn new(conv: &Conv, class: &Class, at: [usize; 3]) -> Self {
        let steps = conv.padded.steps();
        let from = (0..3).map(|i| at[i] * conv.walk[i] * steps[i]).sum();
        let place = |i: usize| class.first[i] + at[i] * conv.stride[i];
        let to = (place(0) * conv.result[1] + place(1)) * conv.result[2] + place(2);
        Position { at, from, to: to * conv.result_channels }
    }

    fn advance(&mut self, conv: &Conv, class: &Class) {
        let [d, h, w] = self.at;
        if w + 1 < class.count[2] {
            self.at[2] += 1;
            self.from += conv.walk[2] * conv.padded.channels;
            self.to += conv.stride[2] * conv.result_channels;
            return;
        }
        let next = if h + 1 < class.count[1] { [d, h + 1, 0] } else { [d + 1, 0, 0] };
        *self = Position::new(conv, class, next);
    }
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
    shape: Shape,
    packed: Bytes,
    images: PerThread<Bytes>,
    /// Whether every channel is a group of its own.
    depthwise: bool,
    /// Scratch of a depthwise convolution for results before they are folded, or gradients with room behind them.
    aside: PerThread<Bytes>,
    filter: FilterGrad,
    bytes: usize,
}

/// How a filter's gradient is computed.
struct FilterGrad {
    /// Lines of the results of a few samples, as they are contracted.
    lines: Vec<Run>,
    /// How many samples that is at most.
    samples: usize,
    /// Whether tiles lie across filters, and taps are rows.
    across_filters: bool,
    /// Where each weight of a filter sees the image.
    seen: Vec<isize>,
    /// Where each filter has its gradients.
    filters: Vec<isize>,
    /// Where the rows of a tile have their sums.
    rows: Vec<isize>,
    /// The sum of each part of the batch.
    partial: PerThread<Bytes>,
}

/// How many parts a batch is cut into: fixed by its size alone.
pub(super) fn parts(batch: usize) -> usize {
    batch.clamp(1, MAX_PARTS)
}

/// The samples of a part.
pub(super) fn part(batch: usize, part: usize) -> Range<usize> {
    let size = batch.div_ceil(parts(batch));
    (part * size).min(batch)..((part + 1) * size).min(batch)
}

/// Where a convolution's tensors are: the two operands in the order of the op's inputs, and the result.
pub(super) struct Tensors {
    pub a: *const f32,
    pub b: *const f32,
    pub out: *mut f32,
    pub after: After,
}

// SAFETY: tasks only read `a`, `b` and the bias and write distinct parts of `out`.
unsafe impl Sync for Tensors {}

impl Conv {
    /// Prepares a convolution of an input, weights and a result of the given shapes.
    pub(super) fn new(
        isa: Isa,
        direction: ConvDirection,
        spec: &ConvSpec,
        [input, filter, output]: [&[usize]; 3],
        threads: usize,
    ) -> Result<Self> {
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
        let depthwise = spec.groups == channels && channels > 1 && filters > 0;
        // A depthwise convolution walks an image of as many channels as there are filters.
        let (walked, repeat) = if depthwise { (filters, filters / channels) } else { (channels, 1) };
        let mut conv = Conv {
            isa,
            direction,
            batch: input[0],
            groups: spec.groups,
            padded: Padded { extents: inside, channels: walked, repeat, low, outer: [0; 3] },
            result: outside,
            result_channels: filters,
            stride: [1; 3],
            walk: stride,
            kernel,
            dilation,
            channels,
            filters,
            classes: Vec::new(),
            shape: isa.shape(usize::MAX),
            packed: Bytes::zeroed(0)?,
            images: PerThread::empty(),
            depthwise,
            aside: PerThread::empty(),
            filter: FilterGrad {
                lines: Vec::new(),
                samples: 1,
                across_filters: true,
                seen: Vec::new(),
                filters: Vec::new(),
                rows: Vec::new(),
                partial: PerThread::empty(),
            },
            bytes: 0,
        };
        if direction == ConvDirection::InputGrad {
            conv.scatter_classes(inside, outside, stride, low);
        } else {
            let reach = |i: usize| (outside[i].max(1) - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1;
            conv.padded.outer = std::array::from_fn(|i| (inside[i] + low[i]).max(reach(i)));
            conv.gather_class();
        }
        match direction {
            ConvDirection::FilterGrad => conv.allocate_filter_grad(threads)?,
            ConvDirection::Forward | ConvDirection::InputGrad => conv.allocate(threads)?,
        }
        if depthwise {
            conv.allocate_aside(threads)?;
        }
        Ok(conv)
    }

    /// Room for packed weights and padded images.
    fn allocate(&mut self, threads: usize) -> Result<()> {
        let columns = self.columns();
        self.shape = self.isa.shape(columns);
        let width = self.shape.columns;
        let mut packed = 0;
        for class in &mut self.classes {
            class.packed = packed;
            if self.depthwise {
                class.join_taps();
            }
            let mut depth = 0;
            for run in &mut class.runs {
                run.right = (depth * width) as isize;
                depth += run.len;
            }
            packed += depth * columns.next_multiple_of(width) * if self.depthwise { 1 } else { self.groups };
        }
        self.packed = Bytes::zeroed(packed * 4)?;
        self.allocate_images(threads, 1)?;
        self.bytes += packed * 4;
        Ok(())
    }

    /// Room for the padded images of some samples at a time.
    fn allocate_images(&mut self, threads: usize, samples: usize) -> Result<()> {
        let bytes = (samples * self.padded.len() + MAX_COLUMNS) * 4;
        self.images = PerThread::new(threads, || Bytes::zeroed(bytes))?;
        self.bytes += threads * bytes;
        Ok(())
    }

    /// How tiles of the weights' gradient lie, and room for padded images and sums.
    fn allocate_filter_grad(&mut self, threads: usize) -> Result<()> {
        let filters = if self.depthwise { self.filters } else { self.filters / self.groups.max(1) };
        let (taps, depth) = (self.taps(), self.group_channels());
        // Across filters the result's gradient is read where it lies, so tiles must be full.
        let full = [usize::MAX, 1].map(|c| self.isa.shape(c)).into_iter().find(|s| filters.is_multiple_of(s.columns));
        let across_taps = self.isa.shape(self.line());
        let lines_of_taps = taps * depth / self.line().max(1);
        let other = across_taps.work(filters, self.line()) * lines_of_taps;
        let across_filters = match full {
            shape if self.depthwise => Some(shape.unwrap_or(self.isa.shape(filters))),
            shape => shape.filter(|s| s.work(taps * depth, filters) <= other),
        };
        self.filter.across_filters = across_filters.is_some();
        self.shape = across_filters.unwrap_or(across_taps);

        let steps = self.padded.steps();
        let offset = |at: [usize; 3]| (0..3).map(|i| at[i] * self.dilation[i] * steps[i]).sum::<usize>();
        self.filter.seen = self.all_taps().flat_map(|at| (0..depth).map(move |c| (offset(at) + c) as isize)).collect();
        self.filter.filters = (0..filters as isize).collect();
        self.filter.rows = match self.filter.across_filters {
            true => (0..taps * depth).map(|i| (i * filters) as isize).collect(),
            false => (0..filters).map(|f| (f * taps * depth) as isize).collect(),
        };

        let [od, oh, ow] = self.result;
        let positions = od * oh * ow;
        let parts = parts(self.batch);
        let samples = CONTRACTED.div_ceil(positions.max(1)).clamp(1, self.batch.div_ceil(parts).max(1));
        for sample in 0..samples {
            for line in 0..od * oh {
                let (d, h) = (line / oh, line % oh);
                let g = (sample * positions + line * ow) * self.filters;
                let x = sample * self.padded.len() + d * self.walk[0] * steps[0] + h * self.walk[1] * steps[1];
                let (left, right) = if self.filter.across_filters { (x, g) } else { (g, x) };
                self.filter.lines.push(Run { offset: left as isize, right: right as isize, len: ow });
            }
        }
        self.filter.samples = samples;
        self.allocate_images(threads, samples)?;
        let bytes = self.filters * taps * depth * 4;
        self.filter.partial = PerThread::new(parts, || Bytes::zeroed(bytes))?;
        self.bytes += parts * bytes;
        Ok(())
    }

    /// Weights of a filter that lie side by side in the image as they do in the filter: those of a tap, or of
    /// a line of taps if nothing is skipped between them.
    fn line(&self) -> usize {
        let joined = self.groups == 1 && self.dilation[2] == 1;
        if joined { self.kernel[2] * self.group_channels() } else { self.group_channels() }
    }

    fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    fn group_channels(&self) -> usize {
        self.channels / self.groups.max(1)
    }

    /// Channels that tiles lie across: those of a group's results, or of the walked image where each is its own group.
    fn columns(&self) -> usize {
        if self.depthwise { self.filters } else { self.result_channels / self.groups.max(1) }
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
        let offset = |at: [usize; 3]| (0..3).map(|i| at[i] * self.dilation[i] * steps[i]).sum::<usize>() as isize;
        let taps = self.all_taps().map(|at| (offset(at), self.tap(at))).collect();
        self.classes.push(Class::new([0; 3], self.result, taps, len));
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
            repeat: 1,
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
                    let mut taps = Vec::new();
                    for &(kd, dd) in &axes[0][d] {
                        for &(kh, dh) in &axes[1][h] {
                            for &(kw, dw) in &axes[2][w] {
                                let at = [dd, dh, dw];
                                let offset = (0..3).map(|i| (at[i] + border[i][0]) * steps[i] as isize).sum::<isize>();
                                taps.push((offset, self.tap([kd, kh, kw])));
                            }
                        }
                    }
                    self.classes.push(Class::new(first, counts, taps, len));
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
    /// The tensors must be dense, of the shapes given to [`Conv::new`]; `out` overlaps neither operand. No other
    /// thread may run this convolution meanwhile.
    pub(super) unsafe fn run(&self, pool: &Pool, t: &Tensors) {
        // SAFETY: passed on from the caller; the pool hands each thread its own number, and each sample or part to
        // one thread.
        unsafe {
            self.begin(t);
            match self.direction {
                ConvDirection::Forward | ConvDirection::InputGrad => {
                    pool.each(self.batch, self.worth_sharing(), |n, thread| self.sample(t, n, 0, thread));
                }
                ConvDirection::FilterGrad => {
                    pool.each(parts(self.batch), self.worth_sharing(), |part, thread| {
                        let range = self::part(self.batch, part);
                        for n in range.clone().step_by(self.filter.samples) {
                            self.samples_grad(t, n..(n + self.filter.samples).min(range.end), part, thread);
                        }
                    });
                }
            }
            self.end(t);
        }
    }

    /// What comes before all samples.
    ///
    /// # Safety
    /// As [`Conv::run`].
    pub(super) unsafe fn begin(&self, t: &Tensors) {
        if self.direction != ConvDirection::FilterGrad {
            // SAFETY: no task runs yet, so this is the only reference to the packed weights.
            unsafe {
                let len = self.packed.len() / 4;
                self.pack(t.b, std::slice::from_raw_parts_mut(self.packed.pointer().cast(), len));
            }
        }
    }

    /// What one sample contributes. The samples of a part must come in order.
    ///
    /// # Safety
    /// As [`Conv::run`], between [`Conv::begin`] and [`Conv::end`]; `thread` must be the caller's, and no other
    /// thread may be at work on this sample or, for the filter's gradient, on this part.
    pub(super) unsafe fn sample(&self, t: &Tensors, n: usize, part: usize, thread: usize) {
        let size = self.result.iter().product::<usize>() * self.result_channels;
        // SAFETY: passed on from the caller; a sample of `out` is written by its task alone.
        unsafe {
            if self.direction == ConvDirection::FilterGrad {
                return self.samples_grad(t, n..n + 1, part, thread);
            }
            let (image, out) = (self.image(t.a, n..n + 1, thread), t.out.add(n * size));
            self.classes.iter().for_each(|class| self.positions(class, image, out, t.after, thread));
        }
    }

    /// What comes after all samples.
    ///
    /// # Safety
    /// As [`Conv::run`].
    pub(super) unsafe fn end(&self, t: &Tensors) {
        if self.direction == ConvDirection::FilterGrad {
            // SAFETY: passed on from the caller.
            unsafe { self.sum_parts(t) };
        }
    }

    /// The padded images of some samples, on a thread's scratch.
    ///
    /// # Safety
    /// As [`Conv::run`]; `thread` must be the caller's.
    unsafe fn image(&self, from: *const f32, samples: Range<usize>, thread: usize) -> *const f32 {
        let len = self.padded.extents.iter().product::<usize>() * (self.padded.channels / self.padded.repeat);
        // SAFETY: the samples lie inside their tensor, the scratch is this thread's and has room for them.
        unsafe {
            let scratch = self.images.get(thread).pointer().cast::<f32>();
            for (i, n) in samples.enumerate() {
                let to = std::slice::from_raw_parts_mut(scratch.add(i * self.padded.len()), self.padded.len());
                self.padded.fill(std::slice::from_raw_parts(from.add(n * len), len), to);
            }
            scratch
        }
    }

    /// The results of one sample at a class's positions.
    ///
    /// # Safety
    /// `image` is a padded image and `out` the sample's result; `thread` must be the caller's.
    unsafe fn positions(&self, class: &Class, image: *const f32, out: *mut f32, after: After, thread: usize) {
        let wide = self.shape.columns;
        let (columns, depth) = (self.columns(), class.depth());
        let panels = columns.div_ceil(wide);
        let positions: usize = class.count.iter().product();
        let (mut from, mut to) = ([0; POSITIONS], [0; POSITIONS]);
        let mut next = Position::new(self, class, [0; 3]);
        for first in (0..positions).step_by(POSITIONS) {
            let here = POSITIONS.min(positions - first);
            for (from, to) in from.iter_mut().zip(&mut to).take(here) {
                (*from, *to) = (next.from as isize, next.to as isize);
                next.advance(self, class);
            }
            if self.depthwise {
                // SAFETY: as below.
                unsafe { self.depthwise_positions(class, image, out, [&from[..here], &to[..here]], after, thread) };
                continue;
            }
            for (group, panel) in (0..self.groups).flat_map(|g| (0..panels).map(move |p| (g, p))) {
                let packed = class.packed + (group * panels + panel) * depth * wide;
                // SAFETY: positions lie inside the padded image and the result, the panel inside the packed
                // weights.
                unsafe {
                    let tiles = Tiles {
                        shape: self.shape,
                        left: image.add(group * (self.padded.channels / self.groups)),
                        left_rows: &from[..here],
                        left_step: class.step,
                        columnwise: false,
                        runs: &class.runs,
                        right: self.packed.pointer().cast::<f32>().add(packed),
                        right_step: wide as isize,
                        panel_step: 0,
                        out: out.add(group * columns + panel * wide),
                        out_rows: &to[..here],
                        out_step: 1,
                        columns: wide.min(columns - panel * wide),
                        start: after.start(0, group * columns + panel * wide),
                        relu: after.relu,
                    };
                    tile::compute(self.isa, &tiles);
                }
            }
        }
    }

    /// Packs the weights of each class into panels: for each group and panel of result channels, rows in
    /// the order of the runs, zeros beyond the last channel.
    ///
    /// # Safety
    /// `weights` must be `[filters, taps, channels / groups]`.
    unsafe fn pack(&self, weights: *const f32, packed: &mut [f32]) {
        let wide = self.shape.columns;
        let (taps, depth, columns) = (self.taps(), self.group_channels(), self.columns());
        let filters = self.filters / self.groups.max(1);
        // SAFETY: promised by the caller.
        let weights = unsafe { std::slice::from_raw_parts(weights, self.filters * taps * depth) };
        for class in &self.classes {
            let mut to = class.packed;
            if self.depthwise {
                self.depthwise_pack(class, weights, &mut packed[to..]);
                continue;
            }
            for group in 0..self.groups {
                for panel in (0..columns).step_by(wide) {
                    let width = wide.min(columns - panel);
                    for tap in &class.taps {
                        for k in 0..class.depth() / class.taps.len() {
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

    /// Adds what some samples of a part contribute to the filter's gradient.
    ///
    /// # Safety
    /// As [`Conv::sample`].
    unsafe fn samples_grad(&self, t: &Tensors, samples: Range<usize>, part: usize, thread: usize) {
        // SAFETY: samples lie inside their tensors, the part's sum is this task's, and pointers stay inside the
        // images, the gradient and the sum.
        unsafe {
            let sum = self.filter.partial.get(part).pointer().cast::<f32>();
            let add = samples.start > self::part(self.batch, part).start;
            let lines = samples.len() * self.result[0] * self.result[1];
            let g = self.gradients(t.b, samples.clone(), thread);
            let image = self.image(t.a, samples, thread);
            self.add_samples(lines, image, g, sum, add);
        }
    }

    /// The filter's gradient from the sums of the parts.
    ///
    /// # Safety
    /// As [`Conv::run`].
    unsafe fn sum_parts(&self, t: &Tensors) {
        let filters = if self.depthwise { self.filters } else { self.filters / self.groups.max(1) };
        let weights = self.taps() * self.group_channels();
        // SAFETY: `out` has the filter's size and the tasks are done.
        let out = unsafe { std::slice::from_raw_parts_mut(t.out, self.filters * weights) };
        if self.batch == 0 {
            return out.fill(0.0);
        }
        for part in (0..parts(self.batch)).filter(|&p| !self::part(self.batch, p).is_empty()) {
            // SAFETY: the tasks are done, so this is the only reference.
            let sum =
                unsafe { std::slice::from_raw_parts(self.filter.partial.get(part).pointer().cast::<f32>(), out.len()) };
            if self.filter.across_filters {
                for (f, out) in out.chunks_exact_mut(weights.max(1)).enumerate() {
                    let from = &sum[f / filters * filters * weights + f % filters..];
                    for (out, v) in out.iter_mut().zip(from.iter().step_by(filters)) {
                        *out = if part == 0 { *v } else { *out + v };
                    }
                }
            } else {
                match part {
                    0 => out.copy_from_slice(sum),
                    _ => out.iter_mut().zip(sum).for_each(|(out, v)| *out += v),
                }
            }
        }
    }

    /// Adds the part that some samples have in the filter's gradient, or sets it. Across filters, sums lie as
    /// `[group, tap, channel, filter]`, otherwise as the weights.
    ///
    /// # Safety
    /// `image` are padded images, `g` the samples' gradients of the result, `sum` of the filter's size.
    unsafe fn add_samples(&self, lines: usize, image: *const f32, g: *const f32, sum: *mut f32, add: bool) {
        let weights = self.taps() * self.group_channels();
        let filters = self.filters / self.groups.max(1);
        let across = self.filter.across_filters;
        let image_step = (self.walk[2] * self.padded.channels) as isize;
        let filter_step = self.filters as isize;
        let line = if across { weights } else { self.line() };
        // A few lines at a time, so that all tiles find them in the cache.
        let at_once = CONTRACTED.div_ceil(self.result[2].max(1));
        for (i, runs) in self.filter.lines[..lines].chunks(at_once).enumerate() {
            if self.depthwise {
                // SAFETY: as below.
                unsafe { self.depthwise_add(runs, image, g, sum, add || i > 0) };
                continue;
            }
            for group in 0..self.groups {
                // SAFETY: taps, channels and filters lie inside the images, gradients and sums; behind the
                // images there is room for a tile's width.
                unsafe {
                    let (image, g) = (image.add(group * self.group_channels()), g.add(group * filters));
                    let sum = sum.add(group * filters * weights);
                    let column_of_tiles = |column: usize, columns: usize, start: usize| {
                        let seen = self.filter.seen[start + if across { 0 } else { column }];
                        Tiles {
                            shape: self.shape,
                            left: if across { image } else { g },
                            left_rows: if across { &self.filter.seen } else { &self.filter.filters },
                            left_step: if across { image_step } else { filter_step },
                            columnwise: false,
                            runs,
                            right: if across { g.add(column) } else { image.offset(seen) },
                            right_step: if across { filter_step } else { image_step },
                            panel_step: 0,
                            out: sum.add(start + column),
                            out_rows: &self.filter.rows,
                            out_step: 1,
                            columns: self.shape.columns.min(columns - column),
                            start: if add || i > 0 { Start::Out } else { Start::Zero },
                            relu: false,
                        }
                    };
                    let columns = if across { filters } else { line };
                    for start in (0..weights).step_by(line.max(1)) {
                        for column in (0..columns).step_by(self.shape.columns) {
                            tile::compute(self.isa, &column_of_tiles(column, columns, start));
                        }
                    }
                }
            }
        }
    }
}
