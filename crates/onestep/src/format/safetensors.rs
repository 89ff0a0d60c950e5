//! safetensors files: named tensors and a map of strings, as Hugging Face's crate of that name defines them.
//!
//! Eight bytes with the header's length, a JSON header, then the tensors' bytes without a gap. The crate gives
//! the header's types. The header itself is written and checked here, so that the same tensors give the same
//! file byte for byte (the crate keeps metadata in a hash map) and that an error names the tensor it is about.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufReader, Read};
use std::iter;
use std::path::Path;
use std::sync::Arc;

use ::safetensors::tensor::{Dtype, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::ir::{DType, Literal, Shape};

/// The key under which the header keeps the map of strings; no tensor may have this name.
const METADATA: &str = "__metadata__";

/// The longest header that is read; the format's own limit.
const MAX_HEADER: u64 = 100_000_000;

/// What a safetensors file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SafeTensors {
    /// The tensors with their names, in the order of their bytes in the file.
    pub tensors: Vec<(String, Literal)>,
    /// The free strings of the header, empty where there are none.
    pub metadata: BTreeMap<String, String>,
}

/// Writes a safetensors file, replacing an old one in one step (see
/// [`write_atomically`](super::write_atomically)).
///
/// Tensors of wider elements come first, so that each is aligned to its element; else the order is as given.
///
/// # Errors
/// A name that is used twice or is `__metadata__`, and whatever the file system refuses.
pub fn write(path: &Path, tensors: &[(String, Literal)], metadata: &BTreeMap<String, String>) -> Result<()> {
    let mut ordered: Vec<_> = tensors.iter().collect();
    ordered.sort_by_key(|(_, literal)| std::cmp::Reverse(literal.dtype().size()));
    let header = header(&ordered, metadata).map_err(|e| e.at(path.display()))?;
    super::write_atomically(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        ordered.iter().try_for_each(|(_, literal)| file.write_all(literal.bytes()))
    })
}

