#!/usr/bin/awk -f
# SPDX-License-Identifier: MPL-2.0
# plot.awk -v machine=TEXT TABLE: bars as SVG on standard output. A line of TABLE is VARIANT, METRIC, VALUE, UNIT, by tabs;
# a panel for each metric, two beside each other, a bar for each variant, ours in another colour.
BEGIN { FS = "\t"; bar = 15; left = 190; width = 560; gap = 30; head = 46 }
function text(s) { gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); return s }
!($1 in seen) { seen[$1] = 1; variant[++n] = $1 }
!($2 in unit) { unit[$2] = $4; metric[++m] = $2 }
{ value[$2, $1] = $3; if ($3 + 0 > most[$2]) most[$2] = $3 + 0 }
END {
	if (n == 0) exit 1
	panel = 24 + n * bar + 14
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"11\">\n",
		2 * width + gap + 20, head + int((m + 1) / 2) * panel
	print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
	print "<text x=\"10\" y=\"18\" font-size=\"14\" font-weight=\"bold\">Tunnels: client, NAT, gateway, peer on one machine</text>"
	printf "<text x=\"10\" y=\"35\" fill=\"#555\">%s</text>\n", text(machine)
	for (j = 1; j <= m; j++) {
		x = 10 + (j - 1) % 2 * (width + gap)
		y = head + int((j - 1) / 2) * panel
		printf "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s, %s</text>\n", x, y + 16, text(metric[j]), text(unit[metric[j]])
		for (i = 1; i <= n; i++) {
			v = value[metric[j], variant[i]]
			top = y + 24 + (i - 1) * bar
			long = most[metric[j]] > 0 ? v / most[metric[j]] * (width - left - 60) : 0
			printf "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", x + left - 6, top + 10, text(variant[i])
			if (v == "") { print ""; continue }
			printf "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>", x + left, top, long, bar - 3,
				variant[i] ~ /^pubaddr/ ? "#1b6ca8" : variant[i] ~ /^none/ ? "#bbbbbb" : "#e09f3e"
			printf "<text x=\"%.1f\" y=\"%d\">%s</text>\n", x + left + long + 4, top + 10, v
		}
	}
	print "</svg>"
}
