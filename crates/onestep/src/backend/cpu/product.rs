//! Matrix products on the CPU, by tiles. One operand is walked where it lies; the other is packed into
//! panels as wide as a tile, unless it lies that way already. Which one is packed follows from the shapes.

use super::pool::Pool;
use super::tile::{self, After, Isa, MAX_COLUMNS, Packing, Run, Shape, Start, Tiles};
use crate::backend::host::Bytes;
use crate::error::Result;

/// Rows that one task computes at least: fixed, so that results do not depend on threads.
const TASK_ROWS: usize = 96;
/// Columns that one task computes, where there are few rows.
const TASK_COLUMNS: usize = 128;
/// Most steps of the contracted axis done at once where results lie in rows, so that a panel stays in the cache.
const DEPTH: usize = 512;
/// Steps of the contracted axis up to which scattered rows are walked in place.
const IN_PLACE: usize = 128;
/// Elements of the right operand that stay in the first level of the cache beside what passes by.
const CACHED: usize = 5 << 10;
/// Panels that one task packs.
const TASK_PANELS: usize = 8;
/// Multiply-adds below which a product stays on one thread.
const WORTH_SHARING: usize = 1 << 22;

/// A matrix: distance of rows and of columns in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub row: isize,
    pub column: isize,
}

impl Layout {
    fn transposed(self) -> Self {
        Layout { row: self.column, column: self.row }
    }
}

/// A batched product `out = lhs · rhs` ready to run.
pub(super) struct Product {
    isa: Isa,
    batch: usize,
    distances: [isize; 3],
    shape: Shape,
    /// Whether `outᵀ = rhsᵀ · lhsᵀ` is what runs.
    swapped: bool,
    m: usize,
    n: usize,
    k: usize,
    out: Layout,
    left: Layout,
    right: Layout,
    /// Distances of the rows that a task computes from its first one.
    left_rows: Vec<isize>,
    out_rows: Vec<isize>,
    /// Panels of the right operand of one matrix of the batch; empty where it is read in place.
    panels: Option<Bytes>,
}

struct Pointers {
    out: *mut f32,
    left: *const f32,
    right: *const f32,
    panels: *mut f32,
    after: After,
}

// SAFETY: tasks read operands and write distinct parts of `out` and `panels`.
unsafe impl Sync for Pointers {}

impl Product {
    /// Prepares a product of extents `[batch, m, n, k]`; layouts and batch distances in the order out, lhs, rhs.
    pub(super) fn new(
        isa: Isa,
        [batch, m, n, k]: [usize; 4],
        [out, lhs, rhs]: [Layout; 3],
        distances: [isize; 3],
    ) -> Result<Self> {
        let as_is = Product {
            isa,
            batch,
            distances,
            shape: isa.shape(n),
            swapped: false,
            m,
            n,
            k,
            out,
            left: lhs,
            right: rhs,
            left_rows: Vec::new(),
            out_rows: Vec::new(),
            panels: None,
        };
        let swapped = Product {
            shape: isa.shape(m),
            distances: [distances[0], distances[2], distances[1]],
            swapped: true,
            m: n,
            n: m,
            out: out.transposed(),
            left: rhs.transposed(),
            right: lhs.transposed(),
            left_rows: Vec::new(),
            out_rows: Vec::new(),
            panels: None,
            ..as_is
        };
        let mut product = if swapped.cost() < as_is.cost() { swapped } else { as_is };
        let rows = if product.by_rows() { TASK_ROWS } else { product.m };
        product.left_rows = (0..rows as isize).map(|i| i * product.left.row).collect();
        product.out_rows = (0..rows as isize).map(|i| i * product.out.row).collect();
        if product.packs() {
            product.panels = Some(Bytes::zeroed(product.panel_count() * product.panel_len() * 4)?);
        }
        Ok(product)
    }

