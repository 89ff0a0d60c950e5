//! Vulkan below wgpu: wgpu opens the device and owns memory and copies; a step is recorded here once and submitted again
//! and again, with barriers only where a kernel waits for another. wgpu's lists can be submitted once, and take the host
//! longer than a small step takes the device.

mod recording;
mod spirv;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ash::vk;
use wgpu::AdapterInfo;
use wgpu::hal::api;

use super::pipelines::Kept;

pub(super) use recording::{Kernel, Recording};

/// Stages of commands, and what they do with memory.
type Doing = (vk::PipelineStageFlags, vk::AccessFlags);

/// What kernels do with memory.
const SHADER: vk::AccessFlags =
    vk::AccessFlags::from_raw(vk::AccessFlags::SHADER_READ.as_raw() | vk::AccessFlags::SHADER_WRITE.as_raw());

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
    /// Threads of every subgroup, where they can exchange values; 0 where subgroups differ in size.
    subgroup: usize,
    submitted: AtomicU64,
    /// Counts submissions that are done.
    done: vk::Semaphore,
    /// A list between copies and kernels, which makes each wait for the other, and where it is recorded. A barrier like
    /// this takes longer than some kernels, so that no step has one.
    between: List,
    commands: vk::CommandPool,
    /// Whether what was submitted last was recorded here.
    was_last: AtomicBool,
    /// What is compiled here, from the first kernel on, and where it is kept.
    pipelines: OnceLock<vk::PipelineCache>,
    kept: Option<Kept>,
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
        let mut shuffles = vk::PhysicalDeviceSubgroupProperties::default();
        let mut more = vk::PhysicalDeviceProperties2::default().push_next(&mut shuffles);
        // SAFETY: as above.
        unsafe { instance.raw_instance().get_physical_device_properties2(adapter, &mut more) };
        let alike =
            info.subgroup_min_size == info.subgroup_max_size && info.subgroup_max_size == shuffles.subgroup_size;
        let computes = shuffles.supported_stages.contains(vk::ShaderStageFlags::COMPUTE)
            && shuffles.supported_operations.contains(vk::SubgroupFeatureFlags::SHUFFLE);
        let subgroup = if alike && computes { shuffles.subgroup_size as usize } else { 0 };
        // wgpu switches them on where they are.
        if timeline.timeline_semaphore == vk::FALSE {
            return None;
        }
        let has_clock = families.get(family as usize).is_some_and(|f| f.timestamp_valid_bits == 64);
        let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE);
        let semaphore = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: the device is there.
        let done = unsafe { raw.create_semaphore(&semaphore, None) }.ok()?;
        let mut vulkan = Vulkan {
            queue: works.as_raw(),
            family,
            tick: has_clock.then_some(f64::from(properties.limits.timestamp_period)),
            subgroup,
            submitted: AtomicU64::new(0),
            done,
            pipelines: OnceLock::new(),
            kept: Kept::of_user(info, " recorded"),
            between: List(vk::CommandBuffer::null()),
            commands: vk::CommandPool::null(),
            was_last: AtomicBool::new(false),
            raw: raw.clone(),
            _device: device.clone(),
        };
        let both = vk::PipelineStageFlags::COMPUTE_SHADER | vk::PipelineStageFlags::TRANSFER;
        let writes = vk::AccessFlags::SHADER_WRITE | vk::AccessFlags::TRANSFER_WRITE;
        let all = writes | vk::AccessFlags::SHADER_READ | vk::AccessFlags::TRANSFER_READ;
        let pool = vk::CommandPoolCreateInfo::default().queue_family_index(family);
        // SAFETY: as above; it is destroyed when this goes.
        vulkan.commands = unsafe { raw.create_command_pool(&pool, None) }.ok()?;
        vulkan.between = vulkan.record(vulkan.commands, |list| vulkan.order(list, (both, writes), (both, all))).ok()?;
        Some(vulkan)
    }

    /// Records a list that can be submitted while it is still running, from a pool that nobody else uses meanwhile.
    fn record(&self, pool: vk::CommandPool, commands: impl FnOnce(vk::CommandBuffer)) -> Result<List, vk::Result> {
        let wanted = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
        let again = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::SIMULTANEOUS_USE);
        // SAFETY: the device is there, and the caller has the pool for itself; the list goes with it.
        unsafe {
            let list = self.raw.allocate_command_buffers(&wanted)?.first().copied().unwrap_or_default();
            self.raw.begin_command_buffer(list, &again)?;
            commands(list);
            self.raw.end_command_buffer(list)?;
            Ok(List(list))
        }
    }

    /// Makes what comes later in a list wait: stages of commands and what they did with memory, and those that wait with
    /// what they do.
    fn order(&self, list: vk::CommandBuffer, first: Doing, then: Doing) {
        let memory = [vk::MemoryBarrier::default().src_access_mask(first.1).dst_access_mask(then.1)];
        // SAFETY: the list is being recorded.
        unsafe {
            self.raw.cmd_pipeline_barrier(list, first.0, then.0, vk::DependencyFlags::empty(), &memory, &[], &[]);
        }
    }

    /// For kernels that are about to be compiled.
    fn pipelines(&self) -> vk::PipelineCache {
        *self.pipelines.get_or_init(|| {
            let data = self.kept.as_ref().and_then(Kept::find).unwrap_or_default();
            let cache = vk::PipelineCacheCreateInfo::default().initial_data(&data);
            // SAFETY: the device is there; what was found is whole, and was kept below, for the same adapter and driver.
            unsafe { self.raw.create_pipeline_cache(&cache, None) }.unwrap_or_default()
        })
    }

    /// Threads of every subgroup, where they can exchange values, else 0.
    pub(super) fn subgroup(&self) -> usize {
        self.subgroup
    }

    /// Submits lists of kernels, one after the other: the count of submissions with this one. Nobody else may submit to
    /// the queue meanwhile, and who does later calls [`Vulkan::give_way`] first.
    pub(super) fn submit(&self, lists: &[List]) -> Result<u64, vk::Result> {
        let follows = self.was_last.swap(true, Ordering::Relaxed);
        let first = if follows { None } else { Some(&self.between) };
        self.send(first.into_iter().chain(lists))
    }

    /// Lets others copy what kernels have written.
    pub(super) fn give_way(&self) -> Result<(), vk::Result> {
        match self.was_last.swap(false, Ordering::Relaxed) {
            true => self.send([&self.between].into_iter()).map(drop),
            false => Ok(()),
        }
    }

    fn send<'a>(&self, lists: impl Iterator<Item = &'a List>) -> Result<u64, vk::Result> {
        let lists: Vec<_> = lists.map(|list| list.0).collect();
        let count = self.submitted.fetch_add(1, Ordering::Relaxed) + 1;
        let (signals, values) = ([self.done], [count]);
        let mut timeline = vk::TimelineSemaphoreSubmitInfo::default().signal_semaphore_values(&values);
        let submission =
            vk::SubmitInfo::default().command_buffers(&lists).signal_semaphores(&signals).push_next(&mut timeline);
        // SAFETY: the lists were recorded for several submissions at a time, whoever recorded them waits for the last
        // one before they go, and the caller keeps others from the queue.
        let sent = unsafe { self.raw.queue_submit(self.queue, &[submission], vk::Fence::null()) };
        if sent.is_err() {
            // It will not be done.
            self.submitted.fetch_sub(1, Ordering::Relaxed);
        }
        sent.map(|()| count)
    }

    /// How many submissions are done.
    pub(super) fn done(&self) -> Result<u64, vk::Result> {
        // SAFETY: the semaphore is a counter.
        unsafe { self.raw.get_semaphore_counter_value(self.done) }
    }

    /// Waits for all submissions.
    pub(super) fn wait_for_all(&self) -> Result<(), vk::Result> {
        self.wait(self.submitted.load(Ordering::Relaxed))
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
        // What a failed device still does is not to be waited for.
        let _ = self.wait_for_all();
        // SAFETY: all that was submitted is done, or the device is lost. What was not made is null, which is nothing to
        // destroy.
        unsafe {
            if let Some(&pipelines) = self.pipelines.get().filter(|made| **made != vk::PipelineCache::null()) {
                if let Some(kept) = &self.kept {
                    kept.keep(&self.raw.get_pipeline_cache_data(pipelines).unwrap_or_default());
                }
                self.raw.destroy_pipeline_cache(pipelines, None);
            }
            self.raw.destroy_command_pool(self.commands, None);
            self.raw.destroy_semaphore(self.done, None);
        }
    }
}
