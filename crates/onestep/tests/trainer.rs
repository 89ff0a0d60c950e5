//! The trainer and the predictor as a program uses them.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use onestep::prelude::*;

fn small(s: &Scope, x: Tensor) -> Result<Tensor> {
    let x = Linear::new(16).apply(s, "hidden", x.flatten(1..))?.relu();
    Linear::new(10).apply(s, "out", x)
}

fn layers() -> Sequential {
    Sequential::new()
        .add("flatten", Flatten::new())
        .add("hidden", Linear::new(16))
        .activation(Activation::Relu)
        .add("out", Linear::new(10))
}

fn digits() -> (Subset, Subset) {
    datasets::digits().split(0.8, 1).unwrap()
}

/// Watches what a trainer tells.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn push(&self, line: String) -> Result<()> {
        self.0.borrow_mut().push(line);
        Ok(())
    }
}

impl Callback for Log {
    fn on_train_begin(&mut self, start: &TrainStart) -> Result<()> {
        self.push(format!("begin {} x {} of {}", start.epochs, start.steps_per_epoch, start.samples))
    }

    fn on_epoch_begin(&mut self, start: &EpochStart) -> Result<()> {
        self.push(format!("epoch {}", start.epoch))
    }

    fn on_step(&mut self, step: &mut StepInfo<'_>) -> Result<()> {
        if step.step == 3 {
            let metrics = step.metrics()?;
            assert_eq!((metrics.steps, metrics.samples), (3, step.samples as u64));
            self.push(format!("step {} of {}: {} samples", step.step, step.epoch, step.samples))?;
        }
        Ok(())
    }

