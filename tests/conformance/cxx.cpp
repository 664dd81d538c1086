// SPDX-License-Identifier: BSD-2-Clause
// C++: new and delete in their forms, their refusals, and what the library builds on them.
#include <exception>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <new>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unordered_map>
#include <vector>

#include "conformance.h"

namespace {

constexpr std::size_t too_large = PTRDIFF_MAX;
constexpr std::size_t limit = 600 * MIB;

struct alignas(256) Wide {
	char bytes[300];
};

// ---- forms -----------------------------------------------------------------------------------

void forms(std::size_t)
{
	for (int i = 0; i < 1000; i++) {
		auto *one = new int(i);
		auto *some = new std::string[i % 50 + 1];
		some[i % 50] = "something too long for the small-string buffer";
		NEED(*one == i);
		delete one;
		delete[] some;
	}
	say("works");
}

void aligned(std::size_t)
{
	for (int i = 0; i < 1000; i++) {
		auto *one = new Wide;
		auto *some = new Wide[3];
		NEED(is_aligned(one, alignof(Wide)) && is_aligned(some, alignof(Wide)));
		delete one;
		delete[] some;
	}
	for (std::size_t align = 1; align <= 2 * MIB; align *= 2) {
		void *p = ::operator new(100, std::align_val_t(align));
		NEED(is_aligned(p, align));
		::operator delete(p, std::align_val_t(align));
		p = ::operator new(0, std::align_val_t(align));
		NEED(p && is_aligned(p, align));
		::operator delete(p, 0, std::align_val_t(align));
	}
	say("aligned");
}

void zero(std::size_t)
{
	void *a = ::operator new(0), *b = ::operator new(0);
	auto *c = new char[0], *d = new char[0];
	say(a != b && c != d && a && c ? "blocks of their own" : "the same block twice");
	::operator delete(a);
	::operator delete(b, std::size_t(0));
	delete[] c;
	delete[] d;
}

void sized(std::size_t)
{
	for (std::size_t i = 0; i < sizes_count; i++) {
		void *p = ::operator new(sizes[i]);
		fill(p, sizes[i], 1);
		NEED(is_filled(p, sizes[i], 1));
		::operator delete(p, sizes[i]);
	}
	say("works");
}

// What many programs do, though the standard does not promise it.
void mixed(std::size_t)
{
	free(::operator new(1000));
	free(::operator new(1000, std::align_val_t(4096)));
	::operator delete(malloc(1000));
	say("works");
}

// ---- refusals ----------------------------------------------------------------------------------

const char *caught(const std::function<void()> &allocate)
{
	try {
		allocate();
		return "a block";
	} catch (const std::bad_array_new_length &) {
		return "std::bad_array_new_length";
	} catch (const std::bad_alloc &) {
		return "std::bad_alloc";
	} catch (const std::length_error &) {
		return "std::length_error";
	}
}

void refused(std::size_t)
{
	say("%s", caught([] { ::operator delete(::operator new(opaque(too_large))); }));
	say("%s", caught([] { ::operator delete(::operator new(opaque(too_large), std::align_val_t(64))); }));
	say("%s", caught([] { delete[] new int[opaque(SIZE_MAX / 2)]; }));
}

void refused_nothrow(std::size_t)
{
	say(new (std::nothrow) char[opaque(too_large)] ? "a block" : "nullptr");
	say(new (std::align_val_t(64), std::nothrow) char[opaque(too_large)] ? "a block" : "nullptr");
}

void refused_containers(std::size_t)
{
	say("vector: %s", caught([] { std::vector<char> v(opaque(too_large)); }));
	say("string: %s", caught([] { std::string s(opaque(too_large / 2), 'x'); }));
	say("vector that grows: %s", caught([] {
		std::vector<std::vector<char>> v(3);
		v.at(1).reserve(opaque(too_large));
	}));
}

// ---- std::set_new_handler ------------------------------------------------------------------------

int handler_calls;
void *kept_for_need;

void free_something()
{
	handler_calls++;
	free(kept_for_need);
	kept_for_need = nullptr;
	std::set_new_handler(nullptr);
}

void handler(std::size_t)
{
	std::set_new_handler(free_something);
	say("%s", caught([] { ::operator delete(::operator new(opaque(too_large))); }));
	say("handler called: %d", handler_calls);
}

std::vector<std::unique_ptr<char[]>> blocks;

// Blocks of 1 MiB until std::bad_alloc; how many there were.
std::size_t take_all()
{
	blocks.reserve(10000);
	try {
		for (;;)
			blocks.emplace_back(new char[MIB]);
	} catch (const std::bad_alloc &) {
		return blocks.size();
	}
}

void handler_frees(std::size_t)
{
	begin_limited(RLIMIT_AS, limit);
	kept_for_need = malloc(32 * MIB);
	NEED(kept_for_need && take_all() > 64);
	std::set_new_handler(free_something);
	say("%s", caught([] { ::operator delete(::operator new(16 * MIB)); }));
	say("handler called: %d", handler_calls);
}

// ---- memory used up --------------------------------------------------------------------------------

void exhausted(std::size_t)
{
	begin_limited(RLIMIT_AS, limit);
	std::size_t first = take_all();
	say(first > 64 ? "std::bad_alloc" : "std::bad_alloc too early");
	blocks.clear();
	std::size_t again = take_all();
	say(again + 2 >= first ? "after delete as much again" : "after delete less");
}

// The exception itself needs memory: libstdc++ keeps some for it.
void exceptions(std::size_t)
{
	begin_limited(RLIMIT_AS, limit);
	NEED(take_all() > 64);
	int rounds = 0;
	while (new (std::nothrow) char[64]) // what is left
		;
	for (int i = 0; i < 1000; i++) {
		try {
			throw std::bad_alloc();
		} catch (const std::exception &) {
			rounds++;
		}
	}
	say("%d of 1000 thrown and caught", rounds);
}

// ---- the library --------------------------------------------------------------------------------------

void containers(std::size_t)
{
	std::vector<int> numbers;
	std::map<int, std::string> names;
	std::unordered_map<std::string, int> back;
	std::ostringstream text;
	for (int i = 0; i < 100000; i++) {
		numbers.push_back(i);
		text << i << ',';
	}
	for (int i = 0; i < 10000; i++) {
		names[i * 7919 % 10000] = std::to_string(i) + std::string(40, 'n');
		back[std::to_string(i)] = i;
	}
	for (int i = 0; i < 100000; i++)
		NEED(numbers[static_cast<std::size_t>(i)] == i);
	NEED(names.size() == 10000 && back.at("777") == 777 && text.str().size() == 588890);
	say("contents kept");
}

thread_local std::vector<std::string> of_thread;

struct Last {
	~Last()
	{
		std::vector<std::string> v(100, std::string(100, 'v'));
		of_thread.clear();
	}
};

void threads(std::size_t)
{
	for (int round = 0; round < 20; round++) {
		std::vector<std::thread> all;
		for (int i = 0; i < 4; i++)
			all.emplace_back([] {
				NEED(of_thread.empty()); // constructed before what uses it to the last
				thread_local Last last;
				(void)last;
				for (int k = 0; k < 500; k++)
					of_thread.emplace_back(static_cast<std::size_t>(k), 'x');
			});
		for (auto &thread : all)
			thread.join();
	}
	auto sum = std::async(std::launch::async, [] { return std::make_unique<std::string>(10000, 'f'); });
	NEED(sum.get()->size() == 10000);
	say("freed at the threads' ends");
}

// Constructed before main, destroyed after it, in the case that is about it.
struct Early {
	std::string text = std::string(1000, 'x');
	bool wanted = false;
	~Early()
	{
		if (wanted)
			say(text == std::string(1000, 'x') ? "contents kept to the end" : "contents changed");
	}
} early;

void of_namespace(std::size_t)
{
	early.wanted = true;
	static std::vector<int> function_local(100000, 7);
	NEED(function_local[99999] == 7);
}

const conformance_case cxx_cases[] = {
	{ "C++/new and delete", forms, 0 },
	{ "C++/new with alignment", aligned, 0 },
	{ "C++/new of 0 B", zero, 0 },
	{ "C++/delete with size", sized, 0 },
	{ "C++/new with free, malloc with delete", mixed, 0 },
	{ "C++/new, too large", refused, 0 },
	{ "C++/new (nothrow), too large", refused_nothrow, 0 },
	{ "C++/containers, too large", refused_containers, 0 },
	{ "C++/new handler that has nothing", handler, 0 },
	{ "C++/new handler that frees memory", handler_frees, 0 },
	{ "C++/ulimit -v, new", exhausted, 0 },
	{ "C++/exceptions when memory is used up", exceptions, 0 },
	{ "C++/containers", containers, 0 },
	{ "C++/threads and thread_local objects", threads, 0 },
	{ "C++/objects of namespaces and functions at exit", of_namespace, 0 },
	{ nullptr, nullptr, 0 },
};

} // namespace

extern const struct conformance_case *const conformance_groups[] = { cxx_cases, nullptr };
