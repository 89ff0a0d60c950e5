@group(0) @binding(0) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b3: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> b4: array<vec4<f32>>;
var<workgroup> staged: array<vec4<f32>, 1024>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let part: i32 = block % 1;
  let tile: i32 = block / 1;
  let m0: i32 = tile % 2 * 16;
  let n0: i32 = tile / 2 % 2 * 16;
  let k_first: i32 = part * 48;
  let k_end: i32 = min(k_first + 48, 48);
  var a_next: array<array<f32, 4>, 1>;
  var a_in: array<bool, 1>;
  var a_map0: array<i32, 1>;
  {
    let own: i32 = m0 + (thread + 0 * 256) % 16;
    a_in[0] = own < 32;
    a_map0[0] = 48 * own;
  }
  var b_next: array<array<f32, 4>, 1>;
  var b_in: array<bool, 1>;
  var b_map0: array<i32, 1>;
  {
    let own: i32 = n0 + (thread + 0 * 256) % 4 * 4;
    b_in[0] = own < 24;
    b_map0[0] = own;
  }
  var sum0_0: vec4<f32> = vec4<f32>();
  var sum1_0: vec4<f32> = vec4<f32>();
  var sum2_0: vec4<f32> = vec4<f32>();
  var sum3_0: vec4<f32> = vec4<f32>();
  let group: i32 = thread / 16;
  let own_n: i32 = thread % 16 % 4 * 4;
  let own_m: i32 = thread % 16 / 4 * 4;
  {
    let k: i32 = k_first + (thread + 0 * 256) / 16 * 4;
    a_next[0][0] = 0.0f;
    a_next[0][1] = 0.0f;
    a_next[0][2] = 0.0f;
    a_next[0][3] = 0.0f;
    if (a_in[0] && k < k_end) {
      let v: vec4<f32> = b0[u32(a_map0[0] + k) / 4u];
      a_next[0][0] = v[0];
      a_next[0][1] = v[1];
      a_next[0][2] = v[2];
      a_next[0][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 0 * 256) / 4;
    b_next[0][0] = 0.0f;
    b_next[0][1] = 0.0f;
    b_next[0][2] = 0.0f;
    b_next[0][3] = 0.0f;
    if (b_in[0] && k < k_end) {
      let v: vec4<f32> = b1[u32(b_map0[0] + 24 * k) / 4u];
      b_next[0][0] = v[0];
      b_next[0][1] = v[1];
      b_next[0][2] = v[2];
      b_next[0][3] = v[3];
    }
  }
  for (var k0: i32 = k_first; k0 < k_end; k0 += 48) {
    {
      if (thread + 0 * 256 < 192) {
        let to: i32 = 0 + ((thread + 0 * 256) / 16 * 4) * 20 + ((thread + 0 * 256) % 16);
        staged[u32(to) / 4u][u32(to) % 4u] = a_next[0][0];
        staged[u32(to + 20) / 4u][u32(to + 20) % 4u] = a_next[0][1];
        staged[u32(to + 40) / 4u][u32(to + 40) % 4u] = a_next[0][2];
        staged[u32(to + 60) / 4u][u32(to + 60) % 4u] = a_next[0][3];
      }
    }
    {
      if (thread + 0 * 256 < 192) {
        let to: i32 = 960 + ((thread + 0 * 256) / 4) * 20 + ((thread + 0 * 256) % 4 * 4);
        staged[u32(to) / 4u] = vec4<f32>(b_next[0][0], b_next[0][1], b_next[0][2], b_next[0][3]);
      }
    }
    workgroupBarrier();
    if (k0 + 48 < k_end) {
      {
        let k: i32 = k0 + 48 + (thread + 0 * 256) / 16 * 4;
        a_next[0][0] = 0.0f;
        a_next[0][1] = 0.0f;
        a_next[0][2] = 0.0f;
        a_next[0][3] = 0.0f;
        if (a_in[0] && k < k_end) {
          let v: vec4<f32> = b0[u32(a_map0[0] + k) / 4u];
          a_next[0][0] = v[0];
          a_next[0][1] = v[1];
          a_next[0][2] = v[2];
          a_next[0][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 48 + (thread + 0 * 256) / 4;
        b_next[0][0] = 0.0f;
        b_next[0][1] = 0.0f;
        b_next[0][2] = 0.0f;
        b_next[0][3] = 0.0f;
        if (b_in[0] && k < k_end) {
          let v: vec4<f32> = b1[u32(b_map0[0] + 24 * k) / 4u];
          b_next[0][0] = v[0];
          b_next[0][1] = v[1];
          b_next[0][2] = v[2];
          b_next[0][3] = v[3];
        }
      }
    }
    for (var k: i32 = group; k < 48; k += 16) {
      let x0: vec4<f32> = staged[k * 5 + own_m / 4 + 0];
      let y0: vec4<f32> = staged[k * 5 + own_n / 4 + 240];
      sum0_0 += x0.x * y0;
      sum1_0 += x0.y * y0;
      sum2_0 += x0.z * y0;
      sum3_0 += x0.w * y0;
    }
    workgroupBarrier();
  }
  staged[group * 64 + (own_m + 0) * 4 + own_n / 4 + 0] = sum0_0;
  staged[group * 64 + (own_m + 1) * 4 + own_n / 4 + 0] = sum1_0;
  staged[group * 64 + (own_m + 2) * 4 + own_n / 4 + 0] = sum2_0;
  staged[group * 64 + (own_m + 3) * 4 + own_n / 4 + 0] = sum3_0;
  workgroupBarrier();
  for (var at: i32 = thread; at < 64; at += 256) {
    let start: i32 = (at / 4) * 16 + at % 4 * 4;
    let of0_0: vec4<f32> = staged[u32(start) / 4u];
    let of1_0: vec4<f32> = staged[u32(start + 256) / 4u];
    let of2_0: vec4<f32> = staged[u32(start + 512) / 4u];
    let of3_0: vec4<f32> = staged[u32(start + 768) / 4u];
    let of4_0: vec4<f32> = staged[u32(start + 1024) / 4u];
    let of5_0: vec4<f32> = staged[u32(start + 1280) / 4u];
    let of6_0: vec4<f32> = staged[u32(start + 1536) / 4u];
    let of7_0: vec4<f32> = staged[u32(start + 1792) / 4u];
    let of8_0: vec4<f32> = staged[u32(start + 2048) / 4u];
    let of9_0: vec4<f32> = staged[u32(start + 2304) / 4u];
    let of10_0: vec4<f32> = staged[u32(start + 2560) / 4u];
    let of11_0: vec4<f32> = staged[u32(start + 2816) / 4u];
    let of12_0: vec4<f32> = staged[u32(start + 3072) / 4u];
    let of13_0: vec4<f32> = staged[u32(start + 3328) / 4u];
    let of14_0: vec4<f32> = staged[u32(start + 3584) / 4u];
    let of15_0: vec4<f32> = staged[u32(start + 3840) / 4u];
    let m: i32 = m0 + at / 4;
    let n: i32 = n0 + at % 4 * 4;
    if (m >= 32 || n >= 24) {
      continue;
    }
    var whole: array<f32, 4> = array<f32, 4>(of0_0.x + of1_0.x + of2_0.x + of3_0.x + of4_0.x + of5_0.x + of6_0.x + of7_0.x + of8_0.x + of9_0.x + of10_0.x + of11_0.x + of12_0.x + of13_0.x + of14_0.x + of15_0.x, of0_0.y + of1_0.y + of2_0.y + of3_0.y + of4_0.y + of5_0.y + of6_0.y + of7_0.y + of8_0.y + of9_0.y + of10_0.y + of11_0.y + of12_0.y + of13_0.y + of14_0.y + of15_0.y, of0_0.z + of1_0.z + of2_0.z + of3_0.z + of4_0.z + of5_0.z + of6_0.z + of7_0.z + of8_0.z + of9_0.z + of10_0.z + of11_0.z + of12_0.z + of13_0.z + of14_0.z + of15_0.z, of0_0.w + of1_0.w + of2_0.w + of3_0.w + of4_0.w + of5_0.w + of6_0.w + of7_0.w + of8_0.w + of9_0.w + of10_0.w + of11_0.w + of12_0.w + of13_0.w + of14_0.w + of15_0.w);
    var c0: array<f32, 4> = whole;
    let g0: i32 = m;
    let g1_first: i32 = n;
    let v1: vec4<f32> = b3[u32(g1_first) / 4u];
    let e3: f32 = 0.0f;
    var s0: vec4<f32> = vec4<f32>();
    {
      const part: i32 = 0;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = v1[part];
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part] = e5;
    }
    {
      const part: i32 = 1;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = v1[part];
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part] = e5;
    }
    {
      const part: i32 = 2;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = v1[part];
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part] = e5;
    }
    {
      const part: i32 = 3;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = v1[part];
      let e2: f32 = e0 + e1;
      let e4: bool = e2 <= e3;
      let e5: f32 = select(e2, e3, e4);
      s0[part] = e5;
    }
    b4[u32(24 * g0 + g1_first) / 4u] = s0;
  }
}
