//! Optimizers, clipping and schedules against PyTorch's values in golden/ (its README has the formulas).

use std::path::Path;

use onestep::Result;
use onestep::backend::reference::{Value, evaluate};
use onestep::optim::{Adam, AdamW, Clip, Optimizer, Schedule, Sgd};
use onestep::testing::fill;
use onestep::trace::{DType, Mode, Trace};
use serde_json::Value as Json;

/// Ours rounds its constants to f32, PyTorch's dump does not.
const TOLERANCE: f64 = 1e-6;
/// Elements of the two parameters, [3, 4] and [5].
const SIZES: [usize; 2] = [12, 5];

fn golden(file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn numbers(json: &Json) -> Vec<f64> {
    json.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn flat(first_seed: u32) -> Vec<f64> {
    let parts = (first_seed..).zip(SIZES).flat_map(|(seed, n)| fill(seed, n, -1.0, 1.0));
    parts.map(f64::from).collect()
}

/// The optimizer and the clipping of a case; `None` for one that this crate does not have.
fn chosen(case: &Json) -> Option<(Box<dyn Optimizer>, Option<Clip>)> {
    let option = |name: &str| case["options"][name].as_f64();
    let number = |name| option(name).unwrap();
    let flag = |name: &str| case["options"][name].as_bool().unwrap_or(false);
    let betas = || numbers(&case["options"]["betas"]);
    let optimizer: Box<dyn Optimizer> = match case["optimizer"].as_str().unwrap() {
        "sgd" => Box::new(
            Sgd::new(number("lr"))
                .momentum(number("momentum"))
                .dampening(number("dampening"))
                .weight_decay(number("weight_decay"))
                .nesterov(flag("nesterov")),
        ),
        "adam" => Box::new(
            Adam::new(number("lr"))
                .betas(betas()[0], betas()[1])
                .eps(number("eps"))
                .weight_decay(number("weight_decay"))
                .amsgrad(flag("amsgrad")),
        ),
        "adamw" => Box::new(
            AdamW::new(number("lr"))
                .betas(betas()[0], betas()[1])
                .eps(number("eps"))
                .weight_decay(number("weight_decay"))
                .amsgrad(flag("amsgrad")),
        ),
        _ => return None,
    };
    let clip = option("clip_grad_norm").map(Clip::GlobalNorm).or(option("clip_grad_value").map(Clip::Value));
    Some((optimizer, clip))
}

/// The parameters after each of ten steps.
fn train(optimizer: &dyn Optimizer, clip: Option<Clip>) -> Result<Vec<Vec<f64>>> {
    let trace = Trace::new();
    let n = SIZES.iter().sum();
    let params = trace.state("params", [n], DType::F32);
    let mut grads = trace.input("grads", [n], DType::F32);
    if let Some(clip) = clip {
        grads = clip.apply(&grads)?;
    }
    let s = trace.scope(Mode::Train);
    let rate = Schedule::constant().learning_rate(optimizer.learning_rate(), &s.step());
    let new = optimizer.step(&s.child(optimizer.name()), &params, &grads, &rate)?;
    s.update(&params, &new);
    s.update(&s.step(), &(s.step() + 1.0));
    let traced = trace.finish()?;

    let declared = traced.graph.states().iter();
    let mut states: Vec<Value> = declared
        .map(|d| {
            let slot = traced.buffers.iter().find(|b| b.name == d.name);
            let data = slot.map_or_else(|| flat(1), |slot| vec![slot.value; slot.shape.elements()]);
            Value { dtype: d.ty.dtype, shape: d.ty.shape.clone(), data }
        })
        .collect();
    (0..10)
        .map(|t| {
            let grads = Value { dtype: DType::F32, shape: [n].into(), data: flat(1000 + 10 * t) };
            states = evaluate(&traced.graph, &[grads], &states)?.states;
            Ok(states[0].data.clone())
        })
        .collect()
}

#[test]
fn optimizers_agree_with_pytorch() {
    for case in golden("optimizers.json") {
        let Some((optimizer, clip)) = chosen(&case) else { continue };
        let name = &case["name"];
        let steps = train(&*optimizer, clip).unwrap();
        assert_eq!(steps.len(), case["steps"].as_array().unwrap().len());
        for (t, (got, want)) in steps.iter().zip(case["steps"].as_array().unwrap()).enumerate() {
            let want: Vec<f64> = want.as_array().unwrap().iter().flat_map(numbers).collect();
            let scale = want.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                assert!((got - want).abs() < TOLERANCE * scale, "{name}, step {t}, element {i}: {got}, not {want}");
            }
        }
    }
}

#[test]
fn schedules_agree_with_pytorch_on_the_device_and_on_the_host() {
    for case in golden("schedules.json") {
        let options = &case["options"];
        let number = |name: &str| options[name].as_f64().unwrap();
        let count = |name: &str| options[name].as_u64().unwrap() as u32;
        let schedule = match case["schedule"].as_str().unwrap() {
            "constant" => Schedule::constant(),
            "step" => Schedule::step(count("step_size"), number("gamma")),
            "exponential" => Schedule::exponential(number("gamma")),
            "cosine" => Schedule::cosine(count("total_steps"), number("minimum")),
            "warmup_cosine" => {
                let warmup = count("warmup");
                Schedule::cosine(count("total_steps") - warmup, number("minimum")).warmup(warmup)
            }
            _ => continue,
        };
        let (name, base) = (&case["name"], number("lr"));
        let trace = Trace::new();
        let step = trace.input("step", [], DType::U32);
        trace.set_output("rate", &schedule.learning_rate(base, &step));
        let graph = trace.finish().unwrap().graph;
        for (t, want) in numbers(&case["rates"]).into_iter().enumerate() {
            let step = Value { dtype: DType::U32, shape: [].into(), data: vec![t as f64] };
            let device = evaluate(&graph, &[step], &[]).unwrap().outputs[0].data[0];
            let host = schedule.at(base, t as u64);
            assert!((device - want).abs() < TOLERANCE * want, "{name}, step {t}: {device} on the device, not {want}");
            assert!((host - want).abs() < 1e-9 * want, "{name}, step {t}: {host} on the host, not {want}");
        }
    }
}
