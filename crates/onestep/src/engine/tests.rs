//! The engine on the reference device, with networks as small as each promise needs.

use std::rc::Rc;

use super::*;
use crate::ErrorKind;
use crate::nn::{Activation, BatchNorm, Dropout, Linear, Sequential, loss};
use crate::nn::{Loss, LossKind};
use crate::optim::{AdamW, Optimizer, Schedule, Sgd};
use crate::trace::{DType, Init, Module, Scope, Tensor};

fn definition(model: impl Module + 'static, loss: impl Loss + 'static, features: usize, target: Spec) -> Definition {
    Definition {
        model: Rc::new(model),
        loss: Rc::new(loss),
        optimizer: Rc::new(AdamW::new(0.01)),
        schedule: Schedule::constant(),
        clip: None,
        input: Spec::new([features], DType::F32),
        target,
        scaling: None,
        precision: Precision::F32,
        seed: 7,
    }
}

fn engine(definition: Definition) -> Engine {
    Engine::new(&Device::reference(), definition, Passes::all()).unwrap()
}

fn label() -> Spec {
    Spec::new([], DType::I32)
}

fn with(definition: Definition, optimizer: impl Optimizer + 'static) -> Definition {
    Definition { optimizer: Rc::new(optimizer), ..definition }
}

/// Three classes from two features, with every kind of state.
fn classifier() -> Definition {
    let model = Sequential::new()
        .add("fc1", Linear::new(5))
        .add("norm", BatchNorm::new())
        .activation(Activation::Relu)
        .add("drop", Dropout::new(0.3))
        .add("fc2", Linear::new(3));
    definition(model, loss::sparse_cross_entropy(), 2, label())
}

/// A batch of the classifier's; seeds give different ones.
fn batch(samples: usize, seed: usize) -> (Literal, Literal) {
    let values: Vec<f64> = (0..samples * 2).map(|i| ((i * 37 + seed * 11) % 17) as f64 / 8.0 - 1.0).collect();
    let labels: Vec<f64> = (0..samples).map(|i| ((i * 5 + seed) % 3) as f64).collect();
    let input = Literal::from_f64(DType::F32, [samples, 2], &values).unwrap();
    (input, Literal::from_f64(DType::I32, [samples], &labels).unwrap())
}

fn train(engine: &mut Engine, samples: usize, steps: std::ops::Range<usize>) {
    for seed in steps {
        let (input, target) = batch(samples, seed);
        engine.train_step(&input, &target).unwrap();
    }
}

fn tensor(state: &[(String, Literal)], name: &str) -> Vec<f32> {
    state.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no {name}")).1.to_f32()
}

#[test]
fn repeating_a_step_is_training_on_the_same_batch_again() {
    let (input, target) = batch(6, 1);
    let [mut again, mut repeated] = [engine(classifier()), engine(classifier())];
    (0..3).for_each(|_| again.train_step(&input, &target).unwrap());
    let none = repeated.repeat_step(6).unwrap_err().to_string();
    assert!(none.contains("no batch of 6 samples"), "{none}");
    repeated.plan(6).unwrap();
    assert!(repeated.repeat_step(6).is_err(), "a compiled step without a batch");
    repeated.train_step(&input, &target).unwrap();
    (0..2).for_each(|_| repeated.repeat_step(6).unwrap());
    repeated.wait().unwrap();
    assert_eq!(again.model_state().unwrap(), repeated.model_state().unwrap());
    assert_eq!((repeated.step().unwrap(), repeated.submissions()), (3, 3));
}

