// Sorting of voxel keys, and the pairs of a kernel map by merging two sorted lists of keys, offset by offset.

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "vectors.h"

namespace {

constexpr int kDigit = 11;
constexpr int64_t kValues = int64_t(1) << kDigit;

struct Entry {
    int64_t key, row;
};

// Entries in ascending order of their keys (>= 0), equal ones in their old order: least significant digits first.
void radix_sort(std::vector<Entry>& entries) {
    int64_t largest = 0;
    bool ascending = true;
    for (size_t i = 0; i < entries.size(); ++i) {
        largest = std::max(largest, entries[i].key);
        ascending = ascending && (i == 0 || entries[i - 1].key <= entries[i].key);
    }
    if (ascending) return;
    std::vector<Entry> other(entries.size());
    for (int shift = 0; shift < 63 && (largest >> shift) > 0; shift += kDigit) {
        std::array<int64_t, kValues> place{};
        for (const Entry& entry : entries) ++place[(entry.key >> shift) % kValues];
        std::exclusive_scan(place.begin(), place.end(), place.begin(), int64_t(0));
        for (const Entry& entry : entries) other[place[(entry.key >> shift) % kValues]++] = entry;
        entries.swap(other);
    }
}

std::vector<Entry> sorted(const int64_t* keys, int64_t n) {
    std::vector<Entry> entries(n);
    for (int64_t row = 0; row < n; ++row) entries[row] = {keys[row], row};
    radix_sort(entries);
    return entries;
}

// Calls found(source place, target place) where source key == target key + shift; both lists ascend without repeats.
template <typename Found>
void merge(const int64_t* source, int64_t n_sources, const int64_t* target, int64_t n_targets, int64_t shift,
           Found found) {
    int64_t s = 0;
    for (int64_t t = 0; t < n_targets; ++t) {
        const int64_t wanted = target[t] + shift;
        while (s < n_sources && source[s] < wanted) ++s;
        if (s == n_sources) return;
        if (source[s] == wanted) found(s, t);
    }
}

// Notes at which pair each block of rows begins, while pairs come in ascending order of the rows' places.
struct Starts {
    int64_t* column;  // (blocks + 1, offsets), from this offset's column on
    int64_t blocks, offsets, size, next = 0;

    void reach(int64_t place, int64_t pair) {
        for (; next <= blocks && next * size <= place; ++next) column[next * offsets] = pair;
    }
    void finish(int64_t pair) {
        for (; next <= blocks; ++next) column[next * offsets] = pair;
    }
};

}  // namespace

extern "C" void sort_keys(const int64_t* keys, int64_t n, int64_t* ascending, int64_t* order) {
    const std::vector<Entry> entries = sorted(keys, n);
    for (int64_t i = 0; i < n; ++i) ascending[i] = entries[i].key, order[i] = entries[i].row;
}

// The different keys in ascending order, and for each row the place of its key; returns how many there are.
extern "C" int64_t unique_keys(const int64_t* keys, int64_t n, int64_t* unique, int64_t* place) {
    const std::vector<Entry> entries = sorted(keys, n);
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (i == 0 || entries[i].key != entries[i - 1].key) unique[count++] = entries[i].key;
        place[entries[i].row] = count - 1;
    }
    return count;
}

// Number of pairs of each offset.
extern "C" void count_pairs(const int64_t* source_keys, int64_t n_sources, const int64_t* target_keys,
                            int64_t n_targets, const int64_t* shifts, int64_t offsets, int64_t* counts,
                            int64_t symmetric, int64_t threads) {
    shared_out(symmetric ? (offsets + 1) / 2 : offsets, threads, [&](int64_t k) {
        int64_t count = 0;
        merge(source_keys, n_sources, target_keys, n_targets, shifts[k], [&](int64_t, int64_t) { ++count; });
        counts[k] = count;
        if (symmetric) counts[offsets - 1 - k] = count;
    });
}

// The pairs themselves, offset k's from begins[k] on, and where the blocks of targets and of sources begin.
// In a symmetric map an offset's pairs are those of the opposite one the other way round.
extern "C" void fill_pairs(const int64_t* source_keys, const int64_t* source_order, int64_t n_sources,
                           const int64_t* target_keys, const int64_t* target_order, int64_t n_targets,
                           const int64_t* shifts, int64_t offsets, const int64_t* begins, int64_t* source,
                           int64_t* target, int64_t* target_starts, int64_t* source_starts, int64_t block,
                           int64_t symmetric, int64_t threads) {
    const int64_t target_blocks = (n_targets + block - 1) / block, source_blocks = (n_sources + block - 1) / block;
    shared_out(symmetric ? (offsets + 1) / 2 : offsets, threads, [&](int64_t k) {
        const int64_t twin = offsets - 1 - k, ahead = begins[twin] - begins[k];
        int64_t pair = begins[k];
        Starts by_target{target_starts + k, target_blocks, offsets, block};
        Starts by_source{source_starts + k, source_blocks, offsets, block};
        merge(source_keys, n_sources, target_keys, n_targets, shifts[k], [&](int64_t s, int64_t t) {
            by_target.reach(t, pair);
            by_source.reach(s, pair);
            source[pair] = source_order[s];
            target[pair] = target_order[t];
            if (symmetric && twin != k) {
                source[pair + ahead] = target_order[t];
                target[pair + ahead] = source_order[s];
            }
            ++pair;
        });
        by_target.finish(pair);
        by_source.finish(pair);
        if (symmetric && twin != k)
            for (int64_t b = 0; b <= target_blocks; ++b) {
                target_starts[b * offsets + twin] = source_starts[b * offsets + k] + ahead;
                source_starts[b * offsets + twin] = target_starts[b * offsets + k] + ahead;
            }
    });
}
