"""Reads a page of metrics from standard input with the Prometheus project's own parser:
exposition.py text|openmetrics. Prints every sample as JSON: [name, labels, value].

Checks the page as `promtool check metrics` does: help, units and endings of names.
"""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as text

parse = {"text": text, "openmetrics": openmetrics}[sys.argv[1]]
problems = []
samples = []
names = set()
for family in parse(sys.stdin.read()):
    name = family.name
    if name in names:
        problems.append(f"{name}: stands there twice")
    names.add(name)
    if not family.documentation:
        problems.append(f"{name}: no help")
    if family.type in ("unknown", "untyped"):
        problems.append(f"{name}: no type")
    if family.type != "counter" and name.endswith("_total"):
        problems.append(f"{name}: _total is for counters")
    for word in ("milliseconds", "minutes", "hours", "kilobytes", "megabytes", "percent"):
        if word in name.split("_"):
            problems.append(f"{name}: not in base units")
    if name != name.lower() or family.type in name.split("_"):
        problems.append(f"{name}: capitals, or its type in its name")
    series = set()
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        if key in series:
            problems.append(f"{key}: stands there twice")
        series.add(key)
        samples.append([sample.name, sample.labels, str(sample.value)])
if problems:
    sys.exit("\n".join(problems))
json.dump(samples, sys.stdout)
