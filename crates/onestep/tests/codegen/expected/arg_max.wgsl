@group(0) @binding(0) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> b2: array<i32>;
var<workgroup> shared_float0: array<f32, 256>;
var<workgroup> shared_int1: array<i32, 256>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let lane: i32 = thread % 32;
  let item: i32 = block * 8 + thread / 32;
  let g0: i32 = item;
  var best0: f32 = 0.0f;
  var c0: i32 = -1;
  {
    for (var row: i32 = lane; row < 75; row += 32) {
      let r0_first: i32 = row * 4;
      let v0: vec4<f32> = b0[u32(300 * g0 + r0_first) / 4u];
      {
        const part: i32 = 0;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        if (c0 < 0 || is_first_largest(e0, best0)) {
          best0 = e0;
          c0 = r0;
        }
      }
      {
        const part: i32 = 1;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        if (c0 < 0 || is_first_largest(e0, best0)) {
          best0 = e0;
          c0 = r0;
        }
      }
      {
        const part: i32 = 2;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        if (c0 < 0 || is_first_largest(e0, best0)) {
          best0 = e0;
          c0 = r0;
        }
      }
      {
        const part: i32 = 3;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        if (c0 < 0 || is_first_largest(e0, best0)) {
          best0 = e0;
          c0 = r0;
        }
      }
    }
  }
  shared_float0[thread] = best0;
  shared_int1[thread] = c0;
  workgroupBarrier();
  for (var step: i32 = 16; step > 0; step /= 2) {
    if (lane < step) {
      let other_best0: f32 = shared_float0[thread + step];
      let other_c0: i32 = shared_int1[thread + step];
      if (other_c0 >= 0 && (c0 < 0 || is_first_largest(other_best0, best0) || (!(is_first_largest(best0, other_best0)) && other_c0 < c0))) {
        best0 = other_best0;
        c0 = other_c0;
      }
      shared_float0[thread] = best0;
      shared_int1[thread] = c0;
    }
    workgroupBarrier();
  }
  best0 = shared_float0[thread - lane];
  c0 = shared_int1[thread - lane];
  workgroupBarrier();
  c0 = select(c0, 0, c0 < 0);
  {
    let e0: i32 = c0;
    if (lane == 0) {
      b2[g0] = e0;
    }
  }
}
