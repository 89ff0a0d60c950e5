//! Compiled pipelines in the driver's own form, kept in the user's cache folder for the next start, where a driver
//! gives them out. They are read when the first pipeline is compiled: who only looks at an adapter reads and writes none.

use std::sync::OnceLock;

use wgpu::{AdapterInfo, Device, Features, PipelineCache, PipelineCacheDescriptor};

use super::adapters;
use crate::backend::cache::Cache;

/// The most bytes that are kept: what programs once needed is never taken out.
const MOST_BYTES: usize = 64 << 20;

/// What was kept of pipelines for an adapter and its driver.
pub(super) struct Kept {
    folder: Cache,
    key: String,
}

impl Kept {
    /// What goes by a name besides the adapter's; `None` where nothing tells that from others.
    pub(super) fn of_user(info: &AdapterInfo, name: &str) -> Option<Self> {
        adapters::key_of(info).map(|key| Kept { folder: Cache::of_user(), key: key + name })
    }

    /// What the last program kept: whole, as its checksum says.
    pub(super) fn find(&self) -> Option<Vec<u8>> {
        self.folder.find(&self.key)
    }

    /// Keeps it for the next program.
    pub(super) fn keep(&self, data: &[u8]) {
        if (1..=MOST_BYTES).contains(&data.len()) {
            self.folder.keep(&self.key, data);
        }
    }
}

/// What a device has compiled through wgpu; kept when it goes.
pub(super) struct Pipelines {
    kept: Option<Kept>,
    cache: OnceLock<PipelineCache>,
}

impl Pipelines {
    /// Those that were kept for an adapter and its driver.
    pub(super) fn of_user(device: &Device, info: &AdapterInfo) -> Self {
        let gives = device.features().contains(Features::PIPELINE_CACHE);
        Pipelines { kept: Kept::of_user(info, "").filter(|_| gives), cache: OnceLock::new() }
    }

    /// For a pipeline that is about to be compiled by the device.
    pub(super) fn cache(&self, device: &Device) -> Option<&PipelineCache> {
        let kept = self.kept.as_ref()?;
        Some(self.cache.get_or_init(|| {
            let data = kept.find();
            let descriptor = PipelineCacheDescriptor { label: None, data: data.as_deref(), fallback: true };
            // SAFETY: what was found is whole, and was kept below, under the name of the same adapter and driver.
            unsafe { device.create_pipeline_cache(&descriptor) }
        }))
    }
}

impl Drop for Pipelines {
    fn drop(&mut self) {
        if let (Some(kept), Some(data)) = (&self.kept, self.cache.get().and_then(PipelineCache::get_data)) {
            kept.keep(&data);
        }
    }
}