#[test]
fn a_linear_regression_converges() {
    let base = definition(Linear::new(1), loss::mse(), 1, Spec::new([1], DType::F32));
    let mut engine = engine(with(base, Sgd::new(0.3)));
    let x = Literal::from_f32([4, 1], &[-1.0, 0.0, 1.0, 2.0]).unwrap();
    let y = Literal::from_f32([4, 1], &[-1.0, 1.0, 3.0, 5.0]).unwrap();
    for _ in 0..100 {
        engine.train_step(&x, &y).unwrap();
    }
    let state = engine.model_state().unwrap();
    assert!((tensor(&state, "weight")[0] - 2.0).abs() < 1e-4);
    assert!((tensor(&state, "bias")[0] - 1.0).abs() < 1e-4);
    assert!((engine.predict(&x).unwrap().to_f32()[3] - 5.0).abs() < 1e-3);

    let losses = engine.recent_losses().unwrap();
    assert_eq!((losses.len(), losses[0].0, losses[99].0), (100, 1, 100));
    assert!(losses[0].1 > 0.1 && losses[99].1 < 1e-6);
    let metrics = engine.metrics(Phase::Train).unwrap();
    let mean = losses.iter().map(|(_, l)| *l as f64).sum::<f64>() / 100.0;
    assert!((metrics.loss - mean).abs() < 1e-6);
    assert_eq!((metrics.samples, metrics.steps, metrics.correct, metrics.accuracy()), (400, 100, None, None));
    assert_eq!((engine.classes(), engine.confusion().unwrap()), (None, None));
}

#[test]
fn gaps_of_the_arenas_stay_zero() {
    let mut engine = engine(classifier());
    train(&mut engine, 6, 0..3);
    for name in ["params", "optimizer.first_moment", "optimizer.second_moment"] {
        let values = engine.states.read(name).unwrap().to_f32();
        let mut gap = vec![true; values.len()];
        engine.states.layout.segments.iter().for_each(|s| gap[s.range()].fill(false));
        assert!(values.len().is_multiple_of(64) && gap.iter().any(|&g| g));
        assert!(values.iter().zip(&gap).all(|(&v, &gap)| !gap || v == 0.0), "{name}");
        assert!(values.iter().any(|&v| v != 0.0), "{name}");
    }
}

#[test]
fn a_step_is_one_submission_and_compiles_only_for_a_new_batch_size() {
    let mut engine = engine(classifier());
    let states = engine.states.bytes();
    for (samples, programs) in [(6, 1), (6, 1), (6, 1), (2, 2), (6, 2), (2, 2)] {
        let before = engine.submissions();
        train(&mut engine, samples, 0..1);
        assert_eq!((engine.submissions() - before, engine.programs.len()), (1, programs));
    }
    assert_eq!(engine.states.bytes(), states);
    assert!(engine.peak_bytes() > states);
    assert_eq!(engine.step().unwrap(), 6);
    assert!(engine.plan(6).unwrap().kernels.len() > 1);
    assert_eq!(engine.programs.len(), 2);
    assert_eq!(engine.metrics(Phase::Train).unwrap().samples, 4 * 6 + 2 * 2);
    engine.reset_metrics(Phase::Train).unwrap();
    let metrics = engine.metrics(Phase::Train).unwrap();
    assert_eq!((metrics.samples, metrics.steps, metrics.correct), (0, 0, Some(0)));
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let run = |seed| {
        let mut engine = engine(Definition { seed, ..classifier() });
        train(&mut engine, 5, 0..4);
        (engine.model_state().unwrap(), engine.optimizer_state().unwrap())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).0, run(8).0);
}

#[test]
fn another_layer_leaves_the_others_initial_weights_alone() {
    let model = |deeper: bool| {
        let model = Sequential::new().add("fc1", Linear::new(4));
        let model = if deeper { model.add("extra", Linear::new(4)) } else { model };
        engine(definition(model.add("fc2", Linear::new(3)), loss::sparse_cross_entropy(), 2, label()))
    };
    let (small, large) = (model(false).model_state().unwrap(), model(true).model_state().unwrap());
    for name in ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"] {
        assert_eq!(tensor(&small, name), tensor(&large, name));
    }
}

#[test]
fn saving_and_loading_continues_bit_for_bit() {
    let mut whole = engine(classifier());
    train(&mut whole, 5, 0..6);
    let mut first = engine(classifier());
    train(&mut first, 5, 0..3);
    let mut second = engine(Definition { seed: 99, ..classifier() });
    second.load_model_state(&first.model_state().unwrap()).unwrap();
    second.load_optimizer_state(&first.optimizer_state().unwrap()).unwrap();
    train(&mut second, 5, 3..6);
    assert_eq!(second.model_state().unwrap(), whole.model_state().unwrap());
    assert_eq!(second.optimizer_state().unwrap(), whole.optimizer_state().unwrap());
    assert_eq!(second.recent_losses().unwrap(), whole.recent_losses().unwrap());
    assert_eq!(second.metrics(Phase::Train).unwrap(), whole.metrics(Phase::Train).unwrap());
    let names: Vec<String> = whole.optimizer_state().unwrap().into_iter().map(|(n, _)| n).collect();
    assert!(names.contains(&"optimizer.first_moment.fc1.weight".to_string()), "{names:?}");
    assert!(names.contains(&"rng.seed".to_string()) && !names.iter().any(|n| n.contains("eval")), "{names:?}");
}

