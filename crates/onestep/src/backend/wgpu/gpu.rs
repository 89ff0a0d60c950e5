//! An opened adapter: its one queue, what is recorded for it and not yet submitted, and what it has to say when
//! something fails. Knows neither buffers' purposes nor programs.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use wgpu::{
    AdapterInfo, CommandBuffer, CommandEncoder, DeviceDescriptor, DeviceType, ErrorFilter, ExperimentalFeatures,
    Features, Limits, MemoryHints, PollType, SubmissionIndex,
};

use super::adapters::{self, Found};
use super::memory::in_words;
use super::pipelines::Pipelines;
use super::vulkan::{self, Vulkan};
use crate::backend::memory::Size;
use crate::backend::switches;
use crate::codegen::Source;
use crate::error::{Error, Result};

/// Submissions that are under way before lists of commands wait for each other, to go out together: a submission costs
/// the host as much as many kernels cost the device.
const UNDER_WAY: usize = 2;
/// Lists of commands that wait before the host waits for the device, and recorded ones that are worth a submission while
/// the device still has another: from one to the next it rests for as long as some kernels take.
const WAITING: usize = 16;
const WORTH_SENDING: usize = 8;

/// The environment variable that, where it is `off`, leaves steps to lists which wgpu encodes, as on Metal and DX12.
const RECORD: &str = "ONESTEP_RECORD";

/// Buffers that a kernel binds at most where the adapter has no less: some have no limit of their own, and then a layout
/// of bindings has one.
const BINDINGS: usize = 64;

/// A device with its queue.
pub(super) struct Gpu {
    /// "vulkan:0".
    pub(super) name: String,
    /// One line about it.
    pub(super) description: String,
    pub(super) info: AdapterInfo,
    pub(super) limits: Limits,
    pub(super) features: Features,
    /// Whether its subgroups multiply matrices as kernels here ask them to.
    pub(super) cooperative: bool,
    pub(super) device: wgpu::Device,
    queue: wgpu::Queue,
    line: Mutex<Line>,
    faults: Arc<Faults>,
    pub(super) pipelines: Pipelines,
    /// What is below, where that is Vulkan and recorded lists can be submitted to it.
    pub(super) vulkan: Option<Arc<Vulkan>>,
}

/// A list of commands.
pub(super) enum List {
    /// Encoded by wgpu, to be submitted once.
    Encoded(CommandBuffer),
    /// Recorded below wgpu.
    #[cfg_attr(target_os = "macos", expect(dead_code, reason = "there is no Vulkan to record for"))]
    Recorded(vulkan::List),
}

/// What tells the end of a submission.
#[derive(Clone)]
enum Ticket {
    /// With whether it is known to have come.
    Encoded(SubmissionIndex, Arc<AtomicBool>),
    /// The count of Vulkan's submissions.
    Recorded(u64),
}

/// What goes to the queue, in order.
#[derive(Default)]
struct Line {
    /// Lists of commands that go out together, or when somebody waits for them.
    ready: Vec<List>,
    /// Copies behind these that go out with them.
    recorded: Option<CommandEncoder>,
    /// The number of submissions so far: what is ready or recorded now belongs to the one of this number, which is
    /// several of the queue's where lists of both kinds go out.
    next: u64,
    /// Submissions that may be under way, with their numbers and what tells the end of the last of them.
    under_way: VecDeque<(u64, Ticket)>,
}

/// What the device reported outside of a call that asked.
#[derive(Default)]
struct Faults {
    any: AtomicBool,
    /// The first of them.
    first: Mutex<Option<String>>,
}

impl Faults {
    fn report(&self, what: String) {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
        self.any.store(true, Ordering::Release);
    }
}

/// The value of a future that is ready at once, as all are that wgpu gives outside of browsers.
pub(super) fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

