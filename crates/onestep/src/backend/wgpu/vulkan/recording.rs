//! A step's commands, recorded once: kernels in levels that need not wait for each other, with a barrier behind each.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use ash::vk;
use wgpu::BufferBinding;
use wgpu::hal::api;

use super::{List, SHADER, Vulkan, spirv};
use crate::backend::wgpu::gpu::{self, Gpu};
use crate::codegen::Source;
use crate::error::{Error, Result};

/// What a device has against a call.
fn refused(gpu: &Gpu, what: &str, e: vk::Result) -> Error {
    match e {
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY | vk::Result::ERROR_OUT_OF_HOST_MEMORY => {
            Error::memory(format!("{} has no memory left for {what}", gpu.name)).with_source(e)
        }
        _ => Error::device(format!("{} refuses {what}: {e}", gpu.name)).with_source(e),
    }
}

/// A compiled kernel with what it binds.
pub(in crate::backend::wgpu) struct Kernel {
    vulkan: Arc<Vulkan>,
    pipeline: vk::Pipeline,
    layout: vk::PipelineLayout,
    bindings: vk::DescriptorSetLayout,
    pool: vk::DescriptorPool,
    /// For each set of inputs.
    bound: Vec<vk::DescriptorSet>,
    groups: [u32; 3],
    /// The first of the plan's kernels that it computes.
    number: usize,
}

impl Kernel {
    /// Compiles a printed kernel and binds what it sees with each set of inputs, of which there is at least one.
    pub(in crate::backend::wgpu) fn new(
        gpu: &Gpu,
        vulkan: &Arc<Vulkan>,
        source: &Source,
        number: usize,
        bound: &[Vec<BufferBinding>],
    ) -> Result<Self> {
        let words = spirv::compile(&source.text());
        let words = words.map_err(|e| Error::device(format!("{} cannot be given a kernel: {e}", gpu.name)))?;
        let mut kernel = Kernel {
            vulkan: vulkan.clone(),
            pipeline: vk::Pipeline::null(),
            layout: vk::PipelineLayout::null(),
            bindings: vk::DescriptorSetLayout::null(),
            pool: vk::DescriptorPool::null(),
            bound: Vec::new(),
            groups: gpu.groups(source)?,
            number,
        };
        kernel.bind(bound).map_err(|e| refused(gpu, "what a kernel binds", e))?;
        kernel.compile(&words, &source.entry).map_err(|e| refused(gpu, "a kernel", e))?;
        Ok(kernel)
    }

    fn bind(&mut self, bound: &[Vec<BufferBinding>]) -> Result<(), vk::Result> {
        let raw = &self.vulkan.raw;
        let storage = vk::DescriptorType::STORAGE_BUFFER;
        let (sets, each) = (bound.len() as u32, bound[0].len() as u32);
        let bindings: Vec<_> = (0..each)
            .map(|i| {
                let binding = vk::DescriptorSetLayoutBinding::default().binding(i).descriptor_type(storage);
                binding.descriptor_count(1).stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let layout = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        let sizes = [vk::DescriptorPoolSize { ty: storage, descriptor_count: sets * each.max(1) }];
        let pool = vk::DescriptorPoolCreateInfo::default().max_sets(sets).pool_sizes(&sizes);
        // SAFETY: the device is there, and what is made is destroyed when this goes. The buffers live as long as the
        // program that they are a kernel's of.
        unsafe {
            self.bindings = raw.create_descriptor_set_layout(&layout, None)?;
            self.pool = raw.create_descriptor_pool(&pool, None)?;
            let layouts = vec![self.bindings; bound.len()];
            let wanted = vk::DescriptorSetAllocateInfo::default().descriptor_pool(self.pool).set_layouts(&layouts);
            self.bound = raw.allocate_descriptor_sets(&wanted)?;
            for (&set, bound) in self.bound.iter().zip(bound) {
                let buffers: Vec<_> = bound.iter().map(buffer).collect();
                let write = |(i, buffer): (usize, &vk::DescriptorBufferInfo)| {
                    let write = vk::WriteDescriptorSet::default().dst_set(set).dst_binding(i as u32);
                    let write = write.descriptor_type(storage);
                    vk::WriteDescriptorSet { descriptor_count: 1, p_buffer_info: buffer, ..write }
                };
                let writes: Vec<_> = buffers.iter().enumerate().map(write).collect();
                raw.update_descriptor_sets(&writes, &[]);
            }
        }
        Ok(())
    }

    fn compile(&mut self, words: &[u32], entry: &str) -> Result<(), vk::Result> {
        let entry = CString::new(entry).unwrap_or_default();
        let raw = &self.vulkan.raw;
        let layouts = [self.bindings];
        // SAFETY: the device is there, and what is made is destroyed below or when this goes. Printed kernels read and
        // write within what they bind (maps into buffers are guarded where they could leave them, and indices that data
        // decide are clamped), their loops end, they divide by zero nowhere, and of shared memory they read what they
        // wrote.
        unsafe {
            self.layout =
                raw.create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&layouts), None)?;
            let module = raw.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(words), None)?;
            let stage = vk::PipelineShaderStageCreateInfo::default().stage(vk::ShaderStageFlags::COMPUTE);
            let stage = stage.module(module).name(&entry);
            let wanted = [vk::ComputePipelineCreateInfo::default().stage(stage).layout(self.layout)];
            let made = raw.create_compute_pipelines(self.vulkan.pipelines(), &wanted, None);
            raw.destroy_shader_module(module, None);
            let made = made.map_err(|(_, e)| e)?;
            self.pipeline = made.first().copied().unwrap_or_default();
        }
        Ok(())
    }

    fn record(&self, list: vk::CommandBuffer, set: usize) {
        let (raw, [x, y, z]) = (&self.vulkan.raw, self.groups);
        // SAFETY: the list is being recorded, and what it is given lives as long as the recording.
        unsafe {
            raw.cmd_bind_pipeline(list, vk::PipelineBindPoint::COMPUTE, self.pipeline);
            raw.cmd_bind_descriptor_sets(list, vk::PipelineBindPoint::COMPUTE, self.layout, 0, &[self.bound[set]], &[]);
            raw.cmd_dispatch(list, x, y, z);
        }
    }
}

