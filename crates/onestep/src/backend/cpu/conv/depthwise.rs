//! Depthwise convolutions: every channel is a group of its own. Channels lie side by side, so tiles are columnwise,
//! across channels. An input is walked with each channel repeated for its filters, so that there are as many
//! channels as filters; the gradient of the input is computed for each filter and then folded to channels.

use std::ops::Range;

use super::{Class, Conv, POSITIONS};
use crate::backend::cpu::pool::PerThread;
use crate::backend::cpu::tile::{self, After, Bias, MAX_COLUMNS, Run, Start, Tiles};
use crate::backend::host::Bytes;
use crate::error::Result;
use crate::plan::ConvDirection;

impl Class {
    /// Makes one run of taps that lie evenly spaced.
    pub(super) fn join_taps(&mut self) {
        let taps: Vec<isize> = self.runs.iter().map(|run| run.offset).collect();
        self.step = if let [first, second, ..] = taps[..] { second - first } else { 0 };
        self.runs.clear();
        for offset in taps {
            match self.runs.last_mut() {
                Some(run) if run.offset + run.len as isize * self.step == offset => run.len += 1,
                _ => self.runs.push(Run { offset, right: 0, len: 1 }),
            }
        }
    }
}

impl Conv {
    /// Filters of a channel.
    fn multiplier(&self) -> usize {
        self.filters / self.channels
    }

    /// Room for results that are folded, or for gradients that tiles would read beyond.
    pub(super) fn allocate_aside(&mut self, threads: usize) -> Result<()> {
        let positions: usize = self.result.iter().product();
        let len = match self.direction {
            ConvDirection::InputGrad if self.multiplier() > 1 => POSITIONS * self.filters,
            ConvDirection::FilterGrad if !self.filters.is_multiple_of(self.shape.columns) => {
                self.filter.samples * positions * self.filters + MAX_COLUMNS
            }
            _ => return Ok(()),
        };
        self.aside = PerThread::new(threads, || Bytes::zeroed(len * 4))?;
        self.bytes += threads * len * 4;
        Ok(())
    }

    /// Packs a class's weights into panels of channels: a row for each tap, zeros beyond the last channel.
    pub(super) fn depthwise_pack(&self, class: &Class, weights: &[f32], packed: &mut [f32]) {
        let (wide, taps) = (self.shape.columns, self.taps());
        let panels = packed.chunks_exact_mut((class.taps.len() * wide).max(1));
        for (first, panel) in (0..self.filters).step_by(wide).zip(panels) {
            let filters = first..(first + wide).min(self.filters);
            for (row, tap) in panel.chunks_exact_mut(wide).zip(&class.taps) {
                row.iter_mut().zip(filters.clone()).for_each(|(to, f)| *to = weights[f * taps + tap]);
            }
        }
    }

    /// The results of one sample at some of a class's positions, given by where they start to see the image and
    /// where their results are.
    ///
    /// # Safety
    /// As `Conv::positions`.
    pub(super) unsafe fn depthwise_positions(
        &self,
        class: &Class,
        image: *const f32,
        out: *mut f32,
        [from, to]: [&[isize]; 2],
        after: After,
        thread: usize,
    ) {
        let wide = self.shape.columns;
        let folds = self.direction == ConvDirection::InputGrad && self.multiplier() > 1;
        let mut rows = [0; POSITIONS];
        rows.iter_mut().enumerate().for_each(|(i, row)| *row = (i * self.filters) as isize);
        // SAFETY: positions lie inside the padded image and the result, panels inside the packed weights; the
        // scratch is this thread's and has room for a row of all filters at each position.
        unsafe {
            let aside = if folds { self.aside.get(thread).pointer().cast::<f32>() } else { out };
            let tiles = Tiles {
                shape: self.shape,
                left: image,
                left_rows: from,
                left_step: class.step,
                columnwise: true,
                runs: &class.runs,
                right: self.packed.pointer().cast::<f32>().add(class.packed),
                right_step: wide as isize,
                panel_step: (class.taps.len() * wide) as isize,
                out: aside,
                out_rows: if folds { &rows[..to.len()] } else { to },
                out_step: 1,
                columns: self.filters,
                start: if folds { Start::Zero } else { after.start(0, 0) },
                relu: after.relu && !folds,
            };
            tile::compute(self.isa, &tiles);
            if folds {
                for (i, &to) in to.iter().enumerate() {
                    let from = std::slice::from_raw_parts(aside.add(i * self.filters), self.filters);
                    let to = std::slice::from_raw_parts_mut(out.offset(to), self.channels);
                    self.fold(from, to, after);
                }
            }
        }
    }

    /// Sums each channel's filters.
    ///
    /// # Safety
    /// The bias must have an element for each channel.
    unsafe fn fold(&self, from: &[f32], to: &mut [f32], after: After) {
        match self.multiplier() {
            2 => to.iter_mut().zip(from.as_chunks::<2>().0).for_each(|(to, from)| *to = from.iter().sum()),
            4 => to.iter_mut().zip(from.as_chunks::<4>().0).for_each(|(to, from)| *to = from.iter().sum()),
            n => to.iter_mut().zip(from.chunks_exact(n)).for_each(|(to, from)| *to = from.iter().sum()),
        }
        if let Bias::Columns(bias) = after.bias {
            // SAFETY: promised by the caller.
            let bias = unsafe { std::slice::from_raw_parts(bias, to.len()) };
            to.iter_mut().zip(bias).for_each(|(to, bias)| *to += bias);
        }
        if after.relu {
            to.iter_mut().filter(|x| **x <= 0.0).for_each(|x| *x = 0.0);
        }
    }

    /// The result's gradients of some samples, with room for a tile behind them if tiles reach beyond.
    ///
    /// # Safety
    /// As [`Conv::sample`].
    pub(super) unsafe fn gradients(&self, g: *const f32, samples: Range<usize>, thread: usize) -> *const f32 {
        let size = self.result.iter().product::<usize>() * self.filters;
        // SAFETY: the samples lie inside their tensor, the scratch is this thread's and has room for them.
        unsafe {
            let g = g.add(samples.start * size);
            if !self.depthwise || self.filters.is_multiple_of(self.shape.columns) {
                return g;
            }
            let aside = self.aside.get(thread).pointer().cast::<f32>();
            std::ptr::copy_nonoverlapping(g, aside, samples.len() * size);
            aside
        }
    }

    /// Adds what some lines have in the filter's gradient, or sets it: sums lie as `[tap, filter]`.
    ///
    /// # Safety
    /// As `Conv::add_samples`; `g` as [`Conv::gradients`] gave it.
    pub(super) unsafe fn depthwise_add(
        &self,
        lines: &[Run],
        image: *const f32,
        g: *const f32,
        sum: *mut f32,
        add: bool,
    ) {
        let tiles = Tiles {
            shape: self.shape,
            left: image,
            left_rows: &self.filter.seen,
            left_step: (self.walk[2] * self.padded.channels) as isize,
            columnwise: true,
            runs: lines,
            right: g,
            right_step: self.filters as isize,
            panel_step: self.shape.columns as isize,
            out: sum,
            out_rows: &self.filter.rows,
            out_step: 1,
            columns: self.filters,
            start: if add { Start::Out } else { Start::Zero },
            relu: false,
        };
        // SAFETY: taps, channels and filters lie inside the images, gradients and sums; behind the images and
        // gradients there is room for a tile's width.
        unsafe { tile::compute(self.isa, &tiles) };
    }
}
