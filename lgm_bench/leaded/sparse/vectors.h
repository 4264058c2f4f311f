// What the compiled parts share: vectors of one AVX register's size, and work shared out among threads.

#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

template <typename T>
struct Vector {
    typedef T type __attribute__((vector_size(32), aligned(sizeof(T)), may_alias));
    static constexpr int64_t lanes = 32 / sizeof(T);
};

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
