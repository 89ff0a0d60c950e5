//! Source text for GPUs: what kernels look like, that their languages accept them, and that the CUDA C++ ones,
//! run on the host, compute what the reference does.

mod host;
mod programs;
mod wgsl;

use std::path::PathBuf;

use expect_test::{Expect, expect};
use host::Job;
use onestep::codegen::{Language, text};
use onestep::plan::Plan;
use onestep::testing::{OpCase, op_cases};
use programs::planned;
use wgsl::{WGSL, sources};

/// With islands, without them, and with nothing fused.
const SWITCHES: [&str; 3] = ["", "-islands", "-fuse,-islands"];

fn check(case: &OpCase, language: Language, expected: Expect) {
    let plan = planned(&case.graph, "-islands");
    let kernels: Vec<String> = sources(&plan, language).into_iter().map(|s| s.kernel).collect();
    expected.assert_eq(&kernels.join("\n"));
}

/// Every program under every switch.
fn jobs() -> Vec<Job> {
    let cases: Vec<OpCase> = programs::all().into_iter().chain(op_cases()).collect();
    let with = |passes: &str| {
        let plan = |case: &OpCase| Job { plan: planned(&case.graph, passes), case: case.clone() };
        cases.iter().map(plan).collect::<Vec<_>>()
    };
    SWITCHES.iter().flat_map(|passes| with(passes)).collect()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("codegen")
}

#[test]
fn naga_accepts_all_wgsl() {
    let (mut wrong, mut count, mut joined) = (Vec::new(), 0, 0);
    for job in jobs() {
        let tight = wgsl::tight(&job.plan);
        joined += tight.len();
        for source in sources(&job.plan, WGSL).into_iter().chain(tight) {
            let text = source.text();
            count += 1;
            if let Some(fault) = wgsl::fault(&text) {
                wrong.push(format!("{} {}\n{fault}\n{text}", job.case.name, source.entry));
            }
        }
    }
    println!("{count} kernels, {joined} of them with the arena as one");
    assert!(count > 1000 && joined > 10);
    assert!(wrong.is_empty(), "{} kernels are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
}

#[test]
fn cuda_kernels_run_on_the_host_agree_with_the_reference() {
    let jobs = jobs();
    let compiler = match host::compiler() {
        Ok(compiler) => compiler,
        Err(why) if std::env::var_os("CI").is_none() => return println!("skipped: no C++ compiler: {why}"),
        Err(why) => panic!("no C++ compiler, which CI must have: {why}"),
    };
    let mut wrong = Vec::new();
    let results = host::run(&compiler, &folder(), &jobs);
    for (job, result) in jobs.iter().zip(&results) {
        if let Some((outputs, states)) = result {
            wrong.extend(job.case.check(outputs, states).err());
        }
    }
    let run = results.iter().flatten().count();
    println!("{run} of {} programs ran", jobs.len());
    assert!(run * 10 > jobs.len() * 8);
    assert!(wrong.is_empty(), "{} programs are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
