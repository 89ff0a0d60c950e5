//! `onestep predict`: the class and probabilities of PNG images.

use onestep::format::OutputKind;
use onestep::prelude::{Literal, Predictor};
use onestep::{Error, Result};

use crate::args::PredictArgs;
use crate::images;
use crate::output::say;
use crate::tables::percent;

/// Shows for each image its class and the probabilities, best first.
///
/// # Errors
/// Whatever is wrong with the run, an image or the device; nothing is shown then.
pub fn predict(args: &PredictArgs) -> Result<()> {
    let mut predictor = Predictor::load(&args.run, &args.device.open()?)?;
    let inputs: Vec<Literal> =
        args.images.iter().map(|path| images::read(path, &predictor, args.invert)).collect::<Result<_>>()?;
    let bytes = inputs.iter().map(Literal::bytes).collect::<Vec<_>>().concat();
    let input = predictor.input();
    let shape = [&[inputs.len()], input.shape.dims()].concat();
    let outputs = predictor.predict(&Literal::from_bytes(input.dtype, shape, bytes)?)?;

    let scores = outputs.elements() / inputs.len().max(1);
    if scores == 0 {
        return Err(Error::shape(format!("the model's output {} holds no numbers", outputs.shape())));
    }
    for (path, scores) in args.images.iter().zip(outputs.to_f64().chunks(scores)) {
        say(format_args!("{}  {}", path.display(), verdict(scores, &predictor, args.top)));
    }
    Ok(())
}

/// One image's result: "7  99.10%  (1 0.52%, 9 0.21%, …)", or plain numbers where there are no classes.
fn verdict(scores: &[f64], predictor: &Predictor, top: usize) -> String {
    if predictor.output() == OutputKind::Values {
        return scores.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    }
    let name = |class: usize| {
        let known = predictor.classes().and_then(|classes| classes.get(class));
        known.cloned().unwrap_or_else(|| class.to_string())
    };
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut shown = order.into_iter().take(top.max(1)).map(|class| (name(class), percent(scores[class])));
    let best = shown.next().map(|(name, share)| format!("{name}  {share}")).unwrap_or_default();
    let others: Vec<String> = shown.map(|(name, share)| format!("{name} {share}")).collect();
    if others.is_empty() { best } else { format!("{best}  ({})", others.join(", ")) }
}
