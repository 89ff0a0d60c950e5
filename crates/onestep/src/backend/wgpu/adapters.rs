//! Which adapters there are: enumerates them, finds the one that a name means, and says what an adapter allows. Opens
//! none.

use std::sync::OnceLock;

use wgpu::{
    Adapter, AdapterInfo, Backends, CooperativeMatrixProperties, CooperativeScalarType, DeviceType, DownlevelFlags,
    Features, Instance, InstanceDescriptor, InstanceFlags,
};

use wgpu::util::pipeline_cache_key;

use super::gpu::now;
use crate::backend::memory::Size;
use crate::error::{Error, Result};

/// A graphics interface by the name people use.
pub(super) struct Api {
    pub(super) name: &'static str,
    backends: Backends,
    /// Where there is one and no adapter is found: how to get one.
    mend: &'static str,
    /// Whether this platform has it at all.
    here: bool,
    /// The platform that does.
    platform: &'static str,
}

/// All of them, the one to be preferred on its platform first.
const APIS: [Api; 3] = [
    Api {
        name: "metal",
        backends: Backends::METAL,
        mend: "it takes a GPU that macOS supports",
        here: cfg!(target_os = "macos"),
        platform: "macOS",
    },
    Api {
        name: "dx12",
        backends: Backends::DX12,
        mend: "install the GPU's driver",
        here: cfg!(target_os = "windows"),
        platform: "Windows",
    },
    Api {
        name: "vulkan",
        backends: Backends::VULKAN,
        mend: "install the Vulkan loader and the GPU's driver (on Debian and Ubuntu the packages libvulkan1 and \
               mesa-vulkan-drivers, or NVIDIA's driver with its Vulkan part)",
        here: cfg!(any(target_os = "linux", target_os = "windows")),
        platform: "Linux and Windows",
    },
];

/// The name that means the best adapter of any interface.
const ANY: &str = "wgpu";

/// An adapter and what people call it.
pub(super) struct Found {
    pub(super) adapter: Adapter,
    pub(super) info: AdapterInfo,
    /// "vulkan:0".
    pub(super) name: String,
}

fn instance() -> &'static Instance {
    static INSTANCE: OnceLock<Instance> = OnceLock::new();
    INSTANCE.get_or_init(|| {
        // No layers that look for mistakes, not in debug builds either: what is submitted is checked by wgpu itself.
        let flags = InstanceFlags::empty();
        let backends = APIS.iter().filter(|api| api.here).fold(Backends::empty(), |all, api| all | api.backends);
        Instance::new(InstanceDescriptor { backends, flags, ..InstanceDescriptor::new_without_display_handle() })
    })
}

/// The adapters of an interface, in its order.
fn of(api: &Api) -> Vec<Found> {
    if !api.here {
        return Vec::new();
    }
    let all = now(instance().enumerate_adapters(api.backends)).unwrap_or_default();
    let found = |(number, adapter): (usize, Adapter)| {
        let info = adapter.get_info();
        Found { adapter, info, name: format!("{}:{number}", api.name) }
    };
    all.into_iter().enumerate().map(found).collect()
}

/// How much an adapter is preferred over others; the least comes first.
fn rank(found: &Found) -> usize {
    match found.info.device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    }
}

/// Whether it computes on the CPU.
pub(super) fn is_software(info: &AdapterInfo) -> bool {
    info.device_type == DeviceType::Cpu
}

/// What tells an adapter with its driver from others, from start to start; `None` where its interface does not say.
pub(super) fn key_of(info: &AdapterInfo) -> Option<String> {
    pipeline_cache_key(info).map(|key| format!("{key} {} {}", info.driver, info.driver_info))
}

/// What kernels need that multiply cooperative matrices.
pub(super) const MATRICES: Features =
    Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(Features::SHADER_F16).union(Features::SUBGROUP);

/// Whether subgroups of 32 threads, no more and no less, multiply matrices of 16 by 16 by 16, of f16 with sums in f32.
pub(super) fn multiplies_matrices(adapter: &Adapter, info: &AdapterInfo) -> bool {
    let fits = |p: &CooperativeMatrixProperties| {
        let types = (p.ab_type, p.cr_type) == (CooperativeScalarType::F16, CooperativeScalarType::F32);
        types && [p.m_size, p.n_size, p.k_size] == [16; 3]
    };
    adapter.features().contains(MATRICES)
        && adapter.get_downlevel_capabilities().flags.contains(DownlevelFlags::SHADER_F16_IN_F32)
        && [info.subgroup_min_size, info.subgroup_max_size] == [32; 2]
        && adapter.cooperative_matrix_properties().iter().any(fits)
}

