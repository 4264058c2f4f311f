// What the compiled parts share: vectors of a register's size (AVX, AVX-512), and work shared out among threads.

#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

constexpr int kNarrow = 32;
#ifdef __AVX512F__
constexpr int kWide = 64;
#else
constexpr int kWide = 32;
#endif

template <typename T, int Bytes>
struct Vector {
    typedef T type __attribute__((vector_size(Bytes), aligned(sizeof(T)), may_alias));
    static constexpr int64_t lanes = Bytes / sizeof(T);
};

// Whether panels of two wide vectors hold so many columns with no more padding than panels of two narrow ones.
template <typename T>
bool wide_enough(int64_t columns) {
    auto padded = [columns](int64_t lanes) { return (columns + 2 * lanes - 1) / (2 * lanes) * lanes; };
    return padded(kWide / sizeof(T)) == padded(kNarrow / sizeof(T));
}

// Calls work(0) .. work(n - 1), each once, by whichever thread is free.
template <typename Work>
void shared_out(int64_t n, int64_t threads, Work work) {
    std::atomic<int64_t> next{0};
    auto loop = [&] {
        for (int64_t item = next++; item < n; item = next++) work(item);
    };
    std::vector<std::thread> others;
    for (int64_t i = 1; i < threads && i < n; ++i) others.emplace_back(loop);
    loop();
    for (auto& other : others) other.join();
}
