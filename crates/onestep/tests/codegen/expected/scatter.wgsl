@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read> b1: array<i32>;
@group(0) @binding(2) var<storage, read> b2: array<f32>;
@group(0) @binding(3) var<storage, read_write> b4: array<f32>;
var<workgroup> shared_uint0: array<u32, 264>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let g0: i32 = block;
  let first: i32 = thread;
  let row: i32 = g0;
  var sum: array<f32, 2> = array<f32, 2>(0.0f, 0.0f);
  for (var k0: i32 = 0; k0 < 700; k0 += 768) {
    var found: u32 = 0u;
    for (var i: i32 = 0; i < 3; i += 1) {
      let r0: i32 = k0 + i * 256 + thread;
      if (r0 < 700) {
        if (b1[r0] == row) {
          found |= (1u << u32(i));
        }
      }
    }
    shared_uint0[thread] = found;
    workgroupBarrier();
    if (thread < 8) {
      var some: u32 = 0u;
      for (var j: i32 = 0; j < 32; j += 1) {
        if (shared_uint0[thread * 32 + j] != 0u) {
          some |= (1u << u32(j));
        }
      }
      shared_uint0[256 + thread] = some;
    }
    workgroupBarrier();
    for (var s: i32 = 0; s < 8; s += 1) {
      let some: u32 = shared_uint0[256 + s];
      if (some != 0u) {
        for (var j: i32 = 0; j < 32; j += 1) {
          if ((some & (1u << u32(j))) != 0u) {
            let found: u32 = shared_uint0[s * 32 + j];
            for (var i: i32 = 0; i < 3; i += 1) {
              if ((found & (1u << u32(i))) != 0u) {
                let r0: i32 = k0 + i * 256 + s * 32 + j;
                for (var v: i32 = 0; v < 2; v += 1) {
                  let column: i32 = first + v * 256;
                  if (column < 300) {
                    let g1: i32 = column;
                    sum[v] += b2[g1 + 300 * r0];
                  }
                }
              }
            }
          }
        }
      }
    }
    workgroupBarrier();
  }
  for (var v: i32 = 0; v < 2; v += 1) {
    let column: i32 = first + v * 256;
    if (column < 300) {
      let g1: i32 = column;
      let c0: f32 = sum[v];
      let e0: f32 = c0;
      let e1: f32 = b0[300 * g0 + g1];
      let e2: f32 = e1 + e0;
      b4[300 * g0 + g1] = e2;
    }
  }
}
