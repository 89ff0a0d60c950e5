@group(0) @binding(0) var<storage, read> b0: array<vec2<u32>>;
@group(0) @binding(1) var<storage, read> b1: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> b3: array<vec4<u32>>;
var<workgroup> staged: array<vec4<f32>, 1664>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let part: i32 = block % 1;
  let tile: i32 = block / 1;
  let m0: i32 = tile % 32 * 32;
  let n0: i32 = tile / 32 % 8 * 64;
  let k_first: i32 = part * 64;
  let k_end: i32 = min(k_first + 64, 64);
  var a_next: array<array<f32, 4>, 2>;
  var a_map0: array<i32, 2>;
  {
    let own: i32 = m0 + (thread + 0 * 256) % 32;
    a_map0[0] = 64 * own;
  }
  {
    let own: i32 = m0 + (thread + 1 * 256) % 32;
    a_map0[1] = 64 * own;
  }
  var b_next: array<array<f32, 4>, 4>;
  var b_map0: array<i32, 4>;
  {
    let own: i32 = n0 + (thread + 0 * 256) % 16 * 4;
    b_map0[0] = own;
  }
  {
    let own: i32 = n0 + (thread + 1 * 256) % 16 * 4;
    b_map0[1] = own;
  }
  {
    let own: i32 = n0 + (thread + 2 * 256) % 16 * 4;
    b_map0[2] = own;
  }
  {
    let own: i32 = n0 + (thread + 3 * 256) % 16 * 4;
    b_map0[3] = own;
  }
  var sum0_0: vec4<f32> = vec4<f32>();
  var sum1_0: vec4<f32> = vec4<f32>();
  var sum2_0: vec4<f32> = vec4<f32>();
  var sum3_0: vec4<f32> = vec4<f32>();
  let group: i32 = thread / 128;
  let own_n: i32 = thread % 128 % 16 * 4;
  let own_m: i32 = thread % 128 / 16 * 4;
  {
    let k: i32 = k_first + (thread + 0 * 256) / 32 * 4;
    {
      let v: vec2<u32> = b0[u32(a_map0[0] + k) / 4u];
      a_next[0][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
      a_next[0][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
      a_next[0][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
      a_next[0][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
    }
  }
  {
    let k: i32 = k_first + (thread + 1 * 256) / 32 * 4;
    {
      let v: vec2<u32> = b0[u32(a_map0[1] + k) / 4u];
      a_next[1][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
      a_next[1][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
      a_next[1][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
      a_next[1][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
    }
  }
  {
    let k: i32 = k_first + (thread + 0 * 256) / 16;
    {
      let v: vec2<u32> = b1[u32(b_map0[0] + 512 * k) / 4u];
      b_next[0][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
      b_next[0][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
      b_next[0][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
      b_next[0][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
    }
  }
  {
    let k: i32 = k_first + (thread + 1 * 256) / 16;
    {
      let v: vec2<u32> = b1[u32(b_map0[1] + 512 * k) / 4u];
      b_next[1][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
      b_next[1][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
      b_next[1][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
      b_next[1][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
    }
  }
  {
    let k: i32 = k_first + (thread + 2 * 256) / 16;
    {
      let v: vec2<u32> = b1[u32(b_map0[2] + 512 * k) / 4u];
      b_next[2][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
      b_next[2][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
      b_next[2][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
      b_next[2][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
    }
  }
  {
    let k: i32 = k_first + (thread + 3 * 256) / 16;
    {
      let v: vec2<u32> = b1[u32(b_map0[3] + 512 * k) / 4u];
      b_next[3][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
      b_next[3][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
      b_next[3][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
      b_next[3][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
    }
  }
  for (var k0: i32 = k_first; k0 < k_end; k0 += 64) {
    {
      let to: i32 = 0 + ((thread + 0 * 256) / 32 * 4) * 36 + ((thread + 0 * 256) % 32);
      staged[u32(to) / 4u][u32(to) % 4u] = a_next[0][0];
      staged[u32(to + 36) / 4u][u32(to + 36) % 4u] = a_next[0][1];
      staged[u32(to + 72) / 4u][u32(to + 72) % 4u] = a_next[0][2];
      staged[u32(to + 108) / 4u][u32(to + 108) % 4u] = a_next[0][3];
    }
    {
      let to: i32 = 0 + ((thread + 1 * 256) / 32 * 4) * 36 + ((thread + 1 * 256) % 32);
      staged[u32(to) / 4u][u32(to) % 4u] = a_next[1][0];
      staged[u32(to + 36) / 4u][u32(to + 36) % 4u] = a_next[1][1];
      staged[u32(to + 72) / 4u][u32(to + 72) % 4u] = a_next[1][2];
      staged[u32(to + 108) / 4u][u32(to + 108) % 4u] = a_next[1][3];
    }
    {
      let to: i32 = 2304 + ((thread + 0 * 256) / 16) * 68 + ((thread + 0 * 256) % 16 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[0][0], b_next[0][1], b_next[0][2], b_next[0][3]);
    }
    {
      let to: i32 = 2304 + ((thread + 1 * 256) / 16) * 68 + ((thread + 1 * 256) % 16 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[1][0], b_next[1][1], b_next[1][2], b_next[1][3]);
    }
    {
      let to: i32 = 2304 + ((thread + 2 * 256) / 16) * 68 + ((thread + 2 * 256) % 16 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[2][0], b_next[2][1], b_next[2][2], b_next[2][3]);
    }
    {
      let to: i32 = 2304 + ((thread + 3 * 256) / 16) * 68 + ((thread + 3 * 256) % 16 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[3][0], b_next[3][1], b_next[3][2], b_next[3][3]);
    }
    workgroupBarrier();
    if (k0 + 64 < k_end) {
      {
        let k: i32 = k0 + 64 + (thread + 0 * 256) / 32 * 4;
        {
          let v: vec2<u32> = b0[u32(a_map0[0] + k) / 4u];
          a_next[0][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
          a_next[0][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
          a_next[0][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
          a_next[0][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
        }
      }
      {
        let k: i32 = k0 + 64 + (thread + 1 * 256) / 32 * 4;
        {
          let v: vec2<u32> = b0[u32(a_map0[1] + k) / 4u];
          a_next[1][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
          a_next[1][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
          a_next[1][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
          a_next[1][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
        }
      }
      {
        let k: i32 = k0 + 64 + (thread + 0 * 256) / 16;
        {
          let v: vec2<u32> = b1[u32(b_map0[0] + 512 * k) / 4u];
          b_next[0][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
          b_next[0][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
          b_next[0][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
          b_next[0][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
        }
      }
      {
        let k: i32 = k0 + 64 + (thread + 1 * 256) / 16;
        {
          let v: vec2<u32> = b1[u32(b_map0[1] + 512 * k) / 4u];
          b_next[1][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
          b_next[1][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
          b_next[1][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
          b_next[1][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
        }
      }
      {
        let k: i32 = k0 + 64 + (thread + 2 * 256) / 16;
        {
          let v: vec2<u32> = b1[u32(b_map0[2] + 512 * k) / 4u];
          b_next[2][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
          b_next[2][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
          b_next[2][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
          b_next[2][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
        }
      }
      {
        let k: i32 = k0 + 64 + (thread + 3 * 256) / 16;
        {
          let v: vec2<u32> = b1[u32(b_map0[3] + 512 * k) / 4u];
          b_next[3][0] = bf16_value((v[0 / 2] >> (16u * u32(0 % 2))) & 0xffffu);
          b_next[3][1] = bf16_value((v[1 / 2] >> (16u * u32(1 % 2))) & 0xffffu);
          b_next[3][2] = bf16_value((v[2 / 2] >> (16u * u32(2 % 2))) & 0xffffu);
          b_next[3][3] = bf16_value((v[3 / 2] >> (16u * u32(3 % 2))) & 0xffffu);
        }
      }
    }
    for (var k: i32 = group; k < 64; k += 2) {
      let x0: vec4<f32> = staged[k * 9 + own_m / 4 + 0];
      let y0: vec4<f32> = staged[k * 17 + own_n / 4 + 576];
      sum0_0 += x0.x * y0;
      sum1_0 += x0.y * y0;
      sum2_0 += x0.z * y0;
      sum3_0 += x0.w * y0;
    }
    workgroupBarrier();
  }
  staged[group * 512 + (own_m + 0) * 16 + own_n / 4 + 0] = sum0_0;
  staged[group * 512 + (own_m + 1) * 16 + own_n / 4 + 0] = sum1_0;
  staged[group * 512 + (own_m + 2) * 16 + own_n / 4 + 0] = sum2_0;
  staged[group * 512 + (own_m + 3) * 16 + own_n / 4 + 0] = sum3_0;
  workgroupBarrier();
  for (var at: i32 = thread; at < 256; at += 256) {
    let start: i32 = (at / 8) * 64 + at % 8 * 8;
    let of0_0: vec4<f32> = staged[u32(start) / 4u];
    let of0_1: vec4<f32> = staged[u32(start + 4) / 4u];
    let of1_0: vec4<f32> = staged[u32(start + 2048) / 4u];
    let of1_1: vec4<f32> = staged[u32(start + 2052) / 4u];
    let m: i32 = m0 + at / 8;
    let n: i32 = n0 + at % 8 * 8;
    if (m >= 1024 || n >= 512) {
      continue;
    }
    var whole: array<f32, 8> = array<f32, 8>(of0_0.x + of1_0.x, of0_0.y + of1_0.y, of0_0.z + of1_0.z, of0_0.w + of1_0.w, of0_1.x + of1_1.x, of0_1.y + of1_1.y, of0_1.z + of1_1.z, of0_1.w + of1_1.w);
    var c0: array<f32, 8> = whole;
    let g0: i32 = m;
    let g1_first: i32 = n;
    var s0: vec4<u32> = vec4<u32>();
    {
      const part: i32 = 0;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = bf16_value(bf16_bits(e0));
      s0[part / 2] |= bf16_bits(e0) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 1;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = bf16_value(bf16_bits(e0));
      s0[part / 2] |= bf16_bits(e0) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 2;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = bf16_value(bf16_bits(e0));
      s0[part / 2] |= bf16_bits(e0) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 3;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = bf16_value(bf16_bits(e0));
      s0[part / 2] |= bf16_bits(e0) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 4;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = bf16_value(bf16_bits(e0));
      s0[part / 2] |= bf16_bits(e0) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 5;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = bf16_value(bf16_bits(e0));
      s0[part / 2] |= bf16_bits(e0) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 6;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = bf16_value(bf16_bits(e0));
      s0[part / 2] |= bf16_bits(e0) << (16u * u32(part % 2));
    }
    {
      const part: i32 = 7;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = bf16_value(bf16_bits(e0));
      s0[part / 2] |= bf16_bits(e0) << (16u * u32(part % 2));
    }
    b3[u32(512 * g0 + g1_first) / 8u] = s0;
  }
}
