-- SPDX-License-Identifier: BSD-2-Clause
-- Tables, strings and closures, many of them short-lived. Usage: objects.lua ROUNDS
local seed = 88172645

local function random(n)
	seed = (seed * 1103515245 + 12345) % 2147483648
	return seed // 8 % n + 1
end

local function round()
	local kept, length = {}, 0
	for i = 1, 60000 do
		local item = { id = i, name = "item" .. i, tags = { random(10), random(100) } }
		item.describe = function() return item.name .. ":" .. item.tags[1] end
		kept[random(20000)] = item
		if i % 8 == 0 then
			length = length + #item.describe()
		end
	end
	local parts = {}
	for key, item in pairs(kept) do
		parts[#parts + 1] = key .. "=" .. item.name
	end
	table.sort(parts)
	local text = table.concat(parts, ",")
	for word in text:gmatch("item%d+") do
		length = length + #word
	end
	return length
end

local total = 0
for _ = 1, tonumber(arg[1]) do
	total = total + round()
end
print("checksum=" .. total)
