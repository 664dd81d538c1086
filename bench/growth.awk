# SPDX-License-Identifier: BSD-2-Clause
# With medians.awk before it, and cases that are named CURVE/X: by which factor each who's median
# grows from the smallest X to the largest, and what that is for ten times as much: 1 is flat, 10
# is in proportion. The last line is the subject's worst.
#   subject, target   as summary.awk has them
#   only              "CURVE ...": those that count as they are
#   beside            "CURVE ...": those that count as ratios to the growth of `ref`, since the
#                     machine's own costs grow in them
function decades(c) { return log(largest[c] / smallest[c]) / log(10) }

END {
	summarize_all()
	n = split(only, part, " ")
	for (i = 1; i <= n; i++)
		counts[part[i]] = 1
	n = split(beside, part, " ")
	for (i = 1; i <= n; i++)
		counts[part[i]] = 2
	for (i = 1; i <= cases; i++) {
		split(case_name[i], part, "/")
		for (j = 1; j <= whos; j++) {
			k = key(case_name[i], who_name[j])
			c = key(part[1], who_name[j])
			if (!(part[1] in counts) || !(k in values))
				continue
			if (!(c in smallest)) {
				order[++curves] = c
				curve[c] = part[1]
				of[c] = who_name[j]
				smallest[c] = part[2] + 0
				first[c] = median[k]
			}
			largest[c] = part[2] + 0
			last[c] = median[k]
		}
	}
	for (i = 1; i <= curves; i++) {
		c = order[i]
		if (largest[c] > smallest[c])
			decade[c] = exp(log(last[c] / first[c]) / decades(c))
	}
	printf "  %-16s %-10s %10s %10s %10s %10s  %s\n", "growth of", "who", "from", "to", "factor", "a decade", "to " ref
	for (i = 1; i <= curves; i++) {
		c = order[i]
		if (!(c in decade))
			continue
		held = decade[c]
		base = key(curve[c], ref)
		text = ""
		if (counts[curve[c]] == 2 && base in decade && largest[base] == largest[c]) {
			held /= decade[base]
			text = sprintf("%.3f", held)
		}
		printf "  %-16s %-10s %10d %10d %10s %10s  %s\n", curve[c], of[c], smallest[c], largest[c],
			number(last[c] / first[c]), number(decade[c]), text
		if (of[c] == subject && held > worst)
			worst = held
	}
	printf "ratio: %.3f (target <= %s)\n", worst, target
}
