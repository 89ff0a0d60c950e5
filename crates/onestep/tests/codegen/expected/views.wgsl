@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read_write> b1: array<f32>;

@compute @workgroup_size(32)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let item: i32 = block * 32 + thread;
  if (item >= 20) {
    return;
  }
  let g0: i32 = item / 5;
  let g1: i32 = item % 5;
  {
    let l0: i32 = floor_div(-2 * g1, 6);
    let l1: i32 = floor_rem(-2 * g1, 6);
    var e0: f32 = 0.0f;
    if (g1 - 1 >= 0 && g1 - 1 < 3) {
      e0 = b0[g0 + l0 + 4 * l1 + 1];
    }
    var e1: f32 = 0.5f;
    if (g1 - 1 >= 0 && g1 - 1 < 3) {
      e1 = b0[g0 + l0 + 4 * l1 + 1];
    }
    let e2: f32 = exp(e1);
    b1[5 * g0 + g1] = e2;
  }
}
