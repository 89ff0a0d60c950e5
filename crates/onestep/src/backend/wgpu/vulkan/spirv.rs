//! WGSL as SPIR-V, the way a step's kernels want it: without checks of what printed kernels never do, and with storage
//! barriers that wait for the workgroup alone.

use std::collections::BTreeMap;

use naga::back::spv::{Options, WriterFlags, ZeroInitializeWorkgroupMemoryMode, write_vec};
use naga::front::wgsl;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Words before the first instruction.
const HEADER: usize = 5;
/// Instructions by number: a constant, and a barrier.
const CONSTANT: u32 = 43;
const CONTROL_BARRIER: u32 = 224;
/// The scope of all that a device runs.
const DEVICE: u32 = 1;

/// A kernel's text as SPIR-V. What it says must be right: a kernel that reads or writes beyond what it binds, divides by
/// zero, reads shared memory that it did not write, or has loops that do not end, is not checked.
pub(super) fn compile(text: &str) -> Result<Vec<u32>, String> {
    let module = wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(text))?;
    let unchecked = BoundsCheckPolicy::Unchecked;
    let options = Options {
        lang_version: (1, 5),
        flags: WriterFlags::empty(),
        bounds_check_policies: BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..Options::default()
    };
    let mut words = write_vec(&module, &info, &options, None).map_err(|e| e.to_string())?;
    narrow_barriers(&mut words);
    Ok(words)
}

/// Makes barriers that wait until the whole device sees what was written wait for the workgroup instead, as WGSL means
/// them: naga asks for more, and the caches that this empties are what an island lives from.
fn narrow_barriers(words: &mut [u32]) {
    let mut constants = BTreeMap::new();
    let mut at = HEADER;
    while let Some(&[head, first, second, third]) = words.get(at..at + 4) {
        let (length, operation) = ((head >> 16) as usize, head & 0xffff);
        match operation {
            CONSTANT if length == 4 => {
                constants.insert(second, third);
            }
            // The threads that meet are those of a workgroup: so are those that see what was written.
            CONTROL_BARRIER if constants.get(&second) == Some(&DEVICE) => words[at + 2] = first,
            _ => {}
        }
        at += length.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scopes of execution and of memory of each barrier, by value.
    fn barriers(words: &[u32]) -> Vec<[u32; 2]> {
        let (mut constants, mut all, mut at) = (BTreeMap::new(), Vec::new(), HEADER);
        while at < words.len() {
            match words[at] & 0xffff {
                CONSTANT => drop(constants.insert(words[at + 2], words[at + 3])),
                CONTROL_BARRIER => all.push([constants[&words[at + 1]], constants[&words[at + 2]]]),
                _ => {}
            }
            at += (words[at] >> 16) as usize;
        }
        all
    }

    #[test]
    fn barriers_are_those_of_a_workgroup() {
        let text = "
            @group(0) @binding(0) var<storage, read_write> b: array<f32>;
            @compute @workgroup_size(64)
            fn k(@builtin(local_invocation_index) thread: u32) {
              b[thread] = 1f;
              storageBarrier();
              b[thread] += b[63u - thread];
              workgroupBarrier();
            }";
        let words = compile(text).unwrap();
        assert_eq!(barriers(&words), [[2, 2], [2, 2]]);
    }

    #[test]
    fn what_is_no_wgsl_says_where() {
        let e = compile("fn k() { x = 1; }").unwrap_err();
        assert!(e.contains('x'), "{e}");
    }
}
