//! Using a trained model: the [`Predictor`].

mod predictor;

pub use predictor::Predictor;
