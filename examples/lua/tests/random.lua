-- SPDX-License-Identifier: ISC
-- random.lua: random coroutine programs, run with stock coroutines and with the module's: they must do the same, word by word.
-- usage: lua5.4 random.lua [PROGRAMS [FIRST_SEED]]
--
-- No __concat: the Lua 5.4.4 of Debian 12 works on with a stack that has been moved if such a metamethod makes it grow, also with
-- stock coroutines; such programs find that soon.
local mine = require "reap.coroutine"
local stock = coroutine
local programs, first = tonumber(arg[1]) or (os.getenv("REAP_TEST_LONG") and 20000 or 500), tonumber(arg[2]) or 1
local SLOTS, STEPS, NEST = 6, 150, 12

-- One program: all that it does follows from the seed, as long as coroutines behave alike.  Returns what happened.
local function program(seed, co)
	local state, trace, left, nest = seed * 2654435761 & 0xffffffff, {}, STEPS, 0
	local slots, names, wraps = {}, {}, {}
	local step

	local function random(n)
		state = (state * 1103515245 + 12345) & 0x7fffffff
		return (state >> 8) % n + 1
	end
	-- Without addresses.
	local function show(v)
		local kind = type(v)
		if kind == "thread" then return names[v] or "main" end
		if kind == "table" then return "{" .. tostring(v.n) .. "}" end
		return kind == "function" and kind or tostring(v)
	end
	local function say(what, ...)
		local t = table.pack(...)
		for i = 1, t.n do t[i] = show(t[i]) end
		trace[#trace + 1] = what .. "(" .. table.concat(t, ",", 1, math.min(t.n, 5)) .. ":" .. t.n .. ")"
	end
	-- Some values: none, few, more than a C function has room for, very many.
	local function values()
		local n, t = ({ 0, 1, 2, 3, 17, 18, 19, 25, 60, 300 })[random(10)], {}
		for i = 1, n do t[i] = random(100) end
		if n > 1 and random(2) == 1 then t[n] = nil end
		return table.unpack(t, 1, n)
	end
	local function raise()
		local kind = random(5)
		if kind == 1 then error("message " .. random(9)) end
		if kind == 2 then error({ n = random(9) }) end
		if kind == 3 then error() end
		if kind == 4 then error("bare", 0) end
		local x = nil
		return x.field
	end
	local function closing(name)
		return setmetatable({}, { __close = function(_, e)
			say("close " .. name, e)
			local what = random(6)
			if what == 1 then raise() end
			if what == 2 then say("in close", pcall(co.yield, 1)) end
			if what == 3 then say("resume in close", co.resume(slots[random(SLOTS)] or co.running(), 7)) end
		end })
	end
	local meta = {
		__index = function(_, k) return co.isyieldable() and co.yield(k) or k end,
		__add = function() step() return random(9) end,
		__eq = function() if co.isyieldable() then co.yield("eq") end return random(2) == 1 end,
		__lt = function() step() return true end,
		__call = function(_, ...) step() return ... end,
		__len = function() step() return 3 end,
	}
	local function body(name)
		return function(...)
			say("starts " .. name, ...)
			local n = random(4)
			for _ = 1, n do step() end
			say("ends " .. name)
			return values()
		end
	end
	local function pick()
		return slots[random(SLOTS)] or co.running()
	end
	local function enter(f, ...)
		if nest >= NEST then return "deep" end
		nest = nest + 1
		local t = table.pack(pcall(f, ...))
		nest = nest - 1
		return table.unpack(t, 1, t.n)
	end

	local ops = {
		function()				-- a new one
			local i = random(SLOTS)
			local name = "co" .. #trace
			slots[i] = co.create(body(name))
			names[slots[i]] = name
			say("create", slots[i], co.status(slots[i]))
		end,
		function() say("resume", enter(co.resume, pick(), values())) end,
		function() say("resume", enter(co.resume, pick(), values())) end,
		function() say("resume", enter(co.resume, pick())) end,
		function() if co.isyieldable() then say("yielded", co.yield(values())) end end,
		function() if co.isyieldable() then say("yielded", co.yield(values())) end end,
		function() if co.isyieldable() then say("yielded", select("#", co.yield())) end end,
		function() local c = pick() say("status", c, co.status(c), co.isyieldable(c)) end,
		function() say("running", co.running()) end,
		function() say("close", pcall(co.close, pick())) end,
		function() wraps[random(3)] = co.wrap(body("wrap" .. #trace)) end,
		function() local w = wraps[random(3)] if w then say("wrapped", enter(w, values())) end end,
		function() say("pcall", pcall(function() step() if random(2) == 1 then raise() end step() return values() end)) end,
		function() say("xpcall", xpcall(function() step() raise() end, function(m) return type(m) end)) end,
		function()
			say("tbc", pcall(function()
				local a <close> = closing("a" .. #trace)
				local b <close> = closing("b" .. #trace)
				step()
				if random(3) == 1 then raise() end
				step()
				return 1
			end))
		end,
		function()
			local t, u = setmetatable({}, meta), setmetatable({}, meta)
			local ok, e = pcall(function()
				local what = random(6)
				if what == 1 then return t.key end
				if what == 2 then return t + 1 end
				if what == 3 then return t == u end
				if what == 4 then return t < u end
				if what == 5 then return t(1, 2) end
				return #t
			end)
			say("metamethod", ok, e)
		end,
		function()
			local sum = 0
			for v in function(_, i) if i < 3 then step() return i + 1 end end, nil, 0 do sum = sum + v end
			say("for", sum)
		end,
		function() collectgarbage("step", random(10)) end,
		function() if random(10) == 1 then collectgarbage() end end,
		function() raise() end,
		function()				-- deep
			local function down(n) if n == 0 then step() return 0 end return 1 + down(n - 1) end
			say("down", down(random(100)))
		end,
		function()				-- its frames
			local c, level, names = pick(), 0, ""
			local info = debug.getinfo(c, level, "nSl")
			while info and level < 10 do
				names = names .. " " .. info.currentline .. (info.what == "C" and info.name ~= "yield" and info.name or "")
				level = level + 1
				info = debug.getinfo(c, level, "nSl")
			end
			say("frames", c, names)
		end,
		function() slots[random(SLOTS)] = nil end,
	}
	function step()
		if left == 0 then return end
		left = left - 1
		ops[random(#ops)]()
	end
	while left > 0 do
		local ok, e = pcall(step)
		if not ok then say("error", e) end
	end
	for i = 1, SLOTS do
		if slots[i] then say("at the end", slots[i], co.status(slots[i]), co.close(slots[i])) end
	end
	return trace
end

local steps = 0
for seed = first, first + programs - 1 do
	local want, got = program(seed, stock), program(seed, mine)
	steps = steps + #want
	for i = 1, math.max(#want, #got) do
		if want[i] ~= got[i] then
			print(("seed %d, event %d:"):format(seed, i))
			for j = math.max(1, i - 5), i - 1 do print("", want[j]) end
			print("stock", want[i])
			print("module", got[i])
			os.exit(1)
		end
	end
end
print(("%d programs, %d events: alike"):format(programs, steps))
if steps < programs * STEPS / 4 then
	print("too few of them")
	os.exit(1)
end
