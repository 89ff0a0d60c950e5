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
        let suites = [(op_cases(), plain), (coarse.clone().collect(), rounding)];
        let mut verdicts = Vec::new();
        for (cases, device) in suites {
            for (case, compiled) in calling(cases, &most(device.target())) {
                let wrong = case.judge(&device, &compiled).map_err(|e| format!("{}: {e}", case.name));
                verdicts.push(wrong.transpose().map_or(Ok(()), |wrong| Err(wrong.unwrap_or_else(|e| e))));
            }
        }
        verdicts
    };
    let verdicts: Vec<Result<(), String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ALGORITHMS).map(|picked| scope.spawn(move || (picked, run(picked)))).collect();
        let all = threads.into_iter().map(|thread| thread.join().unwrap());
        all.flat_map(|(i, all)| all.into_iter().map(move |v| v.map_err(|e| format!("algorithm {i}: {e}")))).collect()
    });
    let wrong: Vec<_> = verdicts.iter().filter_map(|v| v.as_ref().err()).cloned().collect();
    println!("{} programs", verdicts.len());
    assert!(
        verdicts.len() > 50 && wrong.is_empty(),
        "{} of {} are wrong:\n{}",
        wrong.len(),
        verdicts.len(),
        wrong.join("\n")
    );
}
