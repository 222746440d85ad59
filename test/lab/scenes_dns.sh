# shellcheck shell=bash
# Scenarios of acceptance: the zone of relay A, right and wrong. Sourced by it.
