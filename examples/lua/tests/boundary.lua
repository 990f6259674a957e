-- SPDX-License-Identifier: ISC
-- boundary.lua: yields across C functions: what stock Lua refuses, case by case.  Each says what it gave when it was driven to its
-- end: the values that it yielded, in order, and what it returned.
local coroutine = require "reap.coroutine"
local stock = _G.coroutine

local failed = 0

local function check(what, ok, ...)
	if not ok then
		failed = failed + 1
		print("not ok - " .. what, ...)
	else
		print("ok - " .. what)
	end
end

-- Resumes with 1, 2, ...: each yield gets what it is answered.
local function drive(lib, body)
	local co, said, results = lib.create(body), {}, nil
	for i = 1, 1000 do
		results = table.pack(lib.resume(co, i))
		if lib.status(co) == "dead" then
			break
		end
		said[#said + 1] = tostring(results[2])
	end
	return results[1], results[2], table.concat(said, " ")
end

local cases = {
	{ "table.sort comparison", function(yield)
		local t = { 3, 1, 2 }
		table.sort(t, function(a, b) yield("sort") return a < b end)
		return table.concat(t, ",")
	end, "1,2,3" },
	{ "string.gsub callback", function(yield)
		return (string.gsub("abc", ".", function(c) return c .. yield(c) end))
	end, "a2b3c4" },
	{ "gsub through an __index", function(yield)
		return (string.gsub("xy", "%w", setmetatable({}, { __index = function(_, k) return k:upper() .. yield(k) end })))
	end, "X2Y3" },
	{ "xpcall handler", function(yield)
		local ok, message = xpcall(error, function(m) return m .. yield("handler") end, "oops")
		return tostring(ok) .. message
	end, "falseoops2" },
	{ "tostring: __tostring", function(yield)
		return tostring(setmetatable({}, { __tostring = function() return "it is " .. yield("string") end }))
	end, "it is 2" },
	{ "table.concat: __index", function(yield)
		local t = setmetatable({}, { __index = function(_, i) return yield("index") .. "" end, __len = function() return 3 end })
		return table.concat(t, ",")
	end, "2,3,4" },
	{ "table.unpack: __index", function(yield)
		return table.concat({ table.unpack(setmetatable({}, { __index = function() return yield("index") end }), 1, 3) }, ",")
	end, "2,3,4" },
	{ "load: the reader", function(yield)
		local parts = { "return ", "6", " * 7" }
		return load(function() yield("part") return table.remove(parts, 1) end)()
	end, 42 },
	{ "require: the loader's body", function(yield)
		package.preload.yielding = function() return "loaded " .. yield("body") end
		package.loaded.yielding = nil
		return (require("yielding"))
	end, "loaded 2" },
	{ "table.insert: __len, __index", function(yield)
		local t = setmetatable({}, { __len = function() yield("len") return 2 end, __index = function(_, i) yield(i) return i * 10 end })
		table.insert(t, 1)
		return rawlen(t)
	end, 0, "len" },
	{ "sort in gsub in sort", function(yield)
		local t = { 2, 1 }
		table.sort(t, function(a, b)
			local s = string.gsub("ba", "%w+", function(w)
				local inner = { 2, 1, 3 }
				table.sort(inner, function(x, y) yield(w) return x > y end)
				return inner[1]
			end)
			return s == "3" and a < b
		end)
		return t[1] .. t[2]
	end, "12" },
	{ "__lt, called by sort", function(yield)
		local mt = {}
		mt.__lt = function(a, b) yield("lt") return a.v < b.v end
		local t = { setmetatable({ v = 2 }, mt), setmetatable({ v = 1 }, mt) }
		table.sort(t)
		return t[1].v
	end, 1 },
	{ "pairs: __pairs", function(yield)
		local n = 0
		for _, v in pairs(setmetatable({}, { __pairs = function(t) yield("pairs") return next, { 5, 6 }, nil end })) do
			n = n + v
		end
		return n
	end, 11, "pairs" },
	{ "pcall", function(yield)
		return select(2, pcall(function() error("x" .. yield("pcall"), 0) end))
	end, "x2" },
	{ "metamethods: __add, __concat, __call, __eq, __index, __newindex", function(yield)
		local mt = {}
		for _, name in ipairs { "__add", "__concat", "__index" } do
			mt[name] = function() return yield(name) end
		end
		mt.__call = function(_, x) return x + yield("__call") end
		mt.__eq = function() return yield("__eq") > 0 end
		mt.__newindex = function() yield("__newindex") end
		local t, u = setmetatable({}, mt), setmetatable({}, mt)
		t.x = 1
		return (t + 1) + (t .. "") + t.y + t(1) + (t == u and 1 or 0)
	end, 3 + 4 + 5 + (1 + 6) + 1 },
	{ "for iterator", function(yield)
		local n = 0
		for v in function() local v = yield("next") return v < 4 and v or nil end do n = n + v end
		return n
	end, 5 },
	{ "__close", function(yield)
		do
			local x <close> = setmetatable({}, { __close = function() yield("close") end })
		end
		return "closed"
	end, "closed", "close" },
	{ "table.move, table.remove: __index, __newindex", function(yield)
		local t = setmetatable({}, { __index = function(_, i) return i * yield("get") end, __newindex = function(t, k, v)
			yield("set") rawset(t, k, v) end })
		table.move(t, 1, 2, 5)
		return t[5] + t[6]
	end, 2 + 2 * 4 },
	{ "string.format: __tostring, and __name", function(yield)
		return string.format("%s-%s", setmetatable({}, { __tostring = function() return "s" .. yield("format") end }), "x")
	end, "s2-x" },
}

for _, case in ipairs(cases) do
	local what, body, wanted, said = table.unpack(case)
	local ok, got, yielded = drive(coroutine, function() return body(coroutine.yield) end)
	check(what, ok and got == wanted and yielded ~= "" and (said == nil or yielded:sub(1, #said) == said), ok, got, yielded)
end

-- The twentieth: a finalizer may not yield, Lua's collector is off until it returns.  But it may resume others.
do
	local ok, message, inner
	local co = coroutine.wrap(function()
		setmetatable({}, { __gc = function()
			check("not yieldable in __gc", not coroutine.isyieldable())
			ok, message = pcall(coroutine.yield, 1)
			local t = { 2, 1 }
			inner = coroutine.wrap(function() table.sort(t, function(a, b) coroutine.yield(5) return a < b end) end)()
		end })
		collectgarbage()
		check("yieldable after it", coroutine.isyieldable())
		return "end"
	end)
	check("__gc comes to its end", co() == "end")
	check("a yield in __gc is refused", ok == false and string.find(message, "__gc", 1, true), ok, message)
	check("a coroutine may run, and yield, within __gc", inner == 5, inner)
	collectgarbage("stop")
	local stopped = coroutine.wrap(function() coroutine.yield(3) end)
	check("with the collector stopped a yield is none of its business", stopped() == 3)
	collectgarbage("restart")
end

-- How many of them stock Lua can do: the test would be for nothing if it could do them all.
do
	local can = 0
	for _, case in ipairs(cases) do
		local ok, got, yielded = drive(stock, function() return case[2](stock.yield) end)
		can = can + (ok and got == case[3] and yielded ~= "" and 1 or 0)
	end
	check("stock Lua refuses some of them", can < #cases - 8, can)
	print(("# stock Lua can do %d of %d"):format(can, #cases))
end

os.exit(failed == 0)
