# SPDX-License-Identifier: ISC
# Ruby's fibers and enumerators: back and forth, generators within generators, an exception through one, many that are dropped.
rounds = (ARGV[0] || 1000).to_i
sum = 0

fiber = Fiber.new { |x| loop { x = Fiber.yield(x * 3 + 1) } }
rounds.times { |i| sum = (sum * 5 + fiber.resume(i)) & 0xffffffff }

numbers = Enumerator.new { |y| n = 0; loop { y << (n += 1) } }
squares = Enumerator.new { |y| loop { y << numbers.next**2 } }
(rounds / 10).times { sum = (sum + squares.next) & 0xffffffff }

raised = 0
(rounds / 100).times do |i|
  f = Fiber.new { begin; Fiber.yield(i); ensure; raised += 1; end; raise 'over' }
  f.resume
  begin
    f.resume
  rescue RuntimeError
    raised += 1
  end
end

dropped = (rounds / 100).times.map { |i| e = [i, i + 1].each; e.next + e.next }.sum
lazy = (1..Float::INFINITY).lazy.map { |x| x * 2 }.select { |x| x % 3 == 0 }.first(rounds / 100).sum
puts sum, raised, dropped, lazy
