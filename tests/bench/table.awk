# SPDX-License-Identifier: Apache-2.0
# A table of the results of filesystems.sh: a row a phase, in the order of the runs; a column a filesystem.  Input:
#   phase|filesystem|run|seconds, or FAILED|MB written
#
# order: the filesystems.  kind:
#   seconds  the median, and the time of Thunderhead relative to it
#   mb       the same of the MB written, where Thunderhead writes at least one
#   spread   the fastest and the slowest run; then the smallest and the largest ratio within one run
#   jobs     of a phase with 1 job and with 4: the speedup
BEGIN { FS = "|" }
!($1 in seen) { seen[$1] = 1; phase[++phases] = $1 }
{
	if ($4 == "FAILED") failed[$1, $2] = 1
	value[$1, $2, $3] = kind == "mb" ? $5 : $4
	if ($3 > runs) runs = $3
}

# Sorts the figures of a phase, or with `ours` their ratios to Thunderhead's, into sorted[1...n].  Returns n.
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
	if (kind == "spread") return spread(name, fs)
	if (kind == "jobs") return jobs(name, fs)
	return plain(name, fs)
}

END {
	n = split(order, fs, " ")
	printf "| phase |"; for (i = 1; i <= n; i++) printf " %s |", fs[i]; print ""
	printf "| --- |"; for (i = 1; i <= n; i++) printf " ---: |"; print ""
	for (p = 1; p <= phases; p++) {
		if (kind == "mb" && median(phase[p], "thunderhead") < 1) continue
		if (kind == "jobs" && phase[p] !~ /, 4 jobs$/) continue
		printf "| %s |", phase[p]
		for (i = 1; i <= n; i++) {
			text = cell(phase[p], fs[i])
			printf text == "" ? " |" : " %s |", text
		}
		print ""
	}
}
