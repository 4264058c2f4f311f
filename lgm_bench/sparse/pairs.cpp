// Sums over the pairs of points and voxels, and their gradients; see pairs.h.

#include "pairs.h"

namespace {

// Factors of sides on which a place reaches no voxel are left out.
template <typename T>
void logs(const Pairs& pairs, const Relation<T>& relation, T* out) {
    each_place(pairs, [&](int64_t home, int64_t place) {
        for (int64_t i = 0; i < 9; ++i)
            if (pairs.reach[place] & kUses[i])
                out[9 * place + i] = relation.factor(pairs, pairs.order[place], home, i / 3, i % 3).log;
    });
}

// 1 - prod(1 - r), with the product of the factors above 0 and the number of those that are 0.
template <typename T>
void soft_or(const Pairs& pairs, Logs<T> log, T* out, T* product, int32_t* zeros) {
    each_block(pairs.voxels, pairs.threads, [&](int64_t first, int64_t last) {
        std::fill(product + first, product + last, T(1));
        std::fill(zeros + first, zeros + last, 0);
        pairs_of_voxels(pairs, first, last, [&](int64_t voxel, int64_t place, int64_t direction) {
            const T factor = T(1) - std::exp(log.of(place, direction));
            factor == 0 ? void(++zeros[voxel]) : void(product[voxel] *= factor);
        });
        for (int64_t voxel = first; voxel < last; ++voxel) out[voxel] = T(1) - (zeros[voxel] ? T(0) : product[voxel]);
    });
}

template <typename T>
void soft_or_gradient(const Pairs& pairs, const Relation<T>& relation, Logs<T> log, const T* product,
                      const int32_t* zeros, const T* above, T* units) {
    each_place(pairs, [&](int64_t home, int64_t place) {
        to_units(pairs, relation, home, place, units, [&](int64_t direction, int64_t row) {
            const T r = std::exp(log.of(place, direction)), factor = T(1) - r;
            const T others = zeros[row] == (factor == 0) ? product[row] / (factor == 0 ? T(1) : factor) : T(0);
            return above[row] * others * r;
        });
    });
}

// The weight of pairs in a mean: all equal without a relation.
template <typename T>
T exponent(Logs<T> log, int64_t place, int64_t direction) {
    return log.values ? log.of(place, direction) : T(0);
}

// Mean over the pairs of each voxel of the points' values, weighted by the relation.
template <typename T>
void mean(const Pairs& pairs, Logs<T> log, const T* values, int64_t channels, T* out, T* largest, T* total) {
    each_block(pairs.voxels, pairs.threads, [&](int64_t first, int64_t last) {
        std::fill(largest + first, largest + last, log.values ? -std::numeric_limits<T>::infinity() : T(0));
        std::fill(total + first, total + last, T(0));
        std::fill(out + first * channels, out + last * channels, T(0));
        if (log.values)
            pairs_of_voxels(pairs, first, last, [&](int64_t voxel, int64_t place, int64_t direction) {
                largest[voxel] = std::max(largest[voxel], log.of(place, direction));
            });
        pairs_of_voxels(pairs, first, last, [&](int64_t voxel, int64_t place, int64_t direction) {
            const T weight = std::exp(exponent(log, place, direction) - largest[voxel]);
            const T* in = values + pairs.order[place] * channels;
            total[voxel] += weight;
            for (int64_t c = 0; c < channels; ++c) out[voxel * channels + c] += weight * in[c];
        });
        for (int64_t voxel = first; voxel < last; ++voxel)
            for (int64_t c = 0; c < channels; ++c) out[voxel * channels + c] /= total[voxel];
    });
}

template <typename T>
void mean_gradient(const Pairs& pairs, const Relation<T>& relation, Logs<T> log, const T* values, int64_t channels,
                   const T* out, const T* largest, const T* total, const T* above, T* to_values, T* units) {
    each_place(pairs, [&](int64_t home, int64_t place) {
        const T* in = values + pairs.order[place] * channels;
        T* to = to_values + pairs.order[place] * channels;
        auto upstream = [&](int64_t direction, int64_t row) {
            const T weight = std::exp(exponent(log, place, direction) - largest[row]) / total[row];
            T sum = 0;
            for (int64_t c = 0; c < channels; ++c) {
                const T gradient = weight * above[row * channels + c];
                to[c] += gradient;
                sum += gradient * (in[c] - out[row * channels + c]);
            }
            return sum;
        };
        if (log.values) to_units(pairs, relation, home, place, units, upstream);
        else pairs_of_place(pairs, home, place, upstream);
    });
}

// The weights of a point's pairs: relations, or their shares of the sum.
template <typename T>
struct Weights {
    const Pairs& pairs;
    const Logs<T> log;
    std::vector<T> largest, total;  // by place; empty if not normalized

    Weights(const Pairs& pairs, Logs<T> log, bool normalized) : pairs(pairs), log(log) {
        if (!normalized) return;
        largest.assign(pairs.points, -std::numeric_limits<T>::infinity());
        total.assign(pairs.points, T(0));
        each_place(pairs, [&](int64_t home, int64_t place) {
            pairs_of_place(pairs, home, place, [&](int64_t direction, int64_t) {
                largest[place] = std::max(largest[place], log.of(place, direction));
            });
            pairs_of_place(pairs, home, place, [&](int64_t direction, int64_t) {
                total[place] += std::exp(log.of(place, direction) - largest[place]);
            });
        });
    }