#[test]
fn tensors_that_do_not_fit_are_all_named_and_nothing_changes() {
    let mut engine = engine(classifier());
    let before = engine.model_state().unwrap();
    let mut tensors = before.clone();
    tensors.retain(|(name, _)| name != "norm.running_var");
    tensors[0].1 = Literal::zeros(DType::F32, [2, 5]);
    tensors[1].0 = "fc9.bias".to_string();
    let e = engine.load_model_state(&tensors).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Format);
    assert_eq!(
        e.to_string(),
        "the tensors do not fit: `fc1.weight` is f32[2,5], not f32[5,2]; `fc1.bias` f32[5] is missing; \
         `norm.running_var` f32[5] is missing; `fc9.bias` is unexpected; load them into the model and optimizer they \
         were saved from"
    );
    assert_eq!(engine.model_state().unwrap(), before);
}

#[test]
fn a_loss_that_is_not_finite_stops_everything_and_is_traced_to_its_layer() {
    let block = |s: &Scope, x: Tensor| s.layer("root", "logarithm", |_| Ok(x.log()));
    let model = move |s: &Scope, x: Tensor| {
        let x = BatchNorm::new().apply(s, "norm", block.apply(s, "block", x)?)?;
        Linear::new(3).apply(s, "fc", x)
    };
    let mut engine = engine(definition(model, loss::sparse_cross_entropy(), 2, label()));
    let target = Literal::from_f64(DType::I32, [2], &[0.0, 1.0]).unwrap();
    let good = Literal::from_f32([2, 2], &[1.0, 2.0, 3.0, 4.0]).unwrap();
    let bad = Literal::from_f32([2, 2], &[1.0, 2.0, -3.0, 4.0]).unwrap();
    assert_eq!(engine.health().unwrap(), None);

    engine.train_step(&good, &target).unwrap();
    let trained = (engine.model_state().unwrap(), engine.optimizer_state().unwrap());
    for step in [&bad, &good] {
        engine.train_step(step, &target).unwrap();
        assert_eq!((engine.model_state().unwrap(), engine.optimizer_state().unwrap()), trained);
        assert_eq!((engine.health().unwrap(), engine.step().unwrap()), (Some(2), 1));
    }
    assert_eq!(engine.diagnose(&bad, &target).unwrap(), "the output of logarithm `block.root`");

    engine.load_model_state(&trained.0).unwrap();
    assert_eq!(engine.health().unwrap(), None);
    engine.train_step(&good, &target).unwrap();
    assert_eq!(engine.step().unwrap(), 2);
}

#[test]
fn a_diagnosis_names_the_input_a_parameter_or_a_label() {
    let mut engine = engine(classifier());
    let (input, target) = batch(2, 0);
    assert!(engine.diagnose(&input, &target).unwrap().starts_with("nothing"));
    let label = Literal::from_f64(DType::I32, [2], &[0.0, 3.0]).unwrap();
    let text = engine.diagnose(&input, &label).unwrap();
    assert_eq!(text, "the loss (label 3 of sample 1 of the batch is outside 0..3)");
    let nan = Literal::from_f32([2, 2], &[f32::NAN; 4]).unwrap();
    assert_eq!(engine.diagnose(&nan, &target).unwrap(), "the input");
    let mut state = engine.model_state().unwrap();
    state[2].1 = Literal::from_f32([5], &[f32::INFINITY; 5]).unwrap();
    engine.load_model_state(&state).unwrap();
    assert_eq!(engine.diagnose(&input, &target).unwrap(), "parameter `norm.weight`");
}

