#!/usr/bin/env bash
# Prints where the page is.
. "$(dirname "$0")/names.sh"
need_variables
name=$(aws elbv2 describe-load-balancers --names "$lab" --query 'LoadBalancers[0].DNSName' --output text)
echo "http://$name"
