// SPDX-License-Identifier: ISC
// boost_fiber.cc: Debian's Boost.Fiber: fibers that yield, send through a channel, throw and catch, and are joined.
#include <boost/fiber/all.hpp>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <vector>

int
main(int argc, char **argv)
{
	unsigned long yields = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000, sum = 0;
	boost::fibers::buffered_channel<unsigned long> channel(64);
	std::vector<boost::fibers::fiber> all;

	for (unsigned long n = 0; n < 20; n++)
		all.emplace_back([&channel, n, yields] {
			unsigned long mine = n;

			for (unsigned long i = 0; i < yields; i++) {
				try {
					if (i % 1000 == 7)
						throw std::runtime_error("one in a thousand");
					mine = mine * 31 + i;
				} catch (const std::exception &) {
					mine++;
				}
				boost::this_fiber::yield();
			}
			channel.push(mine);
		});
	for (std::size_t i = 0; i < all.size(); i++)
		sum += channel.value_pop();
	for (auto &fiber : all)
		fiber.join();
	std::printf("%lu\n", sum);
}
