//! WGSL through naga's parser and validator, and on to what Metal and DX12 compile: its writers of MSL and HLSL.

use crate::host::GPU;
use naga::back::{hlsl, msl};
use naga::front::wgsl::{Frontend, Options};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use onestep::codegen::{Bound, Language, Source, Tile, Tiling, launches, print, print_tiled};
use onestep::plan::{KernelKind, Place, Plan};

/// For a device that binds whatever is asked for.
pub const WGSL: Language = wgsl(31);

/// For one whose threads fold by subgroups of eight too.
pub const BY_SUBGROUPS: Language = folding_by(8);

/// For one whose bindings hold little.
pub const WINDOWS: Language = Language::Wgsl { bindings: 1 << 16, binding_bytes: 1 << 10, subgroup: 0 };

/// WGSL for a device with so many bindings of any size.
pub const fn wgsl(bindings: usize) -> Language {
    Language::Wgsl { bindings, binding_bytes: 1 << 31, subgroup: 0 }
}

/// WGSL for a device whose threads fold by subgroups of a size.
pub const fn folding_by(subgroup: usize) -> Language {
    Language::Wgsl { bindings: 31, binding_bytes: 1 << 31, subgroup }
}

/// The loop kernels and islands of a plan in a language.
pub fn sources(plan: &Plan, language: Language) -> Vec<Source> {
    let loops = launches(plan).into_iter().filter(|r| matches!(plan.kernels[r.start].kind, KernelKind::Loop(_)));
    loops.map(|r| print(plan, r, language).unwrap()).collect()
}

/// The kernels for devices that bind just too little for each of them, so that the arena is bound as one.
pub fn tight(plan: &Plan) -> Vec<Source> {
    let arena = |s: &Source| {
        let of_arena = |b: &Bound| matches!(b, Bound::Buffer(id) if matches!(plan.buffer(*id).place, Place::Arena(_)));
        s.bindings.iter().filter(|b| of_arena(&b.bound)).count()
    };
    let loops = launches(plan).into_iter().filter(|r| matches!(plan.kernels[r.start].kind, KernelKind::Loop(_)));
    let pairs = loops.zip(sources(plan, WGSL)).filter(|(_, s)| arena(s) > 1);
    pairs.map(|(r, s)| print(plan, r, wgsl(s.bindings.len() - 1)).unwrap()).collect()
}

/// The contractions and scattered sums of a plan by tiles, for a large device and for a small one, some of them with the arena as one; and
/// by each tile that is measured, whatever their extents.
pub fn tiles(plan: &Plan) -> Vec<Source> {
    let small = Tiling::new(4, 16 << 10);
    let mut languages = vec![(GPU, WGSL), (small, WGSL), (small, wgsl(3)), (small, WINDOWS)];
    languages.extend(Tile::all().map(|tile| (Tiling { tile: Some(tile), cooperative: true, ..GPU }, WGSL)));
    let loops = launches(plan).into_iter().filter(|r| matches!(plan.kernels[r.start].kind, KernelKind::Loop(_)));
    let printed = loops
        .flat_map(|r| languages.iter().map(move |&(tiling, language)| print_tiled(plan, r.clone(), tiling, language)));
    // Some bind more than three buffers besides the arena.
    printed
        .filter_map(Result::ok)
        .flatten()
        .filter(|s| ["staged", "workspace", "found"].iter().any(|word| s.kernel.contains(word)))
        .collect()
}

/// What naga has against a text.
pub fn fault(text: &str) -> Option<String> {
    // Kernels that multiply cooperative matrices say so; all others use no extension.
    let cooperative = text.contains("enable wgpu_cooperative_matrix;");
    let capabilities = match cooperative {
        true => {
            let halves = Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
            Capabilities::COOPERATIVE_MATRIX | Capabilities::SUBGROUP | halves
        }
        false => Capabilities::SUBGROUP,
    };
    let mut reader = Frontend::new_with_options(Options { parse_doc_comments: false, capabilities });
    let module = match reader.parse(text) {
        Ok(module) => module,
        Err(e) => return Some(e.emit_to_string(text)),
    };
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    let info = match validator.validate(&module) {
        Ok(info) => info,
        Err(e) => return Some(e.emit_to_string(text)),
    };
    // As wgpu asks for it on Apple GPUs, but for the numbers of bindings, which it chooses.
    let options = msl::Options {
        lang_version: (2, 4),
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..msl::Options::default()
    };
    match msl::write_string(&module, &info, &options, &msl::PipelineOptions::default()) {
        Ok((text, _)) if text.contains("kernel void") => {}
        Ok((text, _)) => return Some(format!("no kernel in the Metal text:\n{text}")),
        Err(e) => return Some(format!("the Metal writer: {e}")),
    }
    if cooperative {
        // DX12 has none.
        return None;
    }
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..hlsl::Options::default()
    };
    let (pipeline, mut text) = (hlsl::PipelineOptions::default(), String::new());
    match hlsl::Writer::new(&mut text, &options, &pipeline).write(&module, &info, None) {
        Ok(_) if text.contains("[numthreads(") => None,
        Ok(_) => Some(format!("no kernel in the text for DX12:\n{text}")),
        Err(e) => Some(format!("the writer for DX12: {e}")),
    }
}
