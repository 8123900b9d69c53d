// One row of activations times a matrix of 4-bit weights in groups of G, a multiple of 32. A warp
// computes R outputs, a block has W warps.
//
// x [1, columns] of T; w [outputs, columns / 8], eight weights in a word from the lowest bits up;
// scales and biases [outputs, columns / G] of T; y [1, outputs] of T.

template <typename T>
struct alignas(16) Eight {
  T numbers[8];
};

template <typename T, int G, int R, int W>
__device__ void affine4_times_row(
    const T* x,
    const unsigned* w,
    const T* scales,
    const T* biases,
    T* y,
    int columns,
    int outputs) {
  const int chunks = columns / 32;
  const int groups = columns / G;
  const int lane = threadIdx.x;
  const int first = (blockIdx.x * W + threadIdx.y) * R;
  if (first >= outputs) {
    return;
  }

  const Eight<T>* eights = reinterpret_cast<const Eight<T>*>(x);
  size_t row[R];
  float sums[R];
#pragma unroll
  for (int r = 0; r < R; r++) {
    // Beyond the last output the last one is computed again, and not written.
    row[r] = first + r < outputs ? first + r : outputs - 1;
    sums[r] = 0.0f;
  }

  // A lane takes 32 weights of each row at a time.
  for (int chunk = lane; chunk < chunks; chunk += 32) {
    uint4 words[R];
#pragma unroll
    for (int r = 0; r < R; r++) {
      words[r] = __ldcs(reinterpret_cast<const uint4*>(w) + row[r] * chunks + chunk);
    }
    // A weight is left where it lies in its word, times a power of 16; the input is divided by that.
    constexpr float shrink[8] = {
        1.0f, 1.0f / 16, 1.0f / 256, 1.0f / 4096, 1.0f / 65536, 1.0f, 1.0f / 16, 1.0f / 256};
    float inputs[32];
    float total = 0.0f;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const Eight<T> eight = eights[chunk * 4 + i];
#pragma unroll
      for (int p = 0; p < 8; p++) {
        const float number = static_cast<float>(eight.numbers[p]);
        total += number;
        inputs[i * 8 + p] = number * shrink[p];
      }
    }
    const int group = chunk * 32 / G;
#pragma unroll
    for (int r = 0; r < R; r++) {
      const unsigned packed[4] = {words[r].x, words[r].y, words[r].z, words[r].w};
      float dot = 0.0f;
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int p = 0; p < 8; p++) {
          // The lowest 23 bits of a float from 2^23 on are a whole number: five weights fit.
          const unsigned bits =
              p < 5 ? packed[i] & (15u << (4 * p)) : (packed[i] >> 20) & (15u << (4 * (p - 5)));
          dot += (__uint_as_float(0x4B000000u | bits) - 8388608.0f) * inputs[i * 8 + p];
        }
      }
      const size_t place = row[r] * groups + group;
      sums[r] += static_cast<float>(scales[place]) * dot + static_cast<float>(biases[place]) * total;
    }
  }

#pragma unroll
  for (int r = 0; r < R; r++) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) {
      sums[r] += __shfl_xor_sync(0xFFFFFFFFu, sums[r], offset);
    }
    if (lane == r && first + r < outputs) {
      y[first + r] = static_cast<T>(sums[r]);
    }
  }
}
