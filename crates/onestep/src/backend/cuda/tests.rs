//! Libraries' algorithms on a GPU: which one is fastest is chance, so all that may be chosen have to be right.

use super::*;
use crate::backend::Device;
use crate::passes::{Compiled, Passes, compile};
use crate::plan::KernelKind;
use crate::testing::{OpCase, cuda, op_cases};

/// As many as are measured at most.
const ALGORITHMS: usize = 8;

/// The first GPU with nothing kept, so that algorithms are chosen.
fn afresh() -> Device {
    let mut cuda = Cuda::open(0).unwrap();
    Arc::get_mut(&mut cuda.0).unwrap().cache = Cache::nowhere();
    Device::new(cuda)
}

/// The cases that call a library where that is asked as often as possible.
fn calling(cases: Vec<OpCase>, target: &Target) -> Vec<(OpCase, Compiled)> {
    let calls = |compiled: &Compiled| compiled.plan.kernels.iter().any(|k| matches!(k.kind, KernelKind::Library(_)));
    let compiled = |case: OpCase| (compile(&case.graph, target, Passes::all()).unwrap(), case);
    cases.into_iter().map(compiled).filter(|(c, _)| calls(c)).map(|(compiled, case)| (case, compiled)).collect()
}

#[test]
fn every_algorithm_computes_what_the_reference_does() {
    if cuda().is_none() {
        return;
    }
    let most = |target: Target| Target {
        library_dots: 1.min(target.library_dots),
        library_convs: 1.min(target.library_convs),
        library_tf32: 0,
        library_filters: 0,
        ..target
    };
    let coarse = op_cases().into_iter().filter(|case| case.contractions() == 1).map(OpCase::coarse);
    let run = |picked: usize| {
        tune::PICKED.set(Some(picked));
        let (plain, rounding) = (afresh(), afresh().allow_tf32(true));
        let (mut count, mut wrong) = (0, Vec::new());
        for (cases, device) in [(op_cases(), plain), (coarse.clone().collect(), rounding)] {
            for (case, compiled) in calling(cases, &most(device.target())) {
                let verdict = case.judge(&device, &compiled).unwrap_or_else(|e| Some(format!("{}: {e}", case.name)));
                wrong.extend(verdict.map(|e| format!("algorithm {picked}: {e}")));
                count += 1;
            }
        }
        (count, wrong)
    };
    let (counts, wrong): (Vec<usize>, Vec<Vec<String>>) = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ALGORITHMS).map(|picked| scope.spawn(move || run(picked))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).unzip()
    });
    let (count, wrong) = (counts.iter().sum::<usize>(), wrong.concat());
    println!("{count} programs");
    assert!(count > 50 && wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
