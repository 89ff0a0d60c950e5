//! What an NVIDIA GPU can do at most, from what the driver says of it and what a multiprocessor does in a cycle.

use crate::plan::Peaks;

/// Lanes for f32 in a multiprocessor of a compute capability (CUDA C++ Programming Guide, table "Throughput of Native
/// Arithmetic Instructions"); each does a multiply-add in a cycle.
fn lanes(architecture: usize) -> Option<f64> {
    match architecture {
        60 | 70..=75 | 80 => Some(64.0),
        50..=53 | 61..=62 | 86..=121 => Some(128.0),
        _ => None,
    }
}

/// Multiply-adds of a multiprocessor's tensor cores in a cycle, dense, of bf16 and f16 summed in f32: from the
/// throughputs, multiprocessors and clocks in NVIDIA's white papers on the architectures Ampere (A100, GA102), Ada,
/// Hopper and Blackwell. Where products of one architecture differ, the most that one of them has. TF32 has half of it.
fn tensor_cores(architecture: usize) -> Option<f64> {
    match architecture {
        80 => Some(1024.0),
        86 | 89 | 120 => Some(512.0),
        90 => Some(2048.0),
        100 => Some(4096.0),
        _ => None,
    }
}

/// The figures of a GPU of an architecture (90 for compute capability 9.0); clocks are in kHz, as the driver has them,
/// and its memory moves data twice a cycle.
pub(super) fn peaks(
    architecture: usize,
    multiprocessors: usize,
    clock_khz: usize,
    memory_khz: usize,
    bus_bits: usize,
) -> Option<Peaks> {
    let per_second = |of_one: f64| 2.0 * of_one * multiprocessors as f64 * clock_khz as f64 * 1e3;
    let bytes = 2.0 * memory_khz as f64 * 1e3 * bus_bits as f64 / 8.0;
    let f32_flops = per_second(lanes(architecture)?);
    let half = tensor_cores(architecture);
    let known = bytes > 0.0 && f32_flops > 0.0;
    known.then_some(Peaks {
        bytes,
        f32_flops,
        tf32_flops: half.map(|half| per_second(half / 2.0)),
        half_flops: half.map(per_second),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_data_sheets() {
        // H200: 4.8 TB/s, 67 Tflop/s; its tensor cores' 495 and 989 are stated at 1.83 GHz.
        let h200 = peaks(90, 132, 1_980_000, 3_201_000, 6144).unwrap();
        assert!((4.7e12..5e12).contains(&h200.bytes) && (66e12..68e12).contains(&h200.f32_flops), "{h200:?}");
        let at_stated_clock = peaks(90, 132, 1_830_000, 3_201_000, 6144).unwrap();
        assert!((at_stated_clock.half_flops.unwrap() / 989.4e12 - 1.0).abs() < 0.01);
        assert!((at_stated_clock.tf32_flops.unwrap() / 494.7e12 - 1.0).abs() < 0.01);
        // A100 SXM, 40 GB: 1.56 TB/s, 19.5 Tflop/s, 156 and 312.
        let a100 = peaks(80, 108, 1_410_000, 1_215_000, 5120).unwrap();
        assert!((a100.bytes / 1.555e12 - 1.0).abs() < 0.01 && (a100.f32_flops / 19.5e12 - 1.0).abs() < 0.01);
        assert!((a100.half_flops.unwrap() / 312e12 - 1.0).abs() < 0.01);
        // What nobody knows is not made up.
        assert_eq!(peaks(75, 40, 1_590_000, 5_001_000, 256).unwrap().half_flops, None);
        assert_eq!((peaks(999, 1, 1, 1, 1), peaks(90, 132, 1_980_000, 0, 0)), (None, None));
    }
}
