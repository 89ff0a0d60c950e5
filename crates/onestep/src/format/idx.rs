//! IDX files, the format of the MNIST family, gzipped or not.
//!
//! Two zero bytes, a byte for the element type and one for the rank, then each extent as a big-endian u32, then
//! the elements, big-endian and row-major (described at the foot of <http://yann.lecun.com/exdb/mnist/>).
//! u8, i32, f32 and f64 keep their type; i8 and i16, which onestep has no dtype for, are widened to i32.

use std::io::Read;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};
use crate::ir::{DType, Literal, Shape};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// No deflate stream unpacks to more than this many times its length (258 bytes for each 2 bits).
const DEFLATE_RATIO: u64 = 1032;

/// Reads an IDX file, gzipped or not (told by its first bytes, not by its name).
///
/// # Errors
/// Says what the header claims and what the file holds where the two differ; see [`parse_idx`].
pub fn read_idx(path: &Path) -> Result<Literal> {
    parse_idx(&super::read_file(path)?, &path.display().to_string())
}

/// Parses the bytes of an IDX file, gzipped or not; `name` stands in front of every error.
///
/// # Errors
/// [`ErrorKind::Format`](crate::ErrorKind::Format) for a wrong magic, an unknown element type, a broken gzip
/// stream, and a header that claims more or fewer elements than follow.
pub fn parse_idx(bytes: &[u8], name: &str) -> Result<Literal> {
    let length = bytes.len() as u64;
    if bytes.starts_with(&GZIP_MAGIC) {
        decode(MultiGzDecoder::new(bytes), length, length.saturating_mul(DEFLATE_RATIO))
    } else {
        decode(bytes, length, length)
    }
    .map_err(|e| e.at(name))
}

/// Decodes a stream from a file of `length` bytes that cannot give more than `ceiling`.
fn decode(mut stream: impl Read, length: u64, ceiling: u64) -> Result<Literal> {
    let magic = read_up_to(&mut stream, 4)?;
    let &[0, 0, code, rank] = magic.as_slice() else {
        return Err(Error::format(format!(
            "starts with bytes {magic:02x?}, not with an IDX magic (00 00, element type, rank); this is no IDX file"
        )));
    };
    let element = Element::from_code(code)?;
    let extents = read_up_to(&mut stream, 4 * u64::from(rank))?;
    if extents.len() != 4 * usize::from(rank) {
        return Err(Error::format(format!("ends within the header: rank {rank}, {} bytes of extents", extents.len())));
    }
    let shape: Shape = extents.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect();

    let says = format!("the header claims {}{shape}", element.name());
    let claimed = bytes_of(&shape, element.size())
        .filter(|&n| n <= ceiling)
        .ok_or_else(|| Error::format(format!("{says}, more than a file of {length} bytes can hold; fetch it again")))?;
    let data = read_up_to(&mut stream, claimed + 1)?;
    let found = data.len() as u64;
    if found < claimed {
        return Err(Error::format(format!("{says}, {claimed} bytes, but only {found} follow; fetch the file again")));
    }
    if found > claimed {
        return Err(Error::format(format!(
            "{says}, {claimed} bytes, but more follow; the header or the file is wrong"
        )));
    }
    Literal::from_bytes(element.dtype(), shape, element.to_little_endian(data))
}

/// Reads `limit` bytes, fewer where the stream ends before; memory grows with what really comes.
fn read_up_to(stream: &mut impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|e| Error::format(format!("the gzip stream is broken ({e}); fetch the file again")).with_source(e))?;
    Ok(bytes)
}

/// The bytes a shape takes, or `None` where even its non-zero extents multiply beyond reason.
fn bytes_of(shape: &Shape, size: usize) -> Option<u64> {
    let extents: Shape = shape.iter().map(|&d| d.max(1)).collect();
    extents.checked_elements().map(|_| (shape.elements() * size) as u64)
}

/// The element types of the format.
#[derive(Clone, Copy)]
enum Element {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl Element {
    fn from_code(code: u8) -> Result<Self> {
        Ok(match code {
            0x08 => Element::U8,
            0x09 => Element::I8,
            0x0b => Element::I16,
            0x0c => Element::I32,
            0x0d => Element::F32,
            0x0e => Element::F64,
            _ => {
                return Err(Error::format(format!(
                    "IDX has no element type {code:#04x}; there are 0x08 (u8), 0x09 (i8), 0x0b (i16), 0x0c (i32), \
                     0x0d (f32) and 0x0e (f64)"
                )));
            }
        })
    }

    fn name(self) -> &'static str {
        match self {
            Element::U8 => "u8",
            Element::I8 => "i8",
            Element::I16 => "i16",
            Element::I32 => "i32",
            Element::F32 => "f32",
            Element::F64 => "f64",
        }
    }

    /// Bytes an element takes in the file.
    fn size(self) -> usize {
        match self {
            Element::U8 | Element::I8 => 1,
            Element::I16 => 2,
            Element::I32 | Element::F32 => 4,
            Element::F64 => 8,
        }
    }

    /// The dtype it is read as.
    fn dtype(self) -> DType {
        match self {
            Element::U8 => DType::U8,
            Element::I8 | Element::I16 | Element::I32 => DType::I32,
            Element::F32 => DType::F32,
            Element::F64 => DType::F64,
        }
    }

