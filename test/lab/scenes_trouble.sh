# shellcheck shell=bash
# Scenarios of acceptance: what stands in the way of a deployment. Sourced by it.