    T of(int64_t place, int64_t direction) const {
        const T value = log.of(place, direction);
        return total.empty() ? std::exp(value) : std::exp(value - largest[place]) / total[place];
    }
};

// Weighted sum over the pairs of each point of the voxels' values.
template <typename T>
void spread(const Pairs& pairs, Logs<T> log, bool normalized, const T* values, int64_t channels, T* out) {
    const Weights<T> weights(pairs, log, normalized);
    each_place(pairs, [&](int64_t home, int64_t place) {
        T* to = out + pairs.order[place] * channels;
        std::fill(to, to + channels, T(0));
        pairs_of_place(pairs, home, place, [&](int64_t direction, int64_t row) {
            const T weight = weights.of(place, direction), *in = values + row * channels;
            for (int64_t c = 0; c < channels; ++c) to[c] += weight * in[c];
        });
    });
}

template <typename T>
void spread_gradient(const Pairs& pairs, const Relation<T>& relation, Logs<T> log, bool normalized, const T* values,
                     int64_t channels, const T* out, const T* above, T* to_values, T* units) {
    const Weights<T> weights(pairs, log, normalized);
    each_place(pairs, [&](int64_t home, int64_t place) {
        const T* gradient = above + pairs.order[place] * channels;
        const T* mine = normalized ? out + pairs.order[place] * channels : nullptr;
        to_units(pairs, relation, home, place, units, [&](int64_t direction, int64_t row) {
            T sum = 0;
            for (int64_t c = 0; c < channels; ++c)
                sum += gradient[c] * (values[row * channels + c] - (normalized ? mine[c] : T(0)));
            return weights.of(place, direction) * sum;
        });
    });
    each_block(pairs.voxels, pairs.threads, [&](int64_t first, int64_t last) {
        std::fill(to_values + first * channels, to_values + last * channels, T(0));
        pairs_of_voxels(pairs, first, last, [&](int64_t voxel, int64_t place, int64_t direction) {
            const T weight = weights.of(place, direction), *gradient = above + pairs.order[place] * channels;
            for (int64_t c = 0; c < channels; ++c) to_values[voxel * channels + c] += weight * gradient[c];
        });
    });
}

}  // namespace

#define FUNCTIONS(T, NAME)                                                                                             \
    extern "C" void logs_##NAME(const Pairs* pairs, const T* units, const uint8_t* outside, int64_t kind,              \
                                const T* slope, T* out) {                                                              \
        logs(*pairs, Relation<T>{units, outside, kind, *slope}, out);                                                  \
    }                                                                                                                  \
    extern "C" void soft_or_##NAME(const Pairs* pairs, const T* log, T* out, T* product, int32_t* zeros) {             \
        soft_or(*pairs, Logs<T>{log}, out, product, zeros);                                                            \
    }                                                                                                                  \
    extern "C" void soft_or_gradient_##NAME(const Pairs* pairs, const T* units, const uint8_t* outside, int64_t kind,  \
                                            const T* slope, const T* log, const T* product, const int32_t* zeros,      \
                                            const T* above, T* to_units) {                                             \
        const Relation<T> relation{units, outside, kind, *slope};                                                      \
        soft_or_gradient(*pairs, relation, Logs<T>{log}, product, zeros, above, to_units);                             \
    }                                                                                                                  \
    extern "C" void mean_##NAME(const Pairs* pairs, const T* log, const T* values, int64_t channels, T* out,           \
                                T* largest, T* total) {                                                                \
        mean(*pairs, Logs<T>{log}, values, channels, out, largest, total);                                             \
    }                                                                                                                  \
    extern "C" void mean_gradient_##NAME(const Pairs* pairs, const T* units, const uint8_t* outside, int64_t kind,     \
                                         const T* slope, const T* log, const T* values, int64_t channels,              \
                                         const T* out, const T* largest, const T* total, const T* above,               \
                                         T* to_values, T* to_units) {                                                  \
        const Relation<T> relation{units, outside, kind, *slope};                                                      \
        mean_gradient(*pairs, relation, Logs<T>{log}, values, channels, out, largest, total, above, to_values,         \
                      to_units);                                                                                       \
    }                                                                                                                  \
    extern "C" void spread_##NAME(const Pairs* pairs, const T* log, int64_t normalized, const T* values,               \
                                  int64_t channels, T* out) {                                                          \
        spread(*pairs, Logs<T>{log}, normalized != 0, values, channels, out);                                          \
    }                                                                                                                  \
    extern "C" void spread_gradient_##NAME(const Pairs* pairs, const T* units, const uint8_t* outside, int64_t kind,   \
                                           const T* slope, const T* log, int64_t normalized, const T* values,          \
                                           int64_t channels, const T* out, const T* above, T* to_values,               \
                                           T* to_units) {                                                              \
        const Relation<T> relation{units, outside, kind, *slope};                                                      \
        spread_gradient(*pairs, relation, Logs<T>{log}, normalized != 0, values, channels, out, above, to_values,      \
                        to_units);                                                                                     \
    }

FUNCTIONS(float, float)
FUNCTIONS(double, double)
