//! Vulkan below wgpu: wgpu opens the device and owns memory and copies; a step is recorded here once and submitted again
//! and again, with barriers only where a kernel waits for another. wgpu's lists can be submitted once, and take the host
//! longer than a small step takes the device.

mod recording;
mod spirv;

use std::sync::atomic::{AtomicU64, Ordering};

use ash::vk;
use wgpu::AdapterInfo;
use wgpu::hal::api;
use wgpu::util::pipeline_cache_key;

use super::pipelines::MOST_BYTES;
use crate::backend::cache::Cache;

pub(super) use recording::{Kernel, Recording};

/// A list of commands that was recorded and can be submitted while it is still running.
#[derive(Clone, Copy)]
pub(super) struct List(vk::CommandBuffer);

/// The device and the queue that wgpu opened.
pub(super) struct Vulkan {
    raw: ash::Device,
    queue: vk::Queue,
    /// The queue's family.
    family: u32,
    /// Nanoseconds of a tick of the device's clock, where it has one.
    tick: Option<f64>,
    submitted: AtomicU64,
    /// Counts submissions that are done.
    done: vk::Semaphore,
    pipelines: vk::PipelineCache,
    folder: Cache,
    key: Option<String>,
    /// Keeps the device alive, and is dropped after what is destroyed here.
    _device: wgpu::Device,
}

impl Vulkan {
    /// Of a device that was opened through Vulkan 1.2 or later.
    pub(super) fn of(device: &wgpu::Device, queue: &wgpu::Queue, info: &AdapterInfo) -> Option<Self> {
        // SAFETY: what wgpu owns is used below, and destroyed nowhere.
        let (opened, works) = unsafe { (device.as_hal::<api::Vulkan>()?, queue.as_hal::<api::Vulkan>()?) };
        let (raw, instance, adapter) = (opened.raw_device(), opened.shared_instance(), opened.raw_physical_device());
        let mut timeline = vk::PhysicalDeviceTimelineSemaphoreFeatures::default();
        let mut features = vk::PhysicalDeviceFeatures2::default().push_next(&mut timeline);
        let family = opened.queue_family_index();
        // SAFETY: the adapter is one of the instance's, and both are of versions that have these functions.
        let (properties, families) = unsafe {
            let properties = instance.raw_instance().get_physical_device_properties(adapter);
            if instance.instance_api_version().min(properties.api_version) < vk::API_VERSION_1_2 {
                return None;
            }
            instance.raw_instance().get_physical_device_features2(adapter, &mut features);
            (properties, instance.raw_instance().get_physical_device_queue_family_properties(adapter))
        };
        // wgpu switches them on where they are.
        if timeline.timeline_semaphore == vk::FALSE {
            return None;
        }
        let has_clock = families.get(family as usize).is_some_and(|f| f.timestamp_valid_bits == 64);
        let folder = Cache::of_user();
        let key = pipeline_cache_key(info).map(|key| format!("{key} {} {} recorded", info.driver, info.driver_info));
        let kept = key.as_ref().and_then(|key| folder.find(key)).unwrap_or_default();
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let semaphore = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        let cache = vk::PipelineCacheCreateInfo::default().initial_data(&kept);
        // SAFETY: the device is there; what the folder gives is whole, as its checksum says, and was kept below, for the
        // same adapter and driver.
        let done = unsafe { raw.create_semaphore(&semaphore, None) }.ok()?;
        // SAFETY: as above.
        let pipelines = unsafe { raw.create_pipeline_cache(&cache, None) }.unwrap_or_default();
        Some(Vulkan {
            queue: works.as_raw(),
            family,
            tick: has_clock.then_some(f64::from(properties.limits.timestamp_period)),
            submitted: AtomicU64::new(0),
            done,
            pipelines,
            folder,
            key,
            raw: raw.clone(),
            _device: device.clone(),
        })
    }

    /// Submits lists, one after the other: the count of submissions with this one. Nobody else may submit to the queue
    /// meanwhile.
    pub(super) fn submit(&self, lists: &[List]) -> Result<u64, vk::Result> {
        let lists: Vec<_> = lists.iter().map(|list| list.0).collect();
        let count = self.submitted.fetch_add(1, Ordering::Relaxed) + 1;
        let (signals, values) = ([self.done], [count]);
        let mut timeline = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
        let submission =
            vk::SubmitInfo::default().command_buffers(&lists).signal_semaphores(&signals).push_next(&mut timeline);
        // SAFETY: the lists were recorded for several submissions at a time, whoever recorded them waits for the last
        // one before they go, and the caller keeps others from the queue.
        unsafe { self.raw.queue_submit(self.queue, &[submission], vk::Fence::null()) }.map(|()| count)
    }

    /// How many submissions are done.
    pub(super) fn done(&self) -> Result<u64, vk::Result> {
        // SAFETY: the semaphore is a counter.
        unsafe { self.raw.get_semaphore_counter_value(self.done) }
    }

    /// Waits until so many submissions are done.
    pub(super) fn wait(&self, count: u64) -> Result<(), vk::Result> {
        let (semaphores, values) = ([self.done], [count]);
        let info = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: the semaphore is a counter.
        unsafe { self.raw.wait_semaphores(&info, u64::MAX) }
    }
}

impl Drop for Vulkan {
    fn drop(&mut self) {
        // SAFETY: recordings hold this, and wait for what they have submitted before they let go of it.
        unsafe {
            let data = self.raw.get_pipeline_cache_data(self.pipelines).unwrap_or_default();
            if let Some(key) = self.key.as_ref().filter(|_| (1..=MOST_BYTES).contains(&data.len())) {
                self.folder.keep(key, &data);
            }
            self.raw.destroy_pipeline_cache(self.pipelines, None);
            self.raw.destroy_semaphore(self.done, None);
        }
    }
}