    /// Big-endian file bytes as little-endian bytes of [`Element::dtype`].
    fn to_little_endian(self, mut data: Vec<u8>) -> Vec<u8> {
        match self {
            Element::I8 => data.iter().flat_map(|&b| i32::from(b as i8).to_le_bytes()).collect(),
            Element::I16 => {
                data.chunks_exact(2).flat_map(|b| i32::from(i16::from_be_bytes([b[0], b[1]])).to_le_bytes()).collect()
            }
            Element::U8 | Element::I32 | Element::F32 | Element::F64 => {
                data.chunks_exact_mut(self.size()).for_each(<[u8]>::reverse);
                data
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::ErrorKind;

    fn file(code: u8, extents: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, code, extents.len() as u8];
        extents.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn refused(bytes: &[u8], parts: &[&str]) {
        for (bytes, how) in [(bytes.to_vec(), "raw"), (gzip(bytes), "gzip")] {
            let error = parse_idx(&bytes, "images").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Format);
            let message = error.to_string();
            assert!(message.starts_with("images: "), "{message}");
            parts.iter().for_each(|part| assert!(message.contains(part), "{how}: `{part}` is not in: {message}"));
        }
    }

    #[test]
    fn reads_every_element_type_raw_and_gzipped() {
        let i16s: Vec<u8> = [-2i16, 300].iter().flat_map(|v| v.to_be_bytes()).collect();
        let i32s: Vec<u8> = [-2i32, 70000].iter().flat_map(|v| v.to_be_bytes()).collect();
        let f32s: Vec<u8> = [-0.5f32, 1e9].iter().flat_map(|v| v.to_be_bytes()).collect();
        let f64s: Vec<u8> = [-0.5f64, 1e99].iter().flat_map(|v| v.to_be_bytes()).collect();
        let cases: [(u8, &[u8], DType, [f64; 2]); 6] = [
            (0x08, &[254, 7], DType::U8, [254.0, 7.0]),
            (0x09, &[254, 7], DType::I32, [-2.0, 7.0]),
            (0x0b, &i16s, DType::I32, [-2.0, 300.0]),
            (0x0c, &i32s, DType::I32, [-2.0, 70000.0]),
            (0x0d, &f32s, DType::F32, [-0.5, 1e9]),
            (0x0e, &f64s, DType::F64, [-0.5, 1e99]),
        ];
        for (code, data, dtype, values) in cases {
            let bytes = file(code, &[1, 2], data);
            for bytes in [gzip(&bytes), bytes] {
                let literal = parse_idx(&bytes, "x").unwrap();
                assert_eq!((literal.dtype(), literal.shape().dims()), (dtype, &[1, 2][..]));
                assert_eq!(literal.to_f64(), values);
            }
        }
        assert_eq!(parse_idx(&file(8, &[0, 28, 28], &[]), "x").unwrap().elements(), 0);
        assert_eq!(parse_idx(&file(8, &[], &[9]), "x").unwrap().to_f64(), [9.0]);
    }

    #[test]
    fn reads_a_path_and_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        std::fs::write(&path, file(8, &[3], &[1, 2, 3])).unwrap();
        assert_eq!(read_idx(&path).unwrap().to_f64(), [1.0, 2.0, 3.0]);
        std::fs::write(&path, file(8, &[3], &[1, 2])).unwrap();
        assert!(read_idx(&path).unwrap_err().to_string().contains("labels: the header claims u8[3], 3 bytes"));
    }

    #[test]
    fn refuses_what_is_no_idx_file() {
        refused(b"", &["no IDX file"]);
        refused(&[0, 0], &["no IDX file"]);
        refused(b"\x89PNG\r\n", &["89, 50, 4e, 47"]);
        refused(&file(0x0a, &[1], &[0]), &["no element type 0x0a"]);
        refused(&[0, 0, 8, 3, 0, 0, 0, 1], &["within the header", "rank 3"]);
    }

    #[test]
    fn refuses_headers_that_lie() {
        refused(&file(8, &[1 << 20, 1 << 20], &[0; 9]), &["u8[1048576,1048576]", "more than"]);
        refused(&file(14, &[u32::MAX; 255], &[0; 9]), &["more than"]);
        refused(&file(8, &[0, u32::MAX, u32::MAX, u32::MAX], &[]), &["more than"]);
        refused(&file(8, &[2, 2], &[1; 5]), &["u8[2,2], 4 bytes, but more follow"]);
        let short = parse_idx(&gzip(&file(8, &[2, 2], &[1; 3])), "x").unwrap_err().to_string();
        assert!(short.contains("4 bytes, but only 3 follow"), "{short}");
        // A gzip bomb is read no further than one byte beyond its claim.
        refused(&file(8, &[3], &vec![0; 10 << 20]), &["u8[3], 3 bytes, but more follow"]);
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let raw = file(0x0b, &[3, 2], &[7; 12]);
        for bytes in [gzip(&raw), raw] {
            for cut in 0..bytes.len() {
                assert!(parse_idx(&bytes[..cut], "x").is_err(), "cut at {cut}");
            }
            for at in 0..bytes.len() {
                for bit in 0..8 {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= 1 << bit;
                    let _ = parse_idx(&damaged, "x");
                }
            }
        }
        let trailing = [gzip(&file(8, &[1], &[1])), vec![1, 2, 3]].concat();
        assert!(parse_idx(&trailing, "x").is_err());
    }
}
