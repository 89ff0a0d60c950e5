//! Compiled pipelines in the driver's own form, kept in the user's cache folder for the next start, where a driver
//! gives them out.

use std::sync::atomic::{AtomicBool, Ordering};

use wgpu::util::pipeline_cache_key;
use wgpu::{AdapterInfo, Device, Features, PipelineCache, PipelineCacheDescriptor};

use crate::backend::cache::Cache;

/// The most bytes that are kept: what programs once needed is never taken out.
pub(super) const MOST_BYTES: usize = 64 << 20;

/// What a device has compiled; kept when it goes.
pub(super) struct Pipelines {
    found: Option<(PipelineCache, String)>,
    folder: Cache,
    used: AtomicBool,
}

impl Pipelines {
    /// Those that were kept for an adapter and its driver.
    pub(super) fn of_user(device: &Device, info: &AdapterInfo) -> Self {
        let folder = Cache::of_user();
        let key = pipeline_cache_key(info).filter(|_| device.features().contains(Features::PIPELINE_CACHE));
        let found = key.map(|key| {
            let key = format!("{key} {} {}", info.driver, info.driver_info);
            let data = folder.find(&key);
            // SAFETY: what the folder gives is whole, as its checksum says, and was kept below, under the name of the
            // same adapter and driver.
            let cache = unsafe {
                device.create_pipeline_cache(&PipelineCacheDescriptor {
                    label: None,
                    data: data.as_deref(),
                    fallback: true,
                })
            };
            (cache, key)
        });
        Pipelines { found, folder, used: AtomicBool::new(false) }
    }

    /// For a pipeline that is about to be compiled.
    pub(super) fn cache(&self) -> Option<&PipelineCache> {
        self.used.store(true, Ordering::Relaxed);
        self.found.as_ref().map(|found| &found.0)
    }
}

impl Drop for Pipelines {
    fn drop(&mut self) {
        let used = self.used.load(Ordering::Relaxed);
        let Some((cache, key)) = self.found.as_ref().filter(|_| used) else { return };
        if let Some(data) = cache.get_data().filter(|data| data.len() <= MOST_BYTES) {
            self.folder.keep(key, &data);
        }
    }
}
