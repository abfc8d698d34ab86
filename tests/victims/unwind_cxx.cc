/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unwind_cxx.cc - C++ that allocates below libstdc++: containers, std::function, regex,
 * threads, async, exceptions that travel through several frames.
 */
#include <algorithm>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define noinline __attribute__((noinline))

struct shape {
	virtual ~shape() = default;
	virtual std::string name(int n) const = 0;
};

struct round_shape : shape {
	noinline std::string name(int n) const override
	{
		return std::string(static_cast<size_t>(n) + 20, 'r');
	}
};

struct square_shape : shape {
	noinline std::string name(int n) const override
	{
		std::ostringstream out;

		out << "square of " << n << " and some more text";
		return out.str();
	}
};

noinline static int throws(int depth)
{
	std::vector<int> v(static_cast<size_t>(depth) + 1, 1);

	if (!depth)
		throw std::runtime_error("a message long enough to be allocated");
	return throws(depth - 1) + v[0];
}

noinline static size_t catches(int depth)
{
	try {
		return static_cast<size_t>(throws(depth));
	} catch (const std::exception &e) {
		return std::string(e.what()).size();
	}
}

noinline static size_t containers(int n)
{
	std::map<std::string, std::vector<std::unique_ptr<shape>>> m;
	size_t total = 0;

	for (int i = 0; i < n; i++) {
		auto &v = m["a key that does not fit inside " + std::to_string(i % 7)];

		if (i & 1)
			v.push_back(std::make_unique<round_shape>());
		else
			v.push_back(std::make_unique<square_shape>());
	}
	for (auto &[key, v] : m)
		for (auto &s : v)
			total += s->name(static_cast<int>(key.size())).size();
	return total;
}

noinline static size_t functions(int n)
{
	std::string big(40, 'x');
	std::vector<std::function<size_t(int)>> v;
	size_t total = 0;

	for (int i = 0; i < n; i++)
		v.push_back([big, i](int k) { return (big + std::to_string(i * k)).size(); });
	for (auto &f : v)
		total += f(n);
	return total;
}

noinline static size_t regexes()
{
	std::regex re("(\\w+)\\s+(\\d+)");
	std::string text = "alpha 12 beta 345 gamma 6789";
	size_t n = 0;

	for (std::sregex_iterator i(text.begin(), text.end(), re), end; i != end; ++i)
		n += (*i)[1].str().size();
	return n;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	size_t total = 0;

	for (int i = 0; i < rounds; i++) {
		for (int depth = 0; depth < 12; depth++)
			total += catches(depth);
		total += containers(60) + functions(40) + regexes();
		std::thread t([&] { total += containers(20); });
		t.join();
		total += std::async(std::launch::async, functions, 10).get();
	}
	return total == 0;
}
