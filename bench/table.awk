# SPDX-License-Identifier: BSD-2-Clause
# With medians.awk before it: a row for each case, a column for each who, the medians. With a
# `subject`, whose largest median is the last line.
#   subject, target, unit   as summary.awk has them
END {
	summarize_all()
	printf "  %-20s", "case"
	for (j = 1; j <= whos; j++)
		printf " %11s", who_name[j]
	print ""
	worst = -1
	for (i = 1; i <= cases; i++) {
		printf "  %-20s", case_name[i]
		for (j = 1; j <= whos; j++) {
			k = key(case_name[i], who_name[j])
			printf " %11s", (k in values) ? number(median[k]) : "-"
			if (who_name[j] == subject && (k in values) && median[k] > worst)
				worst = median[k]
		}
		print ""
	}
	if (subject != "")
		printf "ratio: %s%s (target <= %s%s)\n", number(worst), unit, target, unit
}
