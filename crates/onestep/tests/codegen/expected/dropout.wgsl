@group(0) @binding(0) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b1: array<u32>;
@group(0) @binding(2) var<storage, read> b2: array<u32>;
@group(0) @binding(3) var<storage, read_write> b4: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> b5: array<u32>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let item: i32 = block * 256 + thread;
  let g0_first: i32 = item * 4;
  {
    let e0: f32 = 0.25f;
    let e1: u32 = b1[0];
    let e2: u32 = b1[1];
    let e3: u32 = b2[0];
    let v4: vec4<u32> = philox(u32((g0_first) / 4), 7u, e3, e1, e2);
    let v6: vec4<f32> = b0[u32(g0_first) / 4u];
    var s0: vec4<f32> = vec4<f32>();
    var s1: u32 = u32();
    {
      const part: i32 = 0;
      let g0: i32 = g0_first + part;
      let e4: f32 = unit(v4[part]);
      let e5: bool = e0 <= e4;
      let e6: f32 = v6[part];
      let e7: f32 = e6 - e6;
      let e8: f32 = select(e7, e6, e5);
      s0[part] = e8;
      s1 |= select(0u, 1u, e5) << (8u * u32(part));
    }
    {
      const part: i32 = 1;
      let g0: i32 = g0_first + part;
      let e4: f32 = unit(v4[part]);
      let e5: bool = e0 <= e4;
      let e6: f32 = v6[part];
      let e7: f32 = e6 - e6;
      let e8: f32 = select(e7, e6, e5);
      s0[part] = e8;
      s1 |= select(0u, 1u, e5) << (8u * u32(part));
    }
    {
      const part: i32 = 2;
      let g0: i32 = g0_first + part;
      let e4: f32 = unit(v4[part]);
      let e5: bool = e0 <= e4;
      let e6: f32 = v6[part];
      let e7: f32 = e6 - e6;
      let e8: f32 = select(e7, e6, e5);
      s0[part] = e8;
      s1 |= select(0u, 1u, e5) << (8u * u32(part));
    }
    {
      const part: i32 = 3;
      let g0: i32 = g0_first + part;
      let e4: f32 = unit(v4[part]);
      let e5: bool = e0 <= e4;
      let e6: f32 = v6[part];
      let e7: f32 = e6 - e6;
      let e8: f32 = select(e7, e6, e5);
      s0[part] = e8;
      s1 |= select(0u, 1u, e5) << (8u * u32(part));
    }
    b4[u32(g0_first) / 4u] = s0;
    b5[u32(g0_first) / 4u] = s1;
  }
}
