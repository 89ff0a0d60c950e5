//! A hand-written module with a residual connection, for any topology is a function of tensors:
//! cargo run --release --example residual

use onestep::prelude::*;

/// conv(relu(norm(conv(relu(norm(x)))))) + x, He et al. 2016 "Identity mappings in deep residual networks".
struct Block {
    filters: usize,
}

impl Module for Block {
    fn forward(&self, s: &Scope, x: Tensor) -> Result<Tensor> {
        let conv = || Conv2d::new(self.filters, 3).padding(Padding::SAME).bias(false);
        let y = BatchNorm::new().apply(s, "norm1", x.clone())?.relu();
        let y = conv().apply(s, "conv1", y)?;
        let y = BatchNorm::new().apply(s, "norm2", y)?.relu();
        let y = conv().apply(s, "conv2", y)?;
        // Where the channels differ, a 1×1 convolution makes the shortcut fit.
        let shortcut = match x.dim(-1) == self.filters {
            true => x,
            false => Conv2d::new(self.filters, 1).apply(s, "shortcut", x)?,
        };
        Ok(y + shortcut)
    }

    fn kind(&self) -> &str {
        "block"
    }
}

fn resnet(s: &Scope, x: Tensor) -> Result<Tensor> {
    let x = Conv2d::new(16, 3).padding(Padding::SAME).apply(s, "stem", x)?;
    let x = Block { filters: 16 }.apply(s, "block1", x)?;
    let x = MaxPool2d::new(2).apply(s, "pool", x)?;
    let x = Block { filters: 32 }.apply(s, "block2", x)?;
    let x = GlobalAvgPool::new().apply(s, "average", x.relu())?;
    Linear::new(10).apply(s, "out", x)
}

fn main() -> Result<()> {
    let (train, test) = datasets::digits().split(0.8, 42)?;
    let mut trainer = Trainer::builder(resnet)
        .optimizer(Sgd::new(0.05).momentum(0.9).nesterov(true))
        .schedule(Schedule::cosine(360, 0.0))
        .clip(Clip::GlobalNorm(5.0))
        .callback(|epoch: &EpochRecord| println!("{epoch}"))
        .build(&train)?;
    for layer in trainer.engine().layers() {
        println!("{:16} {:16} {:>8}", layer.path, layer.kind, layer.parameters);
    }
    let history = trainer.fit(&train, Some(&test), Epochs(8))?;
    println!("{} steps at {:.0} a second", history.steps, history.steps_per_second());
    Ok(())
}
