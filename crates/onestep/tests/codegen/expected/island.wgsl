@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read> b1: array<i32>;
@group(0) @binding(2) var<storage, read_write> b6: array<f32>;
@group(0) @binding(3) var<storage, read_write> b11: array<f32>;
@group(0) @binding(4) var<storage, read_write> b12: array<f32>;
var<workgroup> shared_float0: array<f32, 256>;

@compute @workgroup_size(256)
fn k0_to_k1(@builtin(local_invocation_index) local: u32) {
  let thread: i32 = i32(local);
  // k0
  {
    for (var item: i32 = thread; item < 32; item += 256) {
      let g0: i32 = item;
      var c0: f32 = 0.0f;
      {
        let e0: i32 = 0;
        let e1: i32 = b1[g0];
        let e2: bool = e0 <= e1;
        let e3: i32 = 10;
        let e4: bool = e1 < e3;
        let e5: bool = e2 & e4;
        let e6: f32 = 0.03125f;
        let e7: f32 = 0.0f;
        let e8: f32 = select(e7, e6, e5);
        let e9: f32 = -e8;
        c0 = e9;
      }
      var c1: f32 = 0.0f;
      var c2: f32 = from_bits(0xff800000u);
      {
        for (var r0: i32 = 0; r0 < 10; r0 += 1) {
          let e0: i32 = b1[g0];
          let e1: i32 = r0;
          let e2: bool = e0 == e1;
          let e3: f32 = c0;
          let e4: f32 = 0.0f;
          let e5: f32 = select(e4, e3, e2);
          let e6: f32 = -e5;
          let e7: f32 = b0[10 * g0 + r0];
          c1 = c1 + e6;
          c2 = larger(c2, e7);
        }
      }
      var c3: f32 = 0.0f;
      {
        let e0: f32 = c2;
        let e1: f32 = ceil(e0);
        let e2: bool = is_finite(e1);
        let e3: f32 = 0.0f;
        let e4: f32 = select(e3, e1, e2);
        c3 = e4;
      }
      var c4: f32 = 0.0f;
      {
        for (var r0: i32 = 0; r0 < 10; r0 += 1) {
          let e0: f32 = b0[10 * g0 + r0];
          let e1: f32 = c3;
          let e2: f32 = e0 - e1;
          let e3: f32 = exp(e2);
          c4 = c4 + e3;
        }
      }
      var c5: f32 = 0.0f;
      var c7: f32 = 0.0f;
      {
        let e0: f32 = c4;
        let e1: f32 = 0.25f;
        let e2: f32 = larger(e0, e1);
        let e3: f32 = log(e2);
        let e4: bool = e1 < e0;
        let e5: f32 = c1;
        let e6: f32 = quotient(e5, e2);
        let e7: bool = e1 <= e0;
        let e8: f32 = 0.5f;
        let e9: f32 = e6 * e8;
        let e10: f32 = 0.0f;
        let e11: f32 = select(e10, e9, e7);
        let e12: f32 = select(e11, e6, e4);
        c5 = e3;
        c7 = e12;
      }
      var c6: f32 = 0.0f;
      {
        for (var r0: i32 = 0; r0 < 10; r0 += 1) {
          let e0: i32 = b1[g0];
          let e1: i32 = r0;
          let e2: bool = e0 == e1;
          let e3: f32 = b0[10 * g0 + r0];
          let e4: f32 = c3;
          let e5: f32 = e3 - e4;
          let e6: f32 = c5;
          let e7: f32 = e5 - e6;
          let e8: f32 = 0.0f;
          let e9: f32 = select(e8, e7, e2);
          let e10: f32 = c0;
          let e11: f32 = select(e8, e10, e2);
          let e12: f32 = c7;
          let e13: f32 = exp(e5);
          let e14: f32 = e12 * e13;
          let e15: f32 = e11 + e14;
          c6 = c6 + e9;
          b12[10 * g0 + r0] = e15;
        }
      }
      {
        let e0: f32 = c6;
        b6[g0] = e0;
      }
    }
  }
  storageBarrier();
  // k1
  {
    let lane: i32 = thread % 32;
    for (var first: i32 = 0; first < 1; first += 8) {
      let place: i32 = first + thread / 32;
      let live: bool = place < 1;
      let item: i32 = select(0, place, live);
      var c0: f32 = 0.0f;
      {
        for (var row: i32 = lane; row < 32; row += 32) {
          let r0: i32 = row;
          let e0: i32 = 0;
          let e1: i32 = b1[r0];
          let e2: bool = e0 <= e1;
          let e3: i32 = 10;
          let e4: bool = e1 < e3;
          let e5: bool = e2 & e4;
          let e6: f32 = b6[r0];
          let e7: f32 = -e6;
          let e8: f32 = from_bits(0x7fc00000u);
          let e9: f32 = select(e8, e7, e5);
          c0 = c0 + e9;
        }
      }
      shared_float0[thread] = c0;
      workgroupBarrier();
      for (var step: i32 = 16; step > 0; step /= 2) {
        if (lane < step) {
          let other_c0: f32 = shared_float0[thread + step];
          c0 = c0 + other_c0;
          shared_float0[thread] = c0;
        }
        workgroupBarrier();
      }
      c0 = shared_float0[thread - lane];
      workgroupBarrier();
      {
        let e0: f32 = c0;
        let e1: f32 = 32.0f;
        let e2: f32 = quotient(e0, e1);
        if (lane == 0 && live) {
          b11[0] = e2;
        }
      }
    }
  }
}
