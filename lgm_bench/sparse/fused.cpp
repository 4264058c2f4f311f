// out[target] += features[source] @ weight[k] for all pairs of a kernel map, without any buffer of pairs x channels.
//
// Targets are cut into blocks of neighbours. A thread owns a block at a time, so that no two threads write the same
// row, and sums are formed in one order whatever the number of threads. Inside a block the pairs of an offset are
// multiplied six rows by two vector registers at a time; accumulators are single variables because arrays spill.

#include <cstdint>
#include <cstring>
#include <vector>

#include "vectors.h"

namespace {

constexpr int kRows = 6;

template <typename T>
struct Task {
    const T* features;
    const T* panels;  // (offsets, panel, channels in, width): weight, zero-padded to whole panels
    T* out;
    const int64_t* source;
    const int64_t* target;
    const int64_t* starts;  // (blocks + 1, offsets): where a block's pairs of an offset begin
    int64_t offsets, channels_in, channels_out;
};

template <typename T, int Bytes>
inline void add_row(T* row, typename Vector<T, Bytes>::type low, typename Vector<T, Bytes>::type high,
                    int64_t columns) {
    using V = typename Vector<T, Bytes>::type;
    constexpr int64_t lanes = Vector<T, Bytes>::lanes;
    if (columns >= 2 * lanes) {
        *reinterpret_cast<V*>(row) += low;
        *reinterpret_cast<V*>(row + lanes) += high;
        return;
    }
    T sum[2 * lanes];
    std::memcpy(sum, &low, sizeof(low));
    std::memcpy(sum + lanes, &high, sizeof(high));
    for (int64_t column = 0; column < columns; ++column) row[column] += sum[column];
}

template <typename T>
inline void fetch(const T* row, int64_t n) {
    constexpr int64_t line = 64 / sizeof(T);
    for (int64_t i = 0; i < n; i += line) __builtin_prefetch(row + i);
}

template <typename T, int Bytes>
void multiply(const Task<T>& task, int64_t begin, int64_t end, const T* panel, int64_t first_column) {
    using V = typename Vector<T, Bytes>::type;
    constexpr int64_t lanes = Vector<T, Bytes>::lanes;
    const int64_t n = task.channels_in, columns = task.channels_out - first_column;
    for (int64_t pair = begin; pair < end; pair += kRows) {
        const int64_t rows = end - pair < kRows ? end - pair : kRows;
        const T* in[kRows];
        for (int64_t row = 0; row < kRows; ++row)
            in[row] = task.features + task.source[pair + (row < rows ? row : 0)] * n;
        if (first_column == 0 && end - pair > 2 * kRows)
            for (int64_t row = pair + kRows; row < pair + 2 * kRows; ++row) {  // rows lie far apart in memory
                fetch(task.features + task.source[row] * n, n);
                fetch(task.out + task.target[row] * task.channels_out, task.channels_out);
            }
        const T *f0 = in[0], *f1 = in[1], *f2 = in[2], *f3 = in[3], *f4 = in[4], *f5 = in[5];
        V a0{}, b0{}, a1{}, b1{}, a2{}, b2{}, a3{}, b3{}, a4{}, b4{}, a5{}, b5{};
        const T* w = panel;
        for (int64_t channel = 0; channel < n; ++channel, w += 2 * lanes) {
            const V low = *reinterpret_cast<const V*>(w), high = *reinterpret_cast<const V*>(w + lanes);
            a0 += f0[channel] * low; b0 += f0[channel] * high;
            a1 += f1[channel] * low; b1 += f1[channel] * high;
            a2 += f2[channel] * low; b2 += f2[channel] * high;
            a3 += f3[channel] * low; b3 += f3[channel] * high;
            a4 += f4[channel] * low; b4 += f4[channel] * high;
            a5 += f5[channel] * low; b5 += f5[channel] * high;
        }
        const V lows[kRows] = {a0, a1, a2, a3, a4, a5}, highs[kRows] = {b0, b1, b2, b3, b4, b5};
        for (int64_t row = 0; row < rows; ++row)
            add_row<T, Bytes>(task.out + task.target[pair + row] * task.channels_out + first_column, lows[row],
                              highs[row], columns);
    }
}

template <typename T, int Bytes>
std::vector<T> packed(const T* weight, int64_t offsets, int64_t channels_in, int64_t channels_out) {
    const int64_t width = 2 * Vector<T, Bytes>::lanes, panels = (channels_out + width - 1) / width;
    std::vector<T> result(offsets * panels * channels_in * width, T(0));
    for (int64_t k = 0; k < offsets; ++k)
        for (int64_t channel = 0; channel < channels_in; ++channel)
            for (int64_t column = 0; column < channels_out; ++column)
                result[((k * panels + column / width) * channels_in + channel) * width + column % width] =
                    weight[(k * channels_in + channel) * channels_out + column];
    return result;
}

template <typename T, int Bytes>
void convolve_by(const T* features, const T* weight, T* out, const int64_t* source, const int64_t* target,
              const int64_t* starts, int64_t blocks, int64_t offsets, int64_t channels_in, int64_t channels_out,
              int64_t threads) {
    const std::vector<T> panels = packed<T, Bytes>(weight, offsets, channels_in, channels_out);
    const Task<T> task{features, panels.data(), out, source, target, starts, offsets, channels_in, channels_out};
    const int64_t width = 2 * Vector<T, Bytes>::lanes, n_panels = (channels_out + width - 1) / width;
    shared_out(blocks, threads, [&](int64_t block) {
        for (int64_t k = 0; k < offsets; ++k)
            for (int64_t panel = 0; panel < n_panels; ++panel)
                multiply<T, Bytes>(task, starts[block * offsets + k], starts[(block + 1) * offsets + k],
                            task.panels + (k * n_panels + panel) * channels_in * width, panel * width);
    });
}

template <typename T>
void convolve(const T* features, const T* weight, T* out, const int64_t* source, const int64_t* target,
              const int64_t* starts, int64_t blocks, int64_t offsets, int64_t channels_in, int64_t channels_out,
              int64_t threads) {
    const auto by = wide_enough<T>(channels_out) ? convolve_by<T, kWide> : convolve_by<T, kNarrow>;
    by(features, weight, out, source, target, starts, blocks, offsets, channels_in, channels_out, threads);
}

}  // namespace

extern "C" void convolve_float(const float* features, const float* weight, float* out, const int64_t* source,
                               const int64_t* target, const int64_t* starts, int64_t blocks, int64_t offsets,
                               int64_t channels_in, int64_t channels_out, int64_t threads) {
    convolve(features, weight, out, source, target, starts, blocks, offsets, channels_in, channels_out, threads);
}

extern "C" void convolve_double(const double* features, const double* weight, double* out, const int64_t* source,
                                const int64_t* target, const int64_t* starts, int64_t blocks, int64_t offsets,
                                int64_t channels_in, int64_t channels_out, int64_t threads) {
    convolve(features, weight, out, source, target, starts, blocks, offsets, channels_in, channels_out, threads);
}
