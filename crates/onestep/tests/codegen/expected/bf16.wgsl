@group(0) @binding(0) var<storage, read> b0: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> b1: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> b2: array<vec4<u32>>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let item: i32 = block * 256 + thread;
  let g0: i32 = item / 64;
  let g1_first: i32 = (item % 64) * 8;
  {
    let v0: vec4<u32> = b0[u32(512 * g0 + g1_first) / 8u];
    let v1: vec4<u32> = b1[u32(g1_first) / 8u];
    let e3: f32 = 0.0f;
    var s0: vec4<u32> = vec4<u32>();
    {
      const part: i32 = 0;
      let g1: i32 = g1_first + part;
      let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e1: f32 = bf16_value((v1[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part / 2] |= bf16_bits(e5) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 1;
      let g1: i32 = g1_first + part;
      let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e1: f32 = bf16_value((v1[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part / 2] |= bf16_bits(e5) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 2;
      let g1: i32 = g1_first + part;
      let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e1: f32 = bf16_value((v1[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part / 2] |= bf16_bits(e5) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 3;
      let g1: i32 = g1_first + part;
      let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e1: f32 = bf16_value((v1[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part / 2] |= bf16_bits(e5) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 4;
      let g1: i32 = g1_first + part;
      let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e1: f32 = bf16_value((v1[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part / 2] |= bf16_bits(e5) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 5;
      let g1: i32 = g1_first + part;
      let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e1: f32 = bf16_value((v1[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part / 2] |= bf16_bits(e5) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 6;
      let g1: i32 = g1_first + part;
      let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e1: f32 = bf16_value((v1[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part / 2] |= bf16_bits(e5) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 7;
      let g1: i32 = g1_first + part;
      let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e1: f32 = bf16_value((v1[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part / 2] |= bf16_bits(e5) << (16u * u32(part % 2));
    }
    b2[u32(512 * g0 + g1_first) / 8u] = s0;
  }
}