/// What a kernel sees of a buffer.
fn buffer(bound: &BufferBinding) -> vk::DescriptorBufferInfo {
    // SAFETY: the buffer is wgpu's, and not destroyed here.
    let raw = unsafe { bound.buffer.as_hal::<api::Vulkan>().map(|buffer| buffer.raw_handle()) };
    let range = bound.size.map_or(vk::WHOLE_SIZE, |size| size.get());
    vk::DescriptorBufferInfo { buffer: raw.unwrap_or_default(), offset: bound.offset, range }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let raw = &self.vulkan.raw;
        // SAFETY: a recording's kernels go after all its submissions are done; other kernels were never submitted. What
        // was not made is null, which is nothing to destroy.
        unsafe {
            raw.destroy_pipeline(self.pipeline, None);
            raw.destroy_pipeline_layout(self.layout, None);
            raw.destroy_descriptor_pool(self.pool, None);
            raw.destroy_descriptor_set_layout(self.bindings, None);
        }
    }
}

/// The recorded commands of a step.
pub(in crate::backend::wgpu) struct Recording {
    gpu: Arc<Gpu>,
    vulkan: Arc<Vulkan>,
    kernels: Vec<Kernel>,
    commands: vk::CommandPool,
    /// For each set of inputs.
    steps: Vec<List>,
    /// The kernels of each one by one between notes of the time, from the first time on that somebody asks.
    timed: Vec<Option<(List, vk::QueryPool)>>,
    /// Whether a list of it was ever handed on.
    submitted: bool,
}

impl Recording {
    /// Of kernels in order, each with the level that it belongs to: it waits for kernels of lower levels alone. They are
    /// bound for so many sets of inputs.
    pub(in crate::backend::wgpu) fn new(
        gpu: &Arc<Gpu>,
        vulkan: &Arc<Vulkan>,
        kernels: Vec<Kernel>,
        levels: &[usize],
        sets: usize,
    ) -> Result<Self> {
        let info = vk::CommandPoolCreateInfo::default().queue_family_index(vulkan.family);
        // SAFETY: the device is there; the pool is destroyed when this goes.
        let commands = unsafe { vulkan.raw.create_command_pool(&info, None) };
        let commands = commands.map_err(|e| refused(gpu, "lists of commands", e))?;
        let (gpu, vulkan, steps, timed) = (gpu.clone(), vulkan.clone(), Vec::new(), vec![None; sets]);
        let mut recording = Recording { gpu, vulkan, kernels, commands, steps, timed, submitted: false };
        recording.steps = (0..sets).map(|set| recording.record(levels, set)).collect::<Result<_>>()?;
        Ok(recording)
    }

