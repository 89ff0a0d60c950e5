@group(0) @binding(0) var<storage, read> b0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b3: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> b4: array<vec4<f32>>;
var<workgroup> staged: array<vec4<f32>, 1024>;

@compute @workgroup_size(64)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let part: i32 = block % 1;
  let tile: i32 = block / 1;
  let m0: i32 = tile % 1 * 64;
  let n0: i32 = tile / 1 % 1 * 64;
  let k_first: i32 = part * 48;
  let k_end: i32 = min(k_first + 48, 48);
  var a_next: array<array<f32, 4>, 4>;
  var a_in: array<bool, 4>;
  var a_map0: array<i32, 4>;
  {
    let own: i32 = m0 + (thread + 0 * 64) % 64;
    a_in[0] = own < 32;
    a_map0[0] = 48 * own;
  }
  {
    let own: i32 = m0 + (thread + 1 * 64) % 64;
    a_in[1] = own < 32;
    a_map0[1] = 48 * own;
  }
  {
    let own: i32 = m0 + (thread + 2 * 64) % 64;
    a_in[2] = own < 32;
    a_map0[2] = 48 * own;
  }
  {
    let own: i32 = m0 + (thread + 3 * 64) % 64;
    a_in[3] = own < 32;
    a_map0[3] = 48 * own;
  }
  var b_next: array<array<f32, 4>, 4>;
  var b_in: array<bool, 4>;
  var b_map0: array<i32, 4>;
  {
    let own: i32 = n0 + (thread + 0 * 64) % 16 * 4;
    b_in[0] = own < 24;
    b_map0[0] = own;
  }
  {
    let own: i32 = n0 + (thread + 1 * 64) % 16 * 4;
    b_in[1] = own < 24;
    b_map0[1] = own;
  }
  {
    let own: i32 = n0 + (thread + 2 * 64) % 16 * 4;
    b_in[2] = own < 24;
    b_map0[2] = own;
  }
  {
    let own: i32 = n0 + (thread + 3 * 64) % 16 * 4;
    b_in[3] = own < 24;
    b_map0[3] = own;
  }
  var sum0_0: vec4<f32> = vec4<f32>();
  var sum0_1: vec4<f32> = vec4<f32>();
  var sum1_0: vec4<f32> = vec4<f32>();
  var sum1_1: vec4<f32> = vec4<f32>();
  var sum2_0: vec4<f32> = vec4<f32>();
  var sum2_1: vec4<f32> = vec4<f32>();
  var sum3_0: vec4<f32> = vec4<f32>();
  var sum3_1: vec4<f32> = vec4<f32>();
  var sum4_0: vec4<f32> = vec4<f32>();
  var sum4_1: vec4<f32> = vec4<f32>();
  var sum5_0: vec4<f32> = vec4<f32>();
  var sum5_1: vec4<f32> = vec4<f32>();
  var sum6_0: vec4<f32> = vec4<f32>();
  var sum6_1: vec4<f32> = vec4<f32>();
  var sum7_0: vec4<f32> = vec4<f32>();
  var sum7_1: vec4<f32> = vec4<f32>();
  let group: i32 = thread / 64;
  let own_n: i32 = thread % 64 % 8 * 4;
  let own_m: i32 = thread % 64 / 8 * 4;
  {
    let k: i32 = k_first + (thread + 0 * 64) / 64 * 4;
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
    let k: i32 = k_first + (thread + 1 * 64) / 64 * 4;
    a_next[1][0] = 0.0f;
    a_next[1][1] = 0.0f;
    a_next[1][2] = 0.0f;
    a_next[1][3] = 0.0f;
    if (a_in[1] && k < k_end) {
      let v: vec4<f32> = b0[u32(a_map0[1] + k) / 4u];
      a_next[1][0] = v[0];
      a_next[1][1] = v[1];
      a_next[1][2] = v[2];
      a_next[1][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 2 * 64) / 64 * 4;
    a_next[2][0] = 0.0f;
    a_next[2][1] = 0.0f;
    a_next[2][2] = 0.0f;
    a_next[2][3] = 0.0f;
    if (a_in[2] && k < k_end) {
      let v: vec4<f32> = b0[u32(a_map0[2] + k) / 4u];
      a_next[2][0] = v[0];
      a_next[2][1] = v[1];
      a_next[2][2] = v[2];
      a_next[2][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 3 * 64) / 64 * 4;
    a_next[3][0] = 0.0f;
    a_next[3][1] = 0.0f;
    a_next[3][2] = 0.0f;
    a_next[3][3] = 0.0f;
    if (a_in[3] && k < k_end) {
      let v: vec4<f32> = b0[u32(a_map0[3] + k) / 4u];
      a_next[3][0] = v[0];
      a_next[3][1] = v[1];
      a_next[3][2] = v[2];
      a_next[3][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 0 * 64) / 16;
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
  {
    let k: i32 = k_first + (thread + 1 * 64) / 16;
    b_next[1][0] = 0.0f;
    b_next[1][1] = 0.0f;
    b_next[1][2] = 0.0f;
    b_next[1][3] = 0.0f;
    if (b_in[1] && k < k_end) {
      let v: vec4<f32> = b1[u32(b_map0[1] + 24 * k) / 4u];
      b_next[1][0] = v[0];
      b_next[1][1] = v[1];
      b_next[1][2] = v[2];
      b_next[1][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 2 * 64) / 16;
    b_next[2][0] = 0.0f;
    b_next[2][1] = 0.0f;
    b_next[2][2] = 0.0f;
    b_next[2][3] = 0.0f;
    if (b_in[2] && k < k_end) {
      let v: vec4<f32> = b1[u32(b_map0[2] + 24 * k) / 4u];
      b_next[2][0] = v[0];
      b_next[2][1] = v[1];
      b_next[2][2] = v[2];
      b_next[2][3] = v[3];
    }
  }
  {
    let k: i32 = k_first + (thread + 3 * 64) / 16;
    b_next[3][0] = 0.0f;
    b_next[3][1] = 0.0f;
    b_next[3][2] = 0.0f;
    b_next[3][3] = 0.0f;
    if (b_in[3] && k < k_end) {
      let v: vec4<f32> = b1[u32(b_map0[3] + 24 * k) / 4u];
      b_next[3][0] = v[0];
      b_next[3][1] = v[1];
      b_next[3][2] = v[2];
      b_next[3][3] = v[3];
    }
  }
  for (var k0: i32 = k_first; k0 < k_end; k0 += 16) {
    {
      let to: i32 = 0 + ((thread + 0 * 64) / 64 * 4) * 68 + ((thread + 0 * 64) % 64);
      staged[u32(to) / 4u][u32(to) % 4u] = a_next[0][0];
      staged[u32(to + 68) / 4u][u32(to + 68) % 4u] = a_next[0][1];
      staged[u32(to + 136) / 4u][u32(to + 136) % 4u] = a_next[0][2];
      staged[u32(to + 204) / 4u][u32(to + 204) % 4u] = a_next[0][3];
    }
    {
      let to: i32 = 0 + ((thread + 1 * 64) / 64 * 4) * 68 + ((thread + 1 * 64) % 64);
      staged[u32(to) / 4u][u32(to) % 4u] = a_next[1][0];
      staged[u32(to + 68) / 4u][u32(to + 68) % 4u] = a_next[1][1];
      staged[u32(to + 136) / 4u][u32(to + 136) % 4u] = a_next[1][2];
      staged[u32(to + 204) / 4u][u32(to + 204) % 4u] = a_next[1][3];
    }
    {
      let to: i32 = 0 + ((thread + 2 * 64) / 64 * 4) * 68 + ((thread + 2 * 64) % 64);
      staged[u32(to) / 4u][u32(to) % 4u] = a_next[2][0];
      staged[u32(to + 68) / 4u][u32(to + 68) % 4u] = a_next[2][1];
      staged[u32(to + 136) / 4u][u32(to + 136) % 4u] = a_next[2][2];
      staged[u32(to + 204) / 4u][u32(to + 204) % 4u] = a_next[2][3];
    }
    {
      let to: i32 = 0 + ((thread + 3 * 64) / 64 * 4) * 68 + ((thread + 3 * 64) % 64);
      staged[u32(to) / 4u][u32(to) % 4u] = a_next[3][0];
      staged[u32(to + 68) / 4u][u32(to + 68) % 4u] = a_next[3][1];
      staged[u32(to + 136) / 4u][u32(to + 136) % 4u] = a_next[3][2];
      staged[u32(to + 204) / 4u][u32(to + 204) % 4u] = a_next[3][3];
    }
    {
      let to: i32 = 1088 + ((thread + 0 * 64) / 16) * 68 + ((thread + 0 * 64) % 16 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[0][0], b_next[0][1], b_next[0][2], b_next[0][3]);
    }
    {
      let to: i32 = 1088 + ((thread + 1 * 64) / 16) * 68 + ((thread + 1 * 64) % 16 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[1][0], b_next[1][1], b_next[1][2], b_next[1][3]);
    }
    {
      let to: i32 = 1088 + ((thread + 2 * 64) / 16) * 68 + ((thread + 2 * 64) % 16 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[2][0], b_next[2][1], b_next[2][2], b_next[2][3]);
    }
    {
      let to: i32 = 1088 + ((thread + 3 * 64) / 16) * 68 + ((thread + 3 * 64) % 16 * 4);
      staged[u32(to) / 4u] = vec4<f32>(b_next[3][0], b_next[3][1], b_next[3][2], b_next[3][3]);
    }
    workgroupBarrier();
    if (k0 + 16 < k_end) {
      {
        let k: i32 = k0 + 16 + (thread + 0 * 64) / 64 * 4;
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
        let k: i32 = k0 + 16 + (thread + 1 * 64) / 64 * 4;
        a_next[1][0] = 0.0f;
        a_next[1][1] = 0.0f;
        a_next[1][2] = 0.0f;
        a_next[1][3] = 0.0f;
        if (a_in[1] && k < k_end) {
          let v: vec4<f32> = b0[u32(a_map0[1] + k) / 4u];
          a_next[1][0] = v[0];
          a_next[1][1] = v[1];
          a_next[1][2] = v[2];
          a_next[1][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 16 + (thread + 2 * 64) / 64 * 4;
        a_next[2][0] = 0.0f;
        a_next[2][1] = 0.0f;
        a_next[2][2] = 0.0f;
        a_next[2][3] = 0.0f;
        if (a_in[2] && k < k_end) {
          let v: vec4<f32> = b0[u32(a_map0[2] + k) / 4u];
          a_next[2][0] = v[0];
          a_next[2][1] = v[1];
          a_next[2][2] = v[2];
          a_next[2][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 16 + (thread + 3 * 64) / 64 * 4;
        a_next[3][0] = 0.0f;
        a_next[3][1] = 0.0f;
        a_next[3][2] = 0.0f;
        a_next[3][3] = 0.0f;
        if (a_in[3] && k < k_end) {
          let v: vec4<f32> = b0[u32(a_map0[3] + k) / 4u];
          a_next[3][0] = v[0];
          a_next[3][1] = v[1];
          a_next[3][2] = v[2];
          a_next[3][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 16 + (thread + 0 * 64) / 16;
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
      {
        let k: i32 = k0 + 16 + (thread + 1 * 64) / 16;
        b_next[1][0] = 0.0f;
        b_next[1][1] = 0.0f;
        b_next[1][2] = 0.0f;
        b_next[1][3] = 0.0f;
        if (b_in[1] && k < k_end) {
          let v: vec4<f32> = b1[u32(b_map0[1] + 24 * k) / 4u];
          b_next[1][0] = v[0];
          b_next[1][1] = v[1];
          b_next[1][2] = v[2];
          b_next[1][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 16 + (thread + 2 * 64) / 16;
        b_next[2][0] = 0.0f;
        b_next[2][1] = 0.0f;
        b_next[2][2] = 0.0f;
        b_next[2][3] = 0.0f;
        if (b_in[2] && k < k_end) {
          let v: vec4<f32> = b1[u32(b_map0[2] + 24 * k) / 4u];
          b_next[2][0] = v[0];
          b_next[2][1] = v[1];
          b_next[2][2] = v[2];
          b_next[2][3] = v[3];
        }
      }
      {
        let k: i32 = k0 + 16 + (thread + 3 * 64) / 16;
        b_next[3][0] = 0.0f;
        b_next[3][1] = 0.0f;
        b_next[3][2] = 0.0f;
        b_next[3][3] = 0.0f;
        if (b_in[3] && k < k_end) {
          let v: vec4<f32> = b1[u32(b_map0[3] + 24 * k) / 4u];
          b_next[3][0] = v[0];
          b_next[3][1] = v[1];
          b_next[3][2] = v[2];
          b_next[3][3] = v[3];
        }
      }
    }
    {
      let x0: vec4<f32> = staged[0 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[0 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[0 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[0 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[1 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[1 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[1 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[1 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[2 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[2 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[2 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[2 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[3 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[3 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[3 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[3 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[4 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[4 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[4 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[4 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[5 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[5 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[5 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[5 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[6 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[6 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[6 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[6 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[7 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[7 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[7 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[7 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[8 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[8 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[8 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[8 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[9 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[9 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[9 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[9 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[10 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[10 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[10 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[10 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[11 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[11 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[11 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[11 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[12 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[12 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[12 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[12 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[13 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[13 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[13 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[13 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[14 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[14 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[14 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[14 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    {
      let x0: vec4<f32> = staged[15 * 17 + own_m / 4 + 0];
      let x1: vec4<f32> = staged[15 * 17 + own_m / 4 + 8];
      let y0: vec4<f32> = staged[15 * 17 + own_n / 4 + 272];
      let y1: vec4<f32> = staged[15 * 17 + own_n / 4 + 280];
      sum0_0 += x0.x * y0;
      sum0_1 += x0.x * y1;
      sum1_0 += x0.y * y0;
      sum1_1 += x0.y * y1;
      sum2_0 += x0.z * y0;
      sum2_1 += x0.z * y1;
      sum3_0 += x0.w * y0;
      sum3_1 += x0.w * y1;
      sum4_0 += x1.x * y0;
      sum4_1 += x1.x * y1;
      sum5_0 += x1.y * y0;
      sum5_1 += x1.y * y1;
      sum6_0 += x1.z * y0;
      sum6_1 += x1.z * y1;
      sum7_0 += x1.w * y0;
      sum7_1 += x1.w * y1;
    }
    workgroupBarrier();
  }
  staged[group * 1024 + (own_m / 4 * 8 + 0) * 16 + own_n / 4 + 0] = sum0_0;
  staged[group * 1024 + (own_m / 4 * 8 + 0) * 16 + own_n / 4 + 8] = sum0_1;
  staged[group * 1024 + (own_m / 4 * 8 + 1) * 16 + own_n / 4 + 0] = sum1_0;
  staged[group * 1024 + (own_m / 4 * 8 + 1) * 16 + own_n / 4 + 8] = sum1_1;
  staged[group * 1024 + (own_m / 4 * 8 + 2) * 16 + own_n / 4 + 0] = sum2_0;
  staged[group * 1024 + (own_m / 4 * 8 + 2) * 16 + own_n / 4 + 8] = sum2_1;
  staged[group * 1024 + (own_m / 4 * 8 + 3) * 16 + own_n / 4 + 0] = sum3_0;
  staged[group * 1024 + (own_m / 4 * 8 + 3) * 16 + own_n / 4 + 8] = sum3_1;
  staged[group * 1024 + (own_m / 4 * 8 + 4) * 16 + own_n / 4 + 0] = sum4_0;
  staged[group * 1024 + (own_m / 4 * 8 + 4) * 16 + own_n / 4 + 8] = sum4_1;
  staged[group * 1024 + (own_m / 4 * 8 + 5) * 16 + own_n / 4 + 0] = sum5_0;
  staged[group * 1024 + (own_m / 4 * 8 + 5) * 16 + own_n / 4 + 8] = sum5_1;
  staged[group * 1024 + (own_m / 4 * 8 + 6) * 16 + own_n / 4 + 0] = sum6_0;
  staged[group * 1024 + (own_m / 4 * 8 + 6) * 16 + own_n / 4 + 8] = sum6_1;
  staged[group * 1024 + (own_m / 4 * 8 + 7) * 16 + own_n / 4 + 0] = sum7_0;
  staged[group * 1024 + (own_m / 4 * 8 + 7) * 16 + own_n / 4 + 8] = sum7_1;
  workgroupBarrier();
  for (var at: i32 = thread; at < 1024; at += 64) {
    let start: i32 = (at / 16) * 64 + at % 16 * 4;
    let of0_0: vec4<f32> = staged[u32(start) / 4u];
    let m: i32 = m0 + (at / 16) / 8 * 4 + ((at / 16) % 8 + 0) / 4 * 32 + ((at / 16) % 8 + 0) % 4;
    let n: i32 = n0 + at % 16 * 4;
    if (m >= 32 || n >= 24) {
      continue;
    }
    var whole: array<f32, 4> = array<f32, 4>(of0_0.x, of0_0.y, of0_0.z, of0_0.w);
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
