@group(0) @binding(0) var<storage, read> b0: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read_write> b5: array<vec2<f32>>;
var<workgroup> shared_float0: array<f32, 256>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let lane: i32 = thread % 32;
  let place: i32 = block * 8 + thread / 32;
  let live: bool = place < 10;
  let item: i32 = select(9, place, live);
  let g0: i32 = item;
  var c0: f32 = from_bits(0xff800000u);
  {
    for (var row: i32 = lane; row < 50; row += 32) {
      let r0_first: i32 = row * 2;
      let v0: vec2<f32> = b0[u32(100 * g0 + r0_first) / 2u];
      {
        const part: i32 = 0;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        c0 = larger(c0, e0);
      }
      {
        const part: i32 = 1;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        c0 = larger(c0, e0);
      }
    }
  }
  shared_float0[thread] = c0;
  workgroupBarrier();
  for (var step: i32 = 16; step > 0; step /= 2) {
    if (lane < step) {
      let other_c0: f32 = shared_float0[thread + step];
      c0 = larger(c0, other_c0);
      shared_float0[thread] = c0;
    }
    workgroupBarrier();
  }
  c0 = shared_float0[thread - lane];
  workgroupBarrier();
  var c1: f32 = 0.0f;
  {
    let e0: f32 = c0;
    let e1: f32 = ceil(e0);
    let e2: bool = is_finite(e1);
    let e3: f32 = 0.0f;
    let e4: f32 = select(e3, e1, e2);
    c1 = e4;
  }
  var c2: f32 = 0.0f;
  {
    for (var row: i32 = lane; row < 50; row += 32) {
      let r0_first: i32 = row * 2;
      let v0: vec2<f32> = b0[u32(100 * g0 + r0_first) / 2u];
      let e1: f32 = c1;
      {
        const part: i32 = 0;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        let e2: f32 = e0 - e1;
        let e3: f32 = exp(e2);
        c2 = c2 + e3;
      }
      {
        const part: i32 = 1;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        let e2: f32 = e0 - e1;
        let e3: f32 = exp(e2);
        c2 = c2 + e3;
      }
    }
  }
  shared_float0[thread] = c2;
  workgroupBarrier();
  for (var step: i32 = 16; step > 0; step /= 2) {
    if (lane < step) {
      let other_c2: f32 = shared_float0[thread + step];
      c2 = c2 + other_c2;
      shared_float0[thread] = c2;
    }
    workgroupBarrier();
  }
  c2 = shared_float0[thread - lane];
  workgroupBarrier();
  var c3: f32 = 0.0f;
  {
    let e0: f32 = c2;
    let e1: f32 = 0.25f;
    let e2: f32 = larger(e0, e1);
    c3 = e2;
  }
  {
    for (var row: i32 = lane; row < 50; row += 32) {
      let r0_first: i32 = row * 2;
      let v0: vec2<f32> = b0[u32(100 * g0 + r0_first) / 2u];
      let e1: f32 = c1;
      let e4: f32 = c3;
      var s0: vec2<f32> = vec2<f32>();
      {
        const part: i32 = 0;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        let e2: f32 = e0 - e1;
        let e3: f32 = exp(e2);
        let e5: f32 = quotient(e3, e4);
        s0[part] = e5;
      }
      {
        const part: i32 = 1;
        let r0: i32 = r0_first + part;
        let e0: f32 = v0[part];
        let e2: f32 = e0 - e1;
        let e3: f32 = exp(e2);
        let e5: f32 = quotient(e3, e4);
        s0[part] = e5;
      }
      if (live) {
        b5[u32(100 * g0 + r0_first) / 2u] = s0;
      }
    }
  }
}
