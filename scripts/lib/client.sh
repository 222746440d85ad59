# shellcheck shell=bash
# The Delta Chat client without a screen, below $demo; $client is its program. Sourced.

CLIENT=@deltachat/stdio-rpc-server@2.57.0

find_client() {
	client=$(find "$demo/client" -name deltachat-rpc-server -type f -perm -u+x -print -quit \
		2>/dev/null) || :
	[ -n "$client" ]
}

fetch_client() {
	npm install --prefix "$demo/client" --cache "$demo/npm" --no-audit --no-fund "$CLIENT"
}
