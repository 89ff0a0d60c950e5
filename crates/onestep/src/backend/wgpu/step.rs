//! A step's list of commands, which can be submitted once: a thread encodes the lists of the next steps ahead, so that
//! a run takes one that is finished.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use wgpu::{BindGroup, CommandBuffer, ComputePass, ComputePassDescriptor, ComputePipeline};

use super::gpu::Gpu;
use crate::error::{Error, Result};

/// Lists that are encoded ahead.
const AHEAD: usize = 4;

/// A kernel with what it binds.
pub(super) struct Launch {
    pub(super) pipeline: ComputePipeline,
    /// For each set of inputs.
    pub(super) bound: Vec<BindGroup>,
    pub(super) groups: [u32; 3],
    /// The first of the plan's kernels that it computes.
    pub(super) kernel: usize,
}

impl Launch {
    /// Adds it, on a set of inputs, to what a list of commands computes.
    pub(super) fn dispatch(&self, pass: &mut ComputePass, set: usize) {
        let [x, y, z] = self.groups;
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bound[set], &[]);
        pass.dispatch_workgroups(x, y, z);
    }
}

/// The kernels of a step, in order, on a set of inputs.
pub(super) struct Step {
    gpu: Arc<Gpu>,
    launches: Arc<Vec<Launch>>,
    set: usize,
    runs: usize,
    /// From the second run on.
    ahead: Option<Ahead>,
}

/// The thread that encodes, and what it has encoded.
struct Ahead {
    lists: Receiver<CommandBuffer>,
    thread: JoinHandle<()>,
}

impl Step {
    pub(super) fn new(gpu: &Arc<Gpu>, launches: &Arc<Vec<Launch>>, set: usize) -> Self {
        Step { gpu: gpu.clone(), launches: launches.clone(), set, runs: 0, ahead: None }
    }

    /// The kernels.
    pub(super) fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// The set of inputs.
    pub(super) fn set(&self) -> usize {
        self.set
    }

    /// A list of the commands of one run.
    pub(super) fn list(&mut self) -> Result<CommandBuffer> {
        self.runs = self.runs.saturating_add(1);
        if self.runs == 1 {
            // Many programs run once.
            return Ok(repeated(&self.gpu, &self.launches, self.set, 1));
        }
        let lists = match &self.ahead {
            Some(ahead) => &ahead.lists,
            None => &self.ahead.insert(Ahead::start(&self.gpu, &self.launches, self.set)?).lists,
        };
        lists.recv().map_err(|e| Error::device(format!("{} encodes no more commands", self.gpu.name)).with_source(e))
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(Ahead { lists, thread }) = self.ahead.take() {
            // Without a receiver the thread ends.
            drop(lists);
            let _ = thread.join();
        }
    }
}

impl Ahead {
    fn start(gpu: &Arc<Gpu>, launches: &Arc<Vec<Launch>>, set: usize) -> Result<Self> {
        let (sender, lists) = sync_channel(AHEAD);
        let (gpu, launches) = (gpu.clone(), launches.clone());
        let encode = move || while sender.send(repeated(&gpu, &launches, set, 1)).is_ok() {};
        let thread = Builder::new().name("onestep encoder".into()).spawn(encode);
        let thread = thread.map_err(|e| Error::device(format!("no thread can be started: {e}")).with_source(e))?;
        Ok(Ahead { lists, thread })
    }
}

/// A list of commands that runs kernels, on a set of inputs, so many times.
pub(super) fn repeated(gpu: &Gpu, launches: &[Launch], set: usize, times: usize) -> CommandBuffer {
    let mut encoder = gpu.encoder();
    let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
    std::iter::repeat_n(launches, times).flatten().for_each(|launch| launch.dispatch(&mut pass, set));
    drop(pass);
    encoder.finish()
}
