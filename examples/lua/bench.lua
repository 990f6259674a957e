-- SPDX-License-Identifier: ISC
-- bench.lua: what a C stack of its own costs a coroutine.  usage: lua5.4 bench.lua [ROUNDS]
-- Stock coroutines and the module's take turns; each turn gives a ratio of CPU times.  Printed: the median of the ratios, and the
-- middle half of them; the times are medians too, in nanoseconds, and those of this machine as it was just then.
local mine = require "reap.coroutine"
local stock = coroutine
local rounds = tonumber(arg and arg[1]) or 31

local function resume_yield(lib, n)
	local co = lib.create(function() local yield = lib.yield while true do yield() end end)
	local resume = lib.resume
	local since = os.clock()
	for _ = 1, n do resume(co) end
	return os.clock() - since
end

local function life(lib, n)
	local create, resume, f = lib.create, lib.resume, function() end
	local since = os.clock()
	for _ = 1, n do resume(create(f)) end
	return os.clock() - since
end

local function generator(lib, n)
	local wrap, yield = lib.wrap, lib.yield
	local f = function() for i = 1, 10 do yield(i) end end
	local since = os.clock()
	for _ = 1, n / 10 do for _ in wrap(f) do end end
	return os.clock() - since
end

-- Ten thousand alive at a time, resumed in turn, each ten times.
local function crowd(lib, n)
	local create, resume, yield = lib.create, lib.resume, lib.yield
	local f = function() for _ = 1, 9 do yield() end end
	local since = os.clock()
	for _ = 1, n / 100000 do
		local all = {}
		for i = 1, 10000 do all[i] = create(f) end
		for _ = 1, 10 do for i = 1, 10000 do resume(all[i]) end end
	end
	return os.clock() - since
end

local function quantile(t, q)
	return t[math.max(1, math.ceil(#t * q))]
end

print(("%-44s %8s %8s   %s"):format("", "stock", "module", "ratio"))
for _, what in ipairs {
	{ "resume and yield", resume_yield, 400000 },
	{ "create, run, die", life, 100000 },
	{ "a generator of ten values, per value", generator, 200000 },
	{ "10,000 alive, per resume, lives included", crowd, 100000 },
} do
	local name, run, n = table.unpack(what)
	local a, b, ratio = {}, {}, {}
	run(stock, n)
	run(mine, n)
	for i = 1, rounds do
		collectgarbage()
		if i % 2 == 0 then
			a[i], b[i] = run(stock, n), run(mine, n)
		else
			b[i], a[i] = run(mine, n), run(stock, n)
		end
		ratio[i] = b[i] / a[i]
	end
	table.sort(a)
	table.sort(b)
	table.sort(ratio)
	print(("%-44s %8.0f %8.0f   %.2f [%.2f-%.2f]"):format(name, quantile(a, 0.5) / n * 1e9, quantile(b, 0.5) / n * 1e9,
		quantile(ratio, 0.5), quantile(ratio, 0.25), quantile(ratio, 0.75)))
end
