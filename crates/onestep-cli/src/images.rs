//! PNG files as a model's inputs.
//!
//! Brightness is taken as 0 to 1, whatever the bit depth; colour becomes grey by Rec. 601's weights and grey
//! becomes colour by repetition; transparency lets black through, unless the model has an alpha channel. Then 1
//! becomes the model's [`pixel_max`](Predictor::pixel_max): 16 for the digits, 255 for MNIST.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use onestep::prelude::{DType, Literal, Predictor};
use onestep::{Error, Result};
use png::{BitDepth, Decoder, Transformations};

/// Reads a PNG file as one input of the model: [1, height, width, channels].
///
/// # Errors
/// A file that is missing, damaged or no PNG; an image of another size than the model's inputs (both are named);
/// and a model whose inputs are no images.
pub fn read(path: &Path, predictor: &Predictor, invert: bool) -> Result<Literal> {
    input_of(path, predictor, invert).map_err(|e| e.at(path.display()))
}

fn input_of(path: &Path, predictor: &Predictor, invert: bool) -> Result<Literal> {
    let input = predictor.input();
    let &[height, width, channels @ 1..=4] = input.shape.dims() else {
        return Err(Error::unsupported(format!("the model's inputs are {input}, not images")));
    };
    let mut values = decode(path, height, width, channels)?;
    let colours = if has_alpha(channels) { channels - 1 } else { channels };
    for (i, value) in values.iter_mut().enumerate() {
        if invert && i % channels < colours {
            *value = 1.0 - *value;
        }
        *value *= predictor.pixel_max();
        if input.dtype != DType::F32 {
            *value = value.round();
        }
    }
    Literal::from_f64(input.dtype, [1, height, width, channels], &values)
}

/// The pixels of a PNG file of this size from 0 to 1, row by row.
fn decode(path: &Path, height: usize, width: usize, channels: usize) -> Result<Vec<f64>> {
    let file = File::open(path).map_err(|e| Error::format(format!("cannot be opened: {e}")))?;
    let no_png = |e: png::DecodingError| Error::format(format!("cannot be read as a PNG image: {e}"));
    let mut decoder = Decoder::new(BufReader::new(file));
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(no_png)?;
    let got = (reader.info().height as usize, reader.info().width as usize);
    if got != (height, width) {
        return Err(Error::shape(format!(
            "the image is {}×{} pixels, but the model was trained on {width}×{height}; scale the image to that",
            got.1, got.0
        )));
    }
    let size = reader.output_buffer_size().ok_or_else(|| Error::format("the image is too large to decode"))?;
    let mut buffer = vec![0; size];
    let frame = reader.next_frame(&mut buffer).map_err(no_png)?;
    let samples: Vec<f64> = match frame.bit_depth {
        BitDepth::Sixteen => {
            buffer.chunks_exact(2).map(|b| f64::from(u16::from_be_bytes([b[0], b[1]])) / 65535.0).collect()
        }
        _ => buffer.iter().map(|&b| f64::from(b) / 255.0).collect(),
    };
    Ok(samples.chunks_exact(frame.color_type.samples()).flat_map(|pixel| convert(pixel, channels)).collect())
}

/// A pixel of one to four channels (grey, grey and alpha, colour, colour and alpha) as one of so many.
fn convert(pixel: &[f64], channels: usize) -> Vec<f64> {
    let (colour, alpha) = match *pixel {
        [grey] => ([grey; 3], 1.0),
        [grey, alpha] => ([grey; 3], alpha),
        [red, green, blue] => ([red, green, blue], 1.0),
        [red, green, blue, alpha, ..] => ([red, green, blue], alpha),
        [] => ([0.0; 3], 1.0),
    };
    // 0.299 red + 0.587 green + 0.114 blue, exact where all three are one grey.
    let [red, green, blue] = colour;
    let grey = green + 0.299 * (red - green) + 0.114 * (blue - green);
    match channels {
        1 => vec![grey * alpha],
        2 => vec![grey, alpha],
        3 => colour.map(|c| c * alpha).to_vec(),
        _ => [&colour[..], &[alpha]].concat(),
    }
}

fn has_alpha(channels: usize) -> bool {
    matches!(channels, 2 | 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_convert_between_all_channel_counts() {
        assert_eq!(convert(&[0.5], 3), [0.5; 3]);
        assert_eq!(convert(&[0.5, 0.5], 1), [0.25]);
        assert_eq!(convert(&[1.0, 1.0, 1.0, 0.5], 4), [1.0, 1.0, 1.0, 0.5]);
        assert_eq!(convert(&[1.0, 0.0, 0.0], 1), [0.299]);
        assert_eq!(convert(&[0.2, 0.4, 0.6, 0.5], 3), [0.1, 0.2, 0.3]);
    }
}
