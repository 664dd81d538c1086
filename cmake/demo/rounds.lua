-- SPDX-License-Identifier: BSD-2-Clause
-- Fills a table with strings of 1 MiB until there is no more memory, and drops it, round
-- after round; then works on small things. Usage: rounds.lua ROUNDS SECONDS
-- Prints "round N: STRINGS MESSAGE" for each, at the end "peak_kib=... rss_kib=...".

local SIZE = 2^20 - 100
local MOST = 4000 -- more means that nothing bounds us

local function fill(strings)
	for i = 1, MOST do
		strings[i] = string.rep("x", SIZE)
	end
end

local function small_work(seconds)
	local finish = os.time() + seconds + 1
	while os.time() < finish do
		local words = {}
		for i = 1, 1000 do
			words[i] = tostring(i)
		end
		assert(#table.concat(words) == 2893)
		collectgarbage() -- after strings of that size lua would collect much later
	end
end

local function status(key)
	for line in io.lines("/proc/self/status") do
		local kib = line:match("^" .. key .. ":%s*(%d+)")
		if kib then
			return kib
		end
	end
end

for i = 1, tonumber(arg[1]) do
	local strings = {}
	local done, message = pcall(fill, strings)
	if done then
		io.stderr:write("rounds.lua: no limit in sight\n")
		os.exit(1)
	end
	print(("round %d: %d %s"):format(i, #strings, message))
	strings = nil
	collectgarbage()
end
small_work(tonumber(arg[2]))
print(("peak_kib=%s rss_kib=%s"):format(status("VmHWM"), status("VmRSS")))
