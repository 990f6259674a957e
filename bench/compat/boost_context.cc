// SPDX-License-Identifier: ISC
// boost_context.cc: Debian's Boost.Context: back and forth, on top, an exception thrown into a fiber, a fiber unwound by its end.
#include <boost/context/fiber.hpp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

namespace ctx = boost::context;

struct counted {
	unsigned long &n;
	~counted() { n++; }
};

int
main(int argc, char **argv)
{
	unsigned long switches = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000, sum = 0, unwound = 0, caught = 0;
	ctx::fiber other{[&](ctx::fiber &&back) {
		counted c{unwound};

		for (;;) {
			try {
				sum = sum * 3 + 1;
				back = std::move(back).resume();
			} catch (const std::runtime_error &) {
				caught++;
			}
		}
		return std::move(back);
	}};

	for (unsigned long i = 0; i < switches; i += 2) {
		other = std::move(other).resume();
		sum = sum * 5 + i;
		if (i % 1000 == 0)
			other = std::move(other).resume_with([&](ctx::fiber &&back) {
				sum += 17;
				return std::move(back);
			});
	}
	{
		ctx::fiber gone{[&](ctx::fiber &&back) {
			counted c{unwound};

			back = std::move(back).resume();
			return std::move(back);
		}};
		gone = std::move(gone).resume();
	}
	std::printf("%lu %lu %lu\n", sum, unwound, caught);
	other = ctx::fiber();
	std::printf("%lu\n", unwound);
}
