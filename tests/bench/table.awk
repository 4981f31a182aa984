# SPDX-License-Identifier: Apache-2.0
# A table of the results of filesystems.sh: a row a phase, in the order in which they were run; a column a filesystem.
#   phase|filesystem|run|seconds, or FAILED|MB written
#
# order: the filesystems.  what:
#   seconds  the median, and how many times as long it took Thunderhead
#   mb       the same of what was written, where Thunderhead writes at least one
#   spread   the fastest and the slowest run; then the smallest and the largest of the ratios, each within one run
#   jobs     of a phase that was run with 1 job and with 4: how many times as much was done in the same time
BEGIN { FS = "|" }
!($1 in seen) { seen[$1] = 1; phase[++phases] = $1 }
{
	if ($4 == "FAILED") failed[$1, $2] = 1
	value[$1, $2, $3] = what == "mb" ? $5 : $4
	if ($3 > runs) runs = $3
}

# Into sorted[1...n], the figures of a phase, or with `ours` what Thunderhead's are over them.  n.
function collect(name, fs, ours,    run, n, i, t) {
	delete sorted
	for (run = 1; run <= runs; run++) {
		t = value[name, fs, run]
		if (t == "" || (ours && (value[name, "thunderhead", run] == "" || t + 0 == 0))) continue
		t = ours ? value[name, "thunderhead", run] / t : t + 0
		for (i = n++; i > 0 && sorted[i] > t; i--) sorted[i + 1] = sorted[i]
		sorted[i + 1] = t
	}
	return n + 0
}

function median(name, fs,    n) {
	n = collect(name, fs)
	return n ? sorted[int((n + 1) / 2)] : ""
}

function plain(name, fs,    mine, ours) {
	mine = median(name, fs)
	ours = failed[name, "thunderhead"] ? "" : median(name, "thunderhead")
	if (mine == "") return ""
	if (fs == "thunderhead" || ours == "" || mine == 0) return sprintf("%.3f", mine)
	return sprintf("%.3f (%.2f)", mine, ours / mine)
}

function spread(name, fs,    n, text) {
	n = collect(name, fs)
	if (!n) return ""
	text = sprintf("%.3f to %.3f", sorted[1], sorted[n])
	if (fs == "thunderhead" || failed[name, "thunderhead"]) return text
	n = collect(name, fs, 1)
	return n ? text sprintf(" (%.2f to %.2f)", sorted[1], sorted[n]) : text
}

function jobs(name, fs,    one, four, first) {
	first = name
	sub(/, 4 jobs$/, ", 1 job", first)
	one = median(first, fs)
	four = median(name, fs)
	return one == "" || four == "" || four == 0 || failed[first, fs] ? "" : sprintf("%.2f", one / four)
}

function cell(name, fs) {
	if (failed[name, fs]) return "FAILED"
	if (what == "spread") return spread(name, fs)
	if (what == "jobs") return jobs(name, fs)
	return plain(name, fs)
}

END {
	n = split(order, fs, " ")
	printf "| phase |"; for (i = 1; i <= n; i++) printf " %s |", fs[i]; print ""
	printf "| --- |"; for (i = 1; i <= n; i++) printf " ---: |"; print ""
	for (p = 1; p <= phases; p++) {
		if (what == "mb" && median(phase[p], "thunderhead") < 1) continue
		if (what == "jobs" && phase[p] !~ /, 4 jobs$/) continue
		printf "| %s |", phase[p]
		for (i = 1; i <= n; i++) {
			text = cell(phase[p], fs[i])
			printf text == "" ? " |" : " %s |", text
		}
		print ""
	}
}
