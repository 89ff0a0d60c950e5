//! Trains a small convolutional network on the embedded 8×8 digits: cargo run --release --example digits

use onestep::prelude::*;

fn lenet(s: &Scope, x: Tensor) -> Result<Tensor> {
    let x = Conv2d::new(16, 3).padding(Padding::SAME).apply(s, "conv1", x)?.relu();
    let x = Conv2d::new(32, 3).padding(Padding::SAME).apply(s, "conv2", x)?.relu();
    let x = MaxPool2d::new(2).apply(s, "pool", x)?;
    let x = BatchNorm::new().apply(s, "norm", x)?;
    let x = Linear::new(64).apply(s, "fc", x.flatten(1..))?.relu();
    Linear::new(10).apply(s, "out", x)
}

fn main() -> Result<()> {
    let (train, test) = datasets::digits().split(0.8, 42)?;
    let mut trainer = Trainer::builder(lenet)
        .loss(loss::sparse_cross_entropy())
        .optimizer(AdamW::new(5e-3).weight_decay(0.01))
        .schedule(Schedule::cosine(900, 0.0))
        .device(Device::best()?)
        .callback(|epoch: &EpochRecord| println!("{epoch}"))
        .build(&train)?;
    trainer.fit(&train, Some(&test), Epochs(20))?;

    let model = std::env::temp_dir().join("digits.safetensors");
    trainer.save(&model)?;
    let mut predictor = Predictor::load_with(&model, lenet, &Device::best()?)?;
    let probabilities = predictor.predict(&data::gather(&test, 0..1)?.input)?;
    println!("the first test image: {:.3?}", probabilities.to_f32());
    Ok(())
}