    /// Records a step on a set of inputs.
    fn record(&self, levels: &[usize], set: usize) -> Result<List> {
        self.list(|list| {
            let highest = levels.iter().copied().max().unwrap_or(0);
            for level in 0..=highest {
                if level > 0 {
                    self.barrier(list);
                }
                let members = self.kernels.iter().zip(levels).filter(|(_, of)| **of == level);
                members.for_each(|(kernel, _)| kernel.record(list, set));
            }
        })
    }

    /// Submits a run on a set of inputs: the number of the submission that it belongs to.
    pub(in crate::backend::wgpu) fn run(&mut self, set: usize) -> Result<u64> {
        self.submitted = true;
        self.gpu.submit(gpu::List::Recorded(self.steps[set]))
    }

    /// Runs the kernels one by one on a set of inputs: the number of the first of the plan's kernels that each computes,
    /// and how long it took with the wait for it. `None` without a clock.
    pub(in crate::backend::wgpu) fn run_timed(&mut self, set: usize) -> Result<Option<Vec<(usize, Duration)>>> {
        let Some(tick) = self.vulkan.tick else { return Ok(None) };
        let (list, times) = match self.timed[set] {
            Some(timed) => timed,
            None => {
                let timed = self.record_timed(set)?;
                *self.timed[set].insert(timed)
            }
        };
        self.submitted = true;
        let number = self.gpu.submit(gpu::List::Recorded(list))?;
        self.gpu.wait_for(number)?;
        let mut noted = vec![0u64; self.kernels.len() + 1];
        // SAFETY: all times were noted by the submission that was waited for.
        let read =
            unsafe { self.vulkan.raw.get_query_pool_results(times, 0, &mut noted, vk::QueryResultFlags::TYPE_64) };
        read.map_err(|e| refused(&self.gpu, "times", e))?;
        let took = |(kernel, pair): (&Kernel, &[u64])| {
            let ticks = pair.last().zip(pair.first()).map_or(0, |(end, start)| end.saturating_sub(*start));
            (kernel.number, Duration::from_nanos((ticks as f64 * tick) as u64))
        };
        Ok(Some(self.kernels.iter().zip(noted.windows(2)).map(took).collect()))
    }

    fn record_timed(&self, set: usize) -> Result<(List, vk::QueryPool)> {
        let (raw, count) = (&self.vulkan.raw, self.kernels.len() as u32 + 1);
        let info = vk::QueryPoolCreateInfo::default().query_type(vk::QueryType::TIMESTAMP).query_count(count);
        // SAFETY: the device is there; the pool is destroyed when this goes.
        let times = unsafe { raw.create_query_pool(&info, None) }.map_err(|e| refused(&self.gpu, "a clock", e))?;
        let note = |list, number| {
            // SAFETY: the list is being recorded, and the pool has as many times.
            unsafe { raw.cmd_write_timestamp(list, vk::PipelineStageFlags::BOTTOM_OF_PIPE, times, number) };
        };
        let list = self.list(|list| {
            // SAFETY: the list is being recorded.
            unsafe { raw.cmd_reset_query_pool(list, times, 0, count) };
            note(list, 0);
            for (kernel, number) in self.kernels.iter().zip(1..) {
                kernel.record(list, set);
                self.barrier(list);
                note(list, number);
            }
        });
        if list.is_err() {
            // SAFETY: nothing that uses it was recorded to the end.
            unsafe { raw.destroy_query_pool(times, None) };
        }
        Ok((list?, times))
    }

    /// Records a list, which waits for lists of kernels before it.
    fn list(&self, commands: impl FnOnce(vk::CommandBuffer)) -> Result<List> {
        let recorded = self.vulkan.record(self.commands, |list| {
            commands(list);
            self.barrier(list);
        });
        recorded.map_err(|e| refused(&self.gpu, "a list of commands", e))
    }

    /// Makes the kernels behind it wait for those before it.
    fn barrier(&self, list: vk::CommandBuffer) {
        let kernels = (vk::PipelineStageFlags::COMPUTE_SHADER, SHADER);
        self.vulkan.order(list, (kernels.0, vk::AccessFlags::SHADER_WRITE), kernels);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.submitted {
            // What a failed device still does is not to be waited for; nothing of this waits to be submitted then.
            let _ = self.gpu.flush();
            let _ = self.vulkan.wait_for_all();
        }
        let raw = &self.vulkan.raw;
        // SAFETY: all that was submitted is done, or the device is lost.
        unsafe {
            for (_, times) in self.timed.iter().flatten() {
                raw.destroy_query_pool(*times, None);
            }
            raw.destroy_command_pool(self.commands, None);
        }
    }
}