    /// Scratch memory in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.panels.as_ref().map_or(0, Bytes::len)
    }

    /// Whether tasks are blocks of rows, not of columns.
    fn by_rows(&self) -> bool {
        self.m >= self.n
    }

    /// Whether the right operand must be packed: it does not lie in rows, is not a whole number of tiles
    /// wide, or is walked so often that scattered rows would cost more than packing them; many rows fight for
    /// the same lines of the cache, those a multiple of a page apart most of all.
    fn packs(&self) -> bool {
        let pages_apart = (self.right.row * 4) % 4096 == 0 && self.m > 2 * self.shape.rows && self.k > 16;
        let scattered = self.m > 8 * self.shape.rows && self.k > IN_PLACE;
        self.right.column != 1 || !self.n.is_multiple_of(self.shape.columns) || pages_apart || scattered
    }

    /// How many steps of the contracted axis are done at once. Sums come back from memory for the next steps, which
    /// takes long where results lie in columns.
    fn depth(&self) -> usize {
        if self.out.column == 1 { DEPTH } else { 2 * DEPTH }
    }

    /// A rough count of cycles.
    fn cost(&self) -> usize {
        let padded = self.shape.work(self.m, self.n) * self.k;
        let packing = match (self.packs(), self.right.column) {
            (false, _) => 0,
            (true, 1) => self.k * self.n / 4,
            (true, _) => self.k * self.n,
        };
        let storing = if self.out.column == 1 { self.m * self.n / 8 } else { self.m * self.n };
        padded / self.isa.shape(usize::MAX).columns + packing + storing
    }

    fn panel_count(&self) -> usize {
        self.n.div_ceil(self.shape.columns)
    }

    fn panel_len(&self) -> usize {
        self.k * self.shape.columns
    }

    /// Computes the product.
    ///
    /// # Safety
    /// The pointers must be to matrices of the extents, layouts and distances given to [`Product::new`], and
    /// `out` must overlap neither operand. No other thread may run this product meanwhile.
    pub(super) unsafe fn run(&self, pool: &Pool, out: *mut f32, lhs: *const f32, rhs: *const f32, after: After) {
        if self.m == 0 || self.n == 0 {
            return;
        }
        let (left, right) = if self.swapped { (rhs, lhs) } else { (lhs, rhs) };
        let share = self.m * self.n * self.k >= WORTH_SHARING;
        for b in 0..self.batch as isize {
            // SAFETY: the batch's matrices lie these distances apart.
            let p = unsafe {
                Pointers {
                    out: out.offset(b * self.distances[0]),
                    left: left.offset(b * self.distances[1]),
                    right: right.offset(b * self.distances[2]),
                    panels: self.panels.as_ref().map_or(std::ptr::null_mut(), |p| p.pointer().cast()),
                    after: if self.swapped { after.transposed() } else { after },
                }
            };
            if self.panels.is_some() {
                let count = self.panel_count();
                let tasks = count.div_ceil(TASK_PANELS);
                // SAFETY: each task packs panels of its own.
                pool.each(tasks, share, |task, _| unsafe {
                    self.pack(&p, task * TASK_PANELS..((task + 1) * TASK_PANELS).min(count));
                });
            }
            let by_rows = self.by_rows();
            let tasks = if by_rows { self.m.div_ceil(TASK_ROWS) } else { self.n.div_ceil(TASK_COLUMNS) };
            pool.each(tasks, share, |task, _| {
                let (rows, columns) = match by_rows {
                    true => (task * TASK_ROWS..((task + 1) * TASK_ROWS).min(self.m), 0..self.n),
                    false => (0..self.m, task * TASK_COLUMNS..((task + 1) * TASK_COLUMNS).min(self.n)),
                };
                // SAFETY: tasks write distinct rows or columns.
                unsafe { self.part(&p, rows, columns) };
            });
        }
    }

    /// Packs some panels: the right operand's rows one after the other, as wide as a tile. Beyond its last column
    /// they are zero from the start.
    ///
    /// # Safety
    /// As [`Product::run`]; each panel must be packed by one thread.
    unsafe fn pack(&self, p: &Pointers, panels: std::ops::Range<usize>) {
        let width = self.shape.columns;
        let first = panels.start * width;
        let packing = Packing {
            from: p.right.wrapping_offset(first as isize * self.right.column),
            row: self.right.row,
            column: self.right.column,
            rows: self.k,
            columns: (panels.end * width).min(self.n) - first,
            to: p.panels.wrapping_add(panels.start * self.panel_len()),
            width,
        };
        // SAFETY: source and panels have these extents.
        unsafe { tile::pack(self.isa, &packing) };
    }

    /// Computes some rows and columns.
    ///
    /// # Safety
    /// As [`Product::run`]; `columns` must start at a tile's edge, and every panel must be packed.
    unsafe fn part(&self, p: &Pointers, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) {
        let wide = self.shape.columns;
        let chunks = self.k.div_ceil(self.depth()).max(1);
        for chunk in 0..chunks {
            let (depth, end) = (self.k * chunk / chunks, self.k * (chunk + 1) / chunks);
            // As many panels as stay in the cache while all rows pass by.
            let at_once = (CACHED / (end - depth).max(1) / wide).max(1) * wide;
            for column in columns.clone().step_by(at_once) {
                // SAFETY: every pointer stays inside its matrix or panel.
                unsafe {
                    let (right, right_step, panel_step) = match self.panels {
                        Some(_) => {
                            let panel = p.panels.add(column / wide * self.panel_len() + depth * wide);
                            (panel.cast_const(), wide as isize, self.panel_len() as isize)
                        }
                        None => {
                            let right = p.right.offset(depth as isize * self.right.row).add(column);
                            (right, self.right.row, wide as isize)
                        }
                    };
                    let runs = [Run { offset: depth as isize * self.left.column, right: 0, len: end - depth }];
                    let tiles = Tiles {
                        shape: self.shape,
                        left: p.left.offset(rows.start as isize * self.left.row),
                        left_rows: &self.left_rows[..rows.len()],
                        left_step: self.left.column,
                        columnwise: false,
                        runs: &runs,
                        right,
                        right_step,
                        panel_step,
                        out: p.out.offset(rows.start as isize * self.out.row + column as isize * self.out.column),
                        out_rows: &self.out_rows[..rows.len()],
                        out_step: self.out.column,
                        columns: at_once.min(columns.end - column),
                        start: if chunk == 0 { p.after.start(rows.start, column) } else { Start::Out },
                        relu: p.after.relu && chunk + 1 == chunks,
                    };
                    tile::compute(self.isa, &tiles);
                }
            }
        }
    }
}

