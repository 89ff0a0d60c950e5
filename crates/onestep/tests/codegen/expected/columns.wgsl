@group(0) @binding(0) var<storage, read> b0: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read_write> b3: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b4: array<vec4<f32>>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let item: i32 = block * 256 + thread;
  let g0_first: i32 = item * 4;
  var c0: array<f32, 4> = array<f32, 4>(0.0f, 0.0f, 0.0f, 0.0f);
  var c1: array<f32, 4> = array<f32, 4>(from_bits(0xff800000u), from_bits(0xff800000u), from_bits(0xff800000u), from_bits(0xff800000u));
  {
    for (var r0: i32 = 0; r0 < 12; r0 += 1) {
      let v0: vec2<u32> = b0[u32(g0_first + 131072 * r0) / 4u];
      {
        const part: i32 = 0;
        let g0: i32 = g0_first + part;
        let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
        let e1: f32 = e0;
        c0[part] = c0[part] + e1;
        c1[part] = larger(c1[part], e1);
      }
      {
        const part: i32 = 1;
        let g0: i32 = g0_first + part;
        let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
        let e1: f32 = e0;
        c0[part] = c0[part] + e1;
        c1[part] = larger(c1[part], e1);
      }
      {
        const part: i32 = 2;
        let g0: i32 = g0_first + part;
        let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
        let e1: f32 = e0;
        c0[part] = c0[part] + e1;
        c1[part] = larger(c1[part], e1);
      }
      {
        const part: i32 = 3;
        let g0: i32 = g0_first + part;
        let e0: f32 = bf16_value((v0[part / 2] >> (16u * u32(part % 2))) & 0xffffu);
        let e1: f32 = e0;
        c0[part] = c0[part] + e1;
        c1[part] = larger(c1[part], e1);
      }
    }
  }
  {
    var s0: vec4<f32> = vec4<f32>();
    var s1: vec4<f32> = vec4<f32>();
    {
      const part: i32 = 0;
      let g0: i32 = g0_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = c1[part];
      s0[part] = e0;
      s1[part] = e1;
    }
    {
      const part: i32 = 1;
      let g0: i32 = g0_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = c1[part];
      s0[part] = e0;
      s1[part] = e1;
    }
    {
      const part: i32 = 2;
      let g0: i32 = g0_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = c1[part];
      s0[part] = e0;
      s1[part] = e1;
    }
    {
      const part: i32 = 3;
      let g0: i32 = g0_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = c1[part];
      s0[part] = e0;
      s1[part] = e1;
    }
    b3[u32(g0_first) / 4u] = s0;
    b4[u32(g0_first) / 4u] = s1;
  }
}
