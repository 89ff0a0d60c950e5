//! What stands for Vulkan below wgpu where there is none.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use wgpu::{AdapterInfo, BufferBinding};

use crate::backend::wgpu::gpu::Gpu;
use crate::codegen::Source;
use crate::error::Result;

/// A list that was recorded: there is none.
pub(super) type List = Infallible;

/// The device that wgpu opened through Vulkan: there is none.
pub(super) enum Vulkan {}

impl Vulkan {
    pub(super) fn of(_: &wgpu::Device, _: &wgpu::Queue, _: &AdapterInfo) -> Option<Self> {
        None
    }

    pub(super) fn subgroup(&self) -> usize {
        match *self {}
    }

    pub(super) fn submit(&self, _: &[List]) -> Result<u64, Infallible> {
        match *self {}
    }

    pub(super) fn give_way(&self) -> Result<(), Infallible> {
        match *self {}
    }

    pub(super) fn done(&self) -> Result<u64, Infallible> {
        match *self {}
    }

    pub(super) fn wait(&self, _: u64) -> Result<(), Infallible> {
        match *self {}
    }
}

/// A compiled kernel: there is none.
pub(super) enum Kernel {}

impl Kernel {
    pub(super) fn new(_: &Gpu, vulkan: &Arc<Vulkan>, _: &Source, _: usize, _: &[Vec<BufferBinding>]) -> Result<Self> {
        match **vulkan {}
    }
}

/// A recorded step: there is none.
pub(super) enum Recording {}

impl Recording {
    pub(super) fn new(_: &Arc<Gpu>, vulkan: &Arc<Vulkan>, _: Vec<Kernel>, _: &[usize], _: usize) -> Result<Self> {
        match **vulkan {}
    }

    pub(super) fn run(&mut self, _: usize) -> Result<u64> {
        match *self {}
    }

    pub(super) fn run_timed(&mut self, _: usize) -> Result<Option<Vec<(usize, Duration)>>> {
        match *self {}
    }
}
