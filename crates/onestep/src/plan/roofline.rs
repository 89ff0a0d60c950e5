//! The least time that a kernel's work would take at what a device can do at most. Says nothing of launches, of caches
//! (a kernel whose data lie there may be faster) and of how well a kernel fits its device.

use std::time::Duration;

use super::{Kernel, KernelKind, LibraryKernel, Plan, Traffic, Workers};
use crate::ir::DType;

/// What a device can do at most, by its data sheet: each number a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peaks {
    /// Bytes that its memory reads and writes.
    pub bytes: f64,
    /// Operations on f32, a multiply-add counting as two.
    pub f32_flops: f64,
    /// The same by units that multiply small matrices, f32 rounded to TF32; `None` where there are none, or where
    /// their rate is not known.
    pub tf32_flops: Option<f64>,
    /// The same of bf16 and f16, summed in f32.
    pub half_flops: Option<f64>,
}

impl Peaks {
    /// The greater of the times that a kernel's [traffic](Kernel::traffic) and its [flops](Kernel::flops) take, all of
    /// them at the rate of what multiplies; `None` where that rate is not known.
    pub fn time(&self, kernel: &Kernel, plan: &Plan) -> Option<Duration> {
        let Traffic { read, written } = kernel.traffic(plan);
        let rate = match multiplied(kernel, plan) {
            None => Some(self.f32_flops),
            Some(DType::F32) => self.tf32_flops,
            Some(_) => self.half_flops,
        };
        let computing = kernel.flops() as f64 / rate?;
        Duration::try_from_secs_f64(computing.max((read + written) as f64 / self.bytes)).ok()
    }
}

/// What the units that multiply small matrices get, if a kernel is for them.
fn multiplied(kernel: &Kernel, plan: &Plan) -> Option<DType> {
    match &kernel.kind {
        KernelKind::Library(call) => match &**call {
            LibraryKernel::Dot { lhs: data, tf32, .. } | LibraryKernel::Conv { operands: [data, _], tf32, .. } => {
                Some(data.dtype).filter(|dtype| *dtype != DType::F32 || *tf32)
            }
            LibraryKernel::CumSum { .. } | LibraryKernel::ScatterAdd { .. } => None,
        },
        KernelKind::Loop(nest) => match nest.schedule.workers {
            Workers::MatrixTiles => nest.contraction().map(|product| plan.buffer(product.left.buffer).dtype),
            Workers::Thread | Workers::Warp(_) | Workers::Block | Workers::Tiles => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Epilogue, Operand, Place};
    use super::*;
    use crate::plan::BufferId;

    const PEAKS: Peaks = Peaks { bytes: 1e6, f32_flops: 1e6, tf32_flops: None, half_flops: Some(8e6) };

    /// A product of square matrices, and the milliseconds it takes at least.
    fn dot(n: usize, dtype: DType, peaks: Peaks) -> Option<u128> {
        let mut plan = Plan::default();
        let operand = |buffer, dtype| {
            let strides = vec![0, n as i64, 1];
            Operand { buffer: BufferId(buffer), dtype, offset: 0, strides }
        };
        for dtype in [dtype, dtype, DType::F32] {
            plan.add_buffer(Place::Arena(None), dtype, n * n, "");
        }
        let call = LibraryKernel::Dot {
            extents: [1, n, n, n],
            lhs: operand(0, dtype),
            rhs: operand(1, dtype),
            out: operand(2, DType::F32),
            epilogue: Epilogue::default(),
            tf32: false,
        };
        let kernel = Kernel::new(Vec::new(), KernelKind::Library(Box::new(call)));
        peaks.time(&kernel, &plan).map(|time| time.as_millis())
    }

    #[test]
    fn the_slower_of_memory_and_arithmetic_counts() {
        // 2·100³ operations, then 3·2² numbers of 4 bytes.
        assert_eq!(dot(100, DType::F32, PEAKS), Some(2000));
        assert_eq!(dot(2, DType::F32, Peaks { bytes: 1e3, ..PEAKS }), Some(48));
        // Narrow floats have units of their own: 2·100³ operations at 8 a µs; 100²·(2 + 2 + 4) bytes are 80 ms.
        assert_eq!(dot(100, DType::BF16, PEAKS), Some(250));
        assert_eq!(dot(100, DType::F16, Peaks { half_flops: Some(1e12), ..PEAKS }), Some(80));
        assert_eq!(dot(100, DType::BF16, Peaks { half_flops: None, ..PEAKS }), None);
    }
}