#[test]
fn dropout_differs_between_steps_and_is_off_in_evaluation() {
    let model = |s: &Scope, x: Tensor| {
        let x = Dropout::new(0.5).apply(s, "drop", x)?;
        Ok(x * s.param("w", [32], Init::ones()))
    };
    let base = definition(model, loss::mse(), 32, Spec::new([32], DType::F32));
    let mut engine = engine(with(base, Sgd::new(0.0)));
    let ones = Literal::from_f32([1, 32], &[1.0; 32]).unwrap();
    let zeros = Literal::zeros(DType::F32, [1, 32]);
    for _ in 0..6 {
        engine.train_step(&ones, &zeros).unwrap();
    }
    let losses = engine.recent_losses().unwrap();
    assert!(losses.windows(2).any(|w| w[0].1 != w[1].1), "{losses:?}");
    assert_eq!(engine.predict(&ones).unwrap(), ones);
    engine.eval_step(&ones, &zeros).unwrap();
    assert_eq!(engine.metrics(Phase::Eval).unwrap().loss, 1.0);
}

#[test]
fn the_schedule_acts_inside_the_graph() {
    let model = |s: &Scope, x: Tensor| Ok(x * s.param("w", [1], Init::zeros()));
    let base = definition(model, loss::l1(), 1, Spec::new([1], DType::F32));
    let mut engine = engine(Definition { schedule: Schedule::step(1, 0.5), ..with(base, Sgd::new(0.25)) });
    let (x, y) = (Literal::from_f32([1, 1], &[1.0]).unwrap(), Literal::from_f32([1, 1], &[10.0]).unwrap());
    let mut weights = vec![0.0];
    for _ in 0..3 {
        engine.train_step(&x, &y).unwrap();
        weights.push(tensor(&engine.model_state().unwrap(), "w")[0]);
    }
    let moves: Vec<f32> = weights.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(moves.iter().zip([0.25, 0.125, 0.0625]).all(|(a, b)| (a - b).abs() < 1e-6), "{moves:?}");
}

#[test]
fn evaluation_weighs_a_ragged_last_batch_and_its_confusion_sums_to_the_samples() {
    let mut engine = engine(classifier());
    train(&mut engine, 6, 0..2);
    let state = engine.model_state().unwrap();
    let (a, b) = (batch(6, 1), batch(1, 2));
    let mut alone = Vec::new();
    for (input, target) in [&a, &b] {
        engine.reset_metrics(Phase::Eval).unwrap();
        engine.eval_step(input, target).unwrap();
        alone.push(engine.metrics(Phase::Eval).unwrap());
    }
    engine.reset_metrics(Phase::Eval).unwrap();
    engine.eval_step(&a.0, &a.1).unwrap();
    engine.eval_step(&b.0, &b.1).unwrap();
    let both = engine.metrics(Phase::Eval).unwrap();
    assert!((both.loss - (alone[0].loss * 6.0 + alone[1].loss) / 7.0).abs() < 1e-6);
    assert_eq!((both.samples, both.steps), (7, 2));

    let confusion = engine.confusion().unwrap().unwrap();
    assert_eq!(confusion.iter().flatten().sum::<u64>(), 7);
    let right: u64 = (0..3).map(|i| confusion[i][i]).sum();
    assert_eq!(both.correct, Some(right));
    assert_eq!(both.accuracy(), Some(right as f64 / 7.0));
    let labels = a.1.to_f64().into_iter().chain(b.1.to_f64());
    let ones = labels.filter(|&l| l == 1.0).count() as u64;
    assert_eq!(confusion[1].iter().sum::<u64>(), ones);
    assert_eq!(engine.model_state().unwrap(), state);
    assert_eq!(engine.classes(), Some(3));
}

