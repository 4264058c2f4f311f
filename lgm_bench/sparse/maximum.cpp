// The maximum of each channel over groups of rows, and its gradient, shared evenly among rows that attain it.
//
// A thread owns some channels of all rows, so that no two threads write the same number.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vectors.h"

namespace {

constexpr int64_t kChannels = 32;

template <typename T>
void maximum(const T* values, const int64_t* group, T* out, int64_t rows, int64_t channels, int64_t threads) {
    shared_out((channels + kChannels - 1) / kChannels, threads, [&](int64_t part) {
        const int64_t first = part * kChannels, n = std::min(kChannels, channels - first);
        for (int64_t row = 0; row < rows; ++row) {
            const T* in = values + row * channels + first;
            T* largest = out + group[row] * channels + first;
            for (int64_t c = 0; c < n; ++c)
                largest[c] = (in[c] > largest[c]) | (in[c] != in[c]) ? in[c] : largest[c];  // NaN stays NaN
        }
    });
}

template <typename T>
void gradient(const T* values, const int64_t* group, const T* out, const T* above, T* result, int64_t rows,
              int64_t groups, int64_t channels, int64_t threads) {
    shared_out((channels + kChannels - 1) / kChannels, threads, [&](int64_t part) {
        const int64_t first = part * kChannels, n = std::min(kChannels, channels - first);
        std::vector<T> share(groups * n, T(0));  // how many attain the maximum, then what each of them gets
        for (int64_t row = 0; row < rows; ++row) {
            const T *in = values + row * channels + first, *largest = out + group[row] * channels + first;
            T* count = &share[group[row] * n];
            for (int64_t c = 0; c < n; ++c) count[c] += in[c] == largest[c] ? T(1) : T(0);
        }
        for (int64_t g = 0; g < groups; ++g)
            for (int64_t c = 0; c < n; ++c)
                share[g * n + c] = above[g * channels + first + c] / std::max(share[g * n + c], T(1));
        for (int64_t row = 0; row < rows; ++row) {
            const T *in = values + row * channels + first, *largest = out + group[row] * channels + first;
            const T* part_of = &share[group[row] * n];
            T* to = result + row * channels + first;
            for (int64_t c = 0; c < n; ++c) to[c] = in[c] == largest[c] ? part_of[c] : T(0);
        }
    });
}

}  // namespace

extern "C" void maximum_float(const float* values, const int64_t* group, float* out, int64_t rows, int64_t channels,
                              int64_t threads) {
    maximum(values, group, out, rows, channels, threads);
}

extern "C" void maximum_double(const double* values, const int64_t* group, double* out, int64_t rows, int64_t channels,
                               int64_t threads) {
    maximum(values, group, out, rows, channels, threads);
}

extern "C" void maximum_gradient_float(const float* values, const int64_t* group, const float* out, const float* above,
                                       float* result, int64_t rows, int64_t groups, int64_t channels,
                                       int64_t threads) {
    gradient(values, group, out, above, result, rows, groups, channels, threads);
}

extern "C" void maximum_gradient_double(const double* values, const int64_t* group, const double* out,
                                        const double* above, double* result, int64_t rows, int64_t groups,
                                        int64_t channels, int64_t threads) {
    gradient(values, group, out, above, result, rows, groups, channels, threads);
}
