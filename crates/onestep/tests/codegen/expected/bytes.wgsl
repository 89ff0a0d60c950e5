@group(0) @binding(0) var<storage, read> b0: array<u32>;
@group(0) @binding(1) var<storage, read_write> b1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b2: array<u32>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let item: i32 = block * 256 + thread;
  let g0: i32 = item / 7;
  let g1_first: i32 = (item % 7) * 4;
  {
    let v0: u32 = u32(b0[(28 * g0 + g1_first) / 4]);
    let e2: f32 = 255.0f;
    var s0: vec4<f32> = vec4<f32>();
    var s1: u32 = u32();
    {
      const part: i32 = 0;
      let g1: i32 = g1_first + part;
      let e0: u32 = (v0 >> (8u * u32(part))) & 0xffu;
      let e1: f32 = f32(e0);
      let e3: f32 = quotient(e1, e2);
      let e4: u32 = (b0[(28 * g0 - g1 + 27) / 4] >> (8u * u32((28 * g0 - g1 + 27) % 4))) & 0xffu;
      let e5: bool = e4 < e0;
      s0[part] = e3;
      s1 |= select(0u, 1u, e5) << (8u * u32(part));
    }
    {
      const part: i32 = 1;
      let g1: i32 = g1_first + part;
      let e0: u32 = (v0 >> (8u * u32(part))) & 0xffu;
      let e1: f32 = f32(e0);
      let e3: f32 = quotient(e1, e2);
      let e4: u32 = (b0[(28 * g0 - g1 + 27) / 4] >> (8u * u32((28 * g0 - g1 + 27) % 4))) & 0xffu;
      let e5: bool = e4 < e0;
      s0[part] = e3;
      s1 |= select(0u, 1u, e5) << (8u * u32(part));
    }
    {
      const part: i32 = 2;
      let g1: i32 = g1_first + part;
      let e0: u32 = (v0 >> (8u * u32(part))) & 0xffu;
      let e1: f32 = f32(e0);
      let e3: f32 = quotient(e1, e2);
      let e4: u32 = (b0[(28 * g0 - g1 + 27) / 4] >> (8u * u32((28 * g0 - g1 + 27) % 4))) & 0xffu;
      let e5: bool = e4 < e0;
      s0[part] = e3;
      s1 |= select(0u, 1u, e5) << (8u * u32(part));
    }
    {
      const part: i32 = 3;
      let g1: i32 = g1_first + part;
      let e0: u32 = (v0 >> (8u * u32(part))) & 0xffu;
      let e1: f32 = f32(e0);
      let e3: f32 = quotient(e1, e2);
      let e4: u32 = (b0[(28 * g0 - g1 + 27) / 4] >> (8u * u32((28 * g0 - g1 + 27) % 4))) & 0xffu;
      let e5: bool = e4 < e0;
      s0[part] = e3;
      s1 |= select(0u, 1u, e5) << (8u * u32(part));
    }
    b1[u32(28 * g0 + g1_first) / 4u] = s0;
    b2[u32(28 * g0 + g1_first) / 4u] = s1;
  }
}
