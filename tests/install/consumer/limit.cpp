// SPDX-License-Identifier: BSD-2-Clause
// A user's program in C++: it names operator new, and nothing of the library's.
#include <iostream>
#include <memory>
#include <new>
#include <vector>

int main()
{
	std::vector<std::unique_ptr<char[]>> blocks;
	bool refused = false;
	try {
		for (int i = 0; i < 10000; i++)
			blocks.push_back(std::make_unique<char[]>(65536));
	} catch (const std::bad_alloc &) {
		refused = true;
		blocks.clear();
	}
	std::cout << (refused ? "refused and went on" : "NO LIMIT") << '\n';
	return refused ? 0 : 1;
}
