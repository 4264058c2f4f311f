// The pairs of points and the voxels in their reach, without a list of them.
//
// Points are grouped by the voxel that they lie in, their home. A bit for each direction tells which neighbours of its
// home a point reaches, so a pair is a place (a point, in the order of the homes) and a direction. Relations are
// computed where they are used, in the backward pass again. The factors along the axes are shared by all pairs of a
// point: nine logarithms, three sides of three axes. A thread owns the voxels or the points that it writes to, and sums
// are formed in one order whatever the number of threads.

#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "vectors.h"

constexpr int64_t kDirections = 27, kBlock = 512;

// What Python hands over, as 64-bit numbers.
struct Pairs {
    const int64_t* keys;       // (voxels,) ascending
    const int64_t* home_keys;  // (homes,) ascending
    const int64_t* corner;     // (homes, 3) coordinates
    const int64_t* order;      // (points,) the point at each place
    const int64_t* begins;     // (homes + 1,) first place of each home
    const int32_t* reach;      // (points,) bits of each place
    const int32_t* rows;       // (homes, directions) row of each neighbour, -1 if no point reaches it
    const int64_t* shifts;     // (directions,) difference of a neighbour's key
    int64_t points, homes, voxels, directions, threads;
};

using Sides = std::array<int8_t, 3>;  // along each axis 0: the previous voxel, 1: the home's own, 2: the next

// The home itself, then its neighbours, x slowest.
inline std::array<Sides, kDirections> all_sides() {
    std::array<Sides, kDirections> sides;
    sides[0] = {1, 1, 1};
    int64_t direction = 1;
    for (int8_t x = 0; x < 3; ++x)
        for (int8_t y = 0; y < 3; ++y)
            for (int8_t z = 0; z < 3; ++z)
                if (x != 1 || y != 1 || z != 1) sides[direction++] = {x, y, z};
    return sides;
}

inline const std::array<Sides, kDirections> kSides = all_sides();

// The directions that lie on a side of an axis, as bits.
inline std::array<int32_t, 9> all_uses() {
    std::array<int32_t, 9> uses{};
    for (int64_t direction = 0; direction < kDirections; ++direction)
        for (int64_t axis = 0; axis < 3; ++axis) uses[3 * axis + kSides[direction][axis]] |= 1 << direction;
    return uses;
}

inline const std::array<int32_t, 9> kUses = all_uses();

enum Kind : int64_t { kSigmoid, kBilinear, kRbf };

template <typename T>
struct Factor {
    T log, derivative;  // the latter with respect to the place
};

// How points lie in their homes, and the relation function.
template <typename T>
struct Relation {
    const T* units;          // (points, 3), in voxels
    const uint8_t* outside;  // (points, 3): outside the grid along this axis
    int64_t kind;
    T slope;

    Factor<T> factor(const Pairs& pairs, int64_t point, int64_t home, int64_t axis, int64_t side) const {
        if (side == 1 && outside[3 * point + axis]) return at(T(0), T(0));
        const T centre = T(pairs.corner[3 * home + axis] + side - 1) + T(0.5);
        const T offset = units[3 * point + axis] - centre;
        return at(std::abs(offset), T((offset > 0) - (offset < 0)));
    }

    Factor<T> at(T distance, T sign) const {
        if (kind == kBilinear) {
            const T rest = T(1) - distance, tiny = std::numeric_limits<T>::min();
            return {std::log(std::max(rest, tiny)), rest >= tiny ? -sign / rest : T(0)};
        }
        if (kind == kRbf) return {-slope * distance * distance, T(-2) * slope * distance * sign};
        const T z = slope * (T(0.5) - distance), small = std::exp(-std::abs(z));
        const T complement = (z >= 0 ? small : T(1)) / (T(1) + small);  // sigmoid(-z)
        return {std::min(z, T(0)) - std::log1p(small), -slope * complement * sign};
    }
};

// Logarithms of the factors along the axes, computed once for each relation.
template <typename T>
struct Logs {
    const T* values;  // (points, axis, side), by place

    T of(int64_t place, int64_t direction) const {
        const Sides& side = kSides[direction];
        const T* log = values + 9 * place;
        return log[side[0]] + log[3 + side[1]] + log[6 + side[2]];
    }
};

template <typename Visit>
void each_block(int64_t n, int64_t threads, Visit visit) {
    shared_out((n + kBlock - 1) / kBlock, threads,
               [&](int64_t block) { visit(block * kBlock, std::min(n, (block + 1) * kBlock)); });
}

// Calls visit(voxel, place, direction) for the pairs of the voxels first .. last - 1: one pass over the sorted keys of
// homes for each direction.
template <typename Visit>
void pairs_of_voxels(const Pairs& pairs, int64_t first, int64_t last, Visit visit) {
    for (int64_t direction = 0; direction < pairs.directions; ++direction) {
        const int64_t shift = pairs.shifts[direction], *end = pairs.home_keys + pairs.homes;
        int64_t home = std::lower_bound(pairs.home_keys, end, pairs.keys[first] - shift) - pairs.home_keys;
        for (int64_t voxel = first; voxel < last; ++voxel) {
            while (home < pairs.homes && pairs.home_keys[home] < pairs.keys[voxel] - shift) ++home;
            if (home == pairs.homes) break;
            if (pairs.home_keys[home] != pairs.keys[voxel] - shift) continue;
            for (int64_t place = pairs.begins[home]; place < pairs.begins[home + 1]; ++place)
                if (pairs.reach[place] >> direction & 1) visit(voxel, place, direction);
        }
    }
}

// Calls visit(direction, row) for the pairs of a place.
template <typename Visit>
void pairs_of_place(const Pairs& pairs, int64_t home, int64_t place, Visit visit) {
    for (uint32_t bits = pairs.reach[place]; bits; bits &= bits - 1) {
        const int64_t direction = __builtin_ctz(bits);
        visit(direction, int64_t(pairs.rows[home * pairs.directions + direction]));
    }
}

template <typename Visit>
void each_place(const Pairs& pairs, Visit visit) {
    each_block(pairs.homes, pairs.threads, [&](int64_t first, int64_t last) {
        for (int64_t home = first; home < last; ++home)
            for (int64_t place = pairs.begins[home]; place < pairs.begins[home + 1]; ++place) visit(home, place);
    });
}

// Gradient to a point's position from that to the logarithms of its relations, upstream(direction, row).
template <typename T, typename Upstream>
void to_units(const Pairs& pairs, const Relation<T>& relation, int64_t home, int64_t place, T* result,
              Upstream upstream) {
    T sums[9] = {};
    pairs_of_place(pairs, home, place, [&](int64_t direction, int64_t row) {
        const T gradient = upstream(direction, row);
        for (int64_t axis = 0; axis < 3; ++axis) sums[3 * axis + kSides[direction][axis]] += gradient;
    });
    const int64_t point = pairs.order[place];
    for (int64_t axis = 0; axis < 3; ++axis) {
        T sum = 0;
        for (int64_t side = 0; side < 3; ++side)
            if (sums[3 * axis + side] != 0)
                sum += sums[3 * axis + side] * relation.factor(pairs, point, home, axis, side).derivative;
        result[3 * point + axis] = sum;
    }
}
