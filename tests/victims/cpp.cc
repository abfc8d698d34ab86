/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * operator new in its forms, each called from a function of its own. And exceptions that
 * leave operator new: a program that catches bad_alloc must live on while it is traced.
 */
#include <cstdint>
#include <cstdlib>
#include <map>
#include <new>
#include <string>

#include "victim.h"

namespace
{
struct Node {
	char bytes[120];
};

struct alignas(64) Wide {
	char bytes[192];
};

struct Value {
	char bytes[36];
};

typedef std::map<int, Value> Map;

/* In static memory, so that only what they hold comes from the allocator. */
alignas(Map) char map_storage[sizeof(Map)];
alignas(std::string) char string_storage[1000][sizeof(std::string)];

#define CHAIN(name)                      \
	NOINLINE void name##_mid(long n) \
	{                                \
		OPAQUE(n);               \
		name##_leaf(n);          \
		NO_TAIL_CALL();          \
	}                                \
	NOINLINE void name##_top(long n) \
	{                                \
		name##_mid(n);           \
		NO_TAIL_CALL();          \
	}

NOINLINE void node_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		Node *p = new Node;
		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
CHAIN(node)

NOINLINE void array_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		int *p = new int[50];
		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
CHAIN(array)

NOINLINE void map_leaf(long n)
{
	Map *map = new (map_storage) Map;

	for (long i = 0; i < n; i++)
		(*map)[i].bytes[0] = 1;
	NO_TAIL_CALL();
}
CHAIN(map)

NOINLINE void string_leaf(long n)
{
	for (long i = 0; i < n; i++)
		new (string_storage[i]) std::string(100, 'x');
	NO_TAIL_CALL();
}
CHAIN(string)

NOINLINE void nothrow_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		char *p = new (std::nothrow) char[77];
		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
CHAIN(nothrow)

NOINLINE void aligned_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		Wide *p = new Wide;
		OPAQUE(p);
	}
	NO_TAIL_CALL();
}
CHAIN(aligned)

/* Every form of delete: nothing may remain. */
NOINLINE void deleted_leaf(long n)
{
	for (long i = 0; i < n; i++) {
		Node *node = new Node;
		OPAQUE(node);
		delete node;
		int *array = new int[7];
		OPAQUE(array);
		delete[] array;
		Wide *wide = new Wide;
		OPAQUE(wide);
		delete wide;
		void *p = ::operator new(90, std::nothrow);
		OPAQUE(p);
		::operator delete(p, std::nothrow);
		p = ::operator new(90);
		OPAQUE(p);
		::operator delete(p, size_t(90));
		p = ::operator new(90, std::align_val_t(128));
		OPAQUE(p);
		::operator delete(p, std::align_val_t(128));
	}
	NO_TAIL_CALL();
}
CHAIN(deleted)

long caught, refused;

NOINLINE void throwing_leaf(long n)
{
	size_t huge = SIZE_MAX / 4;

	OPAQUE(huge);
	for (long i = 0; i < n; i++) {
		try {
			void *p = i % 2 ? ::operator new(huge) : ::operator new[](huge);
			OPAQUE(p);
		} catch (const std::bad_alloc &) {
			caught++;
		}
		void *p = ::operator new(huge, std::nothrow);
		OPAQUE(p);
		refused += !p;
	}
	NO_TAIL_CALL();
}
CHAIN(throwing)

void say(const char *name, const char *chain, long bytes, long count)
{
	victim_truth t = {name, chain, "malloc", "operator new", bytes, count};

	victim_site(&t);
}
} // namespace

#define CHAIN_OF(name) #name "_leaf " #name "_mid " #name "_top"

int main(int argc, char **argv)
{
	victim_init(argc, argv);
	long throws = victim_option("throws", 1000), nodes = victim_option("nodes", 1000);
	victim_go();
	node_top(nodes);
	array_top(1000);
	map_top(1000);
	string_top(1000);
	nothrow_top(300);
	aligned_top(100);
	deleted_top(200);
	throwing_top(throws);
	say("node", CHAIN_OF(node), nodes * 120, nodes);
	say("array", CHAIN_OF(array), 200000, 1000);
	say("map", CHAIN_OF(map), 72000, 1000);
	say("string", CHAIN_OF(string), 101000, 1000);
	say("nothrow", CHAIN_OF(nothrow), 23100, 300);
	say("aligned", CHAIN_OF(aligned), 19200, 100);
	say("deleted", CHAIN_OF(deleted), 0, 0);
	say("throwing", CHAIN_OF(throwing), 0, 0);
	victim_note("caught", caught);
	victim_note("refused", refused);
	return victim_ready();
}
