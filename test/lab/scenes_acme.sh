# shellcheck shell=bash
# Scenario of acceptance: a certificate by ACME. Sourced by it.
