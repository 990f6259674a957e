-- SPDX-License-Identifier: ISC
-- limits.lua: ends of all kinds: errors, closing, garbage, depth, numbers, mixtures with stock coroutines.
-- usage: lua5.4 limits.lua [CROWD]
local co = require "reap.coroutine"
local stock = coroutine
local CROWD = tonumber(arg[1]) or 100000

local function resident()	-- kilobytes; nil where nobody says, or a sanitizer's are among them
	local f = not os.getenv("LD_PRELOAD") and io.open("/proc/self/statm")
	if not f then return nil end
	local pages = f:read("a"):match("%d+ (%d+)")
	f:close()
	return tonumber(pages) * 4
end

-- A call that nests until Lua refuses: how deep it came, and what Lua said.
local function depth_of(lib, nest)
	local depth = 0
	local function down(...)
		depth = depth + 1
		return nest(down, ...)
	end
	local c = lib.create(function() return down() end)
	local ok, message = lib.resume(c)
	assert(not ok, "it came to an end")
	assert(lib.status(c) == "dead")
	return depth, tostring(message)
end

-- Each heavy C function of the library, nested to Lua's limit, on a stack of our own.  A fault would end the process.
for name, nest in pairs {
	gsub = function(down) return (string.gsub("a", ".", down)) end,
	gsub_deep_pattern = function(down) return (string.gsub(string.rep("a", 150), string.rep("a?", 150) .. "()", down)) end,
	sort = function(down) table.sort({ 1, 2, 3 }, function(a, b) down() return a < b end) end,
	tostring = function(down) return tostring(setmetatable({}, { __tostring = down })) end,
	format = function(down) return string.format("%99.99f %s", 1e300, setmetatable({}, { __tostring = down })) end,
	concat = function(down) return table.concat(setmetatable({}, { __index = down, __len = function() return 1 end })) end,
	load = function(down) local f, e = load(down) error(e, 0) end,
	require = function(down) package.loaded.limit = nil package.preload.limit = down return require "limit" end,
	xpcall = function(down) local ok, e = xpcall(down, function(m) return m end) if not ok then error(e, 0) end end,
	pcall = function(down) local ok, e = pcall(down) if not ok then error(e, 0) end end,
	index = function(down) return setmetatable({}, { __index = down }).x end,
	add = function(down) return setmetatable({}, { __add = down }) + 1 end,
	close = function(down) local x <close> = setmetatable({}, { __close = down }) end,
	iterator = function(down) for _ in down do end end,
	gmatch = function(down) for w in string.gmatch("a b", "%a") do down() end end,
} do
	local depth, message = depth_of(co, nest)
	assert(depth > 90, name .. " came only to " .. depth)
	assert(message:find("overflow") or message:find("error in error handling") or message:find("error in __close"),
		name .. ": " .. message)
end

-- What the parser nests.
do
	local c = co.create(function() return load("return " .. string.rep("(", 5000) .. "1" .. string.rep(")", 5000)) end)
	local ok, f, message = co.resume(c)
	assert(ok and f == nil and message:find("overflow"), message)
end

-- Resumes in resumes: an error, at about stock Lua's depth.
do
	local function nest(lib)
		local function f(n)
			local ok, deeper = lib.resume(lib.create(f), n + 1)
			return ok and deeper or n, not ok and deeper
		end
		return f(0)
	end
	local mine, theirs = nest(co), nest(stock)
	assert(mine == 190 and math.abs(mine - theirs) < 12, mine .. " " .. theirs)
	local message
	local function g() local ok, e = co.resume(co.create(g)) if not ok then message = message or e end end
	g()
	assert(message == "C stack overflow", message)
end

-- Garbage while suspended: the C stack goes, and nothing runs; also one that is in the middle of C functions.
do
	local ran, gone = 0, setmetatable({}, { __mode = "k" })
	for i = 1, 2000 do
		local c = co.create(function()
			local x <close> = setmetatable({}, { __close = function() ran = ran + 1 end })
			table.sort({ 3, 2, 1 }, function(a, b) co.yield() return a < b end)
			ran = ran + 1
		end)
		gone[c] = true
		assert(co.resume(c))
	end
	collectgarbage()
	collectgarbage()
	assert(next(gone) == nil and ran == 0)
