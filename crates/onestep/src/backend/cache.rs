//! What was compiled or measured once, kept in the user's cache folder for the next start. Safe to share
//! between processes: entries are written beside and renamed into place. An entry that is not whole, or that
//! belongs to another key, counts as absent. Deleting the folder costs nothing but time.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// A folder of entries; without one nothing is kept.
pub(super) struct Cache(Option<PathBuf>);

/// The environment variable that names another folder; empty for none.
const FOLDER: &str = "ONESTEP_CACHE";

/// What was chosen by measuring, by key: known to the process, and kept in a folder from start to start.
pub(super) struct Chosen<T>(Mutex<HashMap<String, T>>);

impl<T> Default for Chosen<T> {
    fn default() -> Self {
        Chosen(Mutex::default())
    }
}

impl<T: Clone> Chosen<T> {
    /// What was chosen for a key. `read` understands what a folder holds, if that is of use.
    pub(super) fn find(&self, folder: &Cache, key: &str, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).cloned().or_else(|| folder.find(key).and_then(|value| read(&value)))
    }

    /// The same, or where nothing was chosen what `choose` gives. It is kept as `write` writes it down, if that can be;
    /// else it is chosen anew at the next start.
    pub(super) fn find_or<E>(
        &self,
        folder: &Cache,
        key: &str,
        read: impl FnOnce(&[u8]) -> Option<T>,
        write: impl FnOnce(&T) -> Option<Vec<u8>>,
        choose: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        // Held while measuring, for measurements disturb each other.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(key) {
            return Ok(value.clone());
        }
        let value = match folder.find(key).and_then(|value| read(&value)) {
            Some(value) => value,
            None => {
                let value = choose()?;
                if let Some(written) = write(&value) {
                    folder.keep(key, &written);
                }
                value
            }
        };
        known.insert(key.to_string(), value.clone());
        Ok(value)
    }
}

impl Cache {
    /// The user's: what `ONESTEP_CACHE` names, else `onestep` in the system's folder for caches.
    pub(super) fn of_user() -> Self {
        if let Some(folder) = std::env::var_os(FOLDER) {
            return Cache((!folder.is_empty()).then(|| folder.into()));
        }
        let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = || variable("HOME");
        let caches = match std::env::consts::OS {
            "windows" => variable("LOCALAPPDATA"),
            "macos" => home().map(|h| h.join("Library/Caches")),
            _ => variable("XDG_CACHE_HOME").or_else(|| home().map(|h| h.join(".cache"))),
        };
        Cache(caches.map(|folder| folder.join("onestep")))
    }

    /// A folder of one's own.
    #[cfg(test)]
    pub(super) fn at(folder: &std::path::Path) -> Self {
        Cache(Some(folder.to_path_buf()))
    }

    /// None.
    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Cache(None)
    }

    /// The value of a key, if it was kept and is whole.
    pub(super) fn find(&self, key: &str) -> Option<Vec<u8>> {
        let bytes = fs::read(self.path(key)?).ok()?;
        let rest = bytes.strip_prefix(MAGIC)?;
        let (sum, rest) = rest.split_at_checked(8)?;
        let (length, rest) = rest.split_at_checked(8)?;
        let length = usize::try_from(u64::from_le_bytes(length.try_into().ok()?)).ok()?;
        let (its_key, value) = rest.split_at_checked(length)?;
        let whole = sum == hash(0, rest).to_le_bytes();
        (whole && its_key == key.as_bytes()).then(|| value.to_vec())
    }

    /// Keeps a value. A folder that cannot be written to costs the next start time, no more, so that is no error.
    pub(super) fn keep(&self, key: &str, value: &[u8]) {
        let Some(path) = self.path(key) else { return };
        let rest = [key.as_bytes(), value].concat();
        let length = (key.len() as u64).to_le_bytes();
        let entry = [MAGIC, &hash(0, &rest).to_le_bytes(), &length, &rest].concat();
        let beside = path.with_extension(format!("{}-{:?}.new", std::process::id(), std::thread::current().id()));
        let written = path.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok())
            && fs::write(&beside, entry).is_ok()
            && fs::rename(&beside, &path).is_ok();
        if !written {
            let _ = fs::remove_file(&beside);
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let key = key.as_bytes();
        let name = format!("{:016x}{:016x}", hash(0, key), hash(1, key));
        self.0.as_ref().map(|folder| folder.join(name))
    }
}

/// What an entry starts with; the number changes with the layout.
const MAGIC: &[u8] = b"onestep cache 1\n";

/// FNV-1a over a seed and bytes.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes.iter().fold(start, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_whole_and_forgets_what_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        assert_eq!(cache.find("a"), None);
        cache.keep("a", b"value of a");
        cache.keep("b", b"");
        assert_eq!(cache.find("a").as_deref(), Some(b"value of a".as_slice()));
        assert_eq!(cache.find("b").as_deref(), Some(b"".as_slice()));
        // Another process over the same folder.
        assert!(Cache::at(folder.path()).find("a").is_some());
        let path = cache.path("a").unwrap();
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert_eq!(cache.find("a"), None, "byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert_eq!(cache.find("a"), None, "{at} bytes");
        }
        // Another key's entry in its place.
        fs::copy(cache.path("b").unwrap(), &path).unwrap();
        assert_eq!(cache.find("a"), None);
        cache.keep("a", b"again");
        assert!(cache.find("a").is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let cache = Cache::at(&file);
        cache.keep("a", b"x");
        assert_eq!(cache.find("a"), None);
        Cache(None).keep("a", b"x");
    }
}