/// The JSON header, padded with spaces to a multiple of eight bytes.
fn header(tensors: &[&(String, Literal)], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert(METADATA.into(), json!(metadata));
    }
    let mut start = 0;
    for (name, literal) in tensors {
        if name == METADATA {
            return Err(Error::name(format!("safetensors keeps the name `{METADATA}` for itself; rename the tensor")));
        }
        let end = start + literal.bytes().len();
        let (dtype, shape) = (stored_as(literal.dtype()), literal.shape().dims());
        let info = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        if entries.insert(name.clone(), info).is_some() {
            return Err(Error::name(format!("two tensors are called `{name}`; give each its own name")));
        }
        start = end;
    }
    let mut header = Value::Object(entries).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Reads a safetensors file.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format) where header and file disagree, and
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for element types that onestep lacks (i64, i8,
/// f8, …); each names the file and the tensor.
pub fn read(path: &Path) -> Result<SafeTensors> {
    let (file, length) = super::open(path)?;
    decode(BufReader::new(file), length).map_err(|e| e.at(path.display()))
}

/// Parses the bytes of a safetensors file as [`read`] does; `name` stands in front of every error.
///
/// # Errors
/// As [`read`].
pub fn parse(bytes: &[u8], name: &str) -> Result<SafeTensors> {
    decode(bytes, bytes.len() as u64).map_err(|e| e.at(name))
}

/// Decodes a stream of `length` bytes.
fn decode(mut stream: impl Read, length: u64) -> Result<SafeTensors> {
    let body = length.checked_sub(8).ok_or_else(|| {
        Error::format(format!("{length} bytes are too few for a safetensors file, which starts with 8 of length"))
    })?;
    let mut prefix = [0; 8];
    fill(&mut stream, &mut prefix)?;
    let header_length = u64::from_le_bytes(prefix);
    let data_length = body.checked_sub(header_length).filter(|_| header_length <= MAX_HEADER).ok_or_else(|| {
        Error::format(format!(
            "claims a header of {header_length} bytes, but {body} bytes follow (and no header may exceed \
             {MAX_HEADER}); the file is truncated or no safetensors file"
        ))
    })?;
    let mut header = vec![0; header_length as usize];
    fill(&mut stream, &mut header)?;
    let header: Header = serde_json::from_slice(&header)
        .map_err(|e| Error::format(format!("the header is no safetensors header: {e}")).with_source(e))?;

    let mut infos: Vec<_> = header.tensors.into_iter().collect();
    infos.sort_by(|(a, x), (b, y)| x.data_offsets.cmp(&y.data_offsets).then_with(|| a.cmp(b)));
    let mut position = 0;
    let mut checked = Vec::with_capacity(infos.len());
    for (name, info) in infos {
        let (dtype, shape) = check(&info, position, data_length).map_err(|e| e.at(format!("tensor `{name}`")))?;
        position = info.data_offsets.1 as u64;
        checked.push((name, dtype, shape));
    }
    if position != data_length {
        return Err(Error::format(format!(
            "the header describes {position} bytes of data, but {data_length} follow it; the file is damaged"
        )));
    }

    let tensors = checked.into_iter().map(|(name, dtype, shape)| {
        let literal = load(&mut stream, dtype, shape).map_err(|e| e.at(format!("tensor `{name}`")))?;
        Ok((name, literal))
    });
    Ok(SafeTensors { tensors: tensors.collect::<Result<_>>()?, metadata: header.metadata })
}

/// Checks a header entry against the data: it starts where the last tensor ended, lies within the data and is
/// as long as its shape and dtype ask for.
fn check(info: &TensorInfo, position: u64, data_length: u64) -> Result<(DType, Shape)> {
    let (start, end) = info.data_offsets;
    let offsets = format!("data_offsets [{start},{end}]");
    if end as u64 > data_length {
        return Err(Error::format(format!("{offsets} reach beyond the {data_length} bytes of data in the file")));
    }
    if start as u64 != position || end < start {
        return Err(Error::format(format!("{offsets} should start at {position}, where the tensor before it ends")));
    }
    let dtype = loaded_as(info.dtype)?;
    let shape = Shape::from(info.shape.clone());
    // Extents are checked without the zeros too: [0, 2^63, 2^63] is empty, but its strides would overflow.
    let extents: Shape = shape.iter().map(|&d| d.max(1)).collect();
    let wanted = extents.checked_elements().map(|_| shape.elements() * dtype.size());
    match wanted {
        Some(wanted) if wanted == end - start => Ok((dtype, shape)),
        Some(wanted) => {
            Err(Error::format(format!("{dtype}{shape} takes {wanted} bytes, but {offsets} give {}", end - start)))
        }
        None => Err(Error::format(format!("no tensor has a shape as large as {shape}"))),
    }
}

/// Reads the bytes of one tensor, whose size has been checked against the file's.
fn load(stream: &mut impl Read, dtype: DType, shape: Shape) -> Result<Literal> {
    let mut bytes: Arc<[u8]> = iter::repeat_n(0, shape.elements() * dtype.size()).collect();
    fill(stream, Arc::make_mut(&mut bytes))?;
    if dtype == DType::Bool
        && let Some(at) = bytes.iter().position(|&b| b > 1)
    {
        return Err(Error::format(format!("element {at} is {}, but a bool is 0 or 1", bytes[at])));
    }
    Literal::from_bytes(dtype, shape, bytes)
}

fn fill(stream: &mut impl Read, buffer: &mut [u8]) -> Result<()> {
    stream.read_exact(buffer).map_err(|e| Error::format(format!("cannot be read to its end: {e}")).with_source(e))
}

fn stored_as(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::BF16 => Dtype::BF16,
        DType::F16 => Dtype::F16,
        DType::I32 => Dtype::I32,
        DType::U32 => Dtype::U32,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}

fn loaded_as(stored: Dtype) -> Result<DType> {
    DType::ALL.into_iter().find(|&dtype| stored_as(dtype) == stored).ok_or_else(|| {
        let names: Vec<_> = DType::ALL.iter().map(|&dtype| stored_as(dtype).to_string()).collect();
        Error::unsupported(format!("onestep has no dtype {stored}; convert it to one of {}", names.join(", ")))
    })
}

/// The JSON header. Read entry by entry, so that an error names its tensor and a repeated name is noticed.
struct Header {
    tensors: BTreeMap<String, TensorInfo>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an entry for each tensor")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header { tensors: BTreeMap::new(), metadata: BTreeMap::new() };
        while let Some(name) = map.next_key::<String>()? {
            let in_entry = |e| A::Error::custom(format!("entry `{name}`: {e}"));
            if name == METADATA {
                header.metadata = map.next_value().map_err(in_entry)?;
            } else {
                let info = map.next_value().map_err(in_entry)?;
                if header.tensors.contains_key(&name) {
                    return Err(A::Error::custom(format!("two tensors are called `{name}`")));
                }
                header.tensors.insert(name, info);
            }
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn one_of_each() -> Vec<(String, Literal)> {
        let tensor = |dtype: DType| Literal::from_f64(dtype, [2, 3], &[0.0, 1.0, 1.0, 0.0, 1.0, 0.0]).unwrap();
        let mut tensors: Vec<_> = DType::ALL.iter().map(|&d| (format!("block.{d}"), tensor(d))).collect();
        tensors.push(("scalar".into(), Literal::scalar(DType::F32, -0.5)));
        tensors.push(("empty".into(), Literal::zeros(DType::F32, [0, 4])));
        tensors
    }

    fn written(tensors: &[(String, Literal)], metadata: &BTreeMap<String, String>) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        write(&path, tensors, metadata).unwrap();
        assert_eq!(read(&path).unwrap(), parse(&std::fs::read(&path).unwrap(), "x").unwrap());
        std::fs::read(&path).unwrap()
    }

    fn refused(bytes: &[u8], kind: ErrorKind, parts: &[&str]) {
        let error = parse(bytes, "weights").unwrap_err();
        let message = error.to_string();
        assert_eq!(error.kind(), kind, "{message}");
        assert!(message.starts_with("weights: "), "{message}");
        parts.iter().for_each(|part| assert!(message.contains(part), "`{part}` is not in: {message}"));
    }

    #[test]
    fn round_trips_every_dtype_and_the_metadata() {
        let metadata: BTreeMap<_, _> = ["step", "arch", "é\"\n"].map(|k| (k.to_string(), format!("{k}!"))).into();
        let tensors = one_of_each();
        let bytes = written(&tensors, &metadata);
        let back = parse(&bytes, "x").unwrap();
        assert_eq!(back.metadata, metadata);
        let sorted = |tensors: &[(String, Literal)]| tensors.iter().cloned().collect::<BTreeMap<_, _>>();
        assert_eq!(sorted(&back.tensors), sorted(&tensors));
        assert_eq!(back.tensors[0].0, "block.f64");
        assert_eq!(bytes, written(&tensors, &metadata), "the same tensors give the same bytes");
        assert_eq!(parse(&written(&[], &BTreeMap::new()), "x").unwrap(), SafeTensors::default());
    }

    #[test]
    fn agrees_with_the_crate_in_both_directions() {
        let tensors = one_of_each();
        let ours = written(&tensors, &BTreeMap::new());
        let theirs = ::safetensors::SafeTensors::deserialize(&ours).unwrap();
        let views: Vec<_> = tensors.iter().map(|(name, _)| (name, theirs.tensor(name).unwrap())).collect();
        for ((name, literal), (_, view)) in tensors.iter().zip(&views) {
            assert_eq!((view.shape(), view.data()), (literal.shape().dims(), literal.bytes()), "{name}");
        }
        let again = parse(&::safetensors::serialize(views, None).unwrap(), "x").unwrap();
        assert_eq!(again.tensors.len(), tensors.len());
        assert!(tensors.iter().all(|tensor| again.tensors.contains(tensor)));
    }

    #[test]
    fn refuses_names_that_clash_when_writing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let one = |name: &str| (name.to_string(), Literal::scalar(DType::F32, 1.0));
        for names in [["a", "a"], ["a", METADATA]] {
            let error = write(&path, &names.map(one), &BTreeMap::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Name);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn refuses_a_header_length_beyond_the_file() {
        refused(b"", ErrorKind::Format, &["0 bytes are too few"]);
        refused(&[&(1u64 << 40).to_le_bytes()[..], b"{}"].concat(), ErrorKind::Format, &["1099511627776", "2 bytes"]);
        refused(&u64::MAX.to_le_bytes(), ErrorKind::Format, &["claims a header"]);
    }

    #[test]
    fn refuses_entries_that_lie_and_names_them() {
        let entry = |dtype: &str, shape: &str, offsets: &str, data: &[u8]| {
            file(&format!(r#"{{"w":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#), data)
        };
        let format = ErrorKind::Format;
        assert!(parse(&entry("F32", "[1]", "[0,4]", &[0; 4]), "x").is_ok());
        refused(&entry("F32", "[4]", "[0,16]", &[0; 4]), format, &["tensor `w`", "beyond the 4 bytes"]);
        refused(&entry("F32", "[1]", "[4,8]", &[0; 8]), format, &["tensor `w`", "should start at 0"]);
        refused(&entry("F32", "[1]", "[4,0]", &[0; 8]), format, &["tensor `w`", "should start at 0"]);
        refused(&entry("F32", "[2]", "[0,4]", &[0; 4]), format, &["f32[2] takes 8 bytes", "give 4"]);
        refused(&entry("F32", "[1]", "[0,4]", &[0; 5]), format, &["describes 4 bytes", "5 follow"]);
        refused(&entry("U8", "[4294967296,4294967296]", "[0,0]", &[]), format, &["tensor `w`", "as large as"]);
        refused(&entry("U8", "[0,9223372036854775808,4]", "[0,0]", &[]), format, &["as large as"]);
        refused(&entry("U8", "[-1]", "[0,1]", &[0]), format, &["entry `w`", "column"]);
        refused(&entry("U8", "[1]", "[0,1e30]", &[0]), format, &["entry `w`"]);
        refused(&entry("Q7", "[1]", "[0,1]", &[0]), format, &["entry `w`", "Q7"]);
        refused(&entry("I64", "[1]", "[0,8]", &[0; 8]), ErrorKind::Unsupported, &["tensor `w`", "I64", "I32"]);
        refused(&entry("BOOL", "[2]", "[0,2]", &[1, 7]), format, &["tensor `w`", "element 1 is 7"]);
    }

    #[test]
    fn refuses_headers_that_are_no_headers() {
        let entry = r#""w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"#;
        refused(&file(&format!("{{{entry},{entry}}}"), b""), ErrorKind::Format, &["two tensors are called `w`"]);
        refused(&file(r#"{"__metadata__":{"a":1}}"#, b""), ErrorKind::Format, &["entry `__metadata__`"]);
        refused(&file("[]", b""), ErrorKind::Format, &["entry for each tensor"]);
        refused(&file("", b""), ErrorKind::Format, &["no safetensors header"]);
        refused(&file("{\"\u{0}", b""), ErrorKind::Format, &["no safetensors header"]);
        refused(&file(&"[".repeat(100_000), b""), ErrorKind::Format, &["no safetensors header"]);
        refused(&file(&format!("{{\"w\":{}", "{\"x\":".repeat(100_000)), b""), ErrorKind::Format, &["entry `w`"]);
    }

    #[test]
    fn damage_is_an_error_or_another_file_and_never_a_panic() {
        let bytes = written(&one_of_each(), &BTreeMap::from([("step".to_string(), "7".to_string())]));
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut], "x").is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let _ = parse(&damaged, "x");
            }
        }
    }
}
