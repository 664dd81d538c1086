# SPDX-License-Identifier: BSD-2-Clause
# Reads "case who value", prints for each case and who the median and the middle half
# of the values, the ratio to `ref`, and as the last line what is held against the target.
#   subject  whose ratio it is           ref     to whom; empty: the median itself counts
#   target   what it should not exceed   unit    of the values
#   only     cases that count for the last line; empty: all
#   wanted   "case=target ..." to show beside single cases
#   best     "1": ref is whoever of the others has the lowest median
function key(c, w) { return c SUBSEP w }

function sort(a, n,   i, j, v)
{
	for (i = 2; i <= n; i++) {
		v = a[i]
		for (j = i - 1; j >= 1 && a[j] > v; j--)
			a[j + 1] = a[j]
		a[j + 1] = v
	}
}

# The value below which the share q of the n sorted values lies.
function quantile(a, n, q,   at, low)
{
	at = 1 + (n - 1) * q
	low = int(at)
	return low >= n ? a[n] : a[low] + (at - low) * (a[low + 1] - a[low])
}

function summarize(k,   a, n, i)
{
	n = split(values[k], a, " ")
	for (i = 1; i <= n; i++)
		a[i] += 0
	sort(a, n)
	median[k] = quantile(a, n, 0.5)
	q1[k] = quantile(a, n, 0.25)
	q3[k] = quantile(a, n, 0.75)
	count[k] = n
}

function number(v) { return sprintf(v >= 100 ? "%.0f" : v >= 10 ? "%.1f" : "%.2f", v) }

function reference(c,   i, who, found)
{
	if (!best)
		return ref
	found = ""
	for (i = 1; i <= whos; i++) {
		who = who_name[i]
		if (who != subject && (key(c, who) in values) &&
		    (found == "" || median[key(c, who)] < median[key(c, found)]))
			found = who
	}
	return found
}

function row(c, who, against,   k, text)
{
	k = key(c, who)
	text = sprintf("  %-16s %-10s %10s  %10s .. %-10s n=%-3d", c, who, number(median[k]), number(q1[k]),
	               number(q3[k]), count[k])
	if (against != "" && median[key(c, against)] > 0)
		text = text sprintf("  %.3f", median[k] / median[key(c, against)])
	if (who == subject && (c in goal))
		text = text "  (target <= " goal[c] ")"
	sub(/ +$/, "", text)
	print text
}

function result(c,   against)
{
	against = reference(c)
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

{
	if (!($1 in case_seen)) {
		case_seen[$1] = 1
		case_name[++cases] = $1
	}
	if (!($2 in who_seen)) {
		who_seen[$2] = 1
		who_name[++whos] = $2
	}
	values[key($1, $2)] = values[key($1, $2)] " " $3
}

END {
	for (k in values)
		summarize(k)
	printf "  %-16s %-10s %10s  %10s .. %-10s %s\n", "case", "who", "median", "quarter", "quarter",
		best ? "rounds  to the best other" : ref != "" ? "rounds  to " ref : "rounds"
	worst = -1
	for (i = 1; i <= cases; i++) {
		c = case_name[i]
		for (j = 1; j <= whos; j++)
			if (key(c, who_name[j]) in values)
				row(c, who_name[j], reference(c))
		if ((only == "" || (c in counts)) && (key(c, subject) in values) && result(c) > worst)
			worst = result(c)
	}
	if (worst < 0) {
		print "ratio: none"
		exit 1
	}
	printf "ratio: %s%s (target <= %s%s)\n", ref == "" && !best ? number(worst) : sprintf("%.3f", worst), unit,
		target, unit
}