#[test]
fn batches_that_do_not_fit_are_refused_before_anything_runs() {
    let mut engine = engine(classifier());
    let (input, target) = batch(4, 0);
    let wide = Literal::zeros(DType::F32, [4, 3]);
    let bytes = Literal::zeros(DType::U8, [4, 2]);
    let none = Literal::zeros(DType::F32, [0, 2]);
    let few = Literal::zeros(DType::I32, [3]);
    let mut message = |input: &Literal, target: &Literal| engine.train_step(input, target).unwrap_err().to_string();
    assert_eq!(message(&wide, &target), "the input is f32[4,3] but the model was made for f32[batch,2]; reshape it");
    assert_eq!(message(&bytes, &target), "the input is u8[4,2] but the model was made for f32; convert it");
    assert_eq!(message(&none, &target), "the input has no samples; pass at least one");
    assert_eq!(message(&input, &few), "the input has 4 samples but the target 3; pass a target for each sample");
    assert!(message(&input, &input).starts_with("the target is f32[4,2] but the model was made for i32[batch]"));
    assert_eq!((engine.submissions(), engine.programs.len()), (0, 0));
    assert_eq!(engine.predict(&wide).unwrap_err().kind(), ErrorKind::Shape);
}

#[test]
fn inputs_are_scaled_in_the_graph() {
    let model = |s: &Scope, x: Tensor| Ok(x * s.param("w", [], Init::ones()));
    let scaling = InputScaling { scale: 0.5, mean: vec![1.0, 2.0], std: vec![2.0] };
    let base = definition(model, loss::mse(), 2, Spec::new([2], DType::F32));
    let base = Definition { input: Spec::new([2], DType::U8), scaling: Some(scaling.clone()), ..base };
    let input = Literal::from_f64(DType::U8, [1, 2], &[10.0, 20.0]).unwrap();
    assert_eq!(engine(base.clone()).predict(&input).unwrap().to_f64(), [2.0, 4.0]);
    assert_eq!(engine(Definition { scaling: None, ..base.clone() }).predict(&input).unwrap().to_f64(), [10.0, 20.0]);
    for wrong in [InputScaling { std: vec![0.0], ..scaling.clone() }, InputScaling { mean: vec![0.0; 3], ..scaling }] {
        let definition = Definition { scaling: Some(wrong), ..base.clone() };
        let e = Engine::new(&Device::reference(), definition, Passes::all()).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::Config);
    }
}

#[test]
fn definitions_that_cannot_train_are_refused() {
    let error = |definition: Definition| Engine::new(&Device::reference(), definition, Passes::all()).err().unwrap();
    let regression =
        |model: fn(&Scope, Tensor) -> Result<Tensor>| definition(model, loss::mse(), 1, Spec::new([1], DType::F32));
    assert!(error(regression(|_, x| Ok(x))).to_string().contains("no parameters"));
    let reserved = error(regression(|s, x| Linear::new(1).apply(s, "optimizer", x)));
    assert!(reserved.to_string().starts_with("`optimizer.weight` begins with `optimizer`"), "{reserved}");
    let schedule = Schedule::step(0, 0.5);
    assert!(error(Definition { schedule, ..classifier() }).to_string().contains("step_size"));
    let wide = error(regression(|s, x| Linear::new(2).apply(s, "fc", x)));
    assert!(wide.to_string().starts_with("in `loss`: mse: the output is [1,2] but the target is [1,1]"), "{wide}");

    struct Unreduced;
    impl Loss for Unreduced {
        fn apply(&self, _: &Scope, output: &Tensor, _: &Tensor) -> Result<Tensor> {
            Ok(output.clone())
        }
        fn kind(&self) -> LossKind {
            LossKind::Regression
        }
    }
    let e = error(definition(Linear::new(1), Unreduced, 1, Spec::new([1], DType::F32)));
    assert!(e.to_string().contains("take its mean or sum"), "{e}");
}

#[test]
fn layers_and_parameters_are_counted() {
    let engine = engine(classifier());
    let layers: Vec<_> = engine.layers().iter().map(|l| format!("{} {} {}", l.path, l.kind, l.output)).collect();
    assert!(layers[0].starts_with("fc1 linear [1,5]"), "{layers:?}");
    assert!(!layers.iter().any(|l| l.starts_with("loss")));
    assert_eq!(engine.parameter_count(), (10 + 5) + (5 + 5) + (15 + 3));
    assert_eq!(engine.device().name(), "reference");
}

/// An engine in f16 on a device that rounds.
fn scaled(definition: Definition, start: f64, interval: u32) -> Engine {
    let definition = Definition { precision: Precision::F16, ..definition };
    Engine::scaled(&Device::cpu_with_threads(1), definition, LossScaling { start, interval }, Passes::all()).unwrap()
}

