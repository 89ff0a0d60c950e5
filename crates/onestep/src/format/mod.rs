//! File formats: what bytes on disk mean, and how files are opened and replaced safely.
//!
//! Every reader takes its file for a stranger's: a truncated or lying one is an error that names the file and
//! the place, and nothing is allocated by a length that was not checked against what is there.

pub mod idx;
mod model;
pub mod safetensors;

pub use model::{ModelFile, OutputKind};

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Opens a regular file for reading and says how many bytes it has. Directories, pipes and devices are refused,
/// for their length is no bound on what they give.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let metadata = fs::metadata(path).map_err(|e| Error::io("opening", path, e))?;
    if !metadata.is_file() {
        return Err(Error::format(format!("{} is not a regular file; name one", path.display())));
    }
    let file = File::open(path).map_err(|e| Error::io("opening", path, e))?;
    Ok((file, metadata.len()))
}

/// The whole of a regular file.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    let (file, length) = open(path)?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(|e| Error::io("reading", path, e))?;
    Ok(bytes)
}

/// Replaces a file in one step: `fill` writes a temporary file beside it, which is synced to the disk and then
/// renamed into place. A crash at any moment leaves the old file or the new one, never a part; a failure
/// removes the temporary file.
///
/// # Errors
/// [`ErrorKind::Io`](crate::ErrorKind::Io), naming the path, where the folder is missing or the disk is full.
pub fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let temporary = temporary_beside(path)?;
    let replaced = fill_and_rename(&temporary, path, fill);
    if replaced.is_err() {
        // The first error is the one to tell; a leftover temporary file does no harm.
        let _ = fs::remove_file(&temporary);
    }
    replaced.map_err(|e| Error::io("writing", path, e))
}

fn fill_and_rename(
    temporary: &Path,
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut file = BufWriter::new(OpenOptions::new().write(true).create_new(true).open(temporary)?);
    fill(&mut file)?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(temporary, path)?;
    sync_folder_of(path)
}

/// Makes the rename itself durable, where the system lets a folder be synced.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A name in the same folder (renaming works only within one file system) that no other writer uses.
fn temporary_beside(path: &Path) -> Result<PathBuf> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let file_name = path.file_name().ok_or_else(|| {
        Error::config(format!("`{}` names no file to write; give a path with a file name", path.display()))
    })?;
    let mut name = OsString::from(".");
    name.push(file_name);
    name.push(format!(".{}-{}.tmp", std::process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        write_atomically(&path, |w| w.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |w| {
            w.write_all(b"ne")?;
            Err(io::Error::other("the disk is full"))
        })
        .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("model.bin") && error.to_string().contains("disk is full"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        write_atomically(&path, |w| w.write_all(b"new")).unwrap();
        assert_eq!(read_file(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn refuses_folders_and_missing_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_file(folder.path()).unwrap_err().kind(), ErrorKind::Format);
        assert_eq!(read_file(&folder.path().join("absent")).unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(write_atomically(Path::new("/"), |_| Ok(())).unwrap_err().kind(), ErrorKind::Config);
        assert!(write_atomically(&folder.path().join("no/such/folder"), |_| Ok(())).is_err());
    }
}