impl Gpu {
    /// Opens an adapter with all the limits it has.
    pub(super) fn open(found: Found) -> Result<Self> {
        let Found { adapter, info, name } = found;
        let cooperative = adapters::multiplies_matrices(&adapter, &info);
        let in_place = match info.device_type {
            DeviceType::IntegratedGpu | DeviceType::Cpu => Features::MAPPABLE_PRIMARY_BUFFERS,
            DeviceType::DiscreteGpu | DeviceType::VirtualGpu | DeviceType::Other => Features::empty(),
        };
        let wanted = Features::TIMESTAMP_QUERY
            | Features::PIPELINE_CACHE
            | in_place
            | match cooperative {
                true => adapters::MATRICES,
                // Tests emulate the rest.
                false if cfg!(test) => Features::SHADER_F16,
                false => Features::empty(),
            };
        let (limits, features) = (adapter.limits(), adapter.features() & wanted);
        let experimental_features = match cooperative {
            // SAFETY: of what is experimental, cooperative matrices alone are used, by kernels of ours that load and
            // store whole matrices within the shared memory they declare, in control flow that a workgroup has in
            // common.
            true => unsafe { ExperimentalFeatures::enabled() },
            false => ExperimentalFeatures::disabled(),
        };
        let descriptor = DeviceDescriptor {
            label: None,
            required_features: features,
            required_limits: limits.clone(),
            experimental_features,
            // The pool above keeps large blocks itself.
            memory_hints: MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
        };
        let opened = now(adapter.request_device(&descriptor));
        let refused = || Error::device(format!("{name} ({}) cannot be opened; is its driver up to date?", info.name));
        let (device, queue) = opened.ok_or_else(refused)?.map_err(|e| refused().with_source(e))?;
        let faults = Arc::new(Faults::default());
        // What is wgpu's default would end the process.
        let report = faults.clone();
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| report.report(e.to_string())));
        let report = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            report.report(format!("the device is lost ({reason:?}): {message}"));
        });
        let description = adapters::describe(&adapter, &info);
        let pipelines = Pipelines::of_user(&device, &info);
        let vulkan = if switches::is_on(RECORD)? { Vulkan::of(&device, &queue, &info).map(Arc::new) } else { None };
        Ok(Gpu {
            pipelines,
            vulkan,
            name,
            description,
            info,
            limits,
            features,
            cooperative,
            device,
            queue,
            line: Mutex::default(),
            faults,
        })
    }

    /// An error if the device has failed since it was opened.
    pub(super) fn check(&self) -> Result<()> {
        if !self.faults.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let first = self.faults.first.lock().unwrap_or_else(PoisonError::into_inner);
        Err(self.failed(first.as_deref().unwrap_or("it does not say why")))
    }

    fn failed(&self, why: &str) -> Error {
        Error::device(format!(
            "{} failed: {why}; what was on it is gone, so start again from what was saved last",
            self.name
        ))
    }

    /// Does something, and gives what the device has against it as an error: of kind memory where that ran out.
    pub(super) fn attempt<T>(&self, what: impl FnOnce() -> T) -> Result<T> {
        self.check()?;
        let scopes = [ErrorFilter::Internal, ErrorFilter::Validation, ErrorFilter::OutOfMemory];
        let scopes = scopes.map(|filter| self.device.push_error_scope(filter));
        let value = what();
        let errors: Vec<wgpu::Error> =
            scopes.into_iter().rev().filter_map(|scope| now(scope.pop()).flatten()).collect();
        match errors.into_iter().next() {
            None => self.check().map(|()| value),
            Some(e @ wgpu::Error::OutOfMemory { .. }) => {
                Err(Error::memory(format!("{} has no memory left", self.name)).with_source(e))
            }
            Some(e) => Err(Error::device(format!("{} refuses: {e}", self.name)).with_source(e)),
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new list of commands.
    pub(super) fn encoder(&self) -> CommandEncoder {
        self.device.create_command_encoder(&Default::default())
    }

    /// Adds commands behind all that was recorded or submitted so far; the number of the submission that they will
    /// belong to. They go out with the next one, or when somebody waits for that number.
    pub(super) fn record(&self, commands: impl FnOnce(&mut CommandEncoder)) -> Result<u64> {
        self.check()?;
        let mut line = self.line();
        commands(line.recorded.get_or_insert_with(|| self.encoder()));
        Ok(line.next)
    }

    /// Adds a list of commands behind all others; the number of the submission that it belongs to. It goes out at once
    /// where the device has little to do, else together with those that come after it, or when somebody waits for it.
    /// Waits only where very many have come together.
    pub(super) fn submit(&self, list: List) -> Result<u64> {
        self.check()?;
        let mut line = self.line();
        let recorded = line.recorded.take().map(|encoder| List::Encoded(encoder.finish()));
        line.ready.extend(recorded.into_iter().chain([list]));
        let number = line.next;
        let full = line.ready.len() >= WAITING;
        let oldest = line.under_way.front().filter(|_| line.under_way.len() >= UNDER_WAY).cloned();
        match oldest {
            None => self.send(&mut line),
            Some((oldest, ticket)) => {
                drop(line);
                self.look(&ticket, full)?;
                let mut line = self.line();
                self.forget_done(&mut line, if full { oldest + 1 } else { 0 });
                let rests = line.under_way.is_empty();
                // Copies do not wait for company: somebody waits for their slots.
                let copies = line.ready.iter().any(|list| matches!(list, List::Encoded(_)));
                let worth_it = line.under_way.len() < UNDER_WAY && (copies || line.ready.len() >= WORTH_SENDING);
                if rests && !line.ready.is_empty() || worth_it {
                    self.send(&mut line);
                }
            }
        }
        self.check()?;
        Ok(number)
    }

    /// Submits all that waits.
    pub(super) fn flush(&self) -> Result<()> {
        let mut line = self.line();
        if line.recorded.is_some() || !line.ready.is_empty() {
            self.send(&mut line);
        }
        drop(line);
        self.check()
    }

    /// Submits all that waits, lists of a kind that follow each other together.
    fn send(&self, line: &mut Line) {
        let recorded = line.recorded.take().map(|encoder| List::Encoded(encoder.finish()));
        let mut lists = line.ready.drain(..).chain(recorded).collect::<VecDeque<_>>();
        let number = line.next;
        line.next += 1;
        if self.faults.any.load(Ordering::Acquire) {
            // Who recorded them may be gone.
            return;
        }
        let mut ticket = None;
        while let Some(first) = lists.front() {
            let kind = std::mem::discriminant(first);
            let others = lists.iter().position(|list| std::mem::discriminant(list) != kind);
            let (mut encoded, mut below) = (Vec::new(), Vec::new());
            for list in lists.drain(..others.unwrap_or(lists.len())) {
                match list {
                    List::Encoded(list) => encoded.push(list),
                    List::Recorded(list) => below.push(list),
                }
            }
            ticket = match below.is_empty() {
                true => Some(self.send_encoded(encoded)),
                false => self.send_recorded(&below),
            };
        }
        line.under_way.extend(ticket.map(|ticket| (number, ticket)));
    }

    fn send_encoded(&self, lists: Vec<CommandBuffer>) -> Ticket {
        if let Some(Err(e)) = self.vulkan.as_ref().map(|vulkan| vulkan.give_way()) {
            self.faults.report(e.to_string());
        }
        let index = self.queue.submit(lists);
        let sent = Arc::new(AtomicBool::new(false));
        let done = sent.clone();
        self.queue.on_submitted_work_done(move || done.store(true, Ordering::Release));
        Ticket::Encoded(index, sent)
    }

    fn send_recorded(&self, lists: &[vulkan::List]) -> Option<Ticket> {
        match self.vulkan.as_ref()?.submit(lists) {
            Ok(count) => Some(Ticket::Recorded(count)),
            Err(e) => {
                self.faults.report(e.to_string());
                None
            }
        }
    }

    /// Whether a submission is known to be done.
    fn is_done(&self, ticket: &Ticket) -> bool {
        match ticket {
            Ticket::Encoded(_, done) => done.load(Ordering::Acquire),
            Ticket::Recorded(value) => self.vulkan.as_ref().is_some_and(|v| v.done().is_ok_and(|done| done >= *value)),
        }
    }

    /// Takes what is done from what is under way: submissions below a number, and those that are seen to be.
    fn forget_done(&self, line: &mut Line, below: u64) {
        while line.under_way.front().is_some_and(|(number, ticket)| *number < below || self.is_done(ticket)) {
            line.under_way.pop_front();
        }
    }

    /// Waits for a submission, or lets wgpu see how far the device is.
    fn look(&self, ticket: &Ticket, wait: bool) -> Result<()> {
        match (ticket, &self.vulkan) {
            (Ticket::Encoded(index, _), _) if wait => {
                self.poll(PollType::Wait { submission_index: Some(index.clone()), timeout: None })
            }
            (Ticket::Recorded(value), Some(vulkan)) if wait => vulkan.wait(*value).or_else(|e| {
                self.faults.report(e.to_string());
                self.check()
            }),
            (Ticket::Recorded(_), _) => Ok(()),
            (Ticket::Encoded(..), _) => self.poll(PollType::Poll),
        }
    }

    /// Waits for everything up to a submission, which goes out now if it has not yet.
    pub(super) fn wait_for(&self, number: u64) -> Result<()> {
        let mut line = self.line();
        if number >= line.next {
            self.send(&mut line);
        }
        // What is not under way any more was waited for.
        let ticket = line.under_way.iter().rfind(|(n, _)| *n <= number).map(|(_, ticket)| ticket.clone());
        drop(line);
        if let Some(ticket) = ticket {
            self.look(&ticket, true)?;
        }
        // Whatever is mapped for the host is so when wgpu sees it.
        self.poll(PollType::Poll)?;
        self.forget_done(&mut self.line(), number + 1);
        Ok(())
    }

    /// Sees what has become of a submission without waiting; it goes out now if it has not yet.
    pub(super) fn look_at(&self, number: u64) -> Result<()> {
        let mut line = self.line();
        if number >= line.next {
            self.send(&mut line);
        }
        drop(line);
        self.poll(PollType::Poll)
    }

    /// Waits for everything.
    pub(super) fn wait(&self) -> Result<()> {
        self.flush()?;
        let last = self.line().next;
        if let Some(last) = last.checked_sub(1) {
            self.wait_for(last)?;
        }
        self.poll(PollType::wait_indefinitely())
    }

    fn poll(&self, how: PollType) -> Result<()> {
        // wgpu panics where a device is lost while it is waited for.
        let polled = catch_unwind(AssertUnwindSafe(|| self.device.poll(how)));
        self.check()?;
        match polled {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(e)) => Err(self.failed(&e.to_string()).with_source(e)),
            Err(_) => {
                let why = "the device was lost while it was waited for";
                self.faults.report(why.into());
                Err(self.failed(why))
            }
        }
    }

    /// Whether its memory is the host's, so that kernels can read what the host wrote where it was written.
    pub(super) fn reads_in_place(&self) -> bool {
        self.features.contains(Features::MAPPABLE_PRIMARY_BUFFERS)
    }

    /// Storage buffers that a kernel may bind.
    pub(super) fn bindings(&self) -> usize {
        (self.limits.max_storage_buffers_per_shader_stage as usize).min(BINDINGS)
    }

    /// Refuses what a kernel could not see as a whole.
    pub(super) fn check_bound(&self, name: &str, bytes: usize) -> Result<()> {
        let most = self.limits.max_storage_buffer_binding_size;
        if in_words(bytes) <= most {
            return Ok(());
        }
        Err(Error::memory(format!(
            "{name} takes {}, but a kernel of {} sees at most {} of a buffer; use a smaller batch or model, or stream \
             the data",
            Size(bytes),
            self.name,
            Size(most as usize)
        )))
    }

    /// The workgroups of a kernel, where there may be so many.
    pub(super) fn groups(&self, source: &Source) -> Result<[u32; 3]> {
        let most = self.limits.max_compute_workgroups_per_dimension;
        let groups = source.groups.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        match groups.iter().all(|&n| n <= most) {
            true => Ok(groups),
            false => Err(Error::unsupported(format!(
                "takes {:?} groups of threads, but {} has at most {most} on an axis; make the batch or the tensors \
                 smaller",
                source.groups, self.name
            ))),
        }
    }

    /// Nanoseconds of a tick of its clock.
    pub(super) fn tick(&self) -> f64 {
        f64::from(self.queue.get_timestamp_period())
    }
}
