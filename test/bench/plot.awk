#!/usr/bin/awk -f
# SPDX-License-Identifier: MPL-2.0
# plot.awk -v machine=TEXT TABLE: bars as SVG on standard output. A line of TABLE is VARIANT, METRIC, VALUE, UNIT, by tabs;
# a panel for each metric, two beside each other, a bar for each variant that has it, ours in another colour.
BEGIN { FS = "\t"; bar = 15; left = 190; width = 560; gap = 30; head = 46 }
function text(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); return s }
function most_of(a, b) { return a > b ? a : b }
!($2 in unit) { unit[$2] = $4; metric[++m] = $2 }
!(($2, $1) in value) { variant[$2, ++n[$2]] = $1 }
{ value[$2, $1] = $3; most[$2] = most_of(most[$2], $3 + 0) }
function panel(name, x, y,    i, v, top, long) {
	printf "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s, %s</text>\n", x, y + 16, text(name), text(unit[name])
	for (i = 1; i <= n[name]; i++) {
		v = value[name, variant[name, i]]
		top = y + 24 + (i - 1) * bar
		long = most[name] > 0 ? v / most[name] * (width - left - 60) : 0
		printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", x + left - 6, top + 10, text(variant[name, i])
		printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", x + left, top, long, bar - 3,
			variant[name, i] ~ /^pubaddr/ ? "#1b6ca8" : variant[name, i] ~ /^(none|forward)/ ? "#bbbbbb" : "#e09f3e"
		printf "<text x=\"%.1f\" y=\"%d\">%s</text>\n", x + left + long + 4, top + 10, v
	}
}
END {
	if (m == 0) exit 1
	for (j = 1; j <= m; j += 2) {
		y[j] = height
		height += 38 + bar * most_of(n[metric[j]], j < m ? n[metric[j + 1]] : 0)
	}
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"11\">\n",
		2 * width + gap + 20, head + height
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
	print "<text x=\"10\" y=\"18\" font-size=\"14\" font-weight=\"bold\">Tunnels: client, NAT, gateway, peer on one machine</text>"
	printf "<text x=\"10\" y=\"35\" fill=\"#555\">%s</text>\n", text(machine)
	for (j = 1; j <= m; j++)
		panel(metric[j], 10 + (j - 1) % 2 * (width + gap), head + y[j - (j - 1) % 2])
	print "</svg>"
}
