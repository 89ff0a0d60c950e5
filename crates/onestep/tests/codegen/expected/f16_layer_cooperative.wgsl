@group(0) @binding(0) var<storage, read> b0: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> b1: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> b3: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> b4: array<vec4<f32>>;
var<workgroup> staged: array<vec4<f32>, 1152>;
var<workgroup> halves: array<vec4<f16>, 1216>;

@compute @workgroup_size(128)
fn k0(@builtin(workgroup_id) group_id: vec3<u32>, @builtin(subgroup_id) subgroup: u32, @builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  let block: i32 = i32(group_id.x);
  let part: i32 = block % 1;
  let tile: i32 = block / 1;
  let m0: i32 = tile % 2 * 64;
  let n0: i32 = tile / 2 % 2 * 64;
  let k_first: i32 = part * 64;
  let k_end: i32 = min(k_first + 64, 64);
  var a_next: array<vec4<u32>, 2>;
  var a_map0: array<i32, 2>;
  {
    let own: i32 = m0 + (thread + 0 * 128) / 4;
    a_map0[0] = 64 * own;
  }
  {
    let own: i32 = m0 + (thread + 1 * 128) / 4;
    a_map0[1] = 64 * own;
  }
  var b_next: array<vec4<u32>, 2>;
  var b_in: array<bool, 2>;
  var b_map0: array<i32, 2>;
  {
    let own: i32 = n0 + (thread + 0 * 128) % 8 * 8;
    b_in[0] = own < 96;
    b_map0[0] = own;
  }
  {
    let own: i32 = n0 + (thread + 1 * 128) % 8 * 8;
    b_in[1] = own < 96;
    b_map0[1] = own;
  }
  let warp: i32 = i32(subgroup);
  let own_m: i32 = warp / 2 * 32;
  let own_n: i32 = warp % 2 * 32;
  var sum0_0: coop_mat16x16<f32, C>;
  var sum0_1: coop_mat16x16<f32, C>;
  var sum1_0: coop_mat16x16<f32, C>;
  var sum1_1: coop_mat16x16<f32, C>;
  {
    let k: i32 = k_first + (thread + 0 * 128) % 4 * 8;
    a_next[0] = b0[u32(a_map0[0] + k) / 8u];
  }
  {
    let k: i32 = k_first + (thread + 1 * 128) % 4 * 8;
    a_next[1] = b0[u32(a_map0[1] + k) / 8u];
  }
  {
    let k: i32 = k_first + (thread + 0 * 128) / 8;
    b_next[0] = vec4<u32>();
    if (b_in[0] && k < k_end) {
      b_next[0] = b1[u32(b_map0[0] + 96 * k) / 8u];
    }
  }
  {
    let k: i32 = k_first + (thread + 1 * 128) / 8;
    b_next[1] = vec4<u32>();
    if (b_in[1] && k < k_end) {
      b_next[1] = b1[u32(b_map0[1] + 96 * k) / 8u];
    }
  }
  for (var k0: i32 = k_first; k0 < k_end; k0 += 32) {
    {
      let to: i32 = 0 + ((thread + 0 * 128) / 4) * 40 + ((thread + 0 * 128) % 4 * 8);
      halves[u32(to) / 4u] = vec4<f16>(vec4<f32>(unpack2x16float(a_next[0][0]), unpack2x16float(a_next[0][1])));
      halves[u32(to + 4) / 4u] = vec4<f16>(vec4<f32>(unpack2x16float(a_next[0][2]), unpack2x16float(a_next[0][3])));
    }
    {
      let to: i32 = 0 + ((thread + 1 * 128) / 4) * 40 + ((thread + 1 * 128) % 4 * 8);
      halves[u32(to) / 4u] = vec4<f16>(vec4<f32>(unpack2x16float(a_next[1][0]), unpack2x16float(a_next[1][1])));
      halves[u32(to + 4) / 4u] = vec4<f16>(vec4<f32>(unpack2x16float(a_next[1][2]), unpack2x16float(a_next[1][3])));
    }
    {
      let to: i32 = 2560 + ((thread + 0 * 128) / 8) * 72 + ((thread + 0 * 128) % 8 * 8);
      halves[u32(to) / 4u] = vec4<f16>(vec4<f32>(unpack2x16float(b_next[0][0]), unpack2x16float(b_next[0][1])));
      halves[u32(to + 4) / 4u] = vec4<f16>(vec4<f32>(unpack2x16float(b_next[0][2]), unpack2x16float(b_next[0][3])));
    }
    {
      let to: i32 = 2560 + ((thread + 1 * 128) / 8) * 72 + ((thread + 1 * 128) % 8 * 8);
      halves[u32(to) / 4u] = vec4<f16>(vec4<f32>(unpack2x16float(b_next[1][0]), unpack2x16float(b_next[1][1])));
      halves[u32(to + 4) / 4u] = vec4<f16>(vec4<f32>(unpack2x16float(b_next[1][2]), unpack2x16float(b_next[1][3])));
    }
    workgroupBarrier();
    if (k0 + 32 < k_end) {
      {
        let k: i32 = k0 + 32 + (thread + 0 * 128) % 4 * 8;
        a_next[0] = b0[u32(a_map0[0] + k) / 8u];
      }
      {
        let k: i32 = k0 + 32 + (thread + 1 * 128) % 4 * 8;
        a_next[1] = b0[u32(a_map0[1] + k) / 8u];
      }
      {
        let k: i32 = k0 + 32 + (thread + 0 * 128) / 8;
        b_next[0] = vec4<u32>();
        if (b_in[0] && k < k_end) {
          b_next[0] = b1[u32(b_map0[0] + 96 * k) / 8u];
        }
      }
      {
        let k: i32 = k0 + 32 + (thread + 1 * 128) / 8;
        b_next[1] = vec4<u32>();
        if (b_in[1] && k < k_end) {
          b_next[1] = b1[u32(b_map0[1] + 96 * k) / 8u];
        }
      }
    }
    {
      let y0_at: i32 = (own_n * 1 + 2560) / 4;
      let y0 = coopLoadT<coop_mat16x16<f16, B>>(&halves[y0_at], 18u);
      let y1_at: i32 = (own_n * 1 + 2576) / 4;
      let y1 = coopLoadT<coop_mat16x16<f16, B>>(&halves[y1_at], 18u);
      {
        let x_at: i32 = (own_m * 40 + 0) / 4;
        let x = coopLoadT<coop_mat16x16<f16, A>>(&halves[x_at], 10u);
        sum0_0 = coopMultiplyAdd(x, y0, sum0_0);
        sum0_1 = coopMultiplyAdd(x, y1, sum0_1);
      }
      {
        let x_at: i32 = (own_m * 40 + 640) / 4;
        let x = coopLoadT<coop_mat16x16<f16, A>>(&halves[x_at], 10u);
        sum1_0 = coopMultiplyAdd(x, y0, sum1_0);
        sum1_1 = coopMultiplyAdd(x, y1, sum1_1);
      }
    }
    {
      let y0_at: i32 = (own_n * 1 + 3712) / 4;
      let y0 = coopLoadT<coop_mat16x16<f16, B>>(&halves[y0_at], 18u);
      let y1_at: i32 = (own_n * 1 + 3728) / 4;
      let y1 = coopLoadT<coop_mat16x16<f16, B>>(&halves[y1_at], 18u);
      {
        let x_at: i32 = (own_m * 40 + 16) / 4;
        let x = coopLoadT<coop_mat16x16<f16, A>>(&halves[x_at], 10u);
        sum0_0 = coopMultiplyAdd(x, y0, sum0_0);
        sum0_1 = coopMultiplyAdd(x, y1, sum0_1);
      }
      {
        let x_at: i32 = (own_m * 40 + 656) / 4;
        let x = coopLoadT<coop_mat16x16<f16, A>>(&halves[x_at], 10u);
        sum1_0 = coopMultiplyAdd(x, y0, sum1_0);
        sum1_1 = coopMultiplyAdd(x, y1, sum1_1);
      }
    }
    workgroupBarrier();
  }
  let to0_0: i32 = ((own_m / 32 * 32 + 0) * 72 + own_n / 32 * 32 + 0) / 4;
  coopStoreT(sum0_0, &staged[to0_0], 18u);
  let to0_1: i32 = ((own_m / 32 * 32 + 0) * 72 + own_n / 32 * 32 + 16) / 4;
  coopStoreT(sum0_1, &staged[to0_1], 18u);
  let to1_0: i32 = ((own_m / 32 * 32 + 16) * 72 + own_n / 32 * 32 + 0) / 4;
  coopStoreT(sum1_0, &staged[to1_0], 18u);
  let to1_1: i32 = ((own_m / 32 * 32 + 16) * 72 + own_n / 32 * 32 + 16) / 4;
  coopStoreT(sum1_1, &staged[to1_1], 18u);
  workgroupBarrier();
  for (var at: i32 = thread; at < 1024; at += 128) {
    let start: i32 = (at / 16) * 72 + at % 16 * 4;
    let of0_0: vec4<f32> = staged[u32(start) / 4u];
    let m: i32 = m0 + at / 16;
    let n: i32 = n0 + at % 16 * 4;
    if (m >= 128 || n >= 96) {
      continue;
    }
    var whole: array<f32, 4> = array<f32, 4>(of0_0.x, of0_0.y, of0_0.z, of0_0.w);
    var c0: array<f32, 4> = whole;
    let g0: i32 = m;
    let g1_first: i32 = n;
    let v3: vec4<f32> = b3[u32(g1_first) / 4u];
    let e5: f32 = 0.0f;
    var s0: vec4<f32> = vec4<f32>();
    {
      const part: i32 = 0;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = f16_value(f16_bits(e0));
      let e2: f32 = e1;
      let e3: f32 = v3[part];
      let e4: f32 = e2 + e3;
      let e6: bool = e4 <= e5;
      let e7: f32 = select(e4, e5, e6);
      s0[part] = e7;
    }
    {
      const part: i32 = 1;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = f16_value(f16_bits(e0));
      let e2: f32 = e1;
      let e3: f32 = v3[part];
      let e4: f32 = e2 + e3;
      let e6: bool = e4 <= e5;
      let e7: f32 = select(e4, e5, e6);
      s0[part] = e7;
    }
    {
      const part: i32 = 2;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = f16_value(f16_bits(e0));
      let e2: f32 = e1;
      let e3: f32 = v3[part];
      let e4: f32 = e2 + e3;
      let e6: bool = e4 <= e5;
      let e7: f32 = select(e4, e5, e6);
      s0[part] = e7;
    }
    {
      const part: i32 = 3;
      let g1: i32 = g1_first + part;
      let e0: f32 = c0[part];
      let e1: f32 = f16_value(f16_bits(e0));
      let e2: f32 = e1;
      let e3: f32 = v3[part];
      let e4: f32 = e2 + e3;
      let e6: bool = e4 <= e5;
      let e7: f32 = select(e4, e5, e6);
      s0[part] = e7;
    }
    b4[u32(96 * g0 + g1_first) / 4u] = s0;
  }
}