const _: () = assert!(TASK_COLUMNS.is_multiple_of(MAX_COLUMNS));

#[cfg(test)]
mod tests {
    use super::super::tile::Bias;
    use super::*;
    use crate::testing::fill;

    /// Every layout and a spread of extents against three plain loops.
    #[test]
    fn products_are_what_three_loops_say() {
        let isas = [Isa::widest(), Isa::Plain];
        let pool = Pool::new(2);
        for [m, n, k] in [
            [1, 1, 1],
            [7, 5, 3],
            [32, 10, 784],
            [13, 33, 600],
            [130, 70, 9],
            [70, 130, 17],
            [96, 64, 32],
            [20, 48, 1100],
            [3, 4, 0],
        ] {
            let (a, b) = (fill(1, m * k, -1.0, 1.0), fill(2, k * n, -1.0, 1.0));
            for layouts in 0..8 {
                let layout = |bit: usize, rows: usize, columns: usize| match layouts >> bit & 1 {
                    0 => Layout { row: columns as isize, column: 1 },
                    _ => Layout { row: 1, column: rows as isize },
                };
                let (lo, la, lb) = (layout(0, m, n), layout(1, m, k), layout(2, k, n));
                for isa in isas {
                    let mut out = vec![f32::NAN; m * n];
                    let product = Product::new(isa, [1, m, n, k], [lo, la, lb], [0; 3]).unwrap();
                    // SAFETY: the vectors have the extents and layouts given.
                    unsafe {
                        product.run(
                            &pool,
                            out.as_mut_ptr(),
                            a.as_ptr(),
                            b.as_ptr(),
                            After { bias: Bias::None, relu: false },
                        )
                    };
                    for i in 0..m {
                        for j in 0..n {
                            let at =
                                |l: Layout, i: usize, j: usize| (i as isize * l.row + j as isize * l.column) as usize;
                            let want: f64 = (0..k).map(|k| a[at(la, i, k)] as f64 * b[at(lb, k, j)] as f64).sum();
                            let got = out[at(lo, i, j)] as f64;
                            assert!(
                                (got - want).abs() < 1e-4,
                                "{m}x{n}x{k} layouts {layouts} {isa:?}: {got} is not {want}"
                            );
                        }
                    }
                }
            }
        }
    }
}
