//! State copied from one engine to another: all of it or by name, on one device and between two.

use std::rc::Rc;

use onestep::backend::Device;
use onestep::engine::{Definition, Engine, Passes, Selection, Spec};
use onestep::ir::{DType, Literal};
use onestep::nn::{Activation, BatchNorm, Linear, Sequential, loss};
use onestep::optim::{AdamW, Schedule};
use onestep::testing::{devices, fill};
use onestep::trace::Shape;

fn engine(device: &Device, seed: u64, width: usize) -> Engine {
    let layers = Sequential::new().add("fc1", Linear::new(width)).add("norm", BatchNorm::new());
    let layers = layers.activation(Activation::Relu).add("fc2", Linear::new(3));
    let definition = Definition {
        model: Rc::new(layers),
        loss: Rc::new(loss::sparse_cross_entropy()),
        optimizer: Rc::new(AdamW::new(0.01)),
        schedule: Schedule::constant(),
        clip: None,
        input: Spec::new([4], DType::F32),
        target: Spec::new(Shape::scalar(), DType::I32),
        scaling: None,
        seed,
        precision: onestep::engine::Precision::F32,
    };
    Engine::new(device, definition, Passes::all()).unwrap()
}

fn train(engine: &mut Engine, steps: std::ops::Range<u32>) {
    for step in steps {
        let x = Literal::from_f32([6, 4], &fill(step, 24, -1.0, 1.0)).unwrap();
        engine.train_step(&x, &Literal::from_f64(DType::I32, [6], &[0.0, 1.0, 2.0, 0.0, 1.0, 2.0]).unwrap()).unwrap();
    }
}

type Tensors = Vec<(String, Literal)>;

fn state(engine: &Engine) -> (Tensors, Tensors) {
    (engine.model_state().unwrap(), engine.optimizer_state().unwrap())
}

/// The names of tensors that differ.
fn differing(a: &Tensors, b: &Tensors) -> Vec<String> {
    a.iter().zip(b).filter(|(a, b)| a != b).map(|((name, _), _)| name.clone()).collect()
}

#[test]
fn an_engine_with_the_state_of_another_goes_on_as_that_one() {
    for device in devices() {
        // The same handle, another handle or another kind of device.
        for other in [device.clone(), Device::named(&device.name(), Some(1)).unwrap(), Device::reference()] {
            let [mut a, mut b] = [engine(&device, 1, 20), engine(&other, 2, 20)];
            train(&mut a, 0..3);
            train(&mut b, 7..8);
            b.copy_state_from(&a, Selection::All).unwrap();
            assert_eq!(state(&a), state(&b), "{} to {}", device.name(), other.name());
            if other.name() == device.name() {
                train(&mut a, 3..6);
                train(&mut b, 3..6);
                assert_eq!(state(&a), state(&b), "{}", device.name());
            }
        }
    }
}

#[test]
fn a_model_or_single_tensors_are_copied_and_the_rest_stays() {
    for device in devices() {
        let [mut a, mut b] = [engine(&device, 1, 20), engine(&device, 2, 20)];
        train(&mut a, 0..2);
        train(&mut b, 5..6);
        let (model, optimizer) = state(&b);
        let names = ["fc1.weight", "norm.running_mean"];
        b.copy_state_from(&a, Selection::Named(&names)).unwrap();
        assert_eq!(differing(&model, &b.model_state().unwrap()), names);
        b.copy_state_from(&a, Selection::Named(&["optimizer.first_moment.fc2.weight"])).unwrap();
        let moments = differing(&optimizer, &b.optimizer_state().unwrap());
        assert_eq!(moments, ["optimizer.first_moment.fc2.weight"]);
        b.copy_state_from(&a, Selection::Model).unwrap();
        assert_eq!(b.model_state().unwrap(), a.model_state().unwrap());
        assert_eq!(differing(&optimizer, &b.optimizer_state().unwrap()), moments);
    }
}

#[test]
fn states_that_do_not_fit_are_named_and_nothing_changes() {
    let device = Device::cpu_with_threads(1);
    let [a, mut b] = [engine(&device, 1, 20), engine(&device, 2, 21)];
    let before = state(&b);
    let e = b.copy_state_from(&a, Selection::Model).unwrap_err().to_string();
    assert!(e.contains("`fc1.weight` is f32[20,4], not f32[21,4]") && e.contains("`fc2.weight`"), "{e}");
    let e = b.copy_state_from(&a, Selection::Named(&["fc2.bias", "fc9.bias"])).unwrap_err().to_string();
    assert!(e.contains("`fc9.bias` is no tensor here"), "{e}");
    assert_eq!(state(&b), before);
    b.copy_state_from(&a, Selection::Named(&["fc2.bias"])).unwrap();
}
