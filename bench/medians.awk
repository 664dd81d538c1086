# SPDX-License-Identifier: BSD-2-Clause
# Reads "case who value", with the MiB that are resident then, where they are told: what summary.awk, table.awk and growth.awk begin with. After
# summarize_all() there are median, q1, q3 and count by key(case, who); case_name[1..cases] and
# who_name[1..whos] are in the order in which they came.
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

# The median of numbers in a text.
function middle(text,   a, n, i)
{
	n = split(text, a, " ")
	for (i = 1; i <= n; i++)
		a[i] += 0
	sort(a, n)
	return quantile(a, n, 0.5)
}

function number(v) { return sprintf(v >= 100 ? "%.0f" : v >= 10 ? "%.1f" : "%.2f", v) }

function summarize_all(   k)
{
	for (k in values)
		summarize(k)
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
	if (NF > 3) {
		resident[key($1, $2)] = resident[key($1, $2)] " " $4
		residents++
	}
}