/// Whether a name is for this backend: `vulkan`, `vulkan:1`, `metal`, `dx12`, `wgpu`.
pub(in crate::backend) fn is_name(name: &str) -> bool {
    name == ANY || APIS.iter().any(|api| split(name).0 == api.name)
}

/// A name's interface, and its number if it has one.
fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once(':').map_or((name, None), |(api, number)| (api, Some(number)))
}

/// The adapter of a name: by number, or the best of an interface or of all. One that computes on the CPU is the best
/// only where it is the only one.
pub(super) fn named(name: &str) -> Result<Found> {
    let (api, number) = split(name);
    if name == ANY {
        return all().into_iter().next().ok_or_else(|| {
            let mends: Vec<_> = APIS.iter().filter(|a| a.here).map(|a| format!("for {}: {}", a.name, a.mend)).collect();
            Error::device(format!("no graphics interface has an adapter here; {}", mends.join("; ")))
        });
    }
    let Some(api) = APIS.iter().find(|a| a.name == api) else {
        return Err(Error::device(format!("`{name}` is no graphics adapter; there are vulkan, metal, dx12 and wgpu")));
    };
    if !api.here {
        let own = APIS.iter().filter(|a| a.here).map(|a| a.name).collect::<Vec<_>>().join("` or `--device ");
        return Err(Error::device(format!(
            "there is no {} here: it exists on {} alone; use `--device {own}`",
            api.name, api.platform
        )));
    }
    let mut found = of(api);
    if found.is_empty() {
        return Err(Error::device(format!("there is no {} adapter here; {}", api.name, api.mend)));
    }
    let Some(number) = number else {
        found.sort_by_key(rank);
        return found.into_iter().next().ok_or_else(|| panic!("onestep bug: an adapter is gone"));
    };
    let count = found.len();
    let wanted = number.parse().ok().filter(|n: &usize| *n < count);
    wanted.map(|n| found.swap_remove(n)).ok_or_else(|| {
        Error::device(format!(
            "there is no adapter `{name}` here: {} has {count}, counted from 0; `onestep devices` lists them",
            api.name
        ))
    })
}

/// Every adapter of every interface, best first.
pub(super) fn all() -> Vec<Found> {
    let mut found: Vec<Found> = APIS.iter().flat_map(of).collect();
    found.sort_by_key(rank);
    found
}

/// One line about an adapter: model, kind, driver, limits and what it allows.
pub(super) fn describe(adapter: &Adapter, info: &AdapterInfo) -> String {
    let kind = match info.device_type {
        DeviceType::DiscreteGpu => "discrete GPU",
        DeviceType::IntegratedGpu => "integrated GPU",
        DeviceType::VirtualGpu => "virtual GPU",
        DeviceType::Other => "GPU",
        DeviceType::Cpu => "software, computed on the CPU",
    };
    let (limits, has) = (adapter.limits(), adapter.features());
    let subgroups = match (info.subgroup_min_size, info.subgroup_max_size) {
        (least, most) if least == most => format!("subgroups of {least}"),
        (least, most) => format!("subgroups of {least} to {most}"),
    };
    let extras = [
        (Features::SHADER_F16, "f16"),
        (Features::SUBGROUP, &subgroups),
        (Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "cooperative matrices"),
        (Features::TIMESTAMP_QUERY, "timestamps"),
    ];
    let extras: Vec<&str> = extras.iter().filter(|(feature, _)| has.contains(*feature)).map(|e| e.1).collect();
    let driver =
        [&*info.driver, &*info.driver_info].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ");
    format!(
        "{} ({kind}{}{driver}); buffers up to {}, {} bound at once; {} threads and {} shared by a workgroup; {}",
        info.name,
        if driver.is_empty() { "" } else { ", driver " },
        Size(limits.max_buffer_size as usize),
        Size(limits.max_storage_buffer_binding_size as usize),
        limits.max_compute_invocations_per_workgroup,
        Size(limits.max_compute_workgroup_storage_size as usize),
        if extras.is_empty() { "no extensions".to_string() } else { extras.join(", ") },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_those_of_other_devices() {
        for name in ["vulkan", "vulkan:1", "metal", "dx12:0", "wgpu", "vulkan:x"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["cpu", "cuda", "cuda:0", "reference", "", "vulkan1", "wgpu:0"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_not_here_is_an_error_that_says_so() {
        let error = |name: &str| named(name).err().map(|e| e.to_string()).unwrap_or_default();
        for api in APIS.iter().filter(|api| !api.here) {
            assert!(error(api.name).contains("exists on"), "{}", error(api.name));
        }
        for api in APIS.iter().filter(|api| api.here) {
            let message = error(&format!("{}:700", api.name));
            assert!(message.contains("counted from 0") || message.contains(api.mend), "{message}");
        }
    }
}
