extern "C" __global__ void __launch_bounds__(256) k0(
    const float* b0,
    const unsigned* b1,
    const unsigned* b2,
    float* b4,
    unsigned char* b5) {
  take_turn();
  const int thread = threadIdx.x;
  const int block = blockIdx.x;
  const int item = block * 256 + thread;
  const int g0_first = item * 4;
  {
    const float e0 = 0.25f;
    const unsigned e1 = b1[0];
    const unsigned e2 = b1[1];
    const unsigned e3 = b2[0];
    const Words v4 = philox((unsigned)((g0_first) / 4), 7u, e3, e1, e2);
    const Floats4 v6 = *reinterpret_cast<const Floats4*>(b0 + (g0_first));
    Floats4 s0 = Floats4{};
    Bytes4 s1 = Bytes4{};
    #pragma unroll
    for (int part = 0; part < 4; part += 1) {
      const int g0 = g0_first + part;
      const float e4 = uniform(v4.at[part]);
      const bool e5 = e0 <= e4;
      const float e6 = v6.at[part];
      const float e7 = e6 - e6;
      const float e8 = e5 ? e6 : e7;
      s0.at[part] = e8;
      s1.at[part] = (unsigned char)e5;
    }
    *reinterpret_cast<Floats4*>(b4 + (g0_first)) = s0;
    *reinterpret_cast<Bytes4*>(b5 + (g0_first)) = s1;
  }
}
