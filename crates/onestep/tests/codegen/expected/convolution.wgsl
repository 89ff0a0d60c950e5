@group(0) @binding(0) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> b4: array<vec4<f32>>;
var<workgroup> staged: array<vec4<f32>, 1024>;
var<workgroup> a_steps: array<array<i32, 4>, 32>;

@compute @workgroup_size(256)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let part: i32 = block % 1;
  let tile: i32 = block / 1;
  let m0: i32 = tile % 16 * 16;
  let n0: i32 = tile / 16 % 1 * 16;
  let k_first: i32 = part * 72;
  let k_end: i32 = min(k_first + 72, 72);
  for (var at: i32 = thread; at < 32; at += 256) {
    let k: i32 = k_first + at * 4;
    a_steps[at][0] = k / 24;
    a_steps[at][1] = k / 8 % 3;
    a_steps[at][2] = 128 * (k / 24) + k % 24;
  }
  var a_next: array<array<f32, 4>, 2>;
  var a_in: array<bool, 2>;
  var a_map0: array<i32, 2>;
  var a_map1: array<i32, 2>;
  var a_map2: array<i32, 2>;
  {
    let own: i32 = m0 + (thread + 0 * 256) % 16;
    a_in[0] = own < 256;
    a_map0[0] = 2 * (own / 8 % 8) + -1;
    a_map1[0] = 2 * (own % 8) + -1;
    a_map2[0] = 256 * (own / 8) + 16 * (own % 8) + -136;
  }
  {
    let own: i32 = m0 + (thread + 1 * 256) % 16;
    a_in[1] = own < 256;
    a_map0[1] = 2 * (own / 8 % 8) + -1;
    a_map1[1] = 2 * (own % 8) + -1;
    a_map2[1] = 256 * (own / 8) + 16 * (own % 8) + -136;
  }
  var b_next: array<array<f32, 4>, 2>;
  var b_in: array<bool, 2>;
  var b_map0: array<i32, 2>;
  {
    let own: i32 = n0 + (thread + 0 * 256) % 16;
    b_in[0] = own < 8;
    b_map0[0] = 72 * own;
  }
  {
    let own: i32 = n0 + (thread + 1 * 256) % 16;
    b_in[1] = own < 8;
    b_map0[1] = 72 * own;
  }
  var sum0_0: vec4<f32> = vec4<f32>();
  var sum1_0: vec4<f32> = vec4<f32>();
  var sum2_0: vec4<f32> = vec4<f32>();
  var sum3_0: vec4<f32> = vec4<f32>();
  let group: i32 = thread / 16;
  let own_n: i32 = thread % 16 % 4 * 4;
  let own_m: i32 = thread % 16 / 4 * 4;
  workgroupBarrier();
  {
    let k: i32 = k_first + (thread + 0 * 256) / 16 * 4;
    let entry: u32 = u32(k - k_first) / 4u;
    let q0: i32 = a_map0[0] + a_steps[entry][0];
    let q1: i32 = a_map1[0] + a_steps[entry][1];
    a_next[0][0] = 0.0f;
    a_next[0][1] = 0.0f;
    a_next[0][2] = 0.0f;
    a_next[0][3] = 0.0f;
    if (a_in[0] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
      let v: vec4<f32> = b0[u32(a_map2[0] + a_steps[entry][2]) / 4u];
      a_next[0][0] = v[0];
      a_next[0][1] = v[1];
      a_next[0][2] = v[2];
      a_next[0][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 1 * 256) / 16 * 4;
    let entry: u32 = u32(k - k_first) / 4u;
    let q0: i32 = a_map0[1] + a_steps[entry][0];
    let q1: i32 = a_map1[1] + a_steps[entry][1];
    a_next[1][0] = 0.0f;
    a_next[1][1] = 0.0f;
    a_next[1][2] = 0.0f;
    a_next[1][3] = 0.0f;
    if (a_in[1] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
      let v: vec4<f32> = b0[u32(a_map2[1] + a_steps[entry][2]) / 4u];
      a_next[1][0] = v[0];
      a_next[1][1] = v[1];
      a_next[1][2] = v[2];
      a_next[1][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 0 * 256) / 16 * 4;
    b_next[0][0] = 0.0f;
    b_next[0][1] = 0.0f;
    b_next[0][2] = 0.0f;
    b_next[0][3] = 0.0f;
    if (b_in[0] && k < k_end) {
      let v: vec4<f32> = b1[u32(b_map0[0] + k) / 4u];
      b_next[0][0] = v[0];
      b_next[0][1] = v[1];
      b_next[0][2] = v[2];
      b_next[0][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 1 * 256) / 16 * 4;
    b_next[1][0] = 0.0f;
    b_next[1][1] = 0.0f;
    b_next[1][2] = 0.0f;
    b_next[1][3] = 0.0f;
    if (b_in[1] && k < k_end) {
      let v: vec4<f32> = b1[u32(b_map0[1] + k) / 4u];
      b_next[1][0] = v[0];
      b_next[1][1] = v[1];
      b_next[1][2] = v[2];
      b_next[1][3] = v[3];
    }
  }
  for (var k0: i32 = k_first; k0 < k_end; k0 += 80) {
    {
      if (thread + 0 * 256 < 320) {
        let to: i32 = 0 + ((thread + 0 * 256) / 16 * 4) * 20 + ((thread + 0 * 256) % 16);
        staged[u32(to) / 4u][u32(to) % 4u] = a_next[0][0];
        staged[u32(to + 20) / 4u][u32(to + 20) % 4u] = a_next[0][1];
        staged[u32(to + 40) / 4u][u32(to + 40) % 4u] = a_next[0][2];
        staged[u32(to + 60) / 4u][u32(to + 60) % 4u] = a_next[0][3];
      }
    }
    {
      if (thread + 1 * 256 < 320) {
        let to: i32 = 0 + ((thread + 1 * 256) / 16 * 4) * 20 + ((thread + 1 * 256) % 16);
        staged[u32(to) / 4u][u32(to) % 4u] = a_next[1][0];
        staged[u32(to + 20) / 4u][u32(to + 20) % 4u] = a_next[1][1];
        staged[u32(to + 40) / 4u][u32(to + 40) % 4u] = a_next[1][2];
        staged[u32(to + 60) / 4u][u32(to + 60) % 4u] = a_next[1][3];
      }
    }
    {
      if (thread + 0 * 256 < 320) {
        let to: i32 = 1600 + ((thread + 0 * 256) / 16 * 4) * 20 + ((thread + 0 * 256) % 16);
        staged[u32(to) / 4u][u32(to) % 4u] = b_next[0][0];
        staged[u32(to + 20) / 4u][u32(to + 20) % 4u] = b_next[0][1];
        staged[u32(to + 40) / 4u][u32(to + 40) % 4u] = b_next[0][2];
        staged[u32(to + 60) / 4u][u32(to + 60) % 4u] = b_next[0][3];
      }
    }
    {
      if (thread + 1 * 256 < 320) {
        let to: i32 = 1600 + ((thread + 1 * 256) / 16 * 4) * 20 + ((thread + 1 * 256) % 16);
        staged[u32(to) / 4u][u32(to) % 4u] = b_next[1][0];
        staged[u32(to + 20) / 4u][u32(to + 20) % 4u] = b_next[1][1];
        staged[u32(to + 40) / 4u][u32(to + 40) % 4u] = b_next[1][2];
        staged[u32(to + 60) / 4u][u32(to + 60) % 4u] = b_next[1][3];
      }
    }
    workgroupBarrier();
    if (k0 + 80 < k_end) {
      {
        let k: i32 = k0 + 80 + (thread + 0 * 256) / 16 * 4;
        let entry: u32 = u32(k - k_first) / 4u;
        let q0: i32 = a_map0[0] + a_steps[entry][0];
        let q1: i32 = a_map1[0] + a_steps[entry][1];
        a_next[0][0] = 0.0f;
        a_next[0][1] = 0.0f;
        a_next[0][2] = 0.0f;
        a_next[0][3] = 0.0f;
        if (a_in[0] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
          let v: vec4<f32> = b0[u32(a_map2[0] + a_steps[entry][2]) / 4u];
          a_next[0][0] = v[0];
          a_next[0][1] = v[1];
          a_next[0][2] = v[2];
          a_next[0][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 80 + (thread + 1 * 256) / 16 * 4;
        let entry: u32 = u32(k - k_first) / 4u;
        let q0: i32 = a_map0[1] + a_steps[entry][0];
        let q1: i32 = a_map1[1] + a_steps[entry][1];
        a_next[1][0] = 0.0f;
        a_next[1][1] = 0.0f;
        a_next[1][2] = 0.0f;
        a_next[1][3] = 0.0f;
        if (a_in[1] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
          let v: vec4<f32> = b0[u32(a_map2[1] + a_steps[entry][2]) / 4u];
          a_next[1][0] = v[0];
          a_next[1][1] = v[1];
          a_next[1][2] = v[2];
          a_next[1][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 80 + (thread + 0 * 256) / 16 * 4;
        b_next[0][0] = 0.0f;
        b_next[0][1] = 0.0f;
        b_next[0][2] = 0.0f;
        b_next[0][3] = 0.0f;
        if (b_in[0] && k < k_end) {
          let v: vec4<f32> = b1[u32(b_map0[0] + k) / 4u];
          b_next[0][0] = v[0];
          b_next[0][1] = v[1];
          b_next[0][2] = v[2];
          b_next[0][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 80 + (thread + 1 * 256) / 16 * 4;
        b_next[1][0] = 0.0f;
        b_next[1][1] = 0.0f;
        b_next[1][2] = 0.0f;
        b_next[1][3] = 0.0f;
        if (b_in[1] && k < k_end) {
          let v: vec4<f32> = b1[u32(b_map0[1] + k) / 4u];
          b_next[1][0] = v[0];
          b_next[1][1] = v[1];
          b_next[1][2] = v[2];
          b_next[1][3] = v[3];
        }
      }
    }
    for (var k: i32 = group; k < 80; k += 16) {
      let x0: vec4<f32> = staged[k * 5 + own_m / 4 + 0];
      let y0: vec4<f32> = staged[k * 5 + own_n / 4 + 400];
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
    if (m >= 256 || n >= 8) {
      continue;
    }
    var whole: array<f32, 4> = array<f32, 4>(of0_0.x + of1_0.x + of2_0.x + of3_0.x + of4_0.x + of5_0.x + of6_0.x + of7_0.x + of8_0.x + of9_0.x + of10_0.x + of11_0.x + of12_0.x + of13_0.x + of14_0.x + of15_0.x, of0_0.y + of1_0.y + of2_0.y + of3_0.y + of4_0.y + of5_0.y + of6_0.y + of7_0.y + of8_0.y + of9_0.y + of10_0.y + of11_0.y + of12_0.y + of13_0.y + of14_0.y + of15_0.y, of0_0.z + of1_0.z + of2_0.z + of3_0.z + of4_0.z + of5_0.z + of6_0.z + of7_0.z + of8_0.z + of9_0.z + of10_0.z + of11_0.z + of12_0.z + of13_0.z + of14_0.z + of15_0.z, of0_0.w + of1_0.w + of2_0.w + of3_0.w + of4_0.w + of5_0.w + of6_0.w + of7_0.w + of8_0.w + of9_0.w + of10_0.w + of11_0.w + of12_0.w + of13_0.w + of14_0.w + of15_0.w);
    var c0: array<f32, 4> = whole;
    let g0: i32 = m / 64;
    let g1: i32 = m / 8 % 8;
    let g2: i32 = m % 8;
    let g3_first: i32 = n;
    let e1: f32 = 1.0f;
    var s0: vec4<f32> = vec4<f32>();
    var s1: vec4<f32> = vec4<f32>();
    {
      const part: i32 = 0;
      let g3: i32 = g3_first + part;
      let e0: f32 = c0[part];
      let e2: f32 = bounded_tanh(e0);
      let e3: f32 = e2 * e2;
      let e4: f32 = e1 - e3;
      s0[part] = e0;
      s1[part] = e4;
    }
    {
      const part: i32 = 1;
      let g3: i32 = g3_first + part;
      let e0: f32 = c0[part];
      let e2: f32 = bounded_tanh(e0);
      let e3: f32 = e2 * e2;
      let e4: f32 = e1 - e3;
      s0[part] = e0;
      s1[part] = e4;
    }
    {
      const part: i32 = 2;
      let g3: i32 = g3_first + part;
      let e0: f32 = c0[part];
      let e2: f32 = bounded_tanh(e0);
      let e3: f32 = e2 * e2;
      let e4: f32 = e1 - e3;
      s0[part] = e0;
      s1[part] = e4;
    }
    {
      const part: i32 = 3;
      let g3: i32 = g3_first + part;
      let e0: f32 = c0[part];
      let e2: f32 = bounded_tanh(e0);
      let e3: f32 = e2 * e2;
      let e4: f32 = e1 - e3;
      s0[part] = e0;
      s1[part] = e4;
    }
    b2[u32(512 * g0 + 64 * g1 + 8 * g2 + g3_first) / 4u] = s0;
    b4[u32(512 * g0 + 64 * g1 + 8 * g2 + g3_first) / 4u] = s1;
  }
}

@group(0) @binding(0) var<storage, read> b1: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b4: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b8: array<vec4<f32>>;
var<workgroup> staged: array<vec4<f32>, 1024>;
var<workgroup> a_steps: array<array<i32, 8>, 8>;
var<workgroup> b_steps: array<array<i32, 4>, 64>;

@compute @workgroup_size(256)
fn k2(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let part: i32 = block % 1;
  let tile: i32 = block / 1;
  let m0: i32 = tile % 8 * 32;
  let n0: i32 = tile / 8 % 1 * 16;
  let g2: i32 = (tile / 8) / 2;
  let g4: i32 = (tile / 8) % 2;
  let k_first: i32 = part * 32;
  let k_end: i32 = min(k_first + 32, 32);
  for (var at: i32 = thread; at < 8; at += 256) {
    let k: i32 = k_first + at * 4;
    a_steps[at][0] = -1 * (k / 16);
    a_steps[at][1] = -1 * (k / 8 % 2);
    a_steps[at][2] = 2 * (k / 16);
    a_steps[at][3] = 2 * (k / 8 % 2);
    a_steps[at][4] = -64 * (k / 16) + -8 * (k / 8 % 2) + k % 8;
  }
  var a_next: array<array<f32, 4>, 1>;
  var a_map0: array<i32, 1>;
  var a_map1: array<i32, 1>;
  var a_map2: array<i32, 1>;
  var a_map3: array<i32, 1>;
  var a_map4: array<i32, 1>;
  {
    let own: i32 = m0 + (thread + 0 * 256) % 32;
    let l0: i32 = floor_div(g2 + 1, 2);
    let l1: i32 = floor_rem(g2 + 1, 2);
    let l2: i32 = floor_div(g4 + 1, 2);
    let l3: i32 = floor_rem(g4 + 1, 2);
    a_map0[0] = own / 8 % 8 + l0;
    a_map1[0] = own % 8 + l2;
    a_map2[0] = l1;
    a_map3[0] = l3;
    a_map4[0] = 8 * own + 64 * l0 + 8 * l2;
  }
  for (var at: i32 = thread; at < 64; at += 256) {
    let k: i32 = k_first + at * 1;
    b_steps[at][0] = 2 * (k / 16);
    b_steps[at][1] = 2 * (k / 8 % 2);
    b_steps[at][2] = 48 * (k / 16) + 16 * (k / 8 % 2) + 72 * (k % 8);
  }
  var b_next: array<array<f32, 4>, 1>;
  var b_in: array<bool, 1>;
  var b_map0: array<i32, 1>;
  var b_map1: array<i32, 1>;
  var b_map2: array<i32, 1>;
  {
    let own: i32 = n0 + (thread + 0 * 256) % 4 * 4;
    b_in[0] = own < 8;
    let l1: i32 = floor_rem(g2 + 1, 2);
    let l3: i32 = floor_rem(g4 + 1, 2);
    b_map0[0] = l1;
    b_map1[0] = l3;
    b_map2[0] = own + 24 * l1 + 8 * l3;
  }
  var sum0_0: vec4<f32> = vec4<f32>();
  var sum1_0: vec4<f32> = vec4<f32>();
  var sum2_0: vec4<f32> = vec4<f32>();
  var sum3_0: vec4<f32> = vec4<f32>();
  let group: i32 = thread / 32;
  let own_n: i32 = thread % 32 % 4 * 4;
  let own_m: i32 = thread % 32 / 4 * 4;
  workgroupBarrier();
  {
    let k: i32 = k_first + (thread + 0 * 256) / 32 * 4;
    let entry: u32 = u32(k - k_first) / 4u;
    let q0: i32 = a_map0[0] + a_steps[entry][0];
    let q1: i32 = a_map1[0] + a_steps[entry][1];
    let q2: i32 = a_map2[0] + a_steps[entry][2];
    let q3: i32 = a_map3[0] + a_steps[entry][3];
    a_next[0][0] = 0.0f;
    a_next[0][1] = 0.0f;
    a_next[0][2] = 0.0f;
    a_next[0][3] = 0.0f;
    if (u32(q0) < 8u && u32(q1) < 8u && u32(q2) < 3u && u32(q3) < 3u) {
      let v: vec4<f32> = b4[u32(a_map4[0] + a_steps[entry][4]) / 4u];
      a_next[0][0] = v[0];
      a_next[0][1] = v[1];
      a_next[0][2] = v[2];
      a_next[0][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 0 * 256) / 4;
    let entry: u32 = u32(k - k_first) / 1u;
    let q0: i32 = b_map0[0] + b_steps[entry][0];
    let q1: i32 = b_map1[0] + b_steps[entry][1];
    b_next[0][0] = 0.0f;
    b_next[0][1] = 0.0f;
    b_next[0][2] = 0.0f;
    b_next[0][3] = 0.0f;
    if (b_in[0] && k < k_end && u32(q0) < 3u && u32(q1) < 3u) {
      let v: vec4<f32> = b1[u32(b_map2[0] + b_steps[entry][2]) / 4u];
      b_next[0][0] = v[0];
      b_next[0][1] = v[1];
      b_next[0][2] = v[2];
      b_next[0][3] = v[3];
    }
  }
  for (var k0: i32 = k_first; k0 < k_end; k0 += 32) {
    {
      let to: i32 = 0 + ((thread + 0 * 256) / 32 * 4) * 36 + ((thread + 0 * 256) % 32);
      staged[u32(to) / 4u][u32(to) % 4u] = a_next[0][0];
      staged[u32(to + 36) / 4u][u32(to + 36) % 4u] = a_next[0][1];
      staged[u32(to + 72) / 4u][u32(to + 72) % 4u] = a_next[0][2];
      staged[u32(to + 108) / 4u][u32(to + 108) % 4u] = a_next[0][3];
    }
    {
      if (thread + 0 * 256 < 128) {
        let to: i32 = 1152 + ((thread + 0 * 256) / 4) * 20 + ((thread + 0 * 256) % 4 * 4);
        staged[u32(to) / 4u] = vec4<f32>(b_next[0][0], b_next[0][1], b_next[0][2], b_next[0][3]);
      }
    }
    workgroupBarrier();
    if (k0 + 32 < k_end) {
      {
        let k: i32 = k0 + 32 + (thread + 0 * 256) / 32 * 4;
        let entry: u32 = u32(k - k_first) / 4u;
        let q0: i32 = a_map0[0] + a_steps[entry][0];
        let q1: i32 = a_map1[0] + a_steps[entry][1];
        let q2: i32 = a_map2[0] + a_steps[entry][2];
        let q3: i32 = a_map3[0] + a_steps[entry][3];
        a_next[0][0] = 0.0f;
        a_next[0][1] = 0.0f;
        a_next[0][2] = 0.0f;
        a_next[0][3] = 0.0f;
        if (u32(q0) < 8u && u32(q1) < 8u && u32(q2) < 3u && u32(q3) < 3u) {
          let v: vec4<f32> = b4[u32(a_map4[0] + a_steps[entry][4]) / 4u];
          a_next[0][0] = v[0];
          a_next[0][1] = v[1];
          a_next[0][2] = v[2];
          a_next[0][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 32 + (thread + 0 * 256) / 4;
        let entry: u32 = u32(k - k_first) / 1u;
        let q0: i32 = b_map0[0] + b_steps[entry][0];
        let q1: i32 = b_map1[0] + b_steps[entry][1];
        b_next[0][0] = 0.0f;
        b_next[0][1] = 0.0f;
        b_next[0][2] = 0.0f;
        b_next[0][3] = 0.0f;
        if (b_in[0] && k < k_end && u32(q0) < 3u && u32(q1) < 3u) {
          let v: vec4<f32> = b1[u32(b_map2[0] + b_steps[entry][2]) / 4u];
          b_next[0][0] = v[0];
          b_next[0][1] = v[1];
          b_next[0][2] = v[2];
          b_next[0][3] = v[3];
        }
      }
    }
    for (var k: i32 = group; k < 32; k += 8) {
      let x0: vec4<f32> = staged[k * 9 + own_m / 4 + 0];
      let y0: vec4<f32> = staged[k * 5 + own_n / 4 + 288];
      sum0_0 += x0.x * y0;
      sum1_0 += x0.y * y0;
      sum2_0 += x0.z * y0;
      sum3_0 += x0.w * y0;
    }
    workgroupBarrier();
  }
  staged[group * 128 + (own_m + 0) * 4 + own_n / 4 + 0] = sum0_0;
  staged[group * 128 + (own_m + 1) * 4 + own_n / 4 + 0] = sum1_0;
  staged[group * 128 + (own_m + 2) * 4 + own_n / 4 + 0] = sum2_0;
  staged[group * 128 + (own_m + 3) * 4 + own_n / 4 + 0] = sum3_0;
  workgroupBarrier();
  for (var at: i32 = thread; at < 128; at += 256) {
    let start: i32 = (at / 4) * 16 + at % 4 * 4;
    let of0_0: vec4<f32> = staged[u32(start) / 4u];
    let of1_0: vec4<f32> = staged[u32(start + 512) / 4u];
    let of2_0: vec4<f32> = staged[u32(start + 1024) / 4u];
    let of3_0: vec4<f32> = staged[u32(start + 1536) / 4u];
    let of4_0: vec4<f32> = staged[u32(start + 2048) / 4u];
    let of5_0: vec4<f32> = staged[u32(start + 2560) / 4u];
    let of6_0: vec4<f32> = staged[u32(start + 3072) / 4u];
    let of7_0: vec4<f32> = staged[u32(start + 3584) / 4u];
    let m: i32 = m0 + at / 4;
    let n: i32 = n0 + at % 4 * 4;
    if (m >= 256 || n >= 8) {
      continue;
    }
    var whole: array<f32, 4> = array<f32, 4>(of0_0.x + of1_0.x + of2_0.x + of3_0.x + of4_0.x + of5_0.x + of6_0.x + of7_0.x, of0_0.y + of1_0.y + of2_0.y + of3_0.y + of4_0.y + of5_0.y + of6_0.y + of7_0.y, of0_0.z + of1_0.z + of2_0.z + of3_0.z + of4_0.z + of5_0.z + of6_0.z + of7_0.z, of0_0.w + of1_0.w + of2_0.w + of3_0.w + of4_0.w + of5_0.w + of6_0.w + of7_0.w);
    var c0: array<f32, 4> = whole;
    let g0: i32 = m / 64;
    let g1: i32 = m / 8 % 8;
    let g3: i32 = m % 8;
    let g5_first: i32 = n;
    var s0: vec4<f32> = vec4<f32>();
    {
      const part: i32 = 0;
      let g5: i32 = g5_first + part;
      let e0: f32 = c0[part];
      s0[part] = e0;
    }
    {
      const part: i32 = 1;
      let g5: i32 = g5_first + part;
      let e0: f32 = c0[part];
      s0[part] = e0;
    }
    {
      const part: i32 = 2;
      let g5: i32 = g5_first + part;
      let e0: f32 = c0[part];
      s0[part] = e0;
    }
    {
      const part: i32 = 3;
      let g5: i32 = g5_first + part;
      let e0: f32 = c0[part];
      s0[part] = e0;
    }
    b8[u32(2048 * g0 + 256 * g1 + 128 * g2 + 16 * g3 + 8 * g4 + g5_first) / 4u] = s0;
  }
}

@group(0) @binding(0) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b4: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b9: array<vec4<f32>>;
var<workgroup> staged: array<vec4<f32>, 2560>;
var<workgroup> b_steps: array<array<i32, 4>, 256>;

@compute @workgroup_size(256)
fn k3(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let part: i32 = block % 1;
  let tile: i32 = block / 1;
  let m0: i32 = tile % 1 * 16;
  let n0: i32 = tile / 1 % 5 * 16;
  let k_first: i32 = part * 256;
  let k_end: i32 = min(k_first + 256, 256);
  var a_next: array<array<f32, 4>, 4>;
  var a_in: array<bool, 4>;
  var a_map0: array<i32, 4>;
  {
    let own: i32 = m0 + (thread + 0 * 256) % 4 * 4;
    a_in[0] = own < 8;
    a_map0[0] = own;
  }
  {
    let own: i32 = m0 + (thread + 1 * 256) % 4 * 4;
    a_in[1] = own < 8;
    a_map0[1] = own;
  }
  {
    let own: i32 = m0 + (thread + 2 * 256) % 4 * 4;
    a_in[2] = own < 8;
    a_map0[2] = own;
  }
  {
    let own: i32 = m0 + (thread + 3 * 256) % 4 * 4;
    a_in[3] = own < 8;
    a_map0[3] = own;
  }
  for (var at: i32 = thread; at < 256; at += 256) {
    let k: i32 = k_first + at * 1;
    b_steps[at][0] = 2 * (k / 8 % 8);
    b_steps[at][1] = 2 * (k % 8);
    b_steps[at][2] = 256 * (k / 8) + 16 * (k % 8);
  }
  var b_next: array<array<f32, 4>, 4>;
  var b_in: array<bool, 4>;
  var b_map0: array<i32, 4>;
  var b_map1: array<i32, 4>;
  var b_map2: array<i32, 4>;
  {
    let own: i32 = n0 + (thread + 0 * 256) % 4 * 4;
    b_in[0] = own < 72;
    b_map0[0] = own / 24 + -1;
    b_map1[0] = own / 8 % 3 + -1;
    b_map2[0] = 128 * (own / 24) + own % 24 + -136;
  }
  {
    let own: i32 = n0 + (thread + 1 * 256) % 4 * 4;
    b_in[1] = own < 72;
    b_map0[1] = own / 24 + -1;
    b_map1[1] = own / 8 % 3 + -1;
    b_map2[1] = 128 * (own / 24) + own % 24 + -136;
  }
  {
    let own: i32 = n0 + (thread + 2 * 256) % 4 * 4;
    b_in[2] = own < 72;
    b_map0[2] = own / 24 + -1;
    b_map1[2] = own / 8 % 3 + -1;
    b_map2[2] = 128 * (own / 24) + own % 24 + -136;
  }
  {
    let own: i32 = n0 + (thread + 3 * 256) % 4 * 4;
    b_in[3] = own < 72;
    b_map0[3] = own / 24 + -1;
    b_map1[3] = own / 8 % 3 + -1;
    b_map2[3] = 128 * (own / 24) + own % 24 + -136;
  }
  var sum0_0: vec4<f32> = vec4<f32>();
  var sum1_0: vec4<f32> = vec4<f32>();
  var sum2_0: vec4<f32> = vec4<f32>();
  var sum3_0: vec4<f32> = vec4<f32>();
  let group: i32 = thread / 16;
  let own_n: i32 = thread % 16 % 4 * 4;
  let own_m: i32 = thread % 16 / 4 * 4;
  workgroupBarrier();
  {
    let k: i32 = k_first + (thread + 0 * 256) / 4;
    a_next[0][0] = 0.0f;
    a_next[0][1] = 0.0f;
    a_next[0][2] = 0.0f;
    a_next[0][3] = 0.0f;
    if (a_in[0] && k < k_end) {
      let v: vec4<f32> = b4[u32(a_map0[0] + 8 * k) / 4u];
      a_next[0][0] = v[0];
      a_next[0][1] = v[1];
      a_next[0][2] = v[2];
      a_next[0][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 1 * 256) / 4;
    a_next[1][0] = 0.0f;
    a_next[1][1] = 0.0f;
    a_next[1][2] = 0.0f;
    a_next[1][3] = 0.0f;
    if (a_in[1] && k < k_end) {
      let v: vec4<f32> = b4[u32(a_map0[1] + 8 * k) / 4u];
      a_next[1][0] = v[0];
      a_next[1][1] = v[1];
      a_next[1][2] = v[2];
      a_next[1][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 2 * 256) / 4;
    a_next[2][0] = 0.0f;
    a_next[2][1] = 0.0f;
    a_next[2][2] = 0.0f;
    a_next[2][3] = 0.0f;
    if (a_in[2] && k < k_end) {
      let v: vec4<f32> = b4[u32(a_map0[2] + 8 * k) / 4u];
      a_next[2][0] = v[0];
      a_next[2][1] = v[1];
      a_next[2][2] = v[2];
      a_next[2][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 3 * 256) / 4;
    a_next[3][0] = 0.0f;
    a_next[3][1] = 0.0f;
    a_next[3][2] = 0.0f;
    a_next[3][3] = 0.0f;
    if (a_in[3] && k < k_end) {
      let v: vec4<f32> = b4[u32(a_map0[3] + 8 * k) / 4u];
      a_next[3][0] = v[0];
      a_next[3][1] = v[1];
      a_next[3][2] = v[2];
      a_next[3][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 0 * 256) / 4;
    let entry: u32 = u32(k - k_first) / 1u;
    let q0: i32 = b_map0[0] + b_steps[entry][0];
    let q1: i32 = b_map1[0] + b_steps[entry][1];
    b_next[0][0] = 0.0f;
    b_next[0][1] = 0.0f;
    b_next[0][2] = 0.0f;
    b_next[0][3] = 0.0f;
    if (b_in[0] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
      let v: vec4<f32> = b0[u32(b_map2[0] + b_steps[entry][2]) / 4u];
      b_next[0][0] = v[0];
      b_next[0][1] = v[1];
      b_next[0][2] = v[2];
      b_next[0][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 1 * 256) / 4;
    let entry: u32 = u32(k - k_first) / 1u;
    let q0: i32 = b_map0[1] + b_steps[entry][0];
    let q1: i32 = b_map1[1] + b_steps[entry][1];
    b_next[1][0] = 0.0f;
    b_next[1][1] = 0.0f;
    b_next[1][2] = 0.0f;
    b_next[1][3] = 0.0f;
    if (b_in[1] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
      let v: vec4<f32> = b0[u32(b_map2[1] + b_steps[entry][2]) / 4u];
      b_next[1][0] = v[0];
      b_next[1][1] = v[1];
      b_next[1][2] = v[2];
      b_next[1][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 2 * 256) / 4;
    let entry: u32 = u32(k - k_first) / 1u;
    let q0: i32 = b_map0[2] + b_steps[entry][0];
    let q1: i32 = b_map1[2] + b_steps[entry][1];
    b_next[2][0] = 0.0f;
    b_next[2][1] = 0.0f;
    b_next[2][2] = 0.0f;
    b_next[2][3] = 0.0f;
    if (b_in[2] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
      let v: vec4<f32> = b0[u32(b_map2[2] + b_steps[entry][2]) / 4u];
      b_next[2][0] = v[0];
      b_next[2][1] = v[1];
      b_next[2][2] = v[2];
      b_next[2][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 3 * 256) / 4;
    let entry: u32 = u32(k - k_first) / 1u;
    let q0: i32 = b_map0[3] + b_steps[entry][0];
    let q1: i32 = b_map1[3] + b_steps[entry][1];
    b_next[3][0] = 0.0f;
    b_next[3][1] = 0.0f;
    b_next[3][2] = 0.0f;
    b_next[3][3] = 0.0f;
    if (b_in[3] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
      let v: vec4<f32> = b0[u32(b_map2[3] + b_steps[entry][2]) / 4u];
      b_next[3][0] = v[0];
      b_next[3][1] = v[1];
      b_next[3][2] = v[2];
      b_next[3][3] = v[3];
    }
  }
  for (var k0: i32 = k_first; k0 < k_end; k0 += 256) {
    {
      let to: i32 = 0 + ((thread + 0 * 256) / 4) * 20 + ((thread + 0 * 256) % 4 * 4);
      staged[u32(to) / 4u] = vec4<f32>(a_next[0][0], a_next[0][1], a_next[0][2], a_next[0][3]);
    }
    {
      let to: i32 = 0 + ((thread + 1 * 256) / 4) * 20 + ((thread + 1 * 256) % 4 * 4);
      staged[u32(to) / 4u] = vec4<f32>(a_next[1][0], a_next[1][1], a_next[1][2], a_next[1][3]);
    }
    {
      let to: i32 = 0 + ((thread + 2 * 256) / 4) * 20 + ((thread + 2 * 256) % 4 * 4);
      staged[u32(to) / 4u] = vec4<f32>(a_next[2][0], a_next[2][1], a_next[2][2], a_next[2][3]);
    }
    {
      let to: i32 = 0 + ((thread + 3 * 256) / 4) * 20 + ((thread + 3 * 256) % 4 * 4);
      staged[u32(to) / 4u] = vec4<f32>(a_next[3][0], a_next[3][1], a_next[3][2], a_next[3][3]);
    }
    {
      let to: i32 = 5120 + ((thread + 0 * 256) / 4) * 20 + ((thread + 0 * 256) % 4 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[0][0], b_next[0][1], b_next[0][2], b_next[0][3]);
    }
    {
      let to: i32 = 5120 + ((thread + 1 * 256) / 4) * 20 + ((thread + 1 * 256) % 4 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[1][0], b_next[1][1], b_next[1][2], b_next[1][3]);
    }
    {
      let to: i32 = 5120 + ((thread + 2 * 256) / 4) * 20 + ((thread + 2 * 256) % 4 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[2][0], b_next[2][1], b_next[2][2], b_next[2][3]);
    }
    {
      let to: i32 = 5120 + ((thread + 3 * 256) / 4) * 20 + ((thread + 3 * 256) % 4 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[3][0], b_next[3][1], b_next[3][2], b_next[3][3]);
    }
    workgroupBarrier();
    if (k0 + 256 < k_end) {
      {
        let k: i32 = k0 + 256 + (thread + 0 * 256) / 4;
        a_next[0][0] = 0.0f;
        a_next[0][1] = 0.0f;
        a_next[0][2] = 0.0f;
        a_next[0][3] = 0.0f;
        if (a_in[0] && k < k_end) {
          let v: vec4<f32> = b4[u32(a_map0[0] + 8 * k) / 4u];
          a_next[0][0] = v[0];
          a_next[0][1] = v[1];
          a_next[0][2] = v[2];
          a_next[0][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 256 + (thread + 1 * 256) / 4;
        a_next[1][0] = 0.0f;
        a_next[1][1] = 0.0f;
        a_next[1][2] = 0.0f;
        a_next[1][3] = 0.0f;
        if (a_in[1] && k < k_end) {
          let v: vec4<f32> = b4[u32(a_map0[1] + 8 * k) / 4u];
          a_next[1][0] = v[0];
          a_next[1][1] = v[1];
          a_next[1][2] = v[2];
          a_next[1][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 256 + (thread + 2 * 256) / 4;
        a_next[2][0] = 0.0f;
        a_next[2][1] = 0.0f;
        a_next[2][2] = 0.0f;
        a_next[2][3] = 0.0f;
        if (a_in[2] && k < k_end) {
          let v: vec4<f32> = b4[u32(a_map0[2] + 8 * k) / 4u];
          a_next[2][0] = v[0];
          a_next[2][1] = v[1];
          a_next[2][2] = v[2];
          a_next[2][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 256 + (thread + 3 * 256) / 4;
        a_next[3][0] = 0.0f;
        a_next[3][1] = 0.0f;
        a_next[3][2] = 0.0f;
        a_next[3][3] = 0.0f;
        if (a_in[3] && k < k_end) {
          let v: vec4<f32> = b4[u32(a_map0[3] + 8 * k) / 4u];
          a_next[3][0] = v[0];
          a_next[3][1] = v[1];
          a_next[3][2] = v[2];
          a_next[3][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 256 + (thread + 0 * 256) / 4;
        let entry: u32 = u32(k - k_first) / 1u;
        let q0: i32 = b_map0[0] + b_steps[entry][0];
        let q1: i32 = b_map1[0] + b_steps[entry][1];
        b_next[0][0] = 0.0f;
        b_next[0][1] = 0.0f;
        b_next[0][2] = 0.0f;
        b_next[0][3] = 0.0f;
        if (b_in[0] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
          let v: vec4<f32> = b0[u32(b_map2[0] + b_steps[entry][2]) / 4u];
          b_next[0][0] = v[0];
          b_next[0][1] = v[1];
          b_next[0][2] = v[2];
          b_next[0][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 256 + (thread + 1 * 256) / 4;
        let entry: u32 = u32(k - k_first) / 1u;
        let q0: i32 = b_map0[1] + b_steps[entry][0];
        let q1: i32 = b_map1[1] + b_steps[entry][1];
        b_next[1][0] = 0.0f;
        b_next[1][1] = 0.0f;
        b_next[1][2] = 0.0f;
        b_next[1][3] = 0.0f;
        if (b_in[1] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
          let v: vec4<f32> = b0[u32(b_map2[1] + b_steps[entry][2]) / 4u];
          b_next[1][0] = v[0];
          b_next[1][1] = v[1];
          b_next[1][2] = v[2];
          b_next[1][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 256 + (thread + 2 * 256) / 4;
        let entry: u32 = u32(k - k_first) / 1u;
        let q0: i32 = b_map0[2] + b_steps[entry][0];
        let q1: i32 = b_map1[2] + b_steps[entry][1];
        b_next[2][0] = 0.0f;
        b_next[2][1] = 0.0f;
        b_next[2][2] = 0.0f;
        b_next[2][3] = 0.0f;
        if (b_in[2] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
          let v: vec4<f32> = b0[u32(b_map2[2] + b_steps[entry][2]) / 4u];
          b_next[2][0] = v[0];
          b_next[2][1] = v[1];
          b_next[2][2] = v[2];
          b_next[2][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 256 + (thread + 3 * 256) / 4;
        let entry: u32 = u32(k - k_first) / 1u;
        let q0: i32 = b_map0[3] + b_steps[entry][0];
        let q1: i32 = b_map1[3] + b_steps[entry][1];
        b_next[3][0] = 0.0f;
        b_next[3][1] = 0.0f;
        b_next[3][2] = 0.0f;
        b_next[3][3] = 0.0f;
        if (b_in[3] && k < k_end && u32(q0) < 16u && u32(q1) < 16u) {
          let v: vec4<f32> = b0[u32(b_map2[3] + b_steps[entry][2]) / 4u];
          b_next[3][0] = v[0];
          b_next[3][1] = v[1];
          b_next[3][2] = v[2];
          b_next[3][3] = v[3];
        }
      }
    }
    for (var k: i32 = group; k < 256; k += 16) {
      let x0: vec4<f32> = staged[k * 5 + own_m / 4 + 0];
      let y0: vec4<f32> = staged[k * 5 + own_n / 4 + 1280];
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
    if (m >= 8 || n >= 72) {
      continue;
    }
    var whole: array<f32, 4> = array<f32, 4>(of0_0.x + of1_0.x + of2_0.x + of3_0.x + of4_0.x + of5_0.x + of6_0.x + of7_0.x + of8_0.x + of9_0.x + of10_0.x + of11_0.x + of12_0.x + of13_0.x + of14_0.x + of15_0.x, of0_0.y + of1_0.y + of2_0.y + of3_0.y + of4_0.y + of5_0.y + of6_0.y + of7_0.y + of8_0.y + of9_0.y + of10_0.y + of11_0.y + of12_0.y + of13_0.y + of14_0.y + of15_0.y, of0_0.z + of1_0.z + of2_0.z + of3_0.z + of4_0.z + of5_0.z + of6_0.z + of7_0.z + of8_0.z + of9_0.z + of10_0.z + of11_0.z + of12_0.z + of13_0.z + of14_0.z + of15_0.z, of0_0.w + of1_0.w + of2_0.w + of3_0.w + of4_0.w + of5_0.w + of6_0.w + of7_0.w + of8_0.w + of9_0.w + of10_0.w + of11_0.w + of12_0.w + of13_0.w + of14_0.w + of15_0.w);
    var c0: array<f32, 4> = whole;
    let g0: i32 = m;
    let g1: i32 = n / 24;
    let g2: i32 = n / 8 % 3;
    let g3_first: i32 = n % 8;
    var s0: vec4<f32> = vec4<f32>();
    {
      const part: i32 = 0;
      let g3: i32 = g3_first + part;
      let e0: f32 = c0[part];
      s0[part] = e0;
    }
    {
      const part: i32 = 1;
      let g3: i32 = g3_first + part;
      let e0: f32 = c0[part];
      s0[part] = e0;
    }
    {
      const part: i32 = 2;
      let g3: i32 = g3_first + part;
      let e0: f32 = c0[part];
      s0[part] = e0;
    }
    {
      const part: i32 = 3;
      let g3: i32 = g3_first + part;
      let e0: f32 = c0[part];
      s0[part] = e0;
    }
    b9[u32(72 * g0 + 24 * g1 + 8 * g2 + g3_first) / 4u] = s0;
  }
}
