// gradient[k] = sum of features[source]^T out[target] over the pairs of each offset k of a kernel map.
//
// A task is an offset and a group of input channels; one thread owns it, so sums are formed in one order whatever the
// number of threads. Its pairs come in chunks: their rows are copied side by side, then six input channels by two
// vector registers of output channels are summed over the chunk at a time.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t kRows = 6, kGroup = 8 * kRows, kChunk = 128;

template <typename T, int Bytes>
struct Tile {
    using V = typename Vector<T, Bytes>::type;
    static constexpr int64_t lanes = Vector<T, Bytes>::lanes, width = 2 * lanes;

    // sums (kRows, width) += in (n, kGroup)[:, :kRows]^T out (n, width)
    static void add(const T* in, const T* out, int64_t n, T* sums) {
        V a0{}, b0{}, a1{}, b1{}, a2{}, b2{}, a3{}, b3{}, a4{}, b4{}, a5{}, b5{};
        for (int64_t pair = 0; pair < n; ++pair, in += kGroup, out += width) {
            const V low = *reinterpret_cast<const V*>(out), high = *reinterpret_cast<const V*>(out + lanes);
            a0 += in[0] * low; b0 += in[0] * high;
            a1 += in[1] * low; b1 += in[1] * high;
            a2 += in[2] * low; b2 += in[2] * high;
            a3 += in[3] * low; b3 += in[3] * high;
            a4 += in[4] * low; b4 += in[4] * high;
            a5 += in[5] * low; b5 += in[5] * high;
        }
        const V lows[kRows] = {a0, a1, a2, a3, a4, a5}, highs[kRows] = {b0, b1, b2, b3, b4, b5};
        for (int64_t row = 0; row < kRows; ++row) {
            *reinterpret_cast<V*>(sums + row * width) += lows[row];
            *reinterpret_cast<V*>(sums + row * width + lanes) += highs[row];
        }
    }
};

template <typename T, int Bytes>
void task(const T* features, const T* gradient, const int64_t* source, const int64_t* target, int64_t pairs,
          int64_t channels_in, int64_t channels_out, int64_t first, T* result) {
    constexpr int64_t width = Tile<T, Bytes>::width;
    const int64_t rows = std::min(kGroup, channels_in - first), panels = (channels_out + width - 1) / width;
    const int64_t tiles = (rows + kRows - 1) / kRows;
    std::vector<T> in(kChunk * kGroup, T(0)), out(panels * kChunk * width, T(0));
    std::vector<T> sums(tiles * panels * kRows * width, T(0));
    for (int64_t begin = 0; begin < pairs; begin += kChunk) {
        const int64_t n = std::min(kChunk, pairs - begin);
        for (int64_t i = 0; i < n; ++i) {
            std::memcpy(&in[i * kGroup], features + source[begin + i] * channels_in + first, rows * sizeof(T));
            const T* row = gradient + target[begin + i] * channels_out;
            for (int64_t panel = 0; panel < panels; ++panel)
                std::memcpy(&out[(panel * kChunk + i) * width], row + panel * width,
                            std::min(width, channels_out - panel * width) * sizeof(T));
        }
        for (int64_t panel = 0; panel < panels; ++panel)
            for (int64_t tile = 0; tile < tiles; ++tile)
                Tile<T, Bytes>::add(&in[tile * kRows], &out[panel * kChunk * width], n,
                             &sums[(panel * tiles + tile) * kRows * width]);
    }
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t column = 0; column < channels_out; ++column)
            result[(first + row) * channels_out + column] =
                sums[((column / width * tiles + row / kRows) * kRows + row % kRows) * width + column % width];
}

template <typename T>
void weight_gradient(const T* features, const T* gradient, T* result, const int64_t* source, const int64_t* target,
                     const int64_t* begins, int64_t offsets, int64_t channels_in, int64_t channels_out,
                     int64_t threads) {
    const int64_t groups = (channels_in + kGroup - 1) / kGroup;
    const auto by = wide_enough<T>(channels_out) ? task<T, kWide> : task<T, kNarrow>;
    shared_out(offsets * groups, threads, [&](int64_t item) {
        const int64_t k = item / groups, begin = begins[k];
        by(features, gradient, source + begin, target + begin, begins[k + 1] - begin, channels_in, channels_out,
             item % groups * kGroup, result + k * channels_in * channels_out);
    });
}

}  // namespace

extern "C" void weight_gradient_float(const float* features, const float* gradient, float* result,
                                      const int64_t* source, const int64_t* target, const int64_t* begins,
                                      int64_t offsets, int64_t channels_in, int64_t channels_out, int64_t threads) {
    weight_gradient(features, gradient, result, source, target, begins, offsets, channels_in, channels_out, threads);
}

extern "C" void weight_gradient_double(const double* features, const double* gradient, double* result,
                                       const int64_t* source, const int64_t* target, const int64_t* begins,
                                       int64_t offsets, int64_t channels_in, int64_t channels_out, int64_t threads) {
    weight_gradient(features, gradient, result, source, target, begins, offsets, channels_in, channels_out, threads);
}