    fn on_epoch_end(&mut self, record: &EpochRecord) -> Result<ControlFlow<()>> {
        self.push(format!("end {} at {}", record.epoch, record.step))?;
        Ok(if record.epoch == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn on_train_end(&mut self, history: &History) -> Result<()> {
        self.push(format!("done after {}", history.steps))
    }
}

#[test]
fn callbacks_hear_everything_in_order_and_may_end_the_training() {
    let (train, test) = digits();
    let log = Log::default();
    let mut trainer = Trainer::builder(small).batch_size(400).callback(log.clone()).build(&train).unwrap();
    let history = trainer.fit(&train, Some(&test), Epochs(5)).unwrap();
    let expected = [
        "begin 5 x 4 of 1438",
        "epoch 1",
        "step 3 of 1: 1200 samples",
        "end 1 at 4",
        "epoch 2",
        "step 3 of 2: 1200 samples",
        "end 2 at 8",
        "done after 8",
    ];
    assert_eq!(*log.0.borrow(), expected);
    assert!(!history.interrupted);
    let last = history.last().unwrap();
    assert_eq!(last.train.samples, 1438, "the ragged last batch trains too");
    let figures = trainer.evaluate(&test).unwrap();
    assert_eq!(Some(&figures), last.test.as_ref());
    let matrix = figures.confusion.unwrap();
    let right: u64 = (0..10).map(|i| matrix[i][i]).sum();
    assert_eq!(matrix.iter().flatten().sum::<u64>(), test.len() as u64);
    assert_eq!(figures.accuracy, Some(right as f64 / test.len() as f64));
}

#[test]
fn the_seed_decides_everything() {
    let (train, _) = digits();
    let losses = |seed| {
        let mut trainer = Trainer::builder(small).batch_size(200).seed(seed).build(&train).unwrap();
        let history = trainer.fit(&train, None, Epochs(2)).unwrap();
        history.epochs.iter().map(|record| record.train.loss.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(losses(3), losses(3));
    assert_ne!(losses(3), losses(4));
}

/// Data on the device or streamed: the same training to the bit, told in the same way.
#[test]
fn resident_data_train_as_streamed_data_do() {
    let (train, test) = digits();
    for device in onestep::testing::devices() {
        let run = |residency| {
            let log = Log::default();
            let builder = Trainer::builder(small).batch_size(400).device(device.clone()).resident(residency);
            let mut trainer = builder.callback(log.clone()).build(&train).unwrap();
            trainer.prepare(&train).unwrap();
            let history = trainer.fit(&train, Some(&test), Epochs(2)).unwrap();
            let figures = |record: &EpochRecord| {
                (record.step, record.train.loss.to_bits(), record.train.correct, record.test.clone())
            };
            let records: Vec<_> = history.epochs.iter().map(figures).collect();
            let told = log.0.borrow().clone();
            (records, told, trainer.engine().model_state().unwrap(), trainer.evaluate(&test).unwrap())
        };
        let streamed = run(Residency::Never);
        assert_eq!(streamed.0.len(), 2);
        for residency in [Residency::Always, Residency::Auto] {
            assert_eq!(run(residency), streamed, "{} {residency}", device.name());
        }
    }
    let limited = Device::cpu_with_threads(1).with_memory_limit(100_000).unwrap();
    let builder = Trainer::builder(small).device(limited).resident(Residency::Always);
    let e = builder.build(&train).unwrap().fit(&train, None, Epochs(1)).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Memory);
    assert!(e.to_string().contains("stream the data"), "{e}");
}

#[test]
fn callbacks_are_told_the_latest_figures_without_asking() {
    type Seen = Vec<(usize, Option<Metrics>)>;
    struct Slow(Rc<RefCell<Seen>>);
    impl Callback for Slow {
        fn on_step(&mut self, step: &mut StepInfo<'_>) -> Result<()> {
            self.0.borrow_mut().push((step.step, step.latest));
            std::thread::sleep(std::time::Duration::from_millis(60));
            Ok(())
        }
    }
    let (train, _) = digits();
    let seen = Rc::new(RefCell::new(Seen::new()));
    let builder = Trainer::builder(small).batch_size(300).callback(Slow(seen.clone()));
    builder.build(&train).unwrap().fit(&train, None, Epochs(1)).unwrap();
    let seen = seen.borrow();
    assert!(seen[4].1.is_some(), "{seen:?}");
    for (step, latest) in seen.iter() {
        assert!(latest.is_none_or(|metrics| (1..=*step as u64).contains(&metrics.steps)), "{seen:?}");
    }
}

#[test]
fn a_stop_flag_ends_the_fit_after_the_step() {
    let (train, test) = digits();
    let stop = StopFlag::new();
    struct StopAt(StopFlag);
    impl Callback for StopAt {
        fn on_step(&mut self, step: &mut StepInfo<'_>) -> Result<()> {
            if (step.epoch, step.step) == (2, 2) {
                self.0.stop();
            }
            Ok(())
        }
    }
    let builder = Trainer::builder(small).batch_size(400).stop_flag(stop.clone());
    let mut trainer = builder.callback(StopAt(stop.clone())).build(&train).unwrap();
    let history = trainer.fit(&train, Some(&test), Epochs(5)).unwrap();
    assert_eq!((history.interrupted, history.steps, history.epochs.len()), (true, 6, 1));
    assert!(!stop.is_set(), "the flag is used up");
}

#[test]
fn a_loss_that_becomes_nan_names_step_and_place_and_leaves_the_model_as_it_was() {
    let (train, _) = digits();
    let mut trainer =
        Trainer::builder(small).batch_size(400).optimizer(Sgd::new(f64::from(f32::MAX))).build(&train).unwrap();
    let error = trainer.fit(&train, None, Epochs(9)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Numeric);
    let message = error.to_string();
    assert!(message.contains("at step 2 (epoch 1)") && message.contains("the output of linear `"), "{message}");
    let state = trainer.engine().model_state().unwrap();
    assert!(state.iter().all(|(_, tensor)| tensor.to_f64().iter().all(|v| v.is_finite())));
    let again = trainer.fit(&train, None, Epochs(1)).unwrap_err().to_string();
    assert!(again.contains("at step 2 of an earlier fit"), "{again}");
}

#[test]
fn data_unlike_that_of_the_build_is_refused() {
    let (train, _) = digits();
    let mut trainer = Trainer::builder(small).build(&train).unwrap();
    let wide = InMemory::new(Literal::zeros(DType::U8, [4, 9, 8, 1]), Literal::zeros(DType::I32, [4])).unwrap();
    let error = trainer.evaluate(&wide).unwrap_err().to_string();
    assert!(error.contains("u8[9,8,1]") && error.contains("u8[8,8,1]"), "{error}");
    assert!(Trainer::builder(small).batch_size(0).build(&train).is_err());
}

#[test]
fn a_saved_model_predicts_as_the_trained_one() {
    let (train, test) = digits();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let device = Device::best().unwrap();
    let mut trainer = Trainer::builder(layers()).batch_size(100).build(&train).unwrap();
    trainer.fit(&train, None, Epochs(3)).unwrap();
    trainer.save(&path).unwrap();
    let figures = trainer.evaluate(&test).unwrap();

    let batch = data::gather(&test, 0..test.len() as u32).unwrap();
    let mut predictor = Predictor::load(folder.path(), &device).unwrap();
    assert_eq!((predictor.classes().map(<[String]>::len), predictor.pixel_max()), (Some(10), 16.0));
    let probabilities = predictor.predict(&batch.input).unwrap().to_f64();
    let rows: Vec<&[f64]> = probabilities.chunks(10).collect();
    assert_eq!(rows.len(), test.len(), "more than one submission's worth");
    assert!(rows.iter().all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-5));
    let best = |row: &[f64]| (0..10).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let right = rows.iter().zip(batch.target.to_f64()).filter(|(row, label)| best(row) == *label as usize).count();
    assert_eq!(figures.accuracy, Some(right as f64 / test.len() as f64));
    assert!(predictor.predict(&Literal::zeros(DType::U8, [0, 8, 8, 1])).is_err());
    assert!(predictor.predict(&Literal::zeros(DType::F32, [1, 8, 8, 1])).is_err());

    // The same layers as a function have the same parameters, but no architecture to save.
    let mut as_function = Predictor::load_with(&path, small, &device).unwrap();
    assert_eq!(as_function.predict(&batch.input).unwrap().to_f64(), probabilities);
    let mut other = Trainer::builder(small).seed(9).batch_size(100).build(&train).unwrap();
    other.load(&path).unwrap();
    assert_eq!(other.evaluate(&test).unwrap(), figures);
    other.save(&path).unwrap();
    assert!(Predictor::load(&path, &device).err().unwrap().to_string().contains("load_with"));
}

#[test]
fn regression_has_losses_and_no_accuracy() {
    let x: Vec<f32> = (0..64).map(|i| i as f32 / 32.0 - 1.0).collect();
    let y: Vec<f32> = x.iter().map(|x| 3.0 * x - 0.5).collect();
    let set = InMemory::new(Literal::from_f32([64, 1], &x).unwrap(), Literal::from_f32([64, 1], &y).unwrap()).unwrap();
    let line = Sequential::new().add("line", Linear::new(1));
    let mut trainer = Trainer::builder(line).optimizer(Sgd::new(0.1)).batch_size(16).build(&set).unwrap();
    let set: Arc<dyn Dataset> = Arc::new(set);
    let history = trainer.fit(&set, Some(&set), Epochs(60)).unwrap();
    let last = history.last().unwrap().test.as_ref().unwrap();
    assert!(last.loss < 1e-4, "{}", last.loss);
    assert_eq!((last.accuracy, &last.confusion), (None, &None));
    let state = trainer.engine().model_state().unwrap();
    let weight = state.iter().find(|(name, _)| name == "line.weight").unwrap().1.get(0);
    assert!((weight - 3.0).abs() < 0.05, "{weight}");
}
