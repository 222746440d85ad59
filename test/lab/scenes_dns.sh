# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenarios of acceptance: the zone of relay A, right and wrong. Sourced by it.

scene_dns_right() {
	need a
	need b
	local host
	for host in a b; do
		cmdeploy dns --config "$work/$host.ini" || fail "$host: $(cat "$work/said")"
		says '^Name servers of '
		! grep -vE '^right |^$|^Name servers|^  ns\.|is right\.$' "$work/said" ||
			fail "$host: more is said: $(cat "$work/said")"
	done
}

# broken NAME STATUS EXPECTED SED-SCRIPT: with the zone so edited cmdeploy dns must end with
# STATUS, and find nothing but EXPECTED, "VERDICT TYPE NAME", not right.
broken() {
	local status=0 found
	sed -E "$4" "$work/zone.good" >"$work/zone.broken"
	! cmp -s "$work/zone.good" "$work/zone.broken" || fail "$1: the zone is not broken"
	"$lab" dns set "$work/zone.broken"
	cmdeploy dns --config "$work/a.ini" || status=$?
	echo "--- $1: $status"
	cat "$work/said"
	found=$(awk '/^(wrong|missing|doubtful|no answer) / { sub(/:$/, "", $3); print $1, $2, $3 }' "$work/said")
	[ "$found" = "$3" ] || fail "$1: found '$found' instead of '$3'"
	[ "$status" = "$2" ] || fail "$1: exit code $status instead of $2"
	figures=$((figures + 1))
}

scene_dns_broken() {
	local figures=0 d='relay-a\.example\.'
	need a
	"$lab" dns show >"$work/zone.good"
	trap '"$lab" dns set "$work/zone.good"' EXIT
	broken "no address" 1 "missing A relay-a.example." "/^$d .* A /d"
	# The server's own is a private one, which says nothing of what others must see.
	broken "an IPv6 address of nobody" 0 "doubtful AAAA relay-a.example." \
		"s/^($d .* )A +10.*/&\n\1AAAA 2001:db8::9/"
	broken "no MX" 1 "missing MX relay-a.example." "/^$d .* MX /d"
	broken "MX elsewhere" 1 "wrong MX relay-a.example." "s/^($d .* MX +10) .*/\1 _relay-b.example./"
	broken "no www" 1 "missing CNAME www.relay-a.example." "/^www\.$d/d"
	broken "no DKIM key" 1 "missing TXT opendkim._domainkey.relay-a.example." \
		"/^opendkim\._domainkey\.$d/d"
	broken "half a DKIM key" 1 "wrong TXT opendkim._domainkey.relay-a.example." \
		"s/^(opendkim\._domainkey\.$d .* TXT +\"[^\"]*\").*/\1/"
	broken "the DKIM key of another" 1 "wrong TXT opendkim._domainkey.relay-a.example." \
		"s/^(opendkim\._domainkey\.$d .* TXT .*MII.{40})..../\1AbCd/"
	broken "no SPF" 0 "missing TXT relay-a.example." "/^$d .* TXT /d"
	broken "SPF twice" 0 "wrong TXT relay-a.example." "s/^($d .* TXT ).*/&\n\1\"v=spf1 -all\"/"
	broken "DMARC that asks for nothing" 0 "wrong TXT _dmarc.relay-a.example." \
		"s/^(_dmarc\.$d.*)p=reject/\1p=none/"
	broken "SRV with another port" 0 "wrong SRV _imaps._tcp.relay-a.example." \
		"s/^(_imaps\._tcp\.$d.*) 993 /\1 143 /"
	figure "$figures broken zones"
}
