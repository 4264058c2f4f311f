// A batch norm of given statistics with what stands around it, in one pass each way:
// z = after(o * (scale * before(o * x) + shift)), where before and after are leaky ReLUs and o is the occupancy.
//
// Of all steps only x is needed again; the backward pass recomputes the others.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t kRows = 1024, kLanes = 16;

template <typename T>
struct Norm {
    const T *scale, *shift;    // (channels,)
    T below_before, below_after;  // slopes of the leaky ReLUs below 0; 1 where there is none
    int64_t channels;
};

template <typename T>
void forward(const Norm<T> norm, const T* __restrict x, T o, T* __restrict out) {
    const T *__restrict scale = norm.scale, *__restrict shift = norm.shift;
    for (int64_t c = 0; c < norm.channels; ++c) {
        const T t = o * x[c], y = o * (scale[c] * (t > 0 ? t : norm.below_before * t) + shift[c]);
        out[c] = y > 0 ? y : norm.below_after * y;
    }
}

// Gradient to x, and, in `shares`, each channel's gradient to o.
template <typename T>
void backward(const Norm<T> norm, const T* __restrict x, T o, const T* __restrict above, T* __restrict to_x,
              T* __restrict shares) {
    const T *__restrict scale = norm.scale, *__restrict shift = norm.shift;
    for (int64_t c = 0; c < norm.channels; ++c) {
        const T t = o * x[c], before = t > 0 ? T(1) : norm.below_before;
        const T n = scale[c] * (before * t) + shift[c];
        const T to_y = above[c] * (o * n > 0 ? T(1) : norm.below_after), to_t = to_y * o * scale[c] * before;
        to_x[c] = to_t * o;
        shares[c] = to_y * n + to_t * x[c];
    }
}

template <typename T>
T summed(const T* values, int64_t n) {
    T lanes[kLanes] = {}, sum = 0;
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += values[i + lane];
    for (; i < n; ++i) sum += values[i];
    for (const T lane : lanes) sum += lane;
    return sum;
}

template <typename Work>
void each_row(int64_t rows, int64_t threads, Work work) {
    shared_out((rows + kRows - 1) / kRows, threads,
               [&](int64_t block) { work(block * kRows, std::min(rows, (block + 1) * kRows)); });
}

template <typename T>
void norm(const T* x, const T* occupancy, const T* scale, const T* shift, const T* below, T* out, int64_t rows,
          int64_t channels, int64_t threads) {
    const Norm<T> norm{scale, shift, below[0], below[1], channels};
    each_row(rows, threads, [&](int64_t first, int64_t last) {
        for (int64_t row = first; row < last; ++row)
            forward(norm, x + row * channels, occupancy ? occupancy[row] : T(1), out + row * channels);
    });
}

template <typename T>
void norm_gradient(const T* x, const T* occupancy, const T* scale, const T* shift, const T* below, const T* above,
                   T* to_x, T* to_occupancy, int64_t rows, int64_t channels, int64_t threads) {
    const Norm<T> norm{scale, shift, below[0], below[1], channels};
    each_row(rows, threads, [&](int64_t first, int64_t last) {
        std::vector<T> shares(channels);
        for (int64_t row = first; row < last; ++row) {
            backward(norm, x + row * channels, occupancy ? occupancy[row] : T(1), above + row * channels,
                     to_x + row * channels, shares.data());
            if (occupancy) to_occupancy[row] = summed(shares.data(), channels);
        }
    });
}

}  // namespace

extern "C" void norm_float(const float* x, const float* occupancy, const float* scale, const float* shift,
                           const float* below, float* out, int64_t rows, int64_t channels, int64_t threads) {
    norm(x, occupancy, scale, shift, below, out, rows, channels, threads);
}

extern "C" void norm_double(const double* x, const double* occupancy, const double* scale, const double* shift,
                            const double* below, double* out, int64_t rows, int64_t channels, int64_t threads) {
    norm(x, occupancy, scale, shift, below, out, rows, channels, threads);
}

extern "C" void norm_gradient_float(const float* x, const float* occupancy, const float* scale, const float* shift,
                                    const float* below, const float* above, float* to_x, float* to_occupancy,
                                    int64_t rows, int64_t channels, int64_t threads) {
    norm_gradient(x, occupancy, scale, shift, below, above, to_x, to_occupancy, rows, channels, threads);
}

extern "C" void norm_gradient_double(const double* x, const double* occupancy, const double* scale,
                                     const double* shift, const double* below, const double* above, double* to_x,
                                     double* to_occupancy, int64_t rows, int64_t channels, int64_t threads) {
    norm_gradient(x, occupancy, scale, shift, below, above, to_x, to_occupancy, rows, channels, threads);
}
