# SPDX-License-Identifier: BSD-2-Clause
# With medians.awk before it: prints for each case and who the median and the middle half
# of the values, the ratio to `ref`, and as the last line what is held against the target.
#   subject  whose ratio it is           ref     to whom; empty: the median itself counts
#   target   what it should not exceed   unit    of the values
#   only     cases that count for the last line; empty: all
#   wanted   "case=target ..." to show beside single cases
#   best     what it should not exceed of whoever of the others has the lowest median; without
#            `ref` nothing else counts
function best_other(c,   i, who, found)
{
	for (i = 1; i <= whos; i++) {
		who = who_name[i]
		if (who != subject && (key(c, who) in values) &&
		    (found == "" || median[key(c, who)] < median[key(c, found)]))
			found = who
	}
	return found
}

function reference(c) { return ref == "" && best ? best_other(c) : ref }

function row(c, who, against,   k, text)
{
	k = key(c, who)
	text = sprintf("  %-16s %-10s %10s  %10s .. %-10s n=%-3d", c, who, number(median[k]), number(q1[k]),
	               number(q3[k]), count[k])
	if (residents)
		text = text (k in resident ? sprintf(" %8s MiB", number(middle(resident[k]))) : sprintf("%13s", ""))
	if (against != "" && median[key(c, against)] > 0)
		text = text sprintf("  %.3f", median[k] / median[key(c, against)])
	if (who == subject && (c in goal))
		text = text "  (target <= " goal[c] ")"
	sub(/ +$/, "", text)
	print text
}

function result(c, against)
{
	if (against == "")
		return median[key(c, subject)]
	return median[key(c, subject)] / median[key(c, against)]
}

BEGIN {
	n = split(wanted, part, " ")
	for (i = 1; i <= n; i++) {
		split(part[i], pair, "=")
		goal[pair[1]] = pair[2]
	}
	n = split(only, part, " ")
	for (i = 1; i <= n; i++)
		counts[part[i]] = 1
}

END {
	summarize_all()
	printf "  %-16s %-10s %10s  %10s .. %-10s %s\n", "case", "who", "median", "quarter", "quarter",
		"rounds" (residents ? "     resident" : "") (ref != "" ? "  to " ref : best ? "  to the best other" : "")
	worst = worst_best = -1
	for (i = 1; i <= cases; i++) {
		c = case_name[i]
		for (j = 1; j <= whos; j++)
			if (key(c, who_name[j]) in values)
				row(c, who_name[j], reference(c))
		if (!(key(c, subject) in values))
			continue
		if ((only == "" || (c in counts)) && result(c, reference(c)) > worst)
			worst = result(c, reference(c))
		if (best && best_other(c) != "" && result(c, best_other(c)) > worst_best)
			worst_best = result(c, best_other(c))
	}
	if (worst < 0) {
		print "ratio: none"
		exit 1
	}
	if (best && worst_best >= 0)
		printf "ratio to the best other: %.3f (target <= %s)\n", worst_best, best
	if (ref != "" || !best)
		printf "ratio: %s%s (target <= %s%s)\n", ref == "" ? number(worst) : sprintf("%.3f", worst), unit, target, unit
}