/// The scale of the loss, and the steps since it changed.
fn scale(engine: &Engine) -> (f64, f64) {
    let read = |name| engine.states.read(name).unwrap().get(0);
    (read(scaling::SCALE), read(scaling::STEPS))
}

#[test]
fn an_overflow_trains_nothing_and_halves_the_scale() {
    let start = 2f64.powi(40);
    let mut engine = scaled(classifier(), start, 2000);
    let model = engine.model_state().unwrap();
    let slots = |engine: &Engine| -> Vec<_> {
        let state = engine.optimizer_state().unwrap();
        state.into_iter().filter(|(name, _)| name.starts_with("optimizer.")).collect()
    };
    let before = slots(&engine);
    assert!(!before.is_empty());
    train(&mut engine, 4, 0..3);
    assert_eq!(scale(&engine), (start / 8.0, 0.0));
    assert_eq!((engine.model_state().unwrap(), slots(&engine)), (model.clone(), before));
    // The step, its loss and its samples are counted all the same.
    assert_eq!((engine.step().unwrap(), engine.health().unwrap()), (3, None));
    assert!(engine.recent_losses().unwrap().iter().all(|(_, loss)| loss.is_finite() && *loss < 10.0));
    assert_eq!(engine.metrics(Phase::Train).unwrap().samples, 12);
    assert_eq!(engine.submissions(), 3);
    // By then the scale fits, and training goes on.
    train(&mut engine, 4, 3..40);
    assert_ne!(engine.model_state().unwrap(), model);
    let (fits, steps) = scale(&engine);
    assert!(fits < start / 8.0 && fits > 1.0 && steps > 0.0, "{fits}, {steps}");
    assert_eq!(fits.log2().fract(), 0.0);
}

#[test]
fn the_scale_grows_after_steps_without_overflow() {
    let mut engine = scaled(classifier(), 8.0, 3);
    let mut seen = Vec::new();
    for step in 0..7 {
        train(&mut engine, 4, step..step + 1);
        seen.push(scale(&engine));
    }
    assert_eq!(seen, [(8.0, 1.0), (8.0, 2.0), (16.0, 0.0), (16.0, 1.0), (16.0, 2.0), (32.0, 0.0), (32.0, 1.0)]);
}

#[test]
fn a_gradient_that_no_scale_helps_ends_the_training() {
    // |0·x|^½ is 0, and its slope infinite.
    let model = |s: &Scope, x: Tensor| Ok((Linear::new(3).apply(s, "fc", x)? * 0.0).abs().sqrt());
    let mut engine = scaled(definition(model, loss::sparse_cross_entropy(), 2, label()), 4.0, 2000);
    let before = engine.model_state().unwrap();
    train(&mut engine, 4, 0..2);
    assert_eq!((scale(&engine), engine.health().unwrap()), ((1.0, 0.0), None));
    train(&mut engine, 4, 2..4);
    assert_eq!((scale(&engine), engine.health().unwrap()), ((1.0, 0.0), Some(3)));
    assert_eq!((engine.step().unwrap(), engine.model_state().unwrap()), (2, before));
    let (input, target) = batch(4, 2);
    let found = engine.diagnose(&input, &target).unwrap();
    assert!(found.starts_with("the gradient: on this batch"), "{found}");
}

#[test]
fn a_run_in_f16_resumes_with_its_scale() {
    let mut whole = scaled(classifier(), 2f64.powi(30), 3);
    train(&mut whole, 4, 0..9);
    let mut resumed = scaled(Definition { seed: 99, ..classifier() }, 8.0, 3);
    resumed.load_model_state(&whole.model_state().unwrap()).unwrap();
    resumed.load_optimizer_state(&whole.optimizer_state().unwrap()).unwrap();
    assert_eq!(scale(&resumed), scale(&whole));
    for engine in [&mut whole, &mut resumed] {
        train(engine, 4, 9..14);
    }
    assert_eq!(scale(&resumed), scale(&whole));
    assert_eq!(resumed.model_state().unwrap(), whole.model_state().unwrap());
    assert_eq!(resumed.optimizer_state().unwrap(), whole.optimizer_state().unwrap());
}