end

-- Very much of it: the collector is called for it, although it sees but a kilobyte of each.
do
	local before = resident()
	for i = 1, 50000 do
		local c = co.wrap(function() local t = { string.rep("x", 10) } co.yield(t) end)
		c()
	end
	local after = resident()
	assert(before == nil or after - before < 60000, after and after - before)
end

-- A crowd that is alive, and then is not.
do
	local all, before = {}, resident()
	for i = 1, CROWD do
		all[i] = co.wrap(function(a) for n = 1, 3 do a = a + co.yield(a + n) end return a end)
		assert(all[i](i) == i + 1)
	end
	local full = resident()
	for i = CROWD, 1, -1 do assert(all[i](1) == i + 1 + 2) end
	for i = 1, CROWD, 2 do assert(all[i](1) == i + 2 + 3 and all[i](1) == i + 3) end
	all = nil
	collectgarbage()
	collectgarbage()
	if before then
		print(("# %d alive: %.1f KiB each; when they are gone %.1f KiB remain of it"):format(CROWD, (full - before) / CROWD,
			(resident() - before) / CROWD))
		assert(full - before < CROWD * 12)
	end
end

-- Errors leave what a traceback wants; close and wrap run what is pending.
do
	local order = {}
	local function pending(name, fail)
		return setmetatable({}, { __close = function(_, e)
			order[#order + 1] = name .. ":" .. tostring(e)
			if fail then error(fail, 0) end
		end })
	end
	local function body()
		local a <close> = pending("a")
		local b <close> = pending("b", "from b")
		table.sort({ 2, 1 }, function(x, y)
			local c <close> = pending("c")
			co.yield(1)
			return x < y
		end)
	end
	local c = co.create(body)
	assert(co.resume(c))
	local ok, e, _ = co.close(c)
	assert(ok == false and e == "from b" and table.concat(order, " ") == "c:nil b:nil a:from b", table.concat(order, " "))
	assert(co.status(c) == "dead")
	assert(co.close(c) == true)
	assert(select(2, co.resume(c)) == "cannot resume dead coroutine")

	order = {}
	c = co.create(function() local a <close> = pending("a") error("x", 0) end)
	ok, e = co.resume(c)
	assert(not ok and e == "x" and co.status(c) == "dead" and #order == 0)
	assert(debug.traceback(c):find("in function 'error'", 1, true))
	ok, e = co.close(c)
	assert(not ok and e == "x" and order[1] == "a:x")

	order = {}
	local w = co.wrap(function() local a <close> = pending("a") error("x") end)
	ok, e = pcall(w)
	assert(not ok and e:find("x$") and "a:" .. e:sub(2 - #order[1]) == order[1], e)

	c = co.create(function() co.close(co.running()) end)
	ok, e = co.resume(c)
	assert(not ok and e:find("cannot close a running coroutine", 1, true), e)
	c = co.create(function() return co.resume(co.create(function() co.close(c) end)) end)
	_, ok, e = co.resume(c)
	assert(ok == false and e:find("cannot close a normal coroutine", 1, true), e)
	for _, bad in ipairs { 0, "x", {}, print } do
		for _, f in ipairs { "resume", "status", "close" } do
			assert(select(2, pcall(co[f], bad)):find("thread expected"))
		end
	end
	assert(select(2, pcall(co.create, 0)):find("function expected"))
	assert(select(2, pcall(co.yield)):find("outside a coroutine"))
end

-- A traceback through C functions, seen from outside.
do
	local c = co.create(function() table.sort({ 2, 1 }, function(a, b) co.yield() return a < b end) end)
	co.resume(c)
	local trace = debug.traceback(c)
	local yield, sort = trace:find("coroutine.yield'", 1, true), trace:find("table.sort'", 1, true)
	assert(yield and sort and yield < sort, trace)
	assert(debug.getlocal(c, 1, 1) == "a" and debug.getinfo(c, 0, "f").func == co.yield)
end

-- Mixtures.  A coroutine of the one library within one of the other, and one that begins with the one and goes on with the other.
do
	local c = co.create(function(a) return stock.yield(a + 1) + 1 end)	-- lua_yieldk(), by C code that knows nothing of us
	assert(select(2, co.resume(c, 1)) == 2 and co.status(c) == "suspended")
	assert(select(2, co.resume(c, 5)) == 6 and co.status(c) == "dead")
	local many = co.create(function() return select("#", stock.yield()) end)
	co.resume(many)
	assert(select(2, co.resume(many, table.unpack({}, 1, 200))) == 200)

	local inner = stock.wrap(function() co.yield(1) stock.yield(2) return 3 end)	-- ours where nobody of ours runs
	assert(inner() == 1 and inner() == 2 and inner() == 3)

	local outer = co.wrap(function()
		local s = stock.wrap(function() stock.yield(10) co.yield(20) return 30 end)
		for i = 1, 3 do co.yield(s()) end
	end)
	assert(outer() == 10 and outer() == 20 and outer() == 30)

	local t = stock.create(function(x) return co.yield(x) end)		-- made there, run here
	assert(select(2, co.resume(t, 4)) == 4 and co.status(t) == "suspended")
	assert(select(2, stock.resume(t, 5)):find("non%-suspended"))		-- which stock Lua takes for a running one
	assert(select(2, co.resume(t, 6)) == 6)

	t = stock.create(function(x) return stock.yield(x) end)			-- begun there
	assert(select(2, stock.resume(t, 4)) == 4 and co.status(t) == "suspended" and co.isyieldable(t))
	assert(select(2, co.resume(t, 6)) == 6 and co.status(t) == "dead")

	t = co.create(function(x) return stock.yield(x) end)			-- made here, run there
	assert(select(2, stock.resume(t, 4)) == 4 and co.status(t) == "suspended")
	assert(select(2, stock.resume(t, 6)) == 6 and co.status(t) == "dead")

	t = co.create(print)
	assert(stock.close(t) and co.status(t) == "dead")
	t = co.create(co.yield)
	co.resume(t)
	assert(not pcall(stock.close, t))					-- it holds a C stack: ours to close
	assert(co.close(t))
end

-- What the resumer collects meanwhile, in both modes of the collector.
for _, mode in ipairs { "generational", "incremental" } do
	collectgarbage(mode)
	local sum = 0
	for i = 1, 300 do
		local w = co.wrap(function(n)
			local t = {}
			return (string.gsub(string.rep("ab", n), "%w", function(c)
				t[#t + 1] = { c, co.yield(#t) }
				return c .. t[#t][1]
			end))
		end)
		local v = w(i % 7 + 1)
		while type(v) == "number" do
			if v % 3 == 0 then collectgarbage("step") end
			sum = sum + v
			v = w({ v })
		end
		assert(#v == 4 * (i % 7 + 1))
		if i % 50 == 0 then collectgarbage() end
	end
	assert(sum > 0)
end

-- The state is closed from within.
if arg[2] ~= "inner" then
	local lua, i = arg[-1], -1
	while arg[i - 1] do i = i - 1 lua = arg[i] end
	for _, code in ipairs {
		"local co = require 'reap.coroutine' co.wrap(function() os.exit(true, true) end)()",
		"local co = require 'reap.coroutine' local x = co.wrap(function() co.yield() end) x() os.exit(true, true)",
		"local co = require 'reap.coroutine' co.wrap(function() table.sort({1, 2}, function() os.exit(true, true) end) end)()",
		-- what ends after the module
		"local f = setmetatable({}, { __gc = function() assert(not pcall(co.wrap(print))) end }) co = require 'reap.coroutine'",
		"co = require 'reap.coroutine' local f = setmetatable({}, { __gc = function() co.wrap(function() co.yield() end)() end })",
		"co = require 'reap.coroutine' c = co.wrap(function() local f = setmetatable({}, { __gc = function() c() end }) " ..
			"co.yield() end) c()",
	} do
		local p = io.popen(("%s -e %q 2>&1"):format(lua, (code:gsub("%s+", " "))))
		local said = p:read("a")
		local ok = p:close()
		assert(ok and said == "", code .. ": " .. said)
	end
end
print("limits: ok")
