// SPDX-License-Identifier: BSD-2-Clause
// C++ comes to the drop-in by way of malloc, aligned_alloc and free: new in all its
// forms, containers, and std::bad_alloc at the limit, after which the program goes on.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#define CHECK(ok)                                                                     \
	do {                                                                          \
		if (!(ok)) {                                                          \
			std::fprintf(stderr, "%s:%d: " #ok "\n", __FILE__, __LINE__); \
			std::abort();                                                 \
		}                                                                     \
	} while (0)

namespace {

struct alignas(256) Wide {
	char bytes[300];
};

struct Early {
	std::string text = std::string(1000, 'x');
	~Early() { CHECK(text == std::string(1000, 'x')); }
} early; // constructed before main, destroyed after it

void single_objects()
{
	for (int i = 0; i < 1000; i++) {
		auto *number = new int(i);
		auto *array = new std::string[i % 50 + 1];
		array[i % 50] = "something too long for the small-string buffer";
		CHECK(*number == i);
		delete number;
		delete[] array;
	}
}

void aligned_objects()
{
	for (int i = 0; i < 1000; i++) {
		auto *one = new Wide;
		auto *some = new Wide[3];
		CHECK(reinterpret_cast<std::uintptr_t>(one) % alignof(Wide) == 0);
		CHECK(reinterpret_cast<std::uintptr_t>(some) % alignof(Wide) == 0);
		delete one;
		delete[] some;
	}
	void *page = ::operator new(100, std::align_val_t(4096));
	CHECK(reinterpret_cast<std::uintptr_t>(page) % 4096 == 0);
	::operator delete(page, std::align_val_t(4096));
}

void containers()
{
	std::vector<int> numbers;
	std::map<int, std::string> names;
	for (int i = 0; i < 300000; i++)
		numbers.push_back(i);
	for (int i = 0; i < 20000; i++)
		names[i * 7919 % 20000] = std::to_string(i) + std::string(40, 'n');
	for (int i = 0; i < 300000; i++)
		CHECK(numbers[static_cast<std::size_t>(i)] == i);
	CHECK(names.size() == 20000);
}

// Blocks until std::bad_alloc; how many there were.
std::size_t fill()
{
	std::vector<std::unique_ptr<char[]>> blocks;
	blocks.reserve(100000);
	try {
		while (blocks.size() < 100000)
			blocks.emplace_back(new char[1 << 20]);
	} catch (const std::bad_alloc &) {
		return blocks.size();
	}
	return 0;
}

void limit()
{
	std::size_t first = fill();
	CHECK(first > 50 && first <= 256); // MiB: the limit
	for (int i = 0; i < 5; i++) { // a block more or less: what lies between them may differ
		std::size_t again = fill();
		CHECK(again + 1 >= first && again <= first + 1);
	}
	volatile std::size_t beyond = SIZE_MAX / 4;
	CHECK(new (std::nothrow) char[beyond] == nullptr);
	CHECK(new (std::align_val_t(64), std::nothrow) char[beyond] == nullptr);
	bool thrown = false;
	try {
		std::vector<char> v(beyond);
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	CHECK(thrown);
	containers();
}

} // namespace

int main()
{
	CHECK(dlsym(RTLD_DEFAULT, "sparena_stats_get") != nullptr); // under the drop-in at all
	single_objects();
	aligned_objects();
	containers();
	limit();
	return 0;
}
