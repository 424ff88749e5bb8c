"""schema.py GRAFT SOURCES: the JSON Schema of configs is valid, takes every config of the project and every example of a
plugin, and refuses mistakes where they are. Needs python3-jsonschema and python3-yaml; 77 (skipped) without them."""

import json
import pathlib
import subprocess
import sys

try:
    import jsonschema
    import yaml
except ImportError as e:
    print(f"skipped: {e}; apt-get install python3-jsonschema python3-yaml")
    sys.exit(77)

graft, sources = sys.argv[1], pathlib.Path(sys.argv[2])


def output(*arguments):
    return subprocess.run([graft, *arguments], check=True, capture_output=True, text=True).stdout


schema = json.loads(output("schema"))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
faults = []


def unique_words(value):
    """Language servers refuse a schema that lists a word twice; the meta-schema does not."""
    if isinstance(value, dict):
        words = value.get("enum", [])
        if len(set(words)) != len(words):
            faults.append(f"a word occurs twice: {words}")
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            unique_words(part)


unique_words(schema)


def accepts(name, text):
    for error in validator.iter_errors(yaml.safe_load(text)):
        faults.append(f"{name}: {list(error.path)}: {error.message[:200]}")


def refuses(path, wanted, text):
    """`wanted` is part of one of the messages at `path`, or below it."""
    found = []

    def collect(error, above):
        here = [*above, *error.path]
        found.append((here, error.message))
        for part in error.context or []:
            collect(part, here)

    for error in validator.iter_errors(yaml.safe_load(text)):
        collect(error, [])
    if not any(here == path and wanted in message for here, message in found):
        faults.append(f"not refused at {path} with '{wanted}': {text}: {found}")


plugins = json.loads(output("plugins", "--json"))["plugins"]
installed = {plugin["name"] for plugin in plugins} | {"torch_backbone"}


def is_complete(text):
    """A build without LibTorch has no finetune and pretrain."""
    stages = yaml.safe_load(text).get("stages", {}).values()
    return all(stage["plugin"] in installed for stage in stages if stage and "plugin" in stage)


configs = [c for c in sorted((sources / "configs").glob("*.yaml")) if is_complete(c.read_text())]
assert len(configs) > 4
for config in configs:
    accepts(config.name, config.read_text())


def check_page(name, described):
    """The three ways to see a declaration say the same: the text, the page of Markdown, the schema of configs."""
    text, page = output("describe", name), output("describe", name, "--markdown")
    condition = next((c for c in schema["properties"]["stages"]["additionalProperties"]["allOf"]
                      if name in c["if"]["properties"]["plugin"]["enum"]), None)
    for parameter in described["params"]:
        row = next((r for r in page.splitlines() if r.startswith(f"| `{parameter['name']}` | ")), "")
        line = next((r for r in text.splitlines() if r.startswith(f"  {parameter['name']}: ")), "")
        facts = line.partition(": ")[2]
        if not facts or facts.replace("|", "\\|").replace("<", "&lt;") != row.split(" | ")[1]:
            faults.append(f"{name}.{parameter['name']}: describe says '{line}', --markdown '{row}'")
        default = parameter["default"]
        if default is not None and f"default {json.dumps(default, separators=(',', ':'), ensure_ascii=False)}" not in facts:
            faults.append(f"{name}.{parameter['name']}: describe says '{line}', the default is {default}")
        if condition is None:  # a service, which no config names
            continue
        known = condition["then"]["properties"]["with"]["properties"].get(parameter["name"], {})
        if known.get("default") != default:
            faults.append(f"{name}.{parameter['name']}: the default in the schema is {known.get('default')}, not {default}")


examples = 0
for line in plugins:
    described = json.loads(output("describe", line["name"], "--json"))
    check_page(line["name"], described)
    if described.get("example") and is_complete(described["example"]):
        examples += 1
        accepts(line["name"], described["example"])
assert examples > 10

knn = "name: x\nstages: {images: {plugin: synthetic}, knn: {plugin: knn, from: images, with: {%s}}}"
accepts("variables", knn % "k: '${K:-5}'")
accepts("former name", "name: x\nstages: {f: {plugin: torch_backbone, from: i, with: {model: resnet18, untrained: true}}}")
accepts("extends", "extends: base.yaml\nstages: {}")
refuses(["stages", "knn", "with"], "Additional properties are not allowed ('kk' was unexpected)", knn % "kk: 5")
refuses(["stages", "knn", "with", "k"], "is less than the minimum of 1", knn % "k: 0")
refuses(["stages", "knn", "with", "metric"], "'near' is not one of", knn % "metric: near")
refuses(["stages", "a", "plugin"], "'knnn'", "name: x\nstages: {a: {plugin: knnn}}")
refuses(["stages", "a"], "'plugin' is a required property", "name: x\nstages: {a: {from: b}}")
refuses(["stages", "a"], "'with' is a required property", "name: x\nstages: {a: {plugin: image_folder}}")
refuses([], "Additional properties are not allowed ('stage' was unexpected)", "name: x\nstage: {}\nstages: {}")
refuses(["run"], "Additional properties are not allowed ('thread' was unexpected)", "name: x\nrun: {thread: 2}\nstages: {}")
print("\n".join(faults) or f"{len(configs)} configs and {examples} examples are valid, 8 mistakes are not")
sys.exit(1 if faults else 0)
