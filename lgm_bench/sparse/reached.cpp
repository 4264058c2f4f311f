// Which voxels are in reach of points, and what each point reaches; see pairs.h.

#include "pairs.h"

// The bits of each place, from possible (points, axis, side), and those of all points of each home together.
extern "C" void reach_bits(const uint8_t* possible, const int64_t* order, const int64_t* begins, int64_t homes,
                           int32_t* reach, int32_t* together) {
    for (int64_t home = 0; home < homes; ++home) {
        together[home] = 0;
        for (int64_t place = begins[home]; place < begins[home + 1]; ++place) {
            const uint8_t* point = possible + 9 * order[place];
            int32_t bits = 0;
            for (int64_t direction = 0; direction < kDirections; ++direction) {
                const Sides& side = kSides[direction];
                bits |= int32_t(point[side[0]] & point[3 + side[1]] & point[6 + side[2]]) << direction;
            }
            reach[place] = bits;
            together[home] |= bits;
        }
    }
}

// The keys of all voxels in reach in ascending order, and the row of each neighbour of each home; returns how many
// voxels there are. For each direction the homes' keys ascend, so this is one pass that merges 27 sorted lists.
extern "C" int64_t reached_voxels(const int64_t* home_keys, int64_t homes, const int32_t* together,
                                  const int64_t* shifts, int64_t* keys, int32_t* rows) {
    constexpr int64_t none = std::numeric_limits<int64_t>::max();
    std::array<int64_t, kDirections> home, head;
    auto advance = [&](int64_t direction, int64_t from) {
        while (from < homes && !(together[from] >> direction & 1)) ++from;
        home[direction] = from;
        head[direction] = from < homes ? home_keys[from] + shifts[direction] : none;
    };
    std::fill(rows, rows + homes * kDirections, -1);
    for (int64_t direction = 0; direction < kDirections; ++direction) advance(direction, 0);
    for (int64_t row = 0;; ++row) {
        const int64_t smallest = *std::min_element(head.begin(), head.end());
        if (smallest == none) return row;
        keys[row] = smallest;
        for (int64_t direction = 0; direction < kDirections; ++direction)
            if (head[direction] == smallest) {
                rows[home[direction] * kDirections + direction] = int32_t(row);
                advance(direction, home[direction] + 1);
            }
    }
}
