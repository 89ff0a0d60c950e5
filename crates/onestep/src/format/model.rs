//! The model file: safetensors whose metadata says all that a prediction needs besides the tensors.
//!
//! Metadata: `format` "onestep", `version`, `input` (shape and dtype of one sample), `output` (what the numbers
//! mean), and where known `classes`, `normalization` and `architecture`, each as JSON. What architecture and
//! normalization mean is known to nn and data; here they are documents.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::safetensors;
use crate::error::{Error, Result};
use crate::ir::{DType, Literal, Shape};

const FORMAT: &str = "onestep";
const VERSION: &str = "1";

/// What a model's output numbers are, and so what makes probabilities of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// One logit a class, classes exclude each other: softmax over the last axis.
    Logits,
    /// One logit a label, each true or false by itself: sigmoid.
    LabelLogits,
    /// Numbers that mean themselves.
    Values,
}

/// A trained model as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// Parameters and buffers by their full names.
    pub tensors: Vec<(String, Literal)>,
    /// Extents of one input without the batch axis.
    pub input_shape: Shape,
    /// The stored type of inputs.
    pub input_dtype: DType,
    /// What the output is.
    pub output: OutputKind,
    /// The names of the classes, if targets are classes.
    pub classes: Option<Vec<String>>,
    /// The normalisation of inputs (data's `Normalization`), if there is one.
    pub normalization: Option<Value>,
    /// The layers (nn's `Sequential`), if the model is one; a model of the user's own code has none.
    pub architecture: Option<Value>,
}

impl ModelFile {
    /// Writes the file, replacing an old one in one step.
    ///
    /// # Errors
    /// Those of [`safetensors::write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let input = json!({ "shape": self.input_shape.dims(), "dtype": self.input_dtype.name() });
        let classes = self.classes.as_ref().map(|names| json!(names));
        let documents = [
            ("input", Some(&input)),
            ("output", Some(&json!(self.output))),
            ("classes", classes.as_ref()),
            ("normalization", self.normalization.as_ref()),
            ("architecture", self.architecture.as_ref()),
        ];
        let mut metadata = BTreeMap::from([("format", FORMAT), ("version", VERSION)].map(owned));
        metadata.extend(documents.into_iter().filter_map(|(key, d)| Some((key.to_string(), d?.to_string()))));
        safetensors::write(path, &self.tensors, &metadata)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Those of [`safetensors::read`], and metadata that is missing, of a later version or makes no sense.
    pub fn read(path: &Path) -> Result<Self> {
        let file = safetensors::read(path)?;
        Self::from_safetensors(file).map_err(|e| e.at(path.display()))
    }

    fn from_safetensors(file: safetensors::SafeTensors) -> Result<Self> {
        let metadata = &file.metadata;
        match (metadata.get("format").map(String::as_str), metadata.get("version").map(String::as_str)) {
            (Some(FORMAT), Some(VERSION)) => {}
            (Some(FORMAT), Some(version)) => {
                return Err(Error::unsupported(format!(
                    "a model file of version {version}; this onestep reads version {VERSION}, take a newer one"
                )));
            }
            _ => {
                return Err(Error::format(
                    "not a model of onestep: its metadata does not say format \"onestep\" and a version; name a \
                     model.safetensors that `onestep train` or Trainer::save wrote",
                ));
            }
        }
        let input: Input = document(metadata, "input")?.ok_or_else(|| missing("input"))?;
        let dtype = input.dtype.parse().map_err(|e: Error| e.at("metadata `input`"))?;
        let shape = Shape::from(input.shape);
        if shape.checked_elements().is_none_or(|n| n > MAX_INPUT) {
            return Err(Error::format(format!("metadata `input`: no sample has a shape as large as {shape}")));
        }
        Ok(ModelFile {
            input_shape: shape,
            input_dtype: dtype,
            output: document(metadata, "output")?.ok_or_else(|| missing("output"))?,
            classes: document(metadata, "classes")?,
            normalization: document(metadata, "normalization")?,
            architecture: document(metadata, "architecture")?,
            tensors: file.tensors,
        })
    }
}

/// The most elements that one input may claim to have: a 16k by 16k image of four channels.
const MAX_INPUT: usize = 1 << 30;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    shape: Vec<usize>,
    dtype: String,
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_string(), value.to_string())
}

fn document<T: DeserializeOwned>(metadata: &BTreeMap<String, String>, key: &str) -> Result<Option<T>> {
    let parse = |text: &String| {
        serde_json::from_str(text).map_err(|e| Error::format(format!("metadata `{key}`: {e}")).with_source(e))
    };
    metadata.get(key).map(parse).transpose()
}

fn missing(key: &str) -> Error {
    Error::format(format!("the metadata lacks `{key}`; the file is damaged or was not written by onestep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> ModelFile {
        ModelFile {
            tensors: vec![("out.bias".to_string(), Literal::zeros(DType::F32, [3]))],
            input_shape: [8, 8, 1].into(),
            input_dtype: DType::U8,
            output: OutputKind::Logits,
            classes: Some(vec!["a".to_string(), "\"b\"".to_string()]),
            normalization: Some(json!({ "scale": 0.0625 })),
            architecture: None,
        }
    }

    #[test]
    fn round_trips() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let bare = ModelFile { classes: None, normalization: None, architecture: Some(json!([])), ..model() };
        for model in [model(), bare] {
            model.write(&path).unwrap();
            assert_eq!(ModelFile::read(&path).unwrap(), model);
        }
    }

    #[test]
    fn refuses_metadata_that_is_missing_or_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let refused = |change: &[(&str, Option<&str>)], part: &str| {
            model().write(&path).unwrap();
            let mut file = safetensors::read(&path).unwrap();
            for &(key, value) in change {
                match value {
                    Some(value) => file.metadata.insert(key.to_string(), value.to_string()),
                    None => file.metadata.remove(key),
                };
            }
            let message = ModelFile::from_safetensors(file).unwrap_err().to_string();
            assert!(message.contains(part), "`{part}` is not in: {message}");
        };
        refused(&[("format", None)], "not a model of onestep");
        refused(&[("version", Some("2"))], "version 2");
        refused(&[("input", None)], "lacks `input`");
        refused(&[("input", Some("{"))], "metadata `input`");
        refused(&[("input", Some(r#"{"shape":[8],"dtype":"f31"}"#))], "f31");
        refused(&[("input", Some(r#"{"shape":[1099511627776],"dtype":"u8"}"#))], "as large as");
        refused(&[("output", Some("\"odds\""))], "odds");
        refused(&[("classes", Some("7"))], "metadata `classes`");
    }
}
