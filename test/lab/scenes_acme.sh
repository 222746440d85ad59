# shellcheck shell=bash
# shellcheck disable=SC2154 # of acceptance
# Scenario of acceptance: a certificate by ACME. In the lab the directory's name leads to the
# server of test/acme, which asks relay A on port 80 as the real one would. Sourced by it.

ACME_NAME=acme-v02.api.letsencrypt.org

start_acme() {
	rm -rf "$work/acme"
	mkdir -p "$work/acme"
	"$lab" net "$build/test/acme/acme_server" --listen 10.77.0.1 --port 443 --name $ACME_NAME \
		"$work/acme" >"$work/acme.log" 2>&1 &
	acme=$!
	# lab waits for it, and does not pass signals on.
	trap 'pkill -P $acme; wait $acme 2>/dev/null || :; "$lab" dns set "$work/zone.good"' EXIT
	wait_for 10 test -e "$work/acme/ready" || fail "the ACME server does not start: $(cat "$work/acme.log")"
	"$lab" dns show >"$work/zone.good"
	printf '%s. 60 IN A 10.77.0.1\n' $ACME_NAME >"$work/acme.zone"
	"$lab" dns load "$work/acme.zone"
}

scene_acme() {
	local issuer
	"$lab" reset a
	start_acme
	on a 'cat >/usr/local/share/ca-certificates/lab-acme.crt && update-ca-certificates >/dev/null 2>&1' \
		<"$work/acme/ca.crt"
	write_ini a <<<'acme_email = operator@example.org'
	sed -i '/^tls_external_cert_and_key/d' "$work/a.ini"
	deploy a
	issuer=$("$lab" net openssl s_client -connect relay-a.example:443 -servername relay-a.example \
		-CAfile "$work/acme/ca.crt" -verify_return_error -verify_hostname relay-a.example </dev/null 2>&1) ||
		fail "the certificate is not the ACME server's: $issuer"
	healthy a
	nothing_to_do a
	load_zone a
	grep -q 'CAA.*accounturi' "$work/a.zone" || fail "the zone has no CAA record of the account"
	cmdeploy dns --config "$work/a.ini" || fail "cmdeploy dns: $(cat "$work/said")"
	# Back to the certificate that somebody else keeps.
	write_ini a </dev/null
	deploy a
	nothing_to_do a
	healthy a
}
